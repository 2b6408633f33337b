/**
 * The engine of a page: ONNX Runtime in WebAssembly, on several single-threaded workers, or on a GPU by WebGPU. A
 * worker runs one window of a picture at a time. No memory is shared, so the server needs no special headers.
 */
import { checkOptions } from '../common/arguments.js';
import { invalidArgument } from '../common/errors.js';
import { openWorkerPool } from '../common/worker-pool.js';
import type { Engine } from '../engine/engine.js';
import { withFallback } from '../engine/fallback.js';
import { createOnnxEngine, type OnnxBackend, traceProbe } from '../engine/onnx.js';
import { type GraphRunner, type OnnxGraph, transferOf } from '../engine/onnx-session.js';
import type { EngineSetup, GraphRequest } from './engine-messages.js';
import { threadsOf } from './threads.js';

/** Where a page computes. */
export type BrowserDevice = 'cpu' | 'webgpu';

const DEVICES = ['auto', 'cpu', 'webgpu'] as const;

/** Options for opening an engine. */
export interface BrowserEngineOptions {
  /** Number of WebAssembly threads; default one per core, up to 8. */
  readonly threads?: number;
  /** Default 'auto': a GPU, if there is one and it is not emulated in software, otherwise the CPU. */
  readonly device?: BrowserDevice | 'auto';
  /** Called when the CPU takes the place of a GPU: with what computes now, and why. */
  readonly onFallback?: (description: string, because: string) => void;
}

const ARGUMENTS = {
  threads: { type: 'number', integer: true, least: 1, most: 64 },
  device: { type: 'own' },
  onFallback: { type: 'function' },
} as const;

/** Default limit: each thread has its own copy of ONNX Runtime and of the weights. */
const MOST_THREADS = 8;
/** Number of windows that keep a GPU busy. */
const GPU_BATCH = 16;

/**
 * Opens the engine. It needs the package onnxruntime-web.
 * @throws CodecError('engine') where WebAssembly does not start; 'usage' for invalid arguments
 */
export async function openEngine(options: BrowserEngineOptions = {}): Promise<Engine> {
  checkOptions('openEngine', ARGUMENTS, options);
  const { threads = Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1), device = 'auto', onFallback } = options;
  if (!DEVICES.includes(device)) throw invalidArgument('`device`', DEVICES.join(', '), device);
  const onCpu = () => openBackend('cpu', threads);
  if (device === 'cpu') return createOnnxEngine(await onCpu());
  const missing = await whyNoGpu(device === 'webgpu');
  const gpu = missing === undefined ? await openBackend('webgpu', 1).catch((error: Error) => error.message) : missing;
  if (typeof gpu !== 'string') return createOnnxEngine(withFallback(gpu, onCpu, onFallback));
  const backend = await onCpu();
  // Stay silent about a GPU that is missing and was not requested.
  if (device === 'webgpu' || missing === undefined) onFallback?.(backend.description, gpu);
  return createOnnxEngine(backend);
}

/** @param anyAdapter accept an adapter that computes on the CPU, too */
async function whyNoGpu(anyAdapter: boolean): Promise<string | undefined> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<{ info?: AdapterInfo } | null> } };
  if (!gpu) return 'this browser has no WebGPU, or not on this page';
  const adapter = await gpu.requestAdapter().catch(() => null);
  if (!adapter) return 'WebGPU has no adapter here';
  const { info } = adapter;
  const isSoftware =
    info?.isFallbackAdapter ||
    /swiftshader|llvmpipe|software|basic render/i.test(`${info?.architecture} ${info?.description}`);
  return isSoftware && !anyAdapter ? 'WebGPU would compute on the CPU here' : undefined;
}

interface AdapterInfo {
  readonly architecture: string;
  readonly description: string;
  readonly isFallbackAdapter?: boolean;
}

async function openBackend(device: EngineSetup['device'], threads: number): Promise<OnnxBackend> {
  const name = device === 'cpu' ? 'WebAssembly' : 'WebGPU';
  /** The graphs that each thread has. */
  const known = Array.from({ length: threads }, () => new Set<number>());
  const made = new Map<number, OnnxGraph>();
  const create = () =>
    new Worker(new URL('./engine-worker.js', import.meta.url), { type: 'module', name: `ddpm-codec ${name}` });
  const pool = await openWorkerPool<GraphRequest, Float32Array[]>({
    start: threadsOf(create, { device, probe: traceProbe() } satisfies EngineSetup),
    count: threads,
    name: `engine onnx (${name})`,
    messageFor(request, thread) {
      if (known[thread].has(request.graph)) return request;
      known[thread].add(request.graph);
      return { ...request, made: made.get(request.graph) };
    },
  });
  let graphs = 0;
  return {
    description: `onnxruntime-web, ${name}${device === 'cpu' ? `, ${threads} thread${threads === 1 ? '' : 's'}` : ''}`,
    precision: 'fp32',
    approximate: device === 'webgpu',
    parallelism: threads,
    batch: device === 'cpu' ? 1 : GPU_BATCH,
    async open(graph: OnnxGraph): Promise<GraphRunner> {
      const number = graphs++;
      made.set(number, graph);
      return {
        run: (inputs, signal, handedOver) =>
          pool.run({ graph: number, inputs }, { signal, transfer: transferOf(inputs, handedOver) }),
        async release() {
          made.delete(number);
          pool.tell({ release: number });
        },
      };
    },
    close: () => pool.dispose(),
  };
}
