/** The `onnx` engine: tfjs functions traced once into ONNX graphs and run by onnxruntime-node at native speed. */
import { availableParallelism } from 'node:os';
import type { InferenceSession } from 'onnxruntime-node';
import {
  type CompiledFunction,
  type CompileOptions,
  checkInputs,
  type Engine,
  type HostTensor,
  type Shape,
  type TensorFunction,
} from './engine.js';
import { openOnnxPool } from './onnx-pool.js';
import { loadOnnxRuntime } from './onnx-runtime.js';
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

/**
 * Opens the engine.
 * @param threads threads of one run; default one per core
 * @throws CodecError('engine') when onnxruntime-node is not installed or does not load here
 */
export async function openOnnxEngine(threads = availableParallelism()): Promise<Engine> {
  const { ort, version } = await loadOnnxRuntime('engine onnx', ' or use --engine wasm');
  const open = new Set<CompiledFunction>();
  return {
    name: 'onnx',
    description: `onnxruntime-node ${version}, CPU, ${threads} thread${threads === 1 ? '' : 's'}`,
    parallelism: threads,
    batch: 1,
    async compile(
      fn: TensorFunction,
      inputShapes: readonly Shape[],
      constants: readonly HostTensor[] = [],
      { parallel = false }: CompileOptions = {},
    ) {
      const { model, outputShapes } = trace(fn, inputShapes, constants);
      const { run, release } = parallel
        ? await runInPool(model, inputShapes, outputShapes, threads)
        : await runHere(ort, model, inputShapes, outputShapes, threads);
      const compiled: CompiledFunction = {
        outputShapes,
        run,
        async dispose() {
          if (open.delete(compiled)) await release();
        },
      };
      open.add(compiled);
      return compiled;
    },
    async dispose() {
      await Promise.all([...open].map((compiled) => compiled.dispose()));
    },
  };
}

interface Runner {
  readonly run: CompiledFunction['run'];
  release(): Promise<void>;
}

function sessionOptions(threads: number): InferenceSession.SessionOptions {
  return {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  };
}

async function runHere(
  ort: typeof import('onnxruntime-node'),
  model: Uint8Array,
  inputShapes: readonly Shape[],
  outputShapes: readonly Shape[],
  threads: number,
): Promise<Runner> {
  const session = await ort.InferenceSession.create(model, sessionOptions(threads));
  return {
    async run(inputs) {
      checkInputs(inputs, inputShapes);
      const feeds = Object.fromEntries(
        inputs.map((data, i) => [`in${i}`, new ort.Tensor('float32', data, [...inputShapes[i]])]),
      );
      const results = await session.run(feeds);
      return outputShapes.map((_, i) => results[`out${i}`].data as Float32Array);
    },
    release: () => session.release(),
  };
}

async function runInPool(
  model: Uint8Array,
  inputShapes: readonly Shape[],
  outputShapes: readonly Shape[],
  copies: number,
): Promise<Runner> {
  const pool = await openOnnxPool(model, sessionOptions(1), inputShapes, outputShapes.length, copies);
  return {
    async run(inputs) {
      checkInputs(inputs, inputShapes);
      return pool.run(inputs);
    },
    release: () => pool.dispose(),
  };
}
