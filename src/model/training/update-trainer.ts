/**
 * Trains an update (`../update.ts`) for a network that is not changed. An example is a picture at x_t, at which the
 * network is asked once, and some later states of it. For each of these the update has to predict the picture.
 *
 * As in `trainer.ts`, a step depends only on the state and the images, and not on the number of threads.
 */
import * as tf from '@tensorflow/tfjs-core';
import { integerStream, uniforms } from '../../common/random.js';
import type { CompiledFunction, Engine } from '../../engine/engine.js';
import { makeByBand } from '../bands.js';
import { checkFinite } from '../network.js';
import { type Parameterization, x0Coefficients } from '../parameterization.js';
import type { Schedule } from '../schedule.js';
import { checkUpdatable, createFeatures, type UNet } from '../unet.js';
import {
  createKeep,
  createUpdateForward,
  KEEP_PARAMETERS,
  levelsOf,
  listUpdateParameters,
  outputScale,
  type UpdateShape,
} from '../update.js';
import { compileGradients, createDescent, type DescentOptions, type Trainer } from './descent.js';
import { initialize } from './initialization.js';
import { CHANNELS, checkImages, imagesOf, noiseOf, partSize } from './parts.js';
import { firstState, type TrainerState } from './state.js';
import { drawStratified, uniformInLogSnr } from './timesteps.js';

/** A network that an update is trained for. */
export interface FrozenNetwork {
  readonly network: UNet;
  readonly schedule: Schedule;
  readonly parameterization: Parameterization;
}

export interface UpdateTrainerOptions {
  /** Images per step. */
  readonly batch: number;
  /** Width and height of the images in pixels, even and a multiple of the network's stride. */
  readonly side: number;
  /** Name of all the run's random numbers. */
  readonly seed: string;
}

const DESCENT: DescentOptions = {
  optimizer: 'adam',
  learningRate: 2e-3,
  warmup: 100,
  cooldown: 0.5,
  gradientClip: 1,
  ema: 0.998,
  beta2: 0.99,
};

/** Range of the timesteps, as shares of T, from the least noise to the most. */
const NOISE_SHARES = [0.005, 0.6] as const;
/** Later states per example. */
const DRAWS = 3;
/** Range of ln(snr_s / snr_t) of a later state. */
const LOG_RATIOS = [0.08, Math.log(4)] as const;
/** A squared error below that of a tenth of a grey level is raised to it, because a white picture may have none. */
const LEAST_ERROR = (0.1 / 127.5) ** 2;
/** Numbers per evaluation of an example, and per later state. */
const COEFFICIENTS = 4;
const SCALES = 3;
const LEVELS = 2;

/**
 * The layer widths used in training.
 * @param features channels of the network's last features
 */
export function updateShapeFor(features: number): UpdateShape {
  return { features, kept: 16, width: 64 };
}

/** The state of a new run. */
export function createUpdateState(shape: UpdateShape, { seed }: Pick<UpdateTrainerOptions, 'seed'>): TrainerState {
  return firstState(initialize(listUpdateParameters(shape), `${seed}/update`));
}

/**
 * @param shape widths of the update
 * @param state to continue from; default a fresh one
 * @throws CodecError('model') for a network that cannot have an update; its steps throw it where the network gives
 *   numbers that are not finite
 */
