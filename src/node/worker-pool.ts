/**
 * Threads that all run one script. The script posts `{ ready: true }` when it has started, and then for every message
 * `{ request, cancelled }`, in order, `{ result }` or `{ error }` with a message. A request whose `cancelled[0]` is not 0 need not
 * be begun. The script is JavaScript, because a worker is loaded by its path.
 */
import { type Transferable, Worker } from 'node:worker_threads';
import { CodecError } from '../common/errors.js';

export interface WorkerPool<Request, Result> {
  /**
   * Sends a request to the thread that has the least to do.
   * @throws the signal's reason when it is aborted, at once; a request that has been begun is then still finished
   */
  run(request: Request, options?: RunOptions): Promise<Result>;
  dispose(): Promise<void>;
}

export interface RunOptions {
  /** Memory that is handed over instead of copied. */
  readonly transfer?: readonly Transferable[];
  /** What has not been begun when it is aborted is not begun. */
  readonly signal?: AbortSignal | undefined;
}

interface Task<Request, Result> {
  readonly request: Request;
  readonly transfer: readonly Transferable[];
  /** In shared memory; not 0 once nobody waits for it. */
  readonly cancelled: Int32Array;
  resolve(result: Result): void;
  reject(error: Error): void;
}

/** Tasks that a worker is given, so that the next one begins while the caller's thread has no time for its result. */
const TASKS_AHEAD = 2;

type Message<Result> = { ready?: true; result?: Result; error?: string };

/**
 * Starts workers.
 * @param script file of the script
 * @param workerData what each of them is given
 * @param name for messages: `engine onnx`
 * @throws CodecError('engine') when one does not start
 */
export async function openWorkerPool<Request, Result>(
  script: URL,
  workerData: unknown,
  count: number,
  name: string,
): Promise<WorkerPool<Request, Result>> {
  type Pending = Task<Request, Result>;
  const waiting: Pending[] = [];
  /** What each worker has to do, in order. */
  const given = new Map<Worker, Pending[]>();
  let broken: Error | undefined;

  function next(): void {
    while (waiting.length > 0) {
      const [worker, tasks] = [...given].reduce((a, b) => (b[1].length < a[1].length ? b : a));
      if (tasks.length === TASKS_AHEAD) return;
      const task = waiting.shift()!;
      tasks.push(task);
      worker.ref();
      worker.postMessage({ request: task.request, cancelled: task.cancelled }, task.transfer);
    }
  }

  function breakDown(cause: Error): Error {
    broken ??= new CodecError('engine', `${name}: a worker stopped: ${cause.message}`, { cause });
    for (const task of [...given.values(), waiting].flatMap((tasks) => tasks.splice(0))) task.reject(broken);
    return broken;
  }

  const start = () =>
    new Promise<Worker>((resolve, reject) => {
      const worker = new Worker(script, { workerData, execArgv: [] });
      // Only a run keeps the process alive, not a worker that waits for one.
      worker.on('message', ({ ready, result, error }: Message<Result>) => {
        if (ready) {
          worker.unref();
          resolve(worker);
          return;
        }
        const tasks = given.get(worker)!;
        const task = tasks.shift();
        if (tasks.length === 0) worker.unref();
        if (error !== undefined) task?.reject(new CodecError('engine', `${name}: ${error}`));
        else task?.resolve(result!);
        next();
      });
      worker.on('error', (error) => reject(breakDown(error)));
    });
  const workers = await Promise.all(Array.from({ length: count }, start));
  for (const worker of workers) given.set(worker, []);

  return {
    async run(request, { transfer = [], signal } = {}) {
      if (broken) throw broken;
      signal?.throwIfAborted();
      const cancelled = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
      let task: Pending | undefined;
      const abort = () => {
        Atomics.store(cancelled, 0, 1);
        const place = waiting.indexOf(task!);
        if (place >= 0) waiting.splice(place, 1);
        task!.reject(signal!.reason as Error);
      };
      try {
        return await new Promise<Result>((resolve, reject) => {
          task = { request, transfer, cancelled, resolve, reject };
          signal?.addEventListener('abort', abort, { once: true });
          waiting.push(task);
          next();
        });
      } finally {
        signal?.removeEventListener('abort', abort);
      }
    },
    async dispose() {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}
