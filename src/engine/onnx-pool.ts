/** Several copies of an ONNX graph on worker threads, so that runs go on side by side and the caller's thread stays free. */
import { Worker } from 'node:worker_threads';
import type { InferenceSession } from 'onnxruntime-node';
import { CodecError } from '../errors.js';
import type { Shape } from './engine.js';

export interface OnnxPool {
  /** Runs the graph on the copy that has the least to do. */
  run(inputs: readonly Float32Array[]): Promise<Float32Array[]>;
  dispose(): Promise<void>;
}

interface Task {
  readonly inputs: readonly Float32Array[];
  resolve(outputs: Float32Array[]): void;
  reject(error: Error): void;
}

/** Tasks that a worker is given, so that the next one begins while the caller's thread has no time for its result. */
const TASKS_AHEAD = 2;

type Message = { ready?: true; outputs?: Float32Array[]; error?: string };

/** Starts `copies` workers. @throws CodecError('engine') when one does not start */
export async function openOnnxPool(
  model: Uint8Array,
  options: InferenceSession.SessionOptions,
  inputShapes: readonly Shape[],
  outputCount: number,
  copies: number,
): Promise<OnnxPool> {
  const waiting: Task[] = [];
  /** What each worker has to do, in order. */
  const given = new Map<Worker, Task[]>();
  let broken: Error | undefined;

  function next(): void {
    while (waiting.length > 0) {
      const [worker, tasks] = [...given].reduce((a, b) => (b[1].length < a[1].length ? b : a));
      if (tasks.length === TASKS_AHEAD) return;
      const task = waiting.shift()!;
      tasks.push(task);
      worker.ref();
      worker.postMessage({ inputs: task.inputs });
    }
  }

  function breakDown(cause: Error): Error {
    broken ??= new CodecError('engine', `a worker of the onnx engine stopped: ${cause.message}`, { cause });
    for (const task of [...given.values(), waiting].flatMap((tasks) => tasks.splice(0))) task.reject(broken);
    return broken;
  }

  const start = () =>
    new Promise<Worker>((resolve, reject) => {
      const worker = new Worker(new URL('./onnx-worker.js', import.meta.url), {
        workerData: { model, options, inputShapes, outputCount },
      });
      // Only a run keeps the process alive, not a worker that waits for one.
      worker.on('message', ({ ready, outputs, error }: Message) => {
        if (ready) {
          worker.unref();
          resolve(worker);
          return;
        }
        const tasks = given.get(worker)!;
        const task = tasks.shift();
        if (tasks.length === 0) worker.unref();
        if (error !== undefined) task?.reject(new CodecError('engine', `engine onnx: ${error}`));
        else task?.resolve(outputs!);
        next();
      });
      worker.on('error', (error) => reject(breakDown(error)));
    });
  const workers = await Promise.all(Array.from({ length: copies }, start));
  for (const worker of workers) given.set(worker, []);

  return {
    run(inputs) {
      if (broken) return Promise.reject(broken);
      return new Promise((resolve, reject) => {
        waiting.push({ inputs, resolve, reject });
        next();
      });
    },
    async dispose() {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}
