/**
 * Makes the first weights of a network from those of another architecture. Added residual blocks and attention start as
 * the identity, so a network with only such additions computes the same. Levels are added at the inner end, and what
 * they change is learnt anew.
 */
import { CodecError } from '../../common/errors.js';
import { type HostTensor, sizeOf } from '../../engine/engine.js';
import type { UNetConfig } from '../config.js';
import { listParameters, type ParameterSpec } from '../unet-parameters.js';
import { initialize } from './initialization.js';
import { cut } from './state.js';

export interface Grown {
  /** All parameters of the new network, concatenated. */
  readonly weights: Float32Array;
  /** Number of parameters that come from the other network. */
  readonly taken: number;
}

/**
 * @param from the architecture of the tensors
 * @param tensors under diffusers' present names
 * @param seed of the random weights
 * @throws CodecError('model') for fewer levels or layers than before
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
 * The new name of a tensor. Blocks on the way up are counted from the innermost level, so added levels renumber the
 * others. In each block on the way up, the first layer takes the last skip of the way down, which added layers pass on
 * unchanged; so added layers come after it.
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

/**
 * Whether it is the shortcut past a residual block added on the way up. The input of such a block has as many channels
 * from below as its output, followed by a skip.
 */
function isAddedShortcut({ name }: ParameterSpec, from: UNetConfig, to: UNetConfig): boolean {
  const layer = Number(UP.exec(name)?.[3] ?? 0);
  const added = to.layersPerBlock - from.layersPerBlock;
  return name.endsWith('.conv_shortcut.weight') && layer > 0 && layer <= added;
}

/**
 * Passes on the channels from below and ignores the skip.
 * @param part [out, in, 1, 1]
 */
function beginAsIdentity({ shape: [out, into] }: ParameterSpec, part: Float32Array): void {
  part.fill(0);
  for (let i = 0; i < out; i++) part[i * into + i] = 1;
}

/**
 * Parameters with a dimension for a block's inputs. The first block on the way up has the inputs from below, followed
 * by those of its skip.
 */
const OF_INPUTS = /^up_blocks\.(\d+)\.resnets\.0\.(norm1\.(weight|bias)|(conv1|conv_shortcut)\.weight)$/;

/**
 * Copies a tensor into its place. Where the inputs from below differ, only those of the skip are copied.
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
  // As [rows, inputs, numbers per input]; a vector has inputs only.
  const [rows, into, ...window] = shape.length === 1 ? [1, shape[0]] : shape;
  const newInto = wanted[shape.length === 1 ? 0 : 1];
  const size = sizeOf(window);
  for (let row = 0; row < rows; row++) {
    const ofSkip = data.subarray((row * into + into - skip) * size, (row + 1) * into * size);
    part.set(ofSkip, ((row + 1) * newInto - skip) * size);
  }
  return rows * skip * size;
}
