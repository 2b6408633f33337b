/** Engines of ONNX Runtime, in Node and on pages: tfjs functions are traced once into ONNX graphs. */
import type { InferenceSession, Tensor } from 'onnxruntime-common';
import {
  type CompiledFunction,
  checkInputs,
  type Engine,
  type HostTensor,
  type Shape,
  type TensorFunction,
} from './engine.js';
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

/** A traced function. Inputs are named in0, in1, ..., outputs out0, out1, ... */
export interface OnnxGraph {
  /** Serialised `ModelProto`. */
  readonly model: Uint8Array;
  readonly inputShapes: readonly Shape[];
  readonly outputShapes: readonly Shape[];
}

/** A graph that can be run. */
export interface GraphRunner {
  run: CompiledFunction['run'];
  release(): Promise<void>;
}

/** What runs graphs, and what the engine says of it. */
export interface OnnxBackend extends Pick<Engine, 'description' | 'precision' | 'parallelism' | 'batch'> {
  /** @param parallel see `CompileOptions` */
  open(graph: OnnxGraph, parallel: boolean): Promise<GraphRunner>;
  /** After all graphs have been released. */
  close?(): Promise<void>;
}

/** The engine of a backend, which may change what it says of itself. */
export function createOnnxEngine(backend: OnnxBackend): Engine {
  const open = new Set<CompiledFunction>();
  return {
    name: 'onnx',
    precision: backend.precision,
    get description() {
      return backend.description;
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
        async run(inputs, signal) {
          checkInputs(inputs, inputShapes);
          signal?.throwIfAborted();
          return runner.run(inputs, signal);
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

/** ONNX Runtime, as onnxruntime-node and onnxruntime-web have it. */
export interface OnnxRuntimeApi {
  readonly InferenceSession: {
    create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => Tensor;
}

/** Runs a graph where it is called. */
export async function openSession(
  { InferenceSession, Tensor }: OnnxRuntimeApi,
  { model, inputShapes, outputShapes }: OnnxGraph,
  options: InferenceSession.SessionOptions,
): Promise<GraphRunner> {
  const session = await InferenceSession.create(model, options);
  return {
    async run(inputs) {
      const feeds = Object.fromEntries(
        inputs.map((data, i) => [`in${i}`, new Tensor('float32', data, [...inputShapes[i]])]),
      );
      const results = await session.run(feeds);
      return outputShapes.map((_, i) => results[`out${i}`].data as Float32Array);
    },
    release: () => session.release(),
  };
}
