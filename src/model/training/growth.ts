/**
 * The first weights of a network from those of another architecture. Residual blocks and attention that are added begin as the identity: a
 * network that has nothing else more computes the same. Levels are added at the inner end, and what they change is learnt anew.
 */
import { CodecError } from '../../common/errors.js';
import { type HostTensor, sizeOf } from '../../engine/engine.js';
import type { UNetConfig } from '../config.js';
import { listParameters, type ParameterSpec } from '../unet-parameters.js';
import { initialize } from './initialization.js';
import { cut } from './state.js';

export interface Grown {
  /** All parameters of the new network, one after another. */
  readonly weights: Float32Array;
  /** How many of them are of the other one. */
  readonly taken: number;
}

/**
 * @param from the architecture that the tensors are of
 * @param tensors by today's names
 * @param seed of what is drawn at random
 * @throws CodecError('model') for fewer levels or layers than there are
 */
export function growWeights(
  from: UNetConfig,
  tensors: ReadonlyMap<string, HostTensor>,
  to: UNetConfig,
  seed: string,
): Grown {
  if (to.blockOutChannels.length < from.blockOutChannels.length || to.layersPerBlock < from.layersPerBlock) {
    throw new CodecError(
      'model',
      'config.json: expected at least the levels and layers per block that the weights are of',
    );
  }
  const parameters = listParameters(to);
  const weights = initialize(parameters, seed);
  const views = cut(weights, parameters);
  const parts = new Map(parameters.map((parameter, i) => [parameter.name, { parameter, part: views[i] }]));
  for (const { parameter, part } of parts.values())
    if (isAddedShortcut(parameter, from, to)) beginAsIdentity(parameter, part);
  let taken = 0;
  for (const [name, tensor] of tensors) {
    const place = parts.get(placeOf(name, from, to));
    if (place) taken += takeOver(tensor, place.parameter, place.part, from, to);
  }
  return { weights, taken };
}

const UP = /^up_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\./;
const UP_LEVEL = /^up_blocks\.(\d+)\./;

/**
 * Where a tensor goes. Blocks on the way up are counted from the innermost level, so those that are added move the others. Of the layers
 * there, the first has the last skip of the way down, which added blocks give on as it is; so they come after it.
 */
function placeOf(name: string, from: UNetConfig, to: UNetConfig): string {
  const levels = to.blockOutChannels.length - from.blockOutChannels.length;
  const layers = to.layersPerBlock - from.layersPerBlock;
  return name
    .replace(UP, (_, level, kind, layer) => {
      return `up_blocks.${level}.${kind}.${Number(layer) + (Number(layer) === 0 ? 0 : layers)}.`;
    })
    .replace(UP_LEVEL, (_, level) => `up_blocks.${Number(level) + levels}.`);
}

/** Whether it leads past a residual block that is added on the way up: what the block is given is as wide as what it gives, and a skip. */
function isAddedShortcut({ name }: ParameterSpec, from: UNetConfig, to: UNetConfig): boolean {
  const layer = Number(UP.exec(name)?.[3] ?? 0);
  const added = to.layersPerBlock - from.layersPerBlock;
  return name.endsWith('.conv_shortcut.weight') && layer > 0 && layer <= added;
}

/** Takes what comes from below and leaves the skip. @param part [out, in, 1, 1] */
function beginAsIdentity({ shape: [out, into] }: ParameterSpec, part: Float32Array): void {
  part.fill(0);
  for (let i = 0; i < out; i++) part[i * into + i] = 1;
}

/** What is of a block's inputs: a first block on the way up has those from below, and then those of its skip. */
const OF_INPUTS = /^up_blocks\.(\d+)\.resnets\.0\.(norm1\.(weight|bias)|(conv1|conv_shortcut)\.weight)$/;

/**
 * Copies a tensor into its place. Where a block has other inputs from below, those of its skip stay.
 * @returns how many numbers were copied
 */
function takeOver(
  { shape, data }: HostTensor,
  { name, shape: wanted }: ParameterSpec,
  part: Float32Array,
  from: UNetConfig,
  to: UNetConfig,
): number {
  if (shape.join() === wanted.join()) {
    part.set(data);
    return data.length;
  }
  const match = OF_INPUTS.exec(name);
  if (!match) return 0;
  const level = to.blockOutChannels.length - 1 - Number(match[1]);
  const skip = to.blockOutChannels[level];
  if (from.blockOutChannels[level] !== skip) return 0;
  // As [rows, inputs, numbers for each]; vectors are of the inputs alone.
  const [rows, into, ...window] = shape.length === 1 ? [1, shape[0]] : shape;
  const newInto = wanted[shape.length === 1 ? 0 : 1];
  const size = sizeOf(window);
  for (let row = 0; row < rows; row++) {
    const ofSkip = data.subarray((row * into + into - skip) * size, (row + 1) * into * size);
    part.set(ofSkip, ((row + 1) * newInto - skip) * size);
  }
  return rows * skip * size;
}
