/**
 * Generates pictures by the reverse process: ancestral sampling (Ho, Jain & Abbeel 2020, Algorithm 2) and DDIM (Song,
 * Meng & Ermon 2021), from noise or from any x_t, in T steps or in fewer, longer ones.
 */

import { checkArgument, checkList, checkOptions, checkText, WORK_ARGUMENTS } from '../common/arguments.js';
import { CodecError, invalidArgument } from '../common/errors.js';
import { gaussians, integerStream } from '../common/random.js';
import { mapAhead } from '../common/side-by-side.js';
import type { WorkOptions } from '../common/work.js';
import { checkSides, type RgbImage, type Size } from '../image/image.js';
import { fromUnit } from '../image/pixels.js';
import type { Denoiser } from './denoiser.js';
import { checkDiffusionModel, checkVariance, type DiffusionModel } from './diffusion-model.js';
import { compileNetwork } from './network.js';
import {
  optimalVariance,
  outputChannels,
  REVERSE_VARIANCES,
  type ReverseVariance,
  x0Coefficients,
} from './parameterization.js';
import { flowCoefficients, jumpCoefficients } from './schedule.js';

/** All samplers. */
export const SAMPLERS = ['ddpm', 'ddim'] as const;
/** The sampler: `ddpm` draws x_s from p(x_s|x_t); `ddim` follows the probability-flow ODE, where x_T determines everything. */
export type Sampler = (typeof SAMPLERS)[number];

/** Options of the reverse process. */
export interface SamplerOptions extends WorkOptions {
  /** Steps of a whole chain, T or fewer; default T. With fewer, the jumps have equal length in t. */
  readonly steps?: number;
  /** Default `ddpm`. */
  readonly sampler?: Sampler;
  /**
   * Variance of p(x_s|x_t), for `ddpm`. Default: the model's own, but for steps longer than one t, unless it is
   * learned, the optimal one, or beta-tilde for a model whose errors are not known. In such steps beta,
   * 1 - abar_t / abar_s, leaves noise in the picture, and beta-tilde too little (docs/PROGRESSIVE.md).
   */
  readonly variance?: ReverseVariance;
}

/** Called with xhat0 of a picture (counted from 0) at each visited t; xhat0 is reused after the call. */
export type EstimateListener = (picture: number, t: number, xhat0: Float32Array) => void;

/** Which samples are drawn. */
export interface SampleOptions extends SamplerOptions {
  readonly count: number;
  /** Number of the first picture, so that many pictures can be drawn in several calls; default 0. */
  readonly first?: number;
  /** Sides in pixels, multiples of the network's stride. */
  readonly width: number;
  readonly height: number;
  /** Name of the random numbers. */
  readonly seed: string;
  readonly onEstimate?: EstimateListener;
}

/** Where the reverse process begins and ends. */
export interface ReverseOptions extends SamplerOptions {
  /** x_from of each picture: height * width * 3 values, rows from the top, channels interleaved; not modified. */
  readonly states: readonly Float32Array[];
  readonly width: number;
  readonly height: number;
  /** Timestep of the states, 0..T. */
  readonly from: number;
  /** Timestep to stop at, 0..from; default 0. */
  readonly to?: number;
  /** Normal deviates for each picture, used by `ddpm`. */
  readonly noises: readonly (() => number)[];
  readonly onEstimate?: EstimateListener;
}

