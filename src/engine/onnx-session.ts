/** Running a graph in ONNX Runtime, in Node and on pages. */
import type { InferenceSession, Tensor } from 'onnxruntime-common';
import type { CompiledFunction, Shape } from './engine.js';

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

/** The memory of inputs that goes to another thread without being copied, see {@link CompiledFunction.run}. */
export function transferOf(inputs: readonly Float32Array[], handedOver: boolean | undefined): ArrayBuffer[] {
  if (!handedOver) return [];
  return inputs.flatMap(({ buffer }) => (buffer instanceof ArrayBuffer ? [buffer] : []));
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
        inputs.map((data, i) => [`in${i}`, new Tensor('float32', unshared(data), [...inputShapes[i]])]),
      );
      const results = await session.run(feeds);
      return outputShapes.map((_, i) => results[`out${i}`].data as Float32Array);
    },
    release: () => session.release(),
  };
}

/** ONNX Runtime does not read shared memory; a slice of it is not shared. Pages without isolation do not have it. */
function unshared(data: Float32Array): Float32Array {
  return typeof SharedArrayBuffer !== 'undefined' && data.buffer instanceof SharedArrayBuffer ? data.slice() : data;
}
