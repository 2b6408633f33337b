/**
 * The engine of a page: ONNX Runtime in WebAssembly, each of some workers with a thread, or on a GPU by WebGPU. A worker has one window
 * of a picture at a time, so no memory is shared, and no headers are needed on the server.
 */
import { checkOptions } from '../common/arguments.js';
import { invalidArgument } from '../common/errors.js';
import { openWorkerPool } from '../common/worker-pool.js';
import type { Engine } from '../engine/engine.js';
import { createOnnxEngine, type OnnxBackend, traceProbe } from '../engine/onnx.js';
import type { GraphRunner, OnnxGraph } from '../engine/onnx-session.js';
import type { EngineSetup, GraphRequest } from './engine-messages.js';
import { withFallback } from './fallback.js';
import { threadsOf } from './threads.js';

/** What a page computes on. */
export type BrowserDevice = 'cpu' | 'webgpu';

const DEVICES = ['auto', 'cpu', 'webgpu'] as const;

/** How an engine is opened. */
export interface BrowserEngineOptions {
  /** Threads of WebAssembly; default one per core, up to 8. */
  readonly threads?: number;
  /** Default 'auto': a GPU where there is one that is not a software one, else the CPU. */
  readonly device?: BrowserDevice | 'auto';
  /** Told when the CPU takes the place of a GPU: what computes now, and why. */
  readonly onFallback?: (description: string, because: string) => void;
}

const ARGUMENTS = {
  threads: { type: 'number', integer: true, least: 1, most: 64 },
  device: { type: 'own' },
  onFallback: { type: 'function' },
} as const;

/** Each thread has its own copy of ONNX Runtime and of the weights. */
const MOST_THREADS = 8;
/** Windows that keep a GPU busy. */
const GPU_BATCH = 16;

/**
 * Opens the engine. Needs the package onnxruntime-web.
 * @throws CodecError('engine') where WebAssembly does not start; 'usage' for arguments that are not what they should be
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
  // Nobody is told of a GPU that was neither there nor asked for.
  if (device === 'webgpu' || missing === undefined) onFallback?.(backend.description, gpu);
  return createOnnxEngine(backend);
}

/** @param anyAdapter also one that computes on the CPU */
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
  /** Which graphs each thread has. */
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
        run: (inputs, signal) => pool.run({ graph: number, inputs }, { signal }),
        async release() {
          made.delete(number);
          pool.tell({ release: number });
        },
      };
    },
    close: () => pool.dispose(),
  };
}
