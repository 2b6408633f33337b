/**
 * The variational bound on the negative log likelihood of images, in bits/dim (Ho, Jain & Abbeel 2020, Eq. 5):
 * L_T + sum over t = 2..T of L_{t-1} + L_0, as the authors evaluate it, with xhat0 clipped to [-1, 1].
 *
 * The sum over t is estimated: each image is evaluated at a few timesteps, one drawn from each of as many strata, and each
 * term is divided by the probability of its timestep. The strata are of equal length in a mixture of log snr and t, which is
 * about how the terms are spread, so their weighted values differ little. L_T and L_0 are computed for every image.
 */

import type { CompiledFunction, Engine } from '../engine/engine.js';
import { CodecError, invalidArgument } from '../errors.js';
import type { RgbImage } from '../image/image.js';
import { toUnit } from '../image/pixels.js';
import { gaussians, integerStream } from '../random.js';
import type { NoisePredictor } from './denoiser.js';
import { logNormalMass } from './normal.js';
import { logVariances, outputChannels, type Parameterization, x0Coefficients } from './parameterization.js';
import { jumpCoefficients, type Schedule } from './schedule.js';

/** A mean over images and its standard error, in bits/dim. */
export interface Estimate {
  readonly value: number;
  readonly standardError: number;
}

export interface Bound {
  /** L_T: what is left of the image in x_T. */
  readonly prior: Estimate;
  /** L_1:T-1. */
  readonly diffusion: Estimate;
  /** L_0: the grey levels given x_1. */
  readonly decoder: Estimate;
  readonly total: Estimate;
  readonly images: number;
  /** Evaluations of the network, in all. */
  readonly evaluations: number;
}

/** A network and what it means. */
export interface DiffusionModel {
  readonly engine: Engine;
  readonly network: NoisePredictor;
  readonly schedule: Schedule;
  readonly parameterization: Parameterization;
}

export interface BoundOptions {
  /** Timesteps at which each image is evaluated, besides t = 1; default 10. */
  readonly strata?: number;
  /** Name of the random numbers; models are compared on the same ones. */
  readonly seed?: string;
  /** Share of the work done, 0..1. */
  readonly onProgress?: (fraction: number) => void;
}

const DEFAULT_STRATA = 10;
/** Evaluations side by side. */
const BATCH = 16;
const CHANNELS = 3;

/**
 * Measures the bound.
 * @param images of one size, with sides that the network takes
 * @throws CodecError('image') for images of different or unfit sizes
 */
export async function measureBound(
  images: readonly RgbImage[],
  model: DiffusionModel,
  { strata = DEFAULT_STRATA, seed = 'bound', onProgress }: BoundOptions = {},
): Promise<Bound> {
  const { engine, network, schedule, parameterization } = model;
  if (images.length === 0) throw new CodecError('image', 'bound: expected at least one image, got none');
  if (!(Number.isInteger(strata) && strata >= 1)) throw invalidArgument('strata', 'a positive integer', strata);
  const [{ width, height }] = images;
  for (const image of images) {
    if (image.width !== width || image.height !== height) {
      throw new CodecError(
        'image',
        `bound: expected images of one size, got ${width}x${height} and ${image.width}x${image.height}`,
      );
    }
  }
  if (width % network.stride !== 0 || height % network.stride !== 0) {
    throw new CodecError(
      'image',
      `bound: expected sides that are multiples of ${network.stride}, got ${width}x${height}`,
    );
  }
  const proposal = proposalOf(schedule);
  const shape = [BATCH, height, width, CHANNELS];
  const fn = await engine.compile(network.fn, [shape, [BATCH]], network.constants);
  const terms = createTerms(schedule, parameterization);
  const perImage = images.map(() => ({ prior: 0, diffusion: 0, decoder: 0 }));
  try {
    const evaluations = evaluationsOf(images.length, strata, seed, schedule, proposal);
    const total = images.length * (strata + 1);
    let done = 0;
    for (const group of inGroups(evaluations, BATCH)) {
      await evaluate(fn, group, images, schedule, seed, (task, x0, xt, output) => {
        const row = perImage[task.image];
        if (task.t === 1) {
          row.prior = priorNats(schedule, x0);
          row.decoder = terms.decoder(x0, xt, output);
        } else row.diffusion += terms.step(task.t, x0, xt, output) * task.weight;
      });
      done += group.length;
      onProgress?.(done / total);
    }
  } finally {
    await fn.dispose();
  }
  const bits = 1 / (width * height * CHANNELS * Math.LN2);
  const summary = (value: (row: (typeof perImage)[number]) => number) =>
    estimate(perImage.map((row) => value(row) * bits));
  return {
    prior: summary(({ prior }) => prior),
    diffusion: summary(({ diffusion }) => diffusion),
    decoder: summary(({ decoder }) => decoder),
    total: summary(({ prior, diffusion, decoder }) => prior + diffusion + decoder),
    images: images.length,
    evaluations: images.length * (strata + 1),
  };
}

