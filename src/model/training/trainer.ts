/**
 * Training step by step (Algorithm 1). A step is a function of the state and the images alone: noise, timesteps and dropout
 * come from streams named after the seed and the step, so a run that is taken up again goes on as if never interrupted.
 *
 * A batch is cut into parts of a few images, whose gradients are summed in their order. Engines that can work on
 * several parts at a time do, without changing what is computed.
 */
import * as tf from '@tensorflow/tfjs-core';
import { CodecError, invalidArgument } from '../../common/errors.js';
import { gaussians, integerStream } from '../../common/random.js';
import { type CompiledFunction, type Engine, type Shape, sizeOf } from '../../engine/engine.js';
import { registerGradients } from '../../engine/gradients.js';
import type { UNetConfig } from '../config.js';
import { outputChannels } from '../parameterization.js';
import type { Schedule } from '../schedule.js';
import { createForward, dropoutShapes } from '../unet.js';
import { listParameters, type ParameterSpec } from '../unet-parameters.js';
import { COEFFICIENTS, checkObjective, exampleCoefficients, exampleLosses, type Objective } from './objective.js';
import { createOptimizer, emaDecayAt, learningRateAt, norm } from './optimizer.js';
import type { OptimizerName } from './optimizer-name.js';
import { createState, cut, type TrainerState } from './state.js';
import { createTimestepSampler, type TimestepSampling } from './timesteps.js';

export interface TrainerOptions extends Objective {
  /** Images of a step. */
  readonly batch: number;
  /** Width and height of the images in pixels, a multiple of the network's stride. */
  readonly side: number;
  readonly optimizer: OptimizerName;
  readonly learningRate: number;
  /** Steps over which the learning rate rises from 0. */
  readonly warmup: number;
  /** Share of the run, 0..1, at whose end the learning rate falls to 0; 0: it stays. */
  readonly cooldown: number;
  /** Largest norm of the gradient; 0: no limit. */
  readonly gradientClip: number;
  /** Decay of the average of the weights, 0..1. */
  readonly ema: number;
  /** Share of activations dropped in each residual block, 0..1. */
  readonly dropout: number;
  readonly timestepsSampling: TimestepSampling;
  /** Name of all random numbers of the run. */
  readonly seed: string;
}

export interface StepReport {
  readonly step: number;
  /** Mean over the batch, weighted as the timestep sampling asks. */
  readonly loss: number;
  /** Before clipping. */
  readonly gradientNorm: number;
  readonly learningRate: number;
}

export interface Trainer {
  readonly state: TrainerState;
  readonly parameters: readonly ParameterSpec[];
  /**
   * Takes one step.
   * @param images batch * side * side * 3 grey levels, 0..255
   * @param fraction of the run that is done, 0..1, for the cool-down
   * @throws CodecError('model') when loss or gradient are not finite; the state is then as it was before
   */
  step(images: Uint8Array, fraction?: number): Promise<StepReport>;
  dispose(): Promise<void>;
}

/** Most images of a part, and most pixels: large crops leave parts for several threads, too. */
const PART = 8;
const PART_PIXELS = 8 * 64 * 64;
const CHANNELS = 3;

