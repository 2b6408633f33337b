/** Handles the loss of a GPU during work: its runs are repeated on the CPU, and so are all later ones. */
import type { OnnxBackend } from './onnx.js';
import type { GraphRunner, OnnxGraph } from './onnx-session.js';

/**
 * A backend that is replaced by another at the first run that fails. Runs depend only on their inputs, so work
 * continues where it was.
 * @param onFallback called with what computes from then on, and why
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
      // Its running requests fail by this, and are repeated.
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
      /** The runner on the first backend, where that opens it. */
      const own =
        present === first
          ? await first.open(graph, parallel).catch((error) => onSecond(error).then(() => undefined))
          : undefined;
      if (own === undefined) await onSecond();
      return {
        async run(inputs, signal, handedOver) {
          if (own === undefined || present !== first) return (await onSecond()).run(inputs, signal, handedOver);
          try {
            // Kept here, because the second backend may need them.
            return await own.run(inputs, signal);
          } catch (error) {
            signal?.throwIfAborted();
            return (await onSecond(error)).run(inputs, signal, handedOver);
          }
        },
        async release() {
          // A runner cannot be released if its device was lost.
          await own?.release().catch(() => {});
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
