/** Engines that run tfjs functions directly, on one of tfjs' own backends. */
import * as tf from '@tensorflow/tfjs-core';
import { checkArgument, checkText } from '../common/arguments.js';
import { type CompiledFunction, checkInputs, type Engine, type EngineName } from './engine.js';

/**
 * An engine on a registered tfjs backend.
 * @param backend its name in tfjs; must be initialised already
 * @param batch images per run that use the backend well
 * @throws CodecError('usage') for invalid arguments
 */
export function createEagerEngine(name: EngineName, backend: string, description: string, batch: number): Engine {
  for (const [what, text] of Object.entries({ name, backend, description })) checkText(what, text);
  checkArgument('batch', { type: 'number', integer: true, least: 1 }, batch);
  return {
    name,
    description,
    precision: 'fp32',
    parallelism: 1,
    batch,
    async compile(fn, inputShapes, constants = []): Promise<CompiledFunction> {
      const weights = onBackend(backend, () => constants.map(({ data, shape }) => tf.tensor(data, [...shape])));
      const evaluate = (inputs: readonly Float32Array[]) =>
        onBackend(backend, () => {
          const before = tf.engine().state.numTensors;
          let results: { data: Float32Array; shape: number[] }[] = [];
          tf.tidy(() => {
            const tensors = inputs.map((data, i) => tf.tensor(data, [...inputShapes[i]]));
            // Copies, because dataSync may return a view of memory that the backend reuses.
            const outputs = fn(tensors, weights) as tf.Tensor[];
            results = outputs.map((t) => ({ data: Float32Array.from(t.dataSync()), shape: t.shape }));
          });
          if (tf.engine().state.numTensors !== before) throw new Error('a tensor function leaked tensors');
          return results;
        });
      const zeros = inputShapes.map((shape) => new Float32Array(tf.util.sizeFromShape([...shape])));
      const outputShapes = evaluate(zeros).map(({ shape }) => shape);
      return {
        outputShapes,
        async run(inputs, signal) {
          checkInputs(inputs, inputShapes);
          signal?.throwIfAborted();
          return evaluate(inputs).map(({ data }) => data);
        },
        async dispose() {
          onBackend(backend, () => tf.dispose(weights));
        },
      };
    },
    async dispose() {},
  };
}

/**
 * Runs synchronous work on a backend, then restores tfjs' global choice of backend, so that several engines can be used
 * at once.
 */
function onBackend<T>(backend: string, work: () => T): T {
  const previous = tf.getBackend();
  void tf.setBackend(backend);
  try {
    return work();
  } finally {
    if (previous) void tf.setBackend(previous);
  }
}
