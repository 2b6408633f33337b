/** The `onnx` engine: traces tfjs functions once into ONNX graphs, and onnxruntime-node runs these at native speed. */
import { availableParallelism } from 'node:os';
import type { InferenceSession } from 'onnxruntime-node';
import { counted } from '../../common/counted.js';
import { lastLineOf } from '../../common/errors.js';
import { openWorkerPool } from '../../common/worker-pool.js';
import type { Device, DeviceChoice, Engine, Precision } from '../../engine/engine.js';
import { withFallback } from '../../engine/fallback.js';
import { createOnnxEngine, type OnnxBackend, traceProbe } from '../../engine/onnx.js';
import { type GraphRunner, type OnnxGraph, openSession, transferOf } from '../../engine/onnx-session.js';
import { gpuFault } from '../../model/gpu-trial.js';
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

/** What `auto` tries, the fastest first. */
const GPUS = ['cuda', 'webgpu'] as const satisfies readonly Device[];

export interface OnnxOptions {
  /** Threads of one run; default one per core. */
  readonly threads?: number | undefined;
  /** Default 'cpu'. */
  readonly device?: DeviceChoice | undefined;
  /** Default 'fp32', and always on the CPU, unless it takes the place of a GPU that was lost. */
  readonly precision?: Precision | undefined;
  /** Called when the CPU takes the place of a device that is missing or not fit, or was lost during work. */
  readonly onFallback?: (message: string) => void;
}

/**
 * Opens the engine.
 * @throws CodecError('engine') when onnxruntime-node is not installed or does not load here
 */
export async function openOnnxEngine(options: OnnxOptions = {}): Promise<Engine> {
  const { device = 'cpu', threads = availableParallelism(), onFallback } = options;
  const runtime = await loadOnnxRuntime('engine onnx', ' or use `engine` wasm');
  const openCpu = () => cpuBackend(runtime, threads);
  if (device === 'cpu') return createOnnxEngine(openCpu());
  if (device === 'auto') {
    return createOnnxEngine(await openGpuOrCpu(gpusOf(runtime, threads, options.precision), openCpu, onFallback));
  }
  try {
    return createOnnxEngine(await openGpuBackend(runtime, device, threads, options.precision));
  } catch (error) {
    onFallback?.(`device ${device} is not there, the CPU takes its place (ONNX Runtime: ${lastLineOf(error)})`);
    return createOnnxEngine(openCpu());
  }
}

/**
 * The device that `auto` stands for here.
 * @throws as {@link openOnnxEngine}
 */
export async function resolveAuto(options: Omit<OnnxOptions, 'device'> = {}): Promise<Device> {
  const { threads = availableParallelism(), precision, onFallback } = options;
  const runtime = await loadOnnxRuntime('engine onnx');
  const chosen = await chooseGpu(gpusOf(runtime, threads, precision), () => cpuBackend(runtime, threads), onFallback);
  return chosen?.device ?? 'cpu';
}

/** A GPU that may be there. */
interface Gpu {
  readonly device: Device;
  /** @throws where it is not there */
  open(): Promise<OnnxBackend>;
}

function gpusOf(runtime: OnnxRuntime, threads: number, precision: Precision | undefined): Gpu[] {
  return GPUS.map((device) => ({ device, open: () => openGpuBackend(runtime, device, threads, precision) }));
}

/** The first GPU that is there and fit for work, with the CPU for when it is lost; or else the CPU. */
export async function openGpuOrCpu(
  gpus: readonly Gpu[],
  openCpu: () => OnnxBackend,
  onFallback: OnnxOptions['onFallback'],
): Promise<OnnxBackend> {
  const chosen = await chooseGpu(gpus, openCpu, onFallback);
  if (chosen === undefined) return openCpu();
  const whenLost = (cpu: string, reason: string) =>
    onFallback?.(`the GPU is lost, ${cpu} takes its place (${lastLineOf(reason)})`);
  return withFallback({ ...chosen.backend, approximate: true }, async () => openCpu(), whenLost);
}

/** @returns undefined, after a line that says why, where there is none that is fit for work */
async function chooseGpu(
  gpus: readonly Gpu[],
  openCpu: () => OnnxBackend,
  onFallback: OnnxOptions['onFallback'],
): Promise<{ device: Device; backend: OnnxBackend } | undefined> {
  const reasons: string[] = [];
  for (const { device, open } of gpus) {
    const backend = await open().catch(lastLineOf);
    const fault =
      typeof backend === 'string' ? backend : await gpuFault(createOnnxEngine(backend), createOnnxEngine(openCpu()));
    if (typeof backend !== 'string' && fault === undefined) return { device, backend };
    reasons.push(`${DEVICE_NAMES[device]}: ${fault}`);
  }
  onFallback?.(`device auto: the CPU computes (${reasons.join('; ')})`);
  return undefined;
}

function cpuBackend(runtime: OnnxRuntime, threads: number): OnnxBackend {
  return {
    description: describe(runtime, 'cpu', 'fp32', threads),
    precision: 'fp32',
    parallelism: threads,
    batch: 1,
    open: (graph, parallel) =>
      parallel ? openInPool(graph, threads) : openSession(runtime.ort, graph, sessionOptions(threads)),
  };
}

/** @throws where the device cannot run a graph of one addition */
async function openGpuBackend(
  runtime: OnnxRuntime,
  device: Device,
  threads: number,
  precision: Precision = 'fp32',
): Promise<OnnxBackend> {
  const { ort } = runtime;
  // By default, tensor cores round to ten bits, but files must decode on other machines. CUDA's libraries read this
  // variable when they load.
  if (device === 'cuda') process.env.NVIDIA_TF32_OVERRIDE ??= '0';
  const { run, release } = await openSession(ort, traceProbe(), sessionOptions(1, device));
  await run([new Float32Array(1)]);
  await release();
  return {
    description: describe(runtime, device, precision, threads),
    precision,
    parallelism: 1,
    batch: GPU_BATCH,
    open: (graph) => openSession(ort, graph, sessionOptions(threads, device)),
  };
}

function describe({ version }: OnnxRuntime, device: Device, precision: Precision, threads: number): string {
  return [
    `onnxruntime-node ${version}`,
    DEVICE_NAMES[device],
    ...(precision === 'fp32' ? [] : [precision]),
    counted(threads, 'thread'),
  ].join(', ');
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
  return {
    run: (inputs, signal, handedOver) => pool.run(inputs, { signal, transfer: transferOf(inputs, handedOver) }),
    release: () => pool.dispose(),
  };
}
