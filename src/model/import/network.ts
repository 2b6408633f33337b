/** A network from the files that others keep it in: which files these are, and what is in them. */
import { posix } from 'node:path';
import { CodecError } from '../../common/errors.js';
import type { HostTensor } from '../../engine/engine.js';
import { parseConfig, type UNetConfig } from '../config.js';
import { readSafetensors, type Tensors } from '../safetensors.js';
import { listParameters, matchParameters } from '../unet-parameters.js';
import { authorsConfig, fromAuthorsNames, type Naming } from './authors-names.js';
import { readNpz } from './npz.js';
import { readSelected, readTorchFile, selectNetwork } from './torch-file.js';

/** Files of a network; paths are relative and have slashes. */
export interface NetworkFiles {
  readonly config?: string | undefined;
  readonly scheduler?: string | undefined;
  /** More than one where the weights are in shards. */
  readonly weights: readonly string[];
}

/** In the order of preference: what was meant for inference first, what needs no conversion before what does. */
const WEIGHTS = [
  'diffusion_pytorch_model.safetensors',
  'diffusion_pytorch_model.safetensors.index.json',
  'diffusion_pytorch_model.fp16.safetensors',
  'diffusion_pytorch_model.bin',
  'diffusion_pytorch_model.fp16.bin',
];
export const INDEX_SUFFIX = '.index.json';
export const WEIGHT_EXTENSIONS = ['.safetensors', '.bin', '.pt', '.pth', '.ckpt', '.npz'];

/**
 * Finds a network among the files of a directory or repository that diffusers wrote: of the network itself, or of a pipeline
 * with `unet/` in it.
 * @param names all files
 * @param read gives a file's content; only asked for the index of a network in shards
 * @throws CodecError('model') saying what is missing
 */
export async function findNetworkFiles(
  names: readonly string[],
  read: (name: string) => Promise<Uint8Array>,
): Promise<NetworkFiles> {
  const all = new Set(names);
  const directory = ['', 'unet/'].find((candidate) => all.has(`${candidate}config.json`));
  if (directory === undefined) {
    throw new CodecError('model', 'expected config.json or unet/config.json of a UNet2DModel, found neither');
  }
  const name = WEIGHTS.find((candidate) => all.has(directory + candidate));
  if (name === undefined) {
    throw new CodecError('model', `expected ${directory}${WEIGHTS[0]} or .bin, found neither`);
  }
  const scheduler = [`${directory}scheduler_config.json`, 'scheduler/scheduler_config.json'].find((file) =>
    all.has(file),
  );
  const weights = name.endsWith(INDEX_SUFFIX)
    ? shardsOf(parseJson(name, await read(directory + name))).map((shard) => directory + shard)
    : [directory + name];
  const missing = weights.find((file) => !all.has(file));
  if (missing !== undefined) throw new CodecError('model', `${directory}${name} names ${missing}, which is not there`);
  return { config: `${directory}config.json`, scheduler, weights };
}

/** The files that an index names. */
function shardsOf(index: unknown): string[] {
  const map: unknown = (index as { weight_map?: unknown } | null)?.weight_map;
  const files = typeof map === 'object' && map !== null ? [...new Set(Object.values(map))] : [];
  // Names of files beside it, nothing that leads elsewhere.
  if (files.length === 0 || !files.every((file) => typeof file === 'string' && file === posix.basename(file))) {
    throw new CodecError('model', 'index of shards: expected a weight_map from tensors to file names');
  }
  return files as string[];
}

/** A network, whatever form it came in. */
export interface ImportedNetwork {
  /** `config.json`, as it came or as it follows from the tensors. */
  readonly configJson: Record<string, unknown>;
  readonly config: UNetConfig;
  /** In the order of the parameters, under today's names. */
  readonly tensors: Tensors;
}

/**
 * Reads a network's files.
 * @param configJson parsed `config.json`; may be missing for networks under the authors' names, whose shapes say it all
 * @param weights files of weights, all shards
 * @throws CodecError('model') naming the file, tensor or key that is wrong
 */
export function readNetwork(
  configJson: unknown,
  weights: readonly { readonly name: string; readonly bytes: Uint8Array }[],
): ImportedNetwork {
  const stored: Tensors = new Map();
  let naming: Naming | 'diffusers' = 'diffusers';
  for (const { name, bytes } of weights) {
    try {
      const part = readWeights(name, bytes, weights.length > 1);
      naming = part.naming;
      for (const [tensor, value] of part.tensors) stored.set(tensor, value);
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      throw new CodecError(error.code, `${name}: ${error.message}`, { cause: error });
    }
  }
  if (naming === 'diffusers') {
    if (configJson === undefined) {
      throw new CodecError('model', `${weights[0].name}: expected config.json of the network beside it, found none`);
    }
    const config = parseConfig(configJson);
    return { configJson: configJson as Record<string, unknown>, config, tensors: match(config, stored) };
  }
  const shapes = new Map([...stored].map(([name, { shape }]) => [name, shape]));
  const known = (configJson as Record<string, unknown> | undefined) ?? authorsConfig(shapes, naming);
  const config = parseConfig(known);
  return { configJson: known, config, tensors: match(config, fromAuthorsNames(stored, known, naming)) };
}

function match(config: UNetConfig, tensors: Tensors): Tensors {
  const matched = matchParameters(listParameters(config), tensors);
  for (const [name, { data }] of matched) {
    if (!data.every(Number.isFinite)) throw new CodecError('model', `weights: ${name}: expected finite numbers`);
  }
  return matched;
}

function readWeights(
  name: string,
  bytes: Uint8Array,
  isShard: boolean,
): { naming: Naming | 'diffusers'; tensors: Tensors } {
  if (name.endsWith('.npz')) return { naming: 'tensorflow', tensors: tensorflowVariables(readNpz(bytes)) };
  const tensors = name.endsWith('.safetensors') ? deferred(readSafetensors(bytes)) : readTorchFile(bytes);
  const prefix = isShard ? '' : selectNetwork(tensors.keys(), 'conv_in.weight');
  const naming = tensors.has(`${prefix}temb.dense.0.weight`) ? 'port' : 'diffusers';
  return { naming, tensors: readSelected(tensors, prefix) };
}

function deferred(tensors: Tensors): Map<string, () => HostTensor> {
  return new Map([...tensors].map(([name, tensor]) => [name, () => tensor]));
}

const AVERAGE = '/ExponentialMovingAverage';

/**
 * Of a TensorFlow checkpoint the network's variables, without the scope around them: their averages over training where
 * these are kept, not what the optimiser keeps.
 */
function tensorflowVariables(variables: ReadonlyMap<string, () => HostTensor>): Tensors {
  const averaged = [...variables.keys()].some((name) => name.endsWith(AVERAGE));
  const tensors: Tensors = new Map();
  for (const [name, read] of variables) {
    if (averaged !== name.endsWith(AVERAGE)) continue;
    const plain = averaged ? name.slice(0, -AVERAGE.length) : name;
    if (/\/(?:W|b|gamma|beta)$/.test(plain)) tensors.set(plain.replace(/^model\//, ''), read());
  }
  return tensors;
}

/** @throws CodecError('model') when a file is not JSON */
export function parseJson(name: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw new CodecError('model', `${name} is not JSON`, { cause });
  }
}
