/** Imports a network from other programs' files: finds the files and reads them. */
import { posix } from 'node:path';
import { check, pipe, record, string } from 'valibot';
import { CodecError } from '../../common/errors.js';
import { checked, objectOf, parseJson } from '../../common/foreign.js';
import type { HostTensor } from '../../engine/engine.js';
import { parseConfig, type UNetConfig } from '../config.js';
import { readSafetensors, type Tensors } from '../safetensors.js';
import { listParameters, matchParameters } from '../unet-parameters.js';
import { authorsConfig, fromAuthorsNames, type Naming } from './authors-names.js';
import { readNpz } from './npz.js';
import { readSelected, readTorchFile, selectNetwork } from './torch-file.js';

/** The files of a network; paths are relative and use slashes. */
export interface NetworkFiles {
  readonly config?: string | undefined;
  readonly scheduler?: string | undefined;
  /** More than one where the weights are in shards. */
  readonly weights: readonly string[];
}

/**
 * Names of weights files in diffusers, and of the indexes of sharded weights, with or without a variant:
 * `diffusion_pytorch_model.fp16.safetensors`, `diffusion_pytorch_model.safetensors.index.fp16.json`.
 */
const WEIGHTS =
  /^diffusion_pytorch_model(?:\.(?<variant>[^.-]+))?\.(?<format>safetensors|bin)(?<index>\.index(?:\.(?<indexVariant>[^.-]+))?\.json)?$/;
const INDEX = /\.index(?:\.[^.]+)?\.json$/;
/** The variant to use where there is no file without a variant. */
const HALF = 'fp16';
export const WEIGHT_EXTENSIONS = ['.safetensors', '.bin', '.pt', '.pth', '.ckpt', '.npz'];

/** Whether a file is the index of a sharded network. */
export function isIndex(name: string): boolean {
  return INDEX.test(name);
}

/**
 * Finds a network among the files of a directory or repository in diffusers' form: of the network itself, or of a
 * pipeline with `unet/` in it.
 * @param names all files
 * @param read gives a file's content; called only for the index of a sharded network
 * @param index of the network to use, where its directory has more than one
 * @throws CodecError('model') saying what is missing
 */
export async function findNetworkFiles(
  names: readonly string[],
  read: (name: string) => Promise<Uint8Array>,
  index?: string,
): Promise<NetworkFiles> {
  const all = new Set(names);
  const directory = ['', 'unet/'].find((candidate) => all.has(`${candidate}config.json`));
  if (directory === undefined) {
    throw new CodecError('model', 'expected config.json or unet/config.json of a UNet2DModel, found neither');
  }
  const inside = names.flatMap((name) => (name.startsWith(directory) ? [name.slice(directory.length)] : []));
  const name = index ?? chooseWeights(inside);
  if (name === undefined) {
    throw new CodecError('model', `expected ${directory}diffusion_pytorch_model.safetensors or .bin, found neither`);
  }
  const scheduler = [`${directory}scheduler_config.json`, 'scheduler/scheduler_config.json'].find((file) =>
    all.has(file),
  );
  const weights = isIndex(name)
    ? shardsOf(parseJson(name, await read(directory + name))).map((shard) => directory + shard)
    : [directory + name];
  const missing = weights.find((file) => !all.has(file));
  if (missing !== undefined) throw new CodecError('model', `${directory}${name} names ${missing}, which is not there`);
  return { config: `${directory}config.json`, scheduler, weights };
}

/**
 * Prefers the weights meant for use: without a variant, then half precision, then the only other variant. Among those
 * it prefers safetensors, which need no conversion, to pickles, and whole files to shards.
 */
function chooseWeights(names: readonly string[]): string | undefined {
  const found = names.flatMap((name) => {
    const groups = WEIGHTS.exec(name)?.groups;
    if (groups === undefined) return [];
    const { format, index, variant = groups.indexVariant ?? '' } = groups;
    return [{ name, variant, isPickle: Number(format === 'bin'), isIndex: Number(index !== undefined) }];
  });
  const variants = [...new Set(found.map(({ variant }) => variant))];
  const variant = ['', HALF].find((one) => variants.includes(one)) ?? variants[0];
  if (variant !== '' && variant !== HALF && variants.length > 1) {
    const files = found.map(({ name }) => name).join(', ');
    throw new CodecError('model', `weights: expected one network, found ${files}; name the file that you mean`);
  }
  const [first] = found
    .filter((file) => file.variant === variant)
    .sort((a, b) => a.isPickle - b.isPickle || a.isIndex - b.isIndex);
  return first?.name;
}

/** The files listed in an index. */
function shardsOf(index: unknown): string[] {
  // Only names of files beside the index; paths that lead elsewhere are refused.
  const fileName = pipe(
    string(),
    check((file) => file === posix.basename(file), 'the name of a file beside it'),
  );
  const { weight_map } = checked(objectOf({ weight_map: record(string(), fileName) }), index, 'index of shards');
  const files = [...new Set(Object.values(weight_map))];
  if (files.length === 0)
    throw new CodecError('model', 'index of shards: expected a weight_map from tensors to file names');
  return files;
}

/** A network, whatever format it came in. */
export interface ImportedNetwork {
  /** `config.json`, as read or as inferred from the tensors. */
  readonly configJson: Record<string, unknown>;
  readonly config: UNetConfig;
  /** In the order of the parameters, under diffusers' present names. */
  readonly tensors: Tensors;
}

/**
 * Reads a network's files.
 * @param configJson parsed `config.json`; may be missing for networks under the authors' names, whose shapes determine
 *   it
 * @param weights files of weights, all shards
 * @throws CodecError('model') naming the invalid file, tensor or key
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
  const known = configJson ?? authorsConfig(shapes, naming);
  const config = parseConfig(known);
  return {
    configJson: known as Record<string, unknown>,
    config,
    tensors: match(config, fromAuthorsNames(stored, config, naming)),
  };
}

function match(config: UNetConfig, tensors: Tensors): Tensors {
  return matchParameters(listParameters(config), tensors);
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
 * The network's variables in a TensorFlow checkpoint, without the outer scope. Where the checkpoint has averages over
 * training, they are used instead. The optimiser's variables are left out.
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
