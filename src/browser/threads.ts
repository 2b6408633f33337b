/** Web Workers as threads of a pool. */
import type { Thread, ThreadListener } from '../common/worker-pool.js';

/**
 * How a thread is started.
 * @param create makes the worker; `new Worker(new URL(...))` stands there, so that bundlers see it
 * @param setup sent to it first, if anything
 */
export function threadsOf(create: () => Worker, setup?: unknown): (listener: ThreadListener) => Thread {
  return ({ message, error }) => {
    const worker = create();
    worker.addEventListener('message', ({ data }) => message(data));
    worker.addEventListener('error', (event) => {
      // Otherwise it is an error of whoever has started this one, too.
      event.preventDefault();
      error(new Error(event.message || 'its script does not load'));
    });
    worker.addEventListener('messageerror', () => error(new Error('its answer cannot be read')));
    if (setup !== undefined) worker.postMessage(setup);
    return {
      post: (data, transfer) => worker.postMessage(data, [...transfer] as ArrayBuffer[]),
      terminate: () => worker.terminate(),
    };
  };
}
