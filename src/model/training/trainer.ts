/**
 * Trains a network step by step (Algorithm 1). A step depends only on the state and the images: noise, timesteps and
 * dropout come from streams named after the seed and the step. So a resumed run continues as if it had never been
 * interrupted.
 *
 * A batch is cut into parts (`parts.ts`), whose gradients are summed in order (`descent.ts`).
 */
import type * as tf from '@tensorflow/tfjs-core';
import { CodecError } from '../../common/errors.js';
import { type IntegerStream, integerStream, uniforms } from '../../common/random.js';
import { type Engine, type Shape, sizeOf } from '../../engine/engine.js';
import type { UNetConfig } from '../config.js';
import { outputChannels } from '../parameterization.js';
import type { Schedule } from '../schedule.js';
import { createForward, dropoutShapes } from '../unet.js';
import { listParameters, type ParameterSpec } from '../unet-parameters.js';
import { compileGradients, createDescent, type DescentOptions, type StepReport, type Trainer } from './descent.js';
import { COEFFICIENTS, checkObjective, exampleCoefficients, exampleLosses, type Objective } from './objective.js';
import { CHANNELS, checkImages, imagesOf, noiseOf, partSize } from './parts.js';
import { createState, type TrainerState } from './state.js';
import { createTimestepSampler, type TimestepOptions } from './timesteps.js';

export interface TrainerOptions extends Objective, TimestepOptions, Omit<DescentOptions, 'beta2'> {
  /** Images per step. */
  readonly batch: number;
  /** Width and height of the images in pixels, a multiple of the network's stride. */
  readonly side: number;
  /** Share of activations dropped in each residual block, 0..1. */
  readonly dropout: number;
  /** Name of all the run's random numbers. */
  readonly seed: string;
}

const REMEDY = 'go on from the last checkpoint with a lower `learningRate` or a longer `warmup`';

/**
 * @param state to continue from; default a fresh one
 * @throws CodecError('usage') for options that do not fit each other or the network
 */
export async function createTrainer(
  engine: Engine,
  config: UNetConfig,
  schedule: Schedule,
  options: TrainerOptions,
  state: TrainerState = createState(config, schedule, options),
): Promise<Trainer> {
  checkObjective(options);
  const { batch, side } = options;
  const expected = outputChannels(options.variance, CHANNELS);
  if (config.inChannels !== CHANNELS || config.outChannels !== expected) {
    throw new CodecError(
      'usage',
      `network: expected ${CHANNELS} channels in and ${expected} out for variance ${options.variance}, got ${config.inChannels} and ${config.outChannels}`,
    );
  }
  const parameters = listParameters(config);
  const part = partSize(batch, side);
  const masks: Shape[] = options.dropout > 0 ? dropoutShapes(config, part, side, side) : [];
  const shapes = [[part, side, side, CHANNELS], [part], [part, COEFFICIENTS], ...masks];
  const losses = lossesOf(config, parameters, schedule, options);
  const compiled = await compileGradients(engine, parameters, part, [shapes[0], ...shapes], losses);
  const descent = await createDescent(engine, parameters, options, state, REMEDY);
  const sampler = createTimestepSampler(options, schedule, state.sampler);

  /** The inputs of one part, without the parameters. */
  function prepare(images: Uint8Array, first: number, timesteps: number[], weights: number[]): Float32Array[] {
    const x0 = imagesOf(images, first, part, side * side * CHANNELS);
    const name = `${options.seed}/${state.step}/${first}`;
    const drawn = timesteps.slice(first, first + part);
    const uniform = integerStream(`${name}/dropout`);
    return [
      Float32Array.from(weights.slice(first, first + part), (weight) => weight / batch),
      x0,
      noiseOf(`${name}/noise`, x0.length),
      Float32Array.from(drawn, (t) => t - 1),
      Float32Array.from(drawn.flatMap((t) => exampleCoefficients(schedule, options, t))),
      ...masks.map((shape) => dropoutMask(uniform, sizeOf(shape), options.dropout)),
    ];
  }

  async function step(images: Uint8Array, fraction = 0): Promise<StepReport> {
    checkImages(images, options);
    const stream = integerStream(`${options.seed}/${state.step}/timesteps`);
    const { timesteps, weights } = sampler.sample(stream, batch);
    // Each part starts as soon as it is prepared. The engine works on it while the next one is being prepared.
    const runs: Promise<Float32Array[]>[] = [];
    for (let first = 0; first < batch; first += part) {
      runs.push(compiled.run([...prepare(images, first, timesteps, weights), ...descent.weights]));
    }
    const meanOf = (all: readonly number[]) => all.reduce((sum, value, i) => sum + value * weights[i], 0) / batch;
    const { losses, ...report } = await descent.step(runs, meanOf, fraction);
    sampler.update(timesteps, losses);
    return report;
  }

  return {
    state,
    parameters,
    step,
    async dispose() {
      await Promise.all([compiled.dispose(), descent.dispose()]);
    },
  };
}

/** Losses per example, from the inputs x0, noise, timesteps, coefficients and the masks of dropout. */
function lossesOf(
  config: UNetConfig,
  parameters: readonly ParameterSpec[],
  { timesteps }: Schedule,
  objective: Objective,
): (inputs: tf.Tensor[], weights: tf.Tensor[]) => tf.Tensor1D {
  const forward = createForward(config, parameters);
  return ([x0, noise, timestep, coefficients, ...masks], weights) => {
    const network = (sample: tf.Tensor4D, t: tf.Tensor1D) => forward([sample, t, ...masks], weights)[0] as tf.Tensor4D;
    return exampleLosses(
      objective,
      timesteps,
      network,
      x0 as tf.Tensor4D,
      noise as tf.Tensor4D,
      timestep as tf.Tensor1D,
      coefficients as tf.Tensor2D,
    );
  };
}

/** 0 with the dropout probability, otherwise the factor that preserves the mean. */
function dropoutMask(stream: IntegerStream, size: number, probability: number): Float32Array {
  const kept = 1 / (1 - probability);
  const mask = new Float32Array(size);
  const uniform = uniforms(stream);
  for (let i = 0; i < size; i++) mask[i] = uniform() < probability ? 0 : kept;
  return mask;
}