export async function createUpdateTrainer(
  engine: Engine,
  frozen: FrozenNetwork,
  options: UpdateTrainerOptions,
  shape: UpdateShape = updateShapeFor(frozen.network.featureChannels),
  state: TrainerState = createUpdateState(shape, options),
): Promise<Trainer> {
  const { schedule, parameterization } = frozen;
  const { batch, side, seed } = options;
  checkUpdatable(frozen.network.config);
  const parameters = listUpdateParameters(shape);
  const part = partSize(batch, side);
  const size = side * side * CHANNELS;
  const image = [part, side, side, CHANNELS];
  const evaluations = openEvaluations(engine, frozen.network, image);
  const gradients = await compileGradients(
    engine,
    parameters,
    DRAWS * part,
    [
      ...[image, image, image],
      [part, side, side, shape.features],
      [DRAWS * part, side, side, CHANNELS],
      [DRAWS * part, SCALES],
      [DRAWS * part, LEVELS],
    ],
    lossesOf(shape),
  );
  const descent = await createDescent(engine, parameters, DESCENT, state, 'begin anew with another `seed`');
  const [least, most] = NOISE_SHARES.map((share) => Math.max(1, Math.round(share * schedule.timesteps)));
  const probabilities = uniformInLogSnr(schedule, { least, most });

  /** Runs the network on each part. */
  async function evaluate(images: Uint8Array, timesteps: readonly number[]): Promise<Evaluated[]> {
    const evaluated: Promise<Evaluated>[] = [];
    for (let first = 0; first < batch; first += part) {
      const drawn = timesteps.slice(first, first + part);
      const x0 = imagesOf(images, first, part, size);
      const noise = noiseOf(`${seed}/${state.step}/${first}/noise`, x0.length);
      const inputs = [
        ...[x0, noise],
        Float32Array.from(drawn, (t) => t - 1),
        Float32Array.from(drawn.flatMap((t) => coefficientsOf(schedule, parameterization, t))),
      ];
      evaluated.push(
        evaluations.run(inputs, drawn).then(([xhat0, features, errors]) => {
          checkFinite(errors);
          return { x0, noise, xhat0, features, errors };
        }),
      );
    }
    return Promise.all(evaluated);
  }

  /**
   * Inputs for the later states of a part: scales and levels of the first later states of all examples, then of the
   * second ones, and so on.
   */
  function drawLater(first: number, timesteps: readonly number[]): Float32Array[] {
    const uniform = uniforms(integerStream(`${seed}/${state.step}/${first}/ratios`));
    const later = Array.from({ length: DRAWS }, () => timesteps)
      .flat()
      .map((t) => {
        const before = schedule.snr[t];
        return { before, after: before * Math.exp(between(LOG_RATIOS, uniform())) };
      });
    return [
      noiseOf(`${seed}/${state.step}/${first}/later`, DRAWS * part * size),
      Float32Array.from(
        later.flatMap(({ before, after }) => [Math.sqrt(after - before), Math.sqrt(before), outputScale(after)]),
      ),
      Float32Array.from(later.flatMap(({ before, after }) => levelsOf(before, after))),
    ];
  }

  return {
    state,
    parameters,
    async step(images, fraction = 0) {
      checkImages(images, options);
      const timesteps = drawStratified(integerStream(`${seed}/${state.step}/timesteps`), probabilities, batch);
      const parts = await evaluate(images, timesteps);
      const weights = weigh(
        timesteps.map((t) => schedule.snr[t]),
        parts.flatMap(({ errors }) => [...errors]),
      );
      const weightsOf = (first: number) => weights.slice(first, first + part);
      const repeat = (values: readonly number[]) => Array.from({ length: DRAWS }, () => values).flat();
      const runs = parts.map(({ x0, noise, xhat0, features }, i) => {
        const first = i * part;
        const ofExamples = Float32Array.from(repeat(weightsOf(first)), (weight) => weight / (batch * DRAWS));
        const later = drawLater(first, timesteps.slice(first, first + part));
        return gradients.run([ofExamples, x0, noise, xhat0, features, ...later, ...descent.weights]);
      });
      const ofAll = parts.flatMap((_, i) => repeat(weightsOf(i * part)));
      const meanOf = (losses: readonly number[]) =>
        losses.reduce((sum, loss, i) => sum + loss * ofAll[i], 0) / losses.length;
      const { losses: _, ...report } = await descent.step(runs, meanOf, fraction);
      return report;
    },
    async dispose() {
      await Promise.all([evaluations, gradients, descent].map((held) => held.dispose()));
    },
  };
}

/** A part of a batch, and the network's results for it. */
interface Evaluated {
  readonly x0: Float32Array;
  /** The noise in x_t. */
  readonly noise: Float32Array;
  readonly xhat0: Float32Array;
  readonly features: Float32Array;
  /** Mean squared error of xhat0, per example. */
  readonly errors: Float32Array;
}

/**
 * The weight of each example: the root of snr_t over the network's squared error. This is between counting errors in
 * pixels and in standard deviations of the noise. An update that does nothing has a loss of 1.
 */
function weigh(snrs: readonly number[], errors: readonly number[]): number[] {
  const floored = errors.map((error) => Math.max(error, LEAST_ERROR));
  const weights = snrs.map((snr, i) => Math.sqrt(snr / floored[i]));
  const mean = weights.reduce((sum, weight, i) => sum + weight * floored[i], 0) / weights.length;
  return weights.map((weight) => weight / mean);
}

