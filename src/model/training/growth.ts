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
    if (place) taken += takeOver(tensor, place.parameter, place.part, to);
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

/**
 * Copies a tensor into its place. Where the first block of a level on the way up has other inputs from below, those from its skip are
 * the last and stay.
 * @returns how many numbers were copied
 */
function takeOver({ shape, data }: HostTensor, parameter: ParameterSpec, part: Float32Array, to: UNetConfig): number {
  if (shape.join() === parameter.shape.join()) {
    part.set(data);
    return data.length;
  }
  const match = UP.exec(parameter.name);
  if (match?.[2] !== 'resnets' || match[3] !== '0') return 0;
  const skip = to.blockOutChannels[to.blockOutChannels.length - 1 - Number(match[1])];
  // Vectors are of the inputs alone.
  const [rows, into, newInto] =
    shape.length === 1 ? [1, shape[0], parameter.shape[0]] : [shape[0], shape[1], parameter.shape[1]];
  const isOfInputs = shape.length === 1 ? parameter.name.includes('.norm1.') : rows === parameter.shape[0];
  const window = shape.length === 1 ? 1 : sizeOf(shape.slice(2));
  if (!isOfInputs || window !== sizeOf(parameter.shape.slice(2)) || Math.min(into, newInto) < skip) return 0;
  for (let row = 0; row < rows; row++) {
    const source = data.subarray((row * into + into - skip) * window, (row + 1) * into * window);
    part.set(source, (row * newInto + newInto - skip) * window);
  }
  return rows * skip * window;
}
