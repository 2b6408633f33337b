/** Pools of Node threads. */
import { type Transferable, Worker } from 'node:worker_threads';
import type { Thread, ThreadListener } from '../common/worker-pool.js';

/**
 * Describes how to start a thread.
 * @param script JavaScript, because a worker is loaded by its path
 * @param workerData data for the worker
 */
export function threadsOf(script: URL, workerData?: unknown): (listener: ThreadListener) => Thread {
  return ({ message, error }) => {
    const worker = new Worker(script, { workerData, execArgv: [] });
    worker.on('message', message);
    worker.on('error', error);
    return {
      post: (data, transfer) => worker.postMessage(data, transfer as Transferable[]),
      // Only a run keeps the process alive, not an idle worker.
      hold: (works) => (works ? worker.ref() : worker.unref()),
      terminate: () => worker.terminate(),
    };
  };
}
