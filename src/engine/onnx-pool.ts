/** Several copies of an ONNX graph on worker threads, so that runs go on side by side and the caller's thread stays free. */
import { Worker } from 'node:worker_threads';
import type { InferenceSession } from 'onnxruntime-node';
import { CodecError } from '../errors.js';
import type { Shape } from './engine.js';

export interface OnnxPool {
  /** Runs the graph on the first copy that is free. */
  run(inputs: readonly Float32Array[]): Promise<Float32Array[]>;
  dispose(): Promise<void>;
}

interface Task {
  readonly inputs: readonly Float32Array[];
  resolve(outputs: Float32Array[]): void;
  reject(error: Error): void;
}

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
  const idle: Worker[] = [];
  const working = new Map<Worker, Task>();
  let broken: Error | undefined;

  function next(): void {
    while (idle.length > 0 && waiting.length > 0) {
      const worker = idle.pop()!;
      const task = waiting.shift()!;
      working.set(worker, task);
      worker.ref();
      worker.postMessage({ inputs: task.inputs });
    }
  }

  function breakDown(cause: Error): Error {
    broken ??= new CodecError('engine', `a worker of the onnx engine stopped: ${cause.message}`, { cause });
    for (const task of [...working.values(), ...waiting.splice(0)]) task.reject(broken);
    working.clear();
    return broken;
  }

  const start = () =>
    new Promise<Worker>((resolve, reject) => {
      const worker = new Worker(new URL('./onnx-worker.js', import.meta.url), {
        workerData: { model, options, inputShapes, outputCount },
      });
      // Only a run keeps the process alive, not a worker that waits for one.
      worker.on('message', ({ ready, outputs, error }: Message) => {
        worker.unref();
        if (ready) {
          resolve(worker);
          return;
        }
        const task = working.get(worker);
        working.delete(worker);
        idle.push(worker);
        if (error !== undefined) task?.reject(new CodecError('engine', `engine onnx: ${error}`));
        else task?.resolve(outputs!);
        next();
      });
      worker.on('error', (error) => reject(breakDown(error)));
    });
  const workers = await Promise.all(Array.from({ length: copies }, start));
  idle.push(...workers);

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