/** One evaluation of the network. */
interface Task {
  readonly image: number;
  readonly t: number;
  /** 1 / probability of the timestep, shared among the strata. */
  readonly weight: number;
  /** Number of the evaluation of this image. */
  readonly draw: number;
}

/** Probabilities of t = 2..T; half uniform, half as the steps' lengths in log snr. */
function proposalOf({ timesteps, snr }: Schedule): Float64Array {
  const range = Math.log(snr[1] / snr[timesteps]);
  return Float64Array.from({ length: timesteps - 1 }, (_, i) => {
    const t = i + 2;
    return 0.5 / (timesteps - 1) + (0.5 * Math.log(snr[t - 1] / snr[t])) / range;
  });
}

function* evaluationsOf(
  images: number,
  strata: number,
  seed: string,
  { timesteps }: Schedule,
  proposal: Float64Array,
): Generator<Task> {
  for (let image = 0; image < images; image++) {
    yield { image, t: 1, weight: 1, draw: 0 };
    const stream = integerStream(`${seed}/${image}/timesteps`);
    let below = 0;
    let i = 0;
    for (let stratum = 0; stratum < strata; stratum++) {
      const at = (stratum + (stream() >>> 0) / 0x100000000) / strata;
      while (i < timesteps - 2 && below + proposal[i] <= at) below += proposal[i++];
      yield { image, t: i + 2, weight: 1 / (strata * proposal[i]), draw: stratum + 1 };
    }
  }
}

function* inGroups<T>(items: Iterable<T>, size: number): Generator<T[]> {
  let group: T[] = [];
  for (const item of items) {
    group.push(item);
    if (group.length === size) {
      yield group;
      group = [];
    }
  }
  if (group.length > 0) yield group;
}

/** Runs the network on a group of tasks, of at most BATCH. */
async function evaluate(
  fn: CompiledFunction,
  group: readonly Task[],
  images: readonly RgbImage[],
  schedule: Schedule,
  seed: string,
  use: (task: Task, x0: Float32Array, xt: Float32Array, output: Float32Array) => void,
): Promise<void> {
  const size = images[0].data.length;
  const sample = new Float32Array(BATCH * size);
  const timestep = new Float32Array(BATCH);
  const originals = group.map(({ image, t, draw }, i) => {
    const x0 = toUnit(images[image].data);
    const abar = schedule.alphasCumprod[t];
    const [signal, noise] = [Math.sqrt(abar), Math.sqrt(1 - abar)];
    const gaussian = gaussians(integerStream(`${seed}/${image}/${draw}`));
    const xt = sample.subarray(i * size, (i + 1) * size);
    for (let k = 0; k < size; k++) xt[k] = signal * x0[k] + noise * gaussian();
    timestep[i] = t - 1;
    return x0;
  });
  const [output] = await fn.run([sample, timestep]);
  const outputSize = output.length / BATCH;
  group.forEach((task, i) => {
    const xt = sample.subarray(i * size, (i + 1) * size);
    use(task, originals[i], xt, output.subarray(i * outputSize, (i + 1) * outputSize));
  });
}

