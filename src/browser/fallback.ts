/** A GPU may be lost in the middle of work: what it was asked is asked of the CPU then, and all that comes. */
import type { OnnxBackend } from '../engine/onnx.js';
import type { GraphRunner, OnnxGraph } from '../engine/onnx-session.js';

/**
 * A backend that another takes the place of at the first run that fails. Runs depend on nothing but their inputs, so work goes on
 * from where it is.
 * @param onFallback told what computes from now on, and why
 */
export function withFallback(
  first: OnnxBackend,
  openSecond: () => Promise<OnnxBackend>,
  onFallback?: (description: string, because: string) => void,
): OnnxBackend {
  let present = first;
  let second: Promise<OnnxBackend> | undefined;

  function fallBack(error: unknown): Promise<OnnxBackend> {
    second ??= openSecond().then((backend) => {
      present = backend;
      onFallback?.(backend.description, error instanceof Error ? error.message : String(error));
      // What it still runs fails by that, and is asked again.
      void first.close?.().catch(() => {});
      return backend;
    });
    second.catch(() => {
      second = undefined;
    });
    return second;
  }

  return {
    precision: first.precision,
    get description() {
      return present.description;
    },
    get approximate() {
      return present.approximate === true;
    },
    get parallelism() {
      return present.parallelism;
    },
    get batch() {
      return present.batch;
    },
    async open(graph: OnnxGraph, parallel: boolean): Promise<GraphRunner> {
      /** The runner on the second backend, once it is needed. */
      let other: Promise<GraphRunner> | undefined;
      const onSecond = (error?: unknown) => {
        other ??= fallBack(error).then((backend) => backend.open(graph, parallel));
        other.catch(() => {
          other = undefined;
        });
        return other;
      };
      const own = present === first ? await first.open(graph, parallel).catch(onSecond) : await onSecond();
      return {
        async run(inputs, signal) {
          if (present !== first) return (await onSecond()).run(inputs, signal);
          try {
            return await own.run(inputs, signal);
          } catch (error) {
            signal?.throwIfAborted();
            return (await onSecond(error)).run(inputs, signal);
          }
        },
        async release() {
          // What was lost with its device cannot be released.
          await own.release().catch(() => {});
          await (await other)?.release();
        },
      };
    },
    async close() {
      if (present === first) await first.close?.();
      await (await second)?.close?.();
    },
  };
}