const AT_LEAST_0 = { type: 'number', integer: true, least: 0 } as const;
const OWN = { type: 'own' } as const;
/** The arguments of all samplers. */
export const SAMPLER_ARGUMENTS = {
  steps: OWN,
  sampler: { type: 'choice', choices: SAMPLERS },
  variance: { type: 'choice', choices: REVERSE_VARIANCES },
  ...WORK_ARGUMENTS,
} as const;
const SAMPLE_ARGUMENTS = {
  ...SAMPLER_ARGUMENTS,
  count: AT_LEAST_0,
  first: AT_LEAST_0,
  width: OWN,
  height: OWN,
  seed: OWN,
  onEstimate: { type: 'function' },
} as const;
const REVERSE_ARGUMENTS = {
  ...SAMPLER_ARGUMENTS,
  states: OWN,
  noises: OWN,
  width: OWN,
  height: OWN,
  from: OWN,
  to: OWN,
  onEstimate: { type: 'function' },
} as const;
/** Limit of the pixels of all pictures in one call: their states take 24 bytes each. */
export const MOST_DRAWN_PIXELS = 2 ** 26;

/** Pictures per evaluation, fewer where they are large, because the memory for attention grows with the square of the pixels. */
const BATCH = 16;
const BATCH_PIXELS = 2 ** 16;
const CHANNELS = 3;

/**
 * Draws pictures. The first pictures are the same however many are drawn, apart from rounding. In much noise a model with
 * a pyramid is asked for smaller sizes, as in the codec; without `pyramid` it is asked for the pictures' own.
 * @throws CodecError('image') for sides that the network does not accept, CodecError('usage') for invalid arguments,
 *   and more than 2^26 pixels in all; CodecError('model') where the network gives numbers that are not finite
 */
export async function sample(model: DiffusionModel, options: SampleOptions): Promise<RgbImage[]> {
  checkDiffusionModel(model);
  checkOptions('sample', SAMPLE_ARGUMENTS, options);
  checkDrawn(options, model.network.stride);
  const { count, first = 0, width, height, seed } = options;
  const noises = Array.from({ length: count }, (_, i) => gaussians(integerStream(`${seed}/sample/${first + i}`)));
  const states = noises.map((noise) => Float32Array.from({ length: width * height * CHANNELS }, noise));
  const { timesteps } = model.schedule;
  const drawn = await walkReverse(model, { ...options, states, noises, from: timesteps });
  return drawn.map((x) => ({ width, height, data: fromUnit(x) }));
}

/**
 * Walks the reverse process from x_from to x_to; x_0 is the mean, without noise.
 * @returns x_to of each picture
 * @throws as {@link sample}
 */
export async function reverse(model: DiffusionModel, options: ReverseOptions): Promise<Float32Array[]> {
  checkDiffusionModel(model);
  checkOptions('reverse', REVERSE_ARGUMENTS, options);
  checkSides(options, 'states');
  const { states, noises, width, height } = options;
  checkList('states', states);
  checkList('noises', noises);
  if (states.length !== noises.length)
    throw invalidArgument('noises', `one for each of ${states.length}`, noises.length);
  for (const state of states) {
    const size = width * height * CHANNELS;
    if (!(state instanceof Float32Array && state.length === size)) {
      throw invalidArgument('state', `a Float32Array of ${size} values`, state);
    }
  }
  for (const noise of noises) checkArgument('noise', { type: 'function' }, noise);
  return walkReverse(model, options);
}

/**
 * Checks the size and number of the pictures to draw.
 * @throws as {@link sample}
 */
export function checkDrawn(
  { count, width, height, seed }: Pick<SampleOptions, 'count' | 'width' | 'height' | 'seed'>,
  stride: number,
): void {
  checkArgument('count', AT_LEAST_0, count);
  checkText('seed', seed);
  checkSides({ width, height }, 'samples');
  checkStride(width, height, stride);
  if (count * width * height <= MOST_DRAWN_PIXELS) return;
  throw invalidArgument('samples', `at most ${MOST_DRAWN_PIXELS} pixels in all`, `${count} of ${width}x${height}`);
}

