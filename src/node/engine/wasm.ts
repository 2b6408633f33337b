/** The `wasm` engine: tfjs on its WebAssembly backend. It needs no native code; it is slow, and the same everywhere. */
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import * as wasm from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { CodecError } from '../../common/errors.js';
import { createEagerEngine } from '../../engine/eager.js';
import type { Engine } from '../../engine/engine.js';

/** Opens the engine. @throws CodecError('engine') when the backend does not start here */
export async function openWasmEngine(): Promise<Engine> {
  const entry = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(dirname(entry) + sep);
  if (!(await tf.setBackend('wasm'))) {
    throw new CodecError('engine', 'engine wasm: the WebAssembly backend of TensorFlow.js does not start here');
  }
  const simd = await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT');
  const description = `tfjs-backend-wasm ${wasm.version_wasm}${simd ? ', SIMD' : ''}, 1 thread`;
  return createEagerEngine('wasm', 'wasm', description, 1);
}