/** The terms of the bound in nats, summed over an image. */
function createTerms(schedule: Schedule, { prediction, variance }: Parameterization) {
  const channels = outputChannels(variance, CHANNELS);
  const logVarianceAt = (t: number) => {
    const { beta, betaTilde } = logVariances(schedule, t);
    if (variance === 'beta') return () => beta;
    if (variance === 'beta-tilde') return () => betaTilde;
    return (output: Float32Array, at: number) => betaTilde + ((output[at + CHANNELS] + 1) / 2) * (beta - betaTilde);
  };
  /** Calls back with xhat0 and the log variance of every dimension. */
  function forEachDimension(
    t: number,
    xt: Float32Array,
    output: Float32Array,
    use: (i: number, xhat0: number, logVariance: number) => void,
  ): void {
    const coefficients = x0Coefficients(schedule, prediction, t);
    const logVariance = logVarianceAt(t);
    for (let i = 0, at = 0; i < xt.length; at += channels) {
      for (let c = 0; c < CHANNELS; c++, i++) {
        const xhat0 = coefficients.xt * xt[i] + coefficients.output * output[at + c];
        use(i, Math.max(-1, Math.min(1, xhat0)), logVariance(output, at + c));
      }
    }
  }
  return {
    /** KL(q(x_{t-1}|x_t, x_0) || p(x_{t-1}|x_t)), t >= 2; the means differ by their part of x_0 - xhat0. */
    step(t: number, x0: Float32Array, xt: Float32Array, output: Float32Array): number {
      const { x0: slope } = jumpCoefficients(schedule, t, t - 1);
      const { betaTilde } = logVariances(schedule, t);
      let sum = 0;
      forEachDimension(t, xt, output, (i, xhat0, logVariance) => {
        const distance = (slope * (x0[i] - xhat0)) ** 2;
        const ratio = betaTilde - logVariance;
        sum += 0.5 * (Math.expm1(ratio) - ratio + distance * Math.exp(-logVariance));
      });
      return sum;
    },
    /** -log p(x_0|x_1): the mean of the discretised Gaussian is xhat0 (Eq. 13). */
    decoder(x0: Float32Array, xt: Float32Array, output: Float32Array): number {
      let sum = 0;
      forEachDimension(1, xt, output, (i, xhat0, logVariance) => {
        sum -= logDiscretizedGaussian(x0[i], xhat0, Math.exp(0.5 * logVariance));
      });
      return sum;
    },
  };
}

const BIN = 2 / 255;

/**
 * Log probability of a grey level under a Gaussian cut into the 256 levels' bins, the outer ones open (section 3.3).
 * @param x a level as -1 + 2 k / 255
 */
export function logDiscretizedGaussian(x: number, mean: number, sigma: number): number {
  const lower = x < -1 + BIN / 2 ? Number.NEGATIVE_INFINITY : (x - BIN / 2 - mean) / sigma;
  const upper = x > 1 - BIN / 2 ? Number.POSITIVE_INFINITY : (x + BIN / 2 - mean) / sigma;
  return logNormalMass(lower, upper);
}

/** KL(q(x_T|x_0) || N(0, I)) in nats. */
function priorNats({ alphasCumprod, timesteps }: Schedule, x0: Float32Array): number {
  const abar = alphasCumprod[timesteps];
  let sum = 0;
  for (const value of x0) sum += 0.5 * (abar * value * value - abar - Math.log1p(-abar));
  return sum;
}

function estimate(values: readonly number[]): Estimate {
  const value = values.reduce((sum, x) => sum + x, 0) / values.length;
  const squares = values.reduce((sum, x) => sum + (x - value) ** 2, 0);
  return {
    value,
    standardError: values.length > 1 ? Math.sqrt(squares / (values.length - 1) / values.length) : Number.NaN,
  };
}
