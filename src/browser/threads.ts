/** Web Workers as threads of a pool. */
import type { Thread, ThreadListener } from '../common/worker-pool.js';

/**
 * Describes how to start a thread.
 * @param create makes the worker; it contains `new Worker(new URL(...))`, so that bundlers see it
 * @param setup sent to it first, if anything
 */
export function threadsOf(create: () => Worker, setup?: unknown): (listener: ThreadListener) => Thread {
  return ({ message, error }) => {
    const worker = create();
    worker.addEventListener('message', ({ data }) => message(data));
    worker.addEventListener('error', (event) => {
      // Otherwise the error would also reach the context that started this one.
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
