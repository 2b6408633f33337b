/**
 * The `tensorflow` engine: tfjs on libtensorflow, through @tensorflow/tfjs-node-gpu or @tensorflow/tfjs-node. Both
 * download libtensorflow on installation, so they are optional: they are used where the user has installed them.
 */
import * as tf from '@tensorflow/tfjs-core';
import { CodecError } from '../../common/errors.js';
import { createEagerEngine } from '../../engine/eager.js';
import type { Engine } from '../../engine/engine.js';

const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const;

const BACKEND = 'tensorflow';

/** Number of 64x64 windows that keep a GPU busy. */
const BATCH = 16;

/** Loads a package by name; tests replace it. */
export type Importer = (name: string) => Promise<unknown>;

interface TfjsNode {
  readonly version?: Record<string, string>;
}

/** Properties of tfjs-node's backend. */
interface TensorFlowBackend {
  /** Whether libtensorflow found a GPU; the GPU package also runs without one. */
  readonly isUsingGpuDevice?: boolean;
}

/** A loaded TensorFlow package. */
export interface TensorFlowPackage {
  readonly name: string;
  /** Version of its TensorFlow.js. */
  readonly version: string;
  /** Whether it computes on a GPU. */
  readonly gpu: boolean;
}

/**
 * Loads the first installed package, which registers the backend `tensorflow` with tfjs.
 * @returns undefined when there is none
 * @throws CodecError('engine') when one is broken
 */
export async function loadTensorFlow(load: Importer = (name) => import(name)): Promise<TensorFlowPackage | undefined> {
  for (const name of PACKAGES) {
    let module: TfjsNode;
    // On loading, the package makes its backend tfjs' default; ours are chosen run by run.
    const previous = tf.getBackend();
    try {
      const loaded = (await load(name)) as TfjsNode & { default?: TfjsNode };
      module = loaded.default ?? loaded;
    } catch (cause) {
      if (isMissing(cause, name)) continue;
      const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
      throw new CodecError('engine', `${name} is installed but does not load (${reason}); reinstall it`, { cause });
    } finally {
      if (previous) void tf.setBackend(previous);
    }
    const backend = tf.findBackend(BACKEND) as TensorFlowBackend | null | undefined;
    const version = module.version?.['tfjs-core'] ?? 'unknown version';
    return { name, version, gpu: backend?.isUsingGpuDevice === true };
  }
  return undefined;
}

/** Opens the engine. @throws CodecError('engine') when no TensorFlow package is installed, or it uses another tfjs */
export async function openTensorFlowEngine(load?: Importer): Promise<Engine> {
  const found = await loadTensorFlow(load);
  if (!found) {
    throw new CodecError(
      'engine',
      'engine tensorflow is not installed; run "npm install @tensorflow/tfjs-node-gpu" (CUDA) or "npm install @tensorflow/tfjs-node" (CPU)',
    );
  }
  const { name, version, gpu } = found;
  if (!tf.findBackend(BACKEND)) {
    throw new CodecError(
      'engine',
      `${name} (TensorFlow.js ${version}) brings a TensorFlow.js of its own; install version ${tf.version_core} of it so that they share one`,
    );
  }
  const description = `${name} (TensorFlow.js ${version}), ${gpu ? 'GPU' : 'CPU'}`;
  return createEagerEngine('tensorflow', BACKEND, description, BATCH);
}

/** Whether the package itself is missing; if it lacks its binary or a dependency, the error names another module. */
function isMissing(cause: unknown, name: string): boolean {
  const { code, message } = cause as { code?: string; message?: string };
  return (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') && (message ?? '').includes(`'${name}'`);
}
