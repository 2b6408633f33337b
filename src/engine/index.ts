/** Opening engines by name. */
import { CodecError, invalidArgument } from '../errors.js';
import type { Engine, EngineName } from './engine.js';
import { openOnnxEngine } from './onnx.js';
import { type Importer, loadTensorFlow, openTensorFlowEngine } from './tensorflow.js';
import { openWasmEngine } from './wasm.js';

export interface EngineOptions {
  /** Threads of the onnx engine; default one per core. */
  readonly threads?: number;
  /** How optional packages are loaded; default `import`. */
  readonly load?: Importer;
}

/**
 * Opens an engine. `auto` is tensorflow where it is installed and has a GPU, else onnx, else wasm; the engine's name and
 * description say which it became.
 * @throws CodecError('engine') when a named engine is not installed; 'usage' for an unknown name
 */
export async function openEngine(name: EngineName | 'auto' = 'auto', options: EngineOptions = {}): Promise<Engine> {
  const { threads, load } = options;
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1)) {
    throw invalidArgument('threads', 'a positive integer', threads);
  }
  switch (name) {
    case 'onnx':
      return openOnnxEngine(threads);
    case 'wasm':
      return openWasmEngine();
    case 'tensorflow':
      return openTensorFlowEngine(load);
    case 'auto':
      return openBest(options);
    default:
      throw invalidArgument('engine', '"auto", "onnx", "wasm" or "tensorflow"', name);
  }
}

async function openBest({ threads, load }: EngineOptions): Promise<Engine> {
  const fallBack = (next: () => Promise<Engine>) => (error: unknown) => {
    if (error instanceof CodecError && error.code === 'engine') return next();
    throw error;
  };
  const native = () => openOnnxEngine(threads).catch(fallBack(openWasmEngine));
  const tensorflow = await loadTensorFlow(load).catch(() => undefined);
  return tensorflow?.gpu ? openTensorFlowEngine(load).catch(fallBack(native)) : native();
}