/** {@link reverse}, for options that have been checked. */
export async function walkReverse(model: DiffusionModel, options: ReverseOptions): Promise<Float32Array[]> {
  const { network, schedule } = model;
  const { states, width, height, noises, from, to = 0, onEstimate, onProgress, signal } = options;
  const places = timestepsBetween(from, to, options.steps ?? schedule.timesteps, schedule.timesteps);
  checkStride(width, height, network.stride);
  if (options.variance !== undefined) checkVariance(model, options.variance);
  const results = states.map((state) => state.slice());
  signal?.throwIfAborted();
  if (places.length === 1 || results.length === 0) return results;
  const estimator = openEstimator(model, { width, height }, results.length);
  const rounds = Math.ceil(results.length / estimator.batch);
  const xhat0s = results.slice(0, estimator.batch).map((state) => new Float32Array(state.length));
  try {
    for (let round = 0; round < rounds; round++) {
      const group = results.slice(round * estimator.batch, (round + 1) * estimator.batch);
      for (let k = 0; k + 1 < places.length; k++) {
        const [t, s] = [places[k], places[k + 1]];
        const learnedOf = await estimator.estimate(group, t, xhat0s, signal);
        const step = createStep(model, options, t, s);
        group.forEach((x, i) => {
          const picture = round * estimator.batch + i;
          step(x, xhat0s[i], learnedOf(i), noises[picture]);
          onEstimate?.(picture, t, xhat0s[i]);
        });
        onProgress?.((round + (k + 1) / (places.length - 1)) / rounds);
      }
    }
  } finally {
    await estimator.dispose();
  }
  return results;
}

/** Computes xhat0 of several pictures of one size. */
interface Estimator {
  /** Largest number of pictures of a call. */
  readonly batch: number;
  /**
   * @param xhat0s where the results are written, an array for each picture
   * @returns for a picture, the place of its learned variance between the logarithms of beta-tilde (-1) and beta (1), if
   *   the network gives it: for each pixel six values, of which the first three are others
   */
  estimate(
    states: readonly Float32Array[],
    t: number,
    xhat0s: readonly Float32Array[],
    signal: AbortSignal | undefined,
  ): Promise<(picture: number) => Float32Array | undefined>;
  dispose(): Promise<void>;
}

/** Whether a model is asked for smaller pictures in much noise. A denoiser gives no learned variance. */
export function drawsBySizes({
  pyramid,
  parameterization,
}: Pick<DiffusionModel, 'pyramid' | 'parameterization'>): boolean {
  return pyramid !== undefined && parameterization.variance !== 'learned';
}

/** By sizes, a model is asked as the codec asks it for pictures that are shown. */
function openEstimator(model: DiffusionModel, size: Size, count: number): Estimator {
  if (model.denoiser && drawsBySizes(model)) return estimateByDenoiser(model.denoiser, size, count);
  return estimateByNetwork(model, size, count);
}

/** One picture at a time on each thread. */
function estimateByDenoiser(denoiser: Denoiser, size: Size, count: number): Estimator {
  const { parallelism } = denoiser;
  return {
    batch: Math.min(count, parallelism),
    async estimate(states, t, xhat0s, signal) {
      const ask = async (i: number) =>
        denoiser.predictX0({ ...size, xt: states[i], t }, { into: xhat0s[i], signal, best: true });
      for await (const _ of mapAhead(states.keys(), parallelism, ask));
      return () => undefined;
    },
    // It belongs to the model.
    async dispose() {},
  };
}

function estimateByNetwork(
  { engine, network, schedule, parameterization }: DiffusionModel,
  { width, height }: Size,
  count: number,
): Estimator {
  const batch = Math.min(count, BATCH, Math.max(1, Math.floor(BATCH_PIXELS / (width * height))));
  const compiled = compileNetwork(engine, network, [batch, height, width]);
  const channels = outputChannels(parameterization.variance, CHANNELS);
  const size = width * height * CHANNELS;
  const x = new Float32Array(batch * size);
  return {
    batch,
    async estimate(states, t, xhat0s, signal) {
      x.fill(0);
      states.forEach((state, i) => void x.set(state, i * size));
      const output = await compiled.run(x, Array<number>(batch).fill(t), signal);
      const outputOf = (i: number) => output.subarray((i * output.length) / batch, ((i + 1) * output.length) / batch);
      const toX0 = x0Coefficients(schedule, parameterization.prediction, t);
      states.forEach((state, picture) => {
        const own = outputOf(picture);
        for (let i = 0, at = 0; i < size; at += channels) {
          for (let c = 0; c < CHANNELS; c++, i++) {
            xhat0s[picture][i] = Math.max(-1, Math.min(1, toX0.xt * state[i] + toX0.output * own[at + c]));
          }
        }
      });
      return (i) => (channels > CHANNELS ? outputOf(i) : undefined);
    },
    dispose: () => compiled.dispose(),
  };
}

