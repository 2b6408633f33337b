/** Engines of ONNX Runtime, in Node and on pages: tfjs functions are traced once into ONNX graphs. */
import * as tf from '@tensorflow/tfjs-core';
import {
  type CompiledFunction,
  checkInputs,
  type Engine,
  type HostTensor,
  type Shape,
  type TensorFunction,
} from './engine.js';
import type { GraphRunner, OnnxGraph } from './onnx-session.js';
import { trace } from './tracing/backend.js';
import { registerConvolution } from './tracing/convolution.js';
import { registerElementwise } from './tracing/elementwise.js';
import { registerFused } from './tracing/fused.js';
import { registerLinear } from './tracing/linear.js';
import { registerShapes } from './tracing/shapes.js';

registerElementwise();
registerShapes();
registerLinear();
registerConvolution();
registerFused();

/** A graph that adds 1 to a number, to test whether a device works. */
export function traceProbe(): OnnxGraph {
  const { model } = trace(([x]: tf.Tensor[]) => [tf.add(x, 1)], [[1]], []);
  return { model, inputShapes: [[1]], outputShapes: [[1]] };
}

/** Runs graphs, and describes the engine. */
export interface OnnxBackend
  extends Pick<Engine, 'description' | 'precision' | 'approximate' | 'parallelism' | 'batch'> {
  /** @param parallel see `CompileOptions` */
  open(graph: OnnxGraph, parallel: boolean): Promise<GraphRunner>;
  /** Called after all graphs have been released. */
  close?(): Promise<void>;
}

/** Makes the engine of a backend. Its properties are read at every access, because the backend may change them. */
export function createOnnxEngine(backend: OnnxBackend): Engine {
  const open = new Set<CompiledFunction>();
  return {
    name: 'onnx',
    precision: backend.precision,
    get description() {
      return backend.description;
    },
    get approximate() {
      return backend.approximate === true;
    },
    get parallelism() {
      return backend.parallelism;
    },
    get batch() {
      return backend.batch;
    },
    async compile(
      fn: TensorFunction,
      inputShapes: readonly Shape[],
      constants: readonly HostTensor[] = [],
      { parallel = false } = {},
    ) {
      const { model, outputShapes } = trace(fn, inputShapes, constants, backend.precision);
      const runner = await backend.open({ model, inputShapes, outputShapes }, parallel);
      const compiled: CompiledFunction = {
        outputShapes,
        async run(inputs, signal, handedOver) {
          checkInputs(inputs, inputShapes);
          signal?.throwIfAborted();
          return runner.run(inputs, signal, handedOver);
        },
        async dispose() {
          if (open.delete(compiled)) await runner.release();
        },
      };
      open.add(compiled);
      return compiled;
    },
    async dispose() {
      await Promise.all([...open].map((compiled) => compiled.dispose()));
      await backend.close?.();
    },
  };
}
