/** Runs functions of an engine on a picture, window by window. */
import {
  type CompiledFunction,
  type Engine,
  type HostTensor,
  runAll,
  type Shape,
  sizeOf,
  type TensorFunction,
} from '../engine/engine.js';
import type { Window, Windows } from './windows.js';

/**
 * Number of compiled functions that are kept, one for each window size and band, so that pictures of many sizes do not
 * fill the memory.
 */
const MOST_COMPILED = 6;

/** An input of a function, window by window. */
export interface WindowInput {
  /** Shape without the batch dimension. */
  readonly shape: Shape;
  readonly fill: (window: Window, to: Float32Array) => void;
}

/** A function and its constants. */
export interface Runnable {
  readonly fn: TensorFunction;
  readonly constants: readonly HostTensor[];
}

/** Runs functions on the windows of pictures. */
export interface Windowed {
  /**
   * Runs a function on all windows of a picture.
   * @param take is called with the outputs for each window, one after another
   * @throws the signal's reason
   */
  run(
    runnable: Runnable,
    windows: Windows,
    inputs: readonly WindowInput[],
    take: (window: Window, outputs: readonly Float32Array[]) => void,
    signal?: AbortSignal,
  ): Promise<void>;
  dispose(): Promise<void>;
}

interface Compiled {
  readonly fn: Promise<CompiledFunction>;
  /** Number of calls that use the function; it is not disposed while there are any. */
  users: number;
}

/** Prepares an engine to run functions on windows. The last few compiled functions are kept until `dispose`. */
export function openWindowed(engine: Engine): Windowed {
  /** In order of use, the latest last. */
  const compiled = new Map<string, Compiled>();
  /** Numbers of the functions, for the keys. */
  const numbers = new WeakMap<Runnable, number>();
  let known = 0;
  /** Number of running calls. */
  let calls = 0;

  async function withCompiled(
    runnable: Runnable,
    shapes: readonly Shape[],
    parallel: boolean,
    work: (fn: CompiledFunction) => Promise<void>,
  ): Promise<void> {
    const number = numbers.get(runnable) ?? known++;
    numbers.set(runnable, number);
    const key = `${number} ${shapes.join(' ')}${parallel ? ' parallel' : ''}`;
    const { fn, constants } = runnable;
    const entry = compiled.get(key) ?? { fn: engine.compile(fn, shapes, constants, { parallel }), users: 0 };
    compiled.delete(key);
    compiled.set(key, entry);
    entry.users++;
    try {
      const ready = await entry.fn.catch((error: unknown) => {
        // A failure is not kept, so that a later picture may try again.
        if (compiled.get(key) === entry) compiled.delete(key);
        throw error;
      });
      await work(ready);
    } finally {
      entry.users--;
      await disposeOldest(MOST_COMPILED);
    }
  }

  /** Disposes the oldest idle functions, and keeps `keep` functions and all that are in use. */
  async function disposeOldest(keep: number): Promise<void> {
    const idle = [...compiled].filter(([, { users }]) => users === 0);
    const old = idle.slice(0, Math.max(0, compiled.size - keep));
    for (const [key] of old) compiled.delete(key);
    await Promise.all(
      old.map(([, { fn }]) =>
        fn.then(
          (compiled) => compiled.dispose(),
          () => {},
        ),
      ),
    );
  }

  return {
    async run(runnable, { windows }, inputs, take, signal) {
      signal?.throwIfAborted();
      const batch = Math.min(engine.batch, windows.length);
      const groups = Array.from({ length: Math.ceil(windows.length / batch) }, (_, i) =>
        windows.slice(i * batch, (i + 1) * batch),
      );
      function* samples(): Generator<Float32Array[]> {
        for (const group of groups) {
          signal?.throwIfAborted();
          yield inputs.map(({ shape, fill }) => {
            const size = sizeOf(shape);
            const all = new Float32Array(batch * size);
            group.forEach((window, i) => {
              fill(window, all.subarray(i * size, (i + 1) * size));
            });
            return all;
          });
        }
      }
      calls++;
      try {
        // A single window runs on all threads. Several windows, of one image or of many, run on one thread each.
        const parallel = windows.length > batch || (calls > 1 && engine.parallelism > 1);
        const shapes = inputs.map(({ shape }) => [batch, ...shape]);
        await withCompiled(runnable, shapes, parallel, async (fn) => {
          let done = 0;
          for await (const outputs of runAll(engine, fn, samples(), signal)) {
            groups[done++].forEach((window, i) => {
              take(
                window,
                outputs.map((output) =>
                  output.subarray((i * output.length) / batch, ((i + 1) * output.length) / batch),
                ),
              );
            });
          }
        });
      } finally {
        calls--;
      }
    },
    dispose: () => disposeOldest(0),
  };
}