/** The timesteps to visit from `from` to `to`, both included: this part of a whole chain of `steps` jumps. */
export function timestepsBetween(from: number, to: number, steps: number, timesteps: number): number[] {
  if (!(Number.isInteger(steps) && steps >= 1 && steps <= timesteps)) {
    throw invalidArgument('`steps`', `an integer from 1 to ${timesteps}`, steps);
  }
  if (!(Number.isInteger(from) && Number.isInteger(to) && from >= to && to >= 0 && from <= timesteps)) {
    throw invalidArgument('`t`', `an integer from 0 to ${timesteps}`, to === 0 ? from : `${from} to ${to}`);
  }
  if (from === to) return [from];
  const jumps = Math.ceil((steps * (from - to)) / timesteps);
  return Array.from({ length: jumps + 1 }, (_, i) => to + Math.round(((from - to) * (jumps - i)) / jumps));
}

function checkStride(width: number, height: number, stride: number): void {
  if (width % stride === 0 && height % stride === 0) return;
  const nearest = (side: number) => Math.max(stride, Math.floor(side / stride) * stride);
  throw new CodecError(
    'image',
    `samples: expected sides that are multiples of ${stride}, got ${width}x${height}; for example ${nearest(width)}x${nearest(height)}`,
  );
}

function defaultVariance({ parameterization, expectedErrors }: DiffusionModel, jump: number): ReverseVariance {
  const { variance } = parameterization;
  if (jump === 1 || variance === 'learned') return variance;
  return expectedErrors ? 'optimal' : 'beta-tilde';
}

/** One step t -> s: replaces x_t by x_s. */
function createStep(
  model: DiffusionModel,
  { sampler = 'ddpm', variance: wanted }: SamplerOptions,
  t: number,
  s: number,
): (x: Float32Array, xhat0: Float32Array, learned: Float32Array | undefined, gaussian: () => number) => void {
  const { schedule, parameterization, expectedErrors } = model;
  const variance = wanted ?? defaultVariance(model, t - s);
  const channels = outputChannels(parameterization.variance, CHANNELS);
  const jump = (sampler === 'ddim' ? flowCoefficients : jumpCoefficients)(schedule, t, s);
  const betaTilde = 2 * Math.log(jump.sigma);
  const beta = Math.log(1 - schedule.alphasCumprod[t] / schedule.alphasCumprod[s]);
  const deviation = (share: number) => Math.exp(0.5 * (betaTilde + share * (beta - betaTilde)));
  const fixed =
    variance === 'optimal'
      ? Math.sqrt(optimalVariance(schedule, expectedErrors!, t, s))
      : deviation(variance === 'beta' ? 1 : 0);
  const noisy = sampler === 'ddpm' && s > 0;
  return (x, xhat0, learned, gaussian) => {
    if (s === 0) return void x.set(xhat0);
    const own = variance === 'learned' ? learned! : undefined;
    for (let i = 0, at = CHANNELS; i < x.length; at += channels) {
      for (let c = 0; c < CHANNELS; c++, i++) {
        x[i] = jump.x0 * xhat0[i] + jump.xt * x[i];
        if (noisy) x[i] += (own ? deviation((own[at + c] + 1) / 2) : fixed) * gaussian();
      }
    }
  };
}
