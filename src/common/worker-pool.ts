/**
 * Threads that all run one script, in Node or on the web. The script posts `{ ready: true }` when it has started. For
 * every message `{ request, cancelled }` it then posts, in order, `{ result }` or `{ error }` with a message. It may
 * skip a request whose `cancelled[0]` is not 0.
 */
import { CodecError } from './errors.js';

/** A thread of the platform. */
export interface Thread {
  /** @param transfer memory that is transferred instead of copied */
  post(message: unknown, transfer: readonly ArrayBufferLike[]): void;
  /** Tells the thread whether there is work. While there is, the process has to stay alive. */
  hold?(works: boolean): void;
  terminate(): unknown;
}

/** Receives a thread's messages and errors. */
export interface ThreadListener {
  message(data: unknown): void;
  error(error: Error): void;
}

export interface WorkerPool<Request, Result> {
  /**
   * Sends a request to the thread that has the least to do.
   * @throws the signal's reason as soon as it is aborted; a request that has started is still finished
   */
  run(request: Request, options?: RunOptions): Promise<Result>;
  /** Sends the same message to all threads, which do not answer it. */
  tell(message: unknown): void;
  dispose(): Promise<void>;
}

export interface RunOptions {
  /** Memory that is transferred instead of copied. */
  readonly transfer?: readonly ArrayBufferLike[];
  /** A request that has not started when the signal is aborted is never started. */
  readonly signal?: AbortSignal | undefined;
}

export interface PoolOptions<Request> {
  /** Starts a thread. */
  start(listener: ThreadListener): Thread;
  readonly count: number;
  /** For messages: `engine onnx`. */
  readonly name: string;
  /**
   * The message that a thread gets for a request; default: the request itself.
   * @param thread 0..count-1
   */
  messageFor?(request: Request, thread: number): unknown;
}

interface Task<Request, Result> {
  readonly request: Request;
  readonly transfer: readonly ArrayBufferLike[];
  /** In shared memory, where the platform has it; not 0 once nobody waits for the result. */
  readonly cancelled: Int32Array | undefined;
  resolve(result: Result): void;
  reject(error: Error): void;
}

/** A thread and its tasks, in order. */
interface Given<Request, Result> {
  readonly thread: Thread;
  readonly number: number;
  readonly tasks: Task<Request, Result>[];
}

/** Tasks queued at a worker, so that the next one can start while the caller's thread is too busy to take the result. */
const TASKS_AHEAD = 2;

type Message<Result> = { ready?: true; result?: Result; error?: string };

/**
 * Starts workers.
 * @throws CodecError('engine') when one does not start
 */
export async function openWorkerPool<Request, Result>(
  options: PoolOptions<Request>,
): Promise<WorkerPool<Request, Result>> {
  type Pending = Task<Request, Result>;
  const { start, count, name, messageFor = (request: Request) => request } = options;
  const waiting: Pending[] = [];
  const given: Given<Request, Result>[] = [];
  const started: Thread[] = [];
  let broken: Error | undefined;

  function next(): void {
    while (waiting.length > 0) {
      const { thread, number, tasks } = given.reduce((a, b) => (b.tasks.length < a.tasks.length ? b : a));
      if (tasks.length === TASKS_AHEAD) return;
      const task = waiting.shift()!;
      tasks.push(task);
      thread.hold?.(true);
      try {
        thread.post({ request: messageFor(task.request, number), cancelled: task.cancelled }, task.transfer);
      } catch (cause) {
        // A request that could not be sent will never be answered.
        breakDown(cause as Error);
      }
    }
  }

  function breakDown(cause: Error): Error {
    broken ??= new CodecError('engine', `${name}: a worker stopped: ${cause.message}`, { cause });
    for (const task of [...given.map(({ tasks }) => tasks), waiting].flatMap((tasks) => tasks.splice(0)))
      task.reject(broken);
    return broken;
  }

  function answer(of: Given<Request, Result>, { result, error }: Message<Result>): void {
    const task = of.tasks.shift();
    if (of.tasks.length === 0) of.thread.hold?.(false);
    if (error !== undefined) task?.reject(new CodecError('engine', `${name}: ${error}`));
    else task?.resolve(result!);
    next();
  }

  const startOne = (_: unknown, number: number) =>
    new Promise<Given<Request, Result>>((resolve, reject) => {
      const thread = start({
        message(data) {
          const { ready, error } = data as Message<Result>;
          if (!ready && !given.includes(own)) return reject(breakDown(new Error(error)));
          if (!ready) return answer(own, data as Message<Result>);
          thread.hold?.(false);
          resolve(own);
        },
        error: (error) => reject(breakDown(error)),
      });
      started.push(thread);
      const own: Given<Request, Result> = { thread, number, tasks: [] };
    });
  const starts = await Promise.allSettled(Array.from({ length: count }, startOne));
  const failure = starts.find((start) => start.status === 'rejected');
  if (failure) {
    // Only after all have started or failed: terminating a thread inside native code may take the process with it.
    await Promise.all(started.map((thread) => thread.terminate()));
    throw failure.reason;
  }
  given.push(...starts.map((start) => (start as PromiseFulfilledResult<Given<Request, Result>>).value));

  return {
    async run(request, { transfer = [], signal } = {}) {
      if (broken) throw broken;
      signal?.throwIfAborted();
      const cancelled = flag();
      let task: Pending | undefined;
      const abort = () => {
        if (cancelled) Atomics.store(cancelled, 0, 1);
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
    tell(message) {
      for (const { thread } of given) thread.post(message, []);
    },
    async dispose() {
      breakDown(new Error('it was closed'));
      await Promise.all(given.map(({ thread }) => thread.terminate()));
    },
  };
}

/** A number that both sides can see. Pages that are not cross-origin isolated have no shared memory. */
function flag(): Int32Array | undefined {
  return typeof SharedArrayBuffer === 'undefined' ? undefined : new Int32Array(new SharedArrayBuffer(4));
}
