/** The `onnx` engine: traces tfjs functions once into ONNX graphs, and onnxruntime-node runs these at native speed. */
import { availableParallelism } from 'node:os';
import type { InferenceSession } from 'onnxruntime-node';
import { openWorkerPool } from '../../common/worker-pool.js';
import type { Device, Engine, Precision } from '../../engine/engine.js';
import { createOnnxEngine, traceProbe } from '../../engine/onnx.js';
import { type GraphRunner, type OnnxGraph, openSession } from '../../engine/onnx-session.js';
import { threadsOf } from '../worker-pool.js';
import { loadOnnxRuntime, type OnnxRuntime } from './onnx-runtime.js';

/**
 * Limit for the total size of weights in a graph's copies, one per thread. With what ONNX Runtime derives from them,
 * they take about three times as much memory. Where the limit does not allow a copy per thread, each copy uses several
 * threads.
 */
const POOL_BYTES = 2 ** 29;

const WORKER = new URL('./onnx-worker.js', import.meta.url);

/** Number of 64x64 windows that keep a GPU busy. */
const GPU_BATCH = 16;

const DEVICE_NAMES: Readonly<Record<Device, string>> = { cpu: 'CPU', cuda: 'CUDA', webgpu: 'WebGPU' };

export interface OnnxOptions {
  /** Threads of one run; default one per core. */
  readonly threads?: number | undefined;
  /** Default 'cpu'. */
  readonly device?: Device | undefined;
  /** Default 'fp32', and always on the CPU. */
  readonly precision?: Precision | undefined;
  /** Called when the device is missing and the CPU takes its place. */
  readonly onFallback?: (message: string) => void;
}

/**
 * Opens the engine.
 * @throws CodecError('engine') when onnxruntime-node is not installed or does not load here
 */
export async function openOnnxEngine(options: OnnxOptions = {}): Promise<Engine> {
  const { threads = availableParallelism(), onFallback } = options;
  const { ort, version } = await loadOnnxRuntime('engine onnx', ' or use `engine` wasm');
  const device = await deviceAtHand(ort, options.device ?? 'cpu', onFallback);
  const onCpu = device === 'cpu';
  const precision = onCpu ? 'fp32' : (options.precision ?? 'fp32');
  return createOnnxEngine({
    description: `onnxruntime-node ${version}, ${DEVICE_NAMES[device]}, ${precision === 'fp16' ? 'fp16, ' : ''}${threads} thread${threads === 1 ? '' : 's'}`,
    precision,
    parallelism: onCpu ? threads : 1,
    batch: onCpu ? 1 : GPU_BATCH,
    open: (graph, parallel) =>
      parallel && onCpu ? openInPool(graph, threads) : openSession(ort, graph, sessionOptions(threads, device)),
  });
}

/** The device, or the CPU where the device cannot run a graph of one addition. */
async function deviceAtHand(
  ort: OnnxRuntime['ort'],
  device: Device,
  onFallback: OnnxOptions['onFallback'],
): Promise<Device> {
  if (device === 'cpu') return device;
  // By default, tensor cores round to ten bits, but files must decode on other machines. CUDA's libraries read this
  // variable when they load.
  if (device === 'cuda') process.env.NVIDIA_TF32_OVERRIDE ??= '0';
  // ONNX Runtime would report at length what is reported below.
  ort.env.logLevel = 'fatal';
  try {
    const { run, release } = await openSession(ort, traceProbe(), sessionOptions(1, device));
    await run([new Float32Array(1)]);
    await release();
    return device;
  } catch (error) {
    const reason = error instanceof Error ? error.message.trim().split('\n').at(-1) : String(error);
    onFallback?.(`device ${device} is not there, the CPU takes its place (ONNX Runtime: ${reason})`);
    return 'cpu';
  }
}

function sessionOptions(threads: number, device: Device = 'cpu'): InferenceSession.SessionOptions {
  return {
    executionProviders: [device],
    intraOpNumThreads: threads,
    // Threads that wait for the next part of an operator sleep. Spinning takes cores from everything else, and is no
    // faster where a core is free.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  };
}

async function openInPool({ model, inputShapes, outputShapes }: OnnxGraph, threads: number): Promise<GraphRunner> {
  const copies = Math.max(1, Math.min(threads, Math.floor(POOL_BYTES / model.length)));
  const options = sessionOptions(Math.floor(threads / copies));
  const workerData = { model, options, inputShapes, outputCount: outputShapes.length };
  const pool = await openWorkerPool<readonly Float32Array[], Float32Array[]>({
    start: threadsOf(WORKER, workerData),
    count: copies,
    name: 'engine onnx',
  });
  return { run: (inputs, signal) => pool.run(inputs, { signal }), release: () => pool.dispose() };
}