/** Coefficients of x_t = signal x0 + noise n, and of xhat0 as a function of x_t and the network's output. */
function coefficientsOf(schedule: Schedule, { prediction }: Parameterization, t: number): number[] {
  const abar = schedule.alphasCumprod[t];
  const { xt, output } = x0Coefficients(schedule, prediction, t);
  return [Math.sqrt(abar), Math.sqrt(1 - abar), xt, output];
}

/** Like {@link compileEvaluation}, but each example is evaluated by the network for its timestep. */
function openEvaluations(engine: Engine, network: UNet, image: readonly number[]) {
  const compiled = makeByBand(network, (ofBand) => compileEvaluation(engine, ofBand, image));
  return {
    async run(inputs: Float32Array[], timesteps: readonly number[]): Promise<Float32Array[]> {
      const functions = await Promise.all(timesteps.map((t) => compiled.at(t)));
      const [first, ...others] = new Set(functions);
      const outputs = await first.run(inputs);
      for (const other of others) {
        const further = await other.run(inputs);
        for (const [example, fn] of functions.entries()) {
          if (fn !== other) continue;
          for (const [i, output] of outputs.entries()) copyRow(further[i], output, example, functions.length);
        }
      }
      return outputs;
    },
    dispose: () => compiled.dispose(),
  };
}

/** @param rows number of rows */
function copyRow(from: Float32Array, to: Float32Array, row: number, rows: number): void {
  const size = from.length / rows;
  to.set(from.subarray(row * size, (row + 1) * size), row * size);
}

/** Inputs: x0, noise, timestep, {@link coefficientsOf} [part, 4]; outputs: xhat0, last features, squared errors [part]. */
function compileEvaluation(engine: Engine, network: UNet, image: readonly number[]): Promise<CompiledFunction> {
  const features = createFeatures(network);
  return engine.compile(
    ([x0, noise, timestep, coefficients]: tf.Tensor[], weights: tf.Tensor[]) => {
      const [signal, sigma, ofXt, ofOutput] = columnsOf(coefficients, COEFFICIENTS);
      const xt = tf.add(tf.mul(signal, x0), tf.mul(sigma, noise));
      const [output, last] = features([xt, timestep], weights) as tf.Tensor[];
      // The first three channels; a learned variance is in the others.
      const [predicted] = output.shape[3] === CHANNELS ? [output] : tf.split(output, output.shape[3]! / CHANNELS, 3);
      const xhat0 = tf.clipByValue(tf.add(tf.mul(ofXt, xt), tf.mul(ofOutput, predicted)), -1, 1);
      return [xhat0, last, tf.mean(tf.squaredDifference(xhat0, x0), [1, 2, 3])];
    },
    [image, image, [image[0]], [image[0], COEFFICIENTS]],
    network.constants,
    { parallel: true },
  );
}

/** Squared errors of an update's xhat0, [DRAWS * part]. */
function lossesOf(shape: UpdateShape): (inputs: tf.Tensor[], weights: tf.Tensor[]) => tf.Tensor1D {
  const keep = createKeep();
  const forward = createUpdateForward(shape);
  const repeat = (x: tf.Tensor) => tf.concat(Array<tf.Tensor>(DRAWS).fill(x), 0);
  return ([x0, noise, xhat0, features, later, scales, levels], weights) => {
    const [ofU, ofY, ofOutput] = columnsOf(scales, SCALES);
    const error = repeat(tf.sub(x0, xhat0));
    // Differences of u and y_t from xhat0, in standard deviations of their noise.
    const u = tf.add(tf.mul(ofU, error), later);
    const y = tf.add(tf.mul(ofY, error), repeat(noise));
    const observed = tf.concat([repeat(xhat0), u, y], 3);
    const [kept] = keep([features], weights.slice(0, KEEP_PARAMETERS)) as tf.Tensor[];
    const [output] = forward([repeat(kept), observed, levels], weights.slice(KEEP_PARAMETERS)) as tf.Tensor[];
    return tf.mean(tf.squaredDifference(tf.mul(output, ofOutput), error), [1, 2, 3]);
  };
}

/** Each column of a matrix [N, count], as [N, 1, 1, 1]. */
function columnsOf(matrix: tf.Tensor, count: number): tf.Tensor[] {
  return tf.split(matrix, count, 1).map((column) => tf.reshape(column, [-1, 1, 1, 1]));
}

function between([low, high]: readonly [number, number], share: number): number {
  return low + (high - low) * share;
}
