/** The state of a training run: vectors with all parameters, concatenated. */
import { type HostTensor, sizeOf } from '../../engine/engine.js';
import type { UNetConfig } from '../config.js';
import type { Schedule } from '../schedule.js';
import { listParameters, type ParameterSpec } from '../unet-parameters.js';
import { initialize } from './initialization.js';
import { createTimestepSampler, type TimestepOptions } from './timesteps.js';

/** The complete state of a run; vectors hold the parameters concatenated, in the order of `listParameters`. */
export interface TrainerState {
  /** Steps done. */
  step: number;
  readonly parameters: Float32Array;
  /** Average of the parameters, from which a model is made. */
  readonly ema: Float32Array;
  /** Moments of Adam. */
  readonly m: Float32Array;
  readonly v: Float32Array;
  /** State of the timestep sampler. */
  readonly sampler: Float32Array;
}

/** What an optimiser needs for a step. */
export interface StepOptions {
  readonly learningRate: number;
  /** Scale of the gradient, for clipping. */
  readonly scale: number;
  /** Decay of the weights' average. */
  readonly emaDecay: number;
  /** Decay of Adam's second moment; default 0.999. */
  readonly beta2?: number;
}

/** The state before the first step. */
export function createState(
  config: UNetConfig,
  schedule: Schedule,
  options: TimestepOptions & { readonly seed: string },
): TrainerState {
  return stateFrom(schedule, initialize(listParameters(config), options.seed), options);
}

/** A state with given weights, to train a model further. */
export function stateFrom(schedule: Schedule, weights: Float32Array, options: TimestepOptions): TrainerState {
  return firstState(weights, createTimestepSampler(options, schedule).state);
}

/**
 * The state of a training run before its first step.
 * @param sampler what its timestep sampler has learnt, where it learns
 */
export function firstState(weights: Float32Array, sampler: Float32Array = new Float32Array(0)): TrainerState {
  // In shared memory, so that threads of an engine read the parameters without copies.
  const parameters = shared(weights);
  return {
    step: 0,
    parameters,
    ema: Float32Array.from(weights),
    m: new Float32Array(weights.length),
    v: new Float32Array(weights.length),
    sampler,
  };
}

/** A copy in shared memory. */
export function shared(values: Float32Array): Float32Array {
  const copy = new Float32Array(new SharedArrayBuffer(values.byteLength));
  copy.set(values);
  return copy;
}

/** A vector of parameters as tensors by name, in the layout of weights files; views, not copies. */
export function toTensors(vector: Float32Array, parameters: readonly ParameterSpec[]): Map<string, HostTensor> {
  const parts = cut(vector, parameters);
  return new Map(parameters.map(({ name, shape }, i) => [name, { shape, data: parts[i] }]));
}

/** The parts of a vector that belong to each parameter; views, not copies. */
export function cut(vector: Float32Array, parameters: readonly ParameterSpec[]): Float32Array[] {
  let offset = 0;
  return parameters.map(({ shape }) => {
    const part = vector.subarray(offset, offset + sizeOf(shape));
    offset += part.length;
    return part;
  });
}