/**
 * @param state to go on from; default a fresh one
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
  const masks = options.dropout > 0 ? dropoutShapes(config, part, side, side) : [];
  registerGradients();
  const compiled = await compileGradients(engine, config, parameters, schedule, options, part, masks);
  const optimizer = await createOptimizer(engine, options.optimizer, parameters);
  const sampler = createTimestepSampler(options.timestepsSampling, schedule, state.sampler);
  const views = cut(state.parameters, parameters);
  const gradient = new Float32Array(state.parameters.length);

  /** The inputs of one part but for the parameters. */
  function prepare(images: Uint8Array, first: number, timesteps: number[], weights: number[]): Float32Array[] {
    const values = side * side * CHANNELS;
    const x0 = Float32Array.from(
      images.subarray(first * values, (first + part) * values),
      (level) => level / 127.5 - 1,
    );
    const name = `${options.seed}/${state.step}/${first}`;
    const gaussian = gaussians(integerStream(`${name}/noise`));
    const noise = new Float32Array(x0.length);
    for (let i = 0; i < noise.length; i++) noise[i] = gaussian();
    const drawn = timesteps.slice(first, first + part);
    const uniform = integerStream(`${name}/dropout`);
    return [
      x0,
      noise,
      Float32Array.from(drawn, (t) => t - 1),
      Float32Array.from(drawn.flatMap((t) => exampleCoefficients(schedule, options, t))),
      Float32Array.from(weights.slice(first, first + part), (weight) => weight / batch),
      ...masks.map((shape) => dropoutMask(uniform, sizeOf(shape), options.dropout)),
    ];
  }

  async function step(images: Uint8Array, fraction = 0): Promise<StepReport> {
    const size = batch * side * side * CHANNELS;
    if (images.length !== size) throw invalidArgument('images', `${size} values`, images.length);
    const stream = integerStream(`${options.seed}/${state.step}/timesteps`);
    const { timesteps, weights } = sampler.sample(stream, batch);
    // Each part starts as soon as it is prepared; the engine works on it while the next one is.
    const runs: Promise<Float32Array[]>[] = [];
    for (let first = 0; first < batch; first += part) {
      runs.push(compiled.run([...prepare(images, first, timesteps, weights), ...views]));
    }
    gradient.fill(0);
    const losses: number[] = [];
    const settled = Promise.allSettled(runs);
    for (const run of runs) {
      // In their order, while the engine works on the next. When one fails, the others are not left to fail unseen.
      const [partLosses, ...partGradients] = await run.catch(async (error: unknown) => {
        await settled;
        throw error;
      });
      losses.push(...partLosses);
      accumulate(gradient, partGradients);
    }
    const loss = losses.reduce((sum, value, i) => sum + value * weights[i], 0) / batch;
    const gradientNorm = norm(gradient);
    if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
      throw new CodecError(
        'model',
        `training diverged at step ${state.step + 1}: loss ${loss}, gradient norm ${gradientNorm}; go on from the last checkpoint with a lower \`learningRate\` or a longer \`warmup\``,
      );
    }
    sampler.update(timesteps, losses);
    state.step++;
    const learningRate = learningRateAt(state.step, options, fraction);
    const { gradientClip, ema } = options;
    await optimizer.step(state, gradient, {
      learningRate,
      scale: gradientClip > 0 ? Math.min(1, gradientClip / gradientNorm) : 1,
      emaDecay: emaDecayAt(state.step, ema),
    });
    return { step: state.step, loss, gradientNorm, learningRate };
  }

  return {
    state,
    parameters,
    step,
    async dispose() {
      await Promise.all([compiled.dispose(), optimizer.dispose()]);
    },
  };
}

/** Largest number of images within the limits that cuts the batch evenly; of batch and side alone, so that results are. */
function partSize(batch: number, side: number): number {
  let size = Math.max(1, Math.min(PART, batch, Math.floor(PART_PIXELS / (side * side))));
  while (batch % size !== 0) size--;
  return size;
}

/** Losses per example, [part], and the gradients of their weighted sum. */
function compileGradients(
  engine: Engine,
  config: UNetConfig,
  parameters: readonly ParameterSpec[],
  schedule: Schedule,
  objective: Objective,
  part: number,
  masks: readonly Shape[],
): Promise<CompiledFunction> {
  const { side } = objective as TrainerOptions;
  const image = [part, side, side, CHANNELS];
  const shapes = [
    image,
    image,
    [part],
    [part, COEFFICIENTS],
    [part],
    ...masks,
    ...parameters.map(({ shape }) => shape),
  ];
  const forward = createForward(config, parameters);
  return engine.compile(
    (inputs: tf.Tensor[]) => {
      const [x0, noise, timestep, coefficients, weights, ...rest] = inputs;
      const keep = rest.slice(0, masks.length);
      const stored = rest.slice(masks.length);
      // The gradient with respect to an example's weight is its loss.
      const loss = (exampleWeights: tf.Tensor, ...tensors: tf.Tensor[]) => {
        const layers = tensors.map((tensor, i) => fromFileLayout(parameters[i], tensor));
        const network = (sample: tf.Tensor4D, t: tf.Tensor1D) =>
          forward([sample, t, ...keep], layers)[0] as tf.Tensor4D;
        const losses = exampleLosses(
          objective,
          schedule.timesteps,
          network,
          x0 as tf.Tensor4D,
          noise as tf.Tensor4D,
          timestep as tf.Tensor1D,
          coefficients as tf.Tensor2D,
        );
        return tf.sum(tf.mul(losses, exampleWeights)) as tf.Scalar;
      };
      return tf.grads(loss)([weights, ...stored]);
    },
    shapes,
    [],
    { parallel: true },
  );
}

/** A stored tensor in the layout that tfjs computes with, as `toEngineLayout` has it. */
function fromFileLayout({ kind }: ParameterSpec, stored: tf.Tensor): tf.Tensor {
  if (kind === 'vector') return stored;
  return tf.transpose(stored, kind === 'conv' ? [2, 3, 1, 0] : [1, 0]);
}

/** 0 with the probability of dropping, else what keeps the mean. */
function dropoutMask(stream: () => number, size: number, probability: number): Float32Array {
  const kept = 1 / (1 - probability);
  const mask = new Float32Array(size);
  for (let i = 0; i < size; i++) mask[i] = (stream() >>> 0) / 0x100000000 < probability ? 0 : kept;
  return mask;
}

function accumulate(sum: Float32Array, parts: readonly Float32Array[]): void {
  let offset = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i++) sum[offset + i] += part[i];
    offset += part.length;
  }
}
