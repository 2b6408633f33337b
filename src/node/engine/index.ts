/** Opens engines by name. */
import { checkOptions, checkText } from '../../common/arguments.js';
import { CodecError, invalidArgument } from '../../common/errors.js';
import {
  checkDevice,
  type Device,
  type DeviceChoice,
  type Engine,
  type EngineName,
  type Precision,
} from '../../engine/engine.js';
import { openOnnxEngine, resolveAuto } from './onnx.js';
import { THREADS } from './onnx-runtime.js';
import { type Importer, loadTensorFlow, openTensorFlowEngine } from './tensorflow.js';
import { openWasmEngine } from './wasm.js';

/** Options for opening an engine. */
export interface EngineOptions {
  /** Number of threads of the onnx engine; default one per core. */
  readonly threads?: number | undefined;
  /**
   * Device of the onnx engine; with a device, the engine `auto` means onnx. Default: the CPU. The device `auto` is a GPU
   * that has computed what the CPU does, and faster, in a test of seconds; where there is none, the CPU. That engine is
   * `approximate` on a GPU, and goes on with the CPU when the GPU is lost.
   */
  readonly device?: DeviceChoice | undefined;
  /** Precision of products on a GPU; default fp32. */
  readonly precision?: Precision | undefined;
  /**
   * Called with a one-line explanation when the device or the package onnxruntime-node is missing, or the device is not
   * fit for work or is lost, and something slower takes its place.
   */
  readonly onFallback?: (message: string) => void;
  /** Loads optional packages; default `import`. */
  readonly load?: Importer;
}

const ENGINE_ARGUMENTS = {
  threads: THREADS,
  device: { type: 'own' },
  precision: { type: 'own' },
  onFallback: { type: 'function' },
  load: { type: 'function' },
} as const;

/**
 * Opens an engine. `auto` is tensorflow where it is installed and has a GPU, otherwise onnx, otherwise wasm; the
 * engine's name and description say which it is.
 * @throws CodecError('engine') when a named engine is not installed; 'usage' for an unknown name, for a device of an
 *   engine other than onnx, and for fp16 without a GPU
 */
export async function openEngine(name: EngineName | 'auto' = 'auto', options: EngineOptions = {}): Promise<Engine> {
  checkText('engine', name);
  checkOptions('openEngine', ENGINE_ARGUMENTS, options);
  const { load } = options;
  checkDevice(name, options);
  switch (name) {
    case 'onnx':
      return openOnnxEngine(options);
    case 'wasm':
      return openWasmEngine();
    case 'tensorflow':
      return openTensorFlowEngine(load);
    case 'auto':
      return openBest(options);
    default:
      throw invalidArgument('`engine`', '"auto", "onnx", "wasm" or "tensorflow"', name);
  }
}

/**
 * The device that `auto` stands for here, for several processes that should use the same one.
 * @returns 'cpu' where there is no GPU that is fit for work, or no onnxruntime-node
 */
export function resolveDevice(options: Omit<EngineOptions, 'device' | 'load'>): Promise<Device> {
  return resolveAuto(options).catch((error) => {
    if (error instanceof CodecError && error.code === 'engine') return 'cpu';
    throw error;
  });
}

async function openBest(options: EngineOptions): Promise<Engine> {
  const { device, load, onFallback } = options;
  const fallBack = (next: (why: CodecError) => Promise<Engine>) => (error: unknown) => {
    if (error instanceof CodecError && error.code === 'engine') return next(error);
    throw error;
  };
  const native = () =>
    openOnnxEngine(options).catch(
      fallBack(({ message }) => {
        onFallback?.(`engine wasm takes the place of onnx and is four to nine times slower: ${message}`);
        return openWasmEngine();
      }),
    );
  if (device !== undefined) return native();
  const tensorflow = await loadTensorFlow(load).catch(() => undefined);
  return tensorflow?.gpu ? openTensorFlowEngine(load).catch(fallBack(native)) : native();
}
