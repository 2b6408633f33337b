/**
 * The `tensorflow` engine: tfjs on libtensorflow, through @tensorflow/tfjs-node-gpu or @tensorflow/tfjs-node. Both
 * download libtensorflow when they are installed, so they are optional: used where somebody has installed them.
 */
import * as tf from '@tensorflow/tfjs-core';
import { CodecError } from '../errors.js';
import { createEagerEngine } from './eager.js';
import type { Engine } from './engine.js';

const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const;

/** Loads a package by name; tests put a stand-in here. */
export type Importer = (name: string) => Promise<unknown>;

interface TfjsNode {
  readonly version?: Record<string, string>;
}

/** A loaded TensorFlow package. */
export interface TensorFlowPackage {
  readonly name: string;
  readonly version: string;
  /** Whether it is the package built for GPUs. */
  readonly gpu: boolean;
}

/** Loads the first installed package; undefined when there is none. @throws CodecError('engine') when one is broken */
export async function loadTensorFlow(load: Importer = (name) => import(name)): Promise<TensorFlowPackage | undefined> {
  for (const name of PACKAGES) {
    let module: TfjsNode;
    try {
      const loaded = (await load(name)) as TfjsNode & { default?: TfjsNode };
      module = loaded.default ?? loaded;
    } catch (cause) {
      if (isMissing(cause, name)) continue;
      const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
      throw new CodecError('engine', `${name} is installed but does not load (${reason}); reinstall it`, { cause });
    }
    return { name, version: module.version?.['tfjs-core'] ?? 'unknown version', gpu: name.endsWith('-gpu') };
  }
  return undefined;
}

/** Opens the engine. @throws CodecError('engine') when no TensorFlow package is installed, or it is of another tfjs */
export async function openTensorFlowEngine(load?: Importer): Promise<Engine> {
  const found = await loadTensorFlow(load);
  if (!found) {
    throw new CodecError(
      'engine',
      'engine tensorflow is not installed; run "npm install @tensorflow/tfjs-node-gpu" (CUDA) or "npm install @tensorflow/tfjs-node" (CPU)',
    );
  }
  if (tf.findBackend('tensorflow') === null) {
    throw new CodecError(
      'engine',
      `${found.name} (${found.version}) brings a TensorFlow.js of its own; install version ${tf.version_core} of it so that they share one`,
    );
  }
  if (!(await tf.setBackend('tensorflow'))) {
    throw new CodecError('engine', `${found.name} ${found.version}: its backend does not start here`);
  }
  return createEagerEngine('tensorflow', 'tensorflow', `${found.name} ${found.version}`);
}

function isMissing(cause: unknown, name: string): boolean {
  const { code, message } = cause as { code?: string; message?: string };
  return (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') && (message ?? '').includes(name);
}
