/** Pools of Node's threads. */
import { type Transferable, Worker } from 'node:worker_threads';
import type { Thread, ThreadListener } from '../common/worker-pool.js';

/**
 * How a thread is started.
 * @param script JavaScript, because a worker is loaded by its path
 * @param workerData what it is given
 */
export function threadsOf(script: URL, workerData?: unknown): (listener: ThreadListener) => Thread {
  return ({ message, error }) => {
    const worker = new Worker(script, { workerData, execArgv: [] });
    worker.on('message', message);
    worker.on('error', error);
    return {
      post: (data, transfer) => worker.postMessage(data, transfer as Transferable[]),
      // Only a run keeps the process alive, not a worker that waits for one.
      hold: (works) => (works ? worker.ref() : worker.unref()),
      terminate: () => worker.terminate(),
    };
  };
}
