/**
 * The variational bound on the negative log likelihood of images, in bits/dim (Ho, Jain & Abbeel 2020, Eq. 5): L_T +
 * sum over t = 2..T of L_{t-1} + L_0, as the authors evaluate it, with xhat0 clipped to [-1, 1].
 *
 * The sum over t is either computed in full or estimated. For the estimate, each image is evaluated at a few timesteps,
 * one drawn from each of as many strata, and each term is divided by the probability of its timestep. The strata have
 * equal length in a mixture of log snr and t. The terms are distributed roughly like that, so their weighted values
 * differ little. L_T and L_0 are computed for every image.
 */

import { checkArgument, checkList, checkOptions, WORK_ARGUMENTS } from '../common/arguments.js';
import { CodecError } from '../common/errors.js';
import { gaussians, integerStream, uniforms } from '../common/random.js';
import type { WorkOptions } from '../common/work.js';
import { checkOpaque } from '../image/alpha.js';
import { checkImage, type RgbImage } from '../image/image.js';
import { toUnit } from '../image/pixels.js';
import { bandAt } from './bands.js';
import { boundTerm, priorNats, type ReverseProcess } from './bound-terms.js';
import { checkDiffusionModel, checkVariance, type DiffusionModel } from './diffusion-model.js';
import { type CompiledNetwork, compileNetwork } from './network.js';
import type { ReverseVariance } from './parameterization.js';
import type { Schedule } from './schedule.js';

/** A mean over images and its standard error, in bits/dim. */
export interface Estimate {
  readonly value: number;
  readonly standardError: number;
}

/** The variational bound of a set of images, and its parts. */
export interface Bound {
  /** L_T: the information about the image that remains in x_T. */
  readonly prior: Estimate;
  /** L_1:T-1. */
  readonly diffusion: Estimate;
  /** L_0: the grey levels given x_1. */
  readonly decoder: Estimate;
  readonly total: Estimate;
  readonly images: number;
  /** Total number of network evaluations. */
  readonly evaluations: number;
}

/** The results of the network's evaluations at one timestep. */
export interface Term {
  readonly t: number;
  /** Mean of L_{t-1} and its standard error, in bits/dim; L_0 for t = 1. */
  readonly bits: Estimate;
  /** Mean over dimensions and evaluations of (x_0 - xhat0)^2, images scaled to [-1, 1]. */
  readonly mse: number;
  /** Evaluations at this t. */
  readonly evaluations: number;
}

/** The bound of one image, in bits/dim. */
export interface ImageBound {
  readonly prior: number;
  readonly diffusion: number;
  readonly decoder: number;
  readonly total: number;
  /** Root mean squared error of xhat0 at t = 1, in grey levels 0..255, before rounding. */
  readonly rmse: number;
}

/** The bound and its parts. */
export interface Evaluation {
  readonly bound: Bound;
  /** L_1:T, the rate of a progressive coder up to x_1 (section 4.3), in bits/dim. The distortion is L_0, `bound.decoder`. */
  readonly rate: Estimate;
  /**
   * The distortion as an error: root mean squared error of xhat0 at t = 1 over all images, in grey levels 0..255,
   * before rounding.
   */
  readonly rmse: Estimate;
  /** The timesteps that were evaluated, t = 1 first. */
  readonly terms: readonly Term[];
  /** In the order of the images. */
  readonly perImage: readonly ImageBound[];
}

/** Options of the measurement. */
export interface BoundOptions extends WorkOptions {
  /** Number of timesteps at which each image is evaluated, besides t = 1, 1..10000; default 10. `all` sums up all T terms. */
  readonly strata?: number | 'all';
  /**
   * Variance of p(x_{t-1}|x_t); default the model's. `learned` only for a network that gives it, `optimal` only for a
   * model with `expectedErrors`.
   */
  readonly variance?: ReverseVariance;
  /** Whether xhat0 is clipped to [-1, 1], as the authors do; default true. */
  readonly clip?: boolean;
  /** Name of the random numbers; models are compared with the same ones. */
  readonly seed?: string;
}

const BOUND_ARGUMENTS = {
  strata: { type: 'own' },
  variance: { type: 'own' },
  clip: { type: 'switch' },
  seed: { type: 'text' },
  ...WORK_ARGUMENTS,
} as const;
const DEFAULT_STRATA = 10;
const MOST_STRATA = 10_000;
/** Images per evaluation, fewer where images are large or few. */
const BATCH = 16;
const BATCH_PIXELS = 2 ** 16;
const CHANNELS = 3;
/** Grey levels in a unit of the model's scale. */
const GREY_LEVELS = 127.5;

/**
 * Measures the bound.
 * @param images of one size, with sides that the network accepts; not to be changed before the promise settles
 * @throws CodecError('image') for images of different or unsuitable sizes; 'usage' for other invalid arguments, and for
 *   a variance the network does not give; 'model' where the network gives numbers that are not finite
 */
export async function measureBound(
  images: readonly RgbImage[],
  model: DiffusionModel,
  options: BoundOptions = {},
): Promise<Bound> {
  return (await evaluateBound(images, model, options)).bound;
}

/** Measures the bound and keeps its parts. Parameters and errors as {@link measureBound}. */
export async function evaluateBound(
  images: readonly RgbImage[],
  model: DiffusionModel,
  options: BoundOptions = {},
): Promise<Evaluation> {
  checkDiffusionModel(model);
  checkOptions('bound', BOUND_ARGUMENTS, options);
  checkList('images', images);
  for (const image of images) checkImage(image);
  const { strata = DEFAULT_STRATA, seed = 'bound', onProgress, signal } = options;
  const { engine, network, schedule } = model;
  const process = reverseProcessOf(model, options);
  checkImages(images, network.stride);
  if (strata !== 'all') checkArgument('strata', { type: 'number', integer: true, least: 1, most: MOST_STRATA }, strata);
  const [{ width, height }] = images;
  const tasks =
    strata === 'all'
      ? allTasks(images.length, schedule)
      : sampledTasks(images.length, strata, seed, schedule, proposalOf(schedule));
  const evaluations = images.length * (strata === 'all' ? schedule.timesteps : strata + 1);
  const batch = Math.min(evaluations, BATCH, Math.max(1, Math.floor(BATCH_PIXELS / (width * height))));
  const compiled = compileNetwork(engine, network, [batch, height, width]);
  const perImage = images.map(() => ({ prior: 0, diffusion: 0, decoder: 0, squaredError: 0 }));
  const perTimestep = new Map<number, { bits: Moments; mse: Moments }>();
  const bits = 1 / (width * height * CHANNELS * Math.LN2);
  try {
    let done = 0;
    for (const group of inGroups(tasks, batch, ({ t }) => bandAt(network.bands, t))) {
      await evaluate(
        { compiled, batch, images, schedule, seed, signal },
        group,
        ({ image, t, weight }, x0, xt, output) => {
          const { nats, squaredError } = boundTerm(process, t, x0, xt, output);
          const row = perImage[image];
          if (t === 1) {
            row.prior = priorNats(schedule, x0);
            row.decoder = nats;
            row.squaredError = squaredError;
          } else row.diffusion += nats * weight;
          const at = perTimestep.get(t) ?? { bits: createMoments(), mse: createMoments() };
          perTimestep.set(t, at);
          at.bits.add(nats * bits);
          at.mse.add(squaredError / x0.length);
        },
      );
      done += group.length;
      onProgress?.(done / evaluations);
    }
  } finally {
    await compiled.dispose();
  }
  const summary = (value: (row: (typeof perImage)[number]) => number) =>
    estimate(perImage.map((row) => value(row) * bits));
  const meanSquare = estimate(perImage.map(({ squaredError }) => squaredError / images[0].data.length));
  const rmse = GREY_LEVELS * Math.sqrt(meanSquare.value);
  return {
    bound: {
      prior: summary(({ prior }) => prior),
      diffusion: summary(({ diffusion }) => diffusion),
      decoder: summary(({ decoder }) => decoder),
      total: summary(({ prior, diffusion, decoder }) => prior + diffusion + decoder),
      images: images.length,
      evaluations,
    },
    rate: summary(({ prior, diffusion }) => prior + diffusion),
    rmse: {
      value: rmse,
      // Standard error of a square root, to first order.
      standardError: rmse === 0 ? 0 : (GREY_LEVELS ** 2 * meanSquare.standardError) / (2 * rmse),
    },
    terms: [...perTimestep]
      .sort(([a], [b]) => a - b)
      .map(([t, at]) => ({ t, bits: at.bits.estimate(), mse: at.mse.estimate().value, evaluations: at.bits.count() })),
    perImage: perImage.map(({ prior, diffusion, decoder, squaredError }) => ({
      prior: prior * bits,
      diffusion: diffusion * bits,
      decoder: decoder * bits,
      total: (prior + diffusion + decoder) * bits,
      rmse: GREY_LEVELS * Math.sqrt(squaredError / images[0].data.length),
    })),
  };
}

function reverseProcessOf(
  model: DiffusionModel,
  { variance = model.parameterization.variance, clip = true }: BoundOptions,
): ReverseProcess {
  checkVariance(model, variance);
  const { schedule, parameterization, expectedErrors } = model;
  return { schedule, parameterization, variance, expectedErrors, clip };
}

function checkImages(images: readonly RgbImage[], stride: number): void {
  if (images.length === 0) throw new CodecError('image', 'bound: expected at least one image, got none');
  const [{ width, height }] = images;
  for (const image of images) {
    checkOpaque(image, 'bound');
    if (image.width !== width || image.height !== height) {
      throw new CodecError(
        'image',
        `bound: expected images of one size, got ${width}x${height} and ${image.width}x${image.height}`,
      );
    }
  }
  if (width % stride !== 0 || height % stride !== 0) {
    throw new CodecError('image', `bound: expected sides that are multiples of ${stride}, got ${width}x${height}`);
  }
}

/** One evaluation of an image. */
interface Task {
  readonly image: number;
  readonly t: number;
  /** 1 / probability of the timestep, divided among the strata. */
  readonly weight: number;
  /** Number of this evaluation among those of the image. */
  readonly draw: number;
}

/** Probabilities of t = 2..T; half uniform, half proportional to the steps' lengths in log snr. */
function proposalOf({ timesteps, snr }: Schedule): Float64Array {
  const range = Math.log(snr[1] / snr[timesteps]);
  return Float64Array.from({ length: timesteps - 1 }, (_, i) => {
    const t = i + 2;
    return 0.5 / (timesteps - 1) + (0.5 * Math.log(snr[t - 1] / snr[t])) / range;
  });
}

/** One timestep from each of the strata. */
function* sampledTasks(
  images: number,
  strata: number,
  seed: string,
  { timesteps }: Schedule,
  proposal: Float64Array,
): Generator<Task> {
  for (let image = 0; image < images; image++) {
    yield { image, t: 1, weight: 1, draw: 0 };
    const uniform = uniforms(integerStream(`${seed}/${image}/timesteps`));
    let below = 0;
    let i = 0;
    for (let stratum = 0; stratum < strata; stratum++) {
      const at = (stratum + uniform()) / strata;
      while (i < timesteps - 2 && below + proposal[i] <= at) below += proposal[i++];
      yield { image, t: i + 2, weight: 1 / (strata * proposal[i]), draw: stratum + 1 };
    }
  }
}

/** Every timestep once. */
function* allTasks(images: number, { timesteps }: Schedule): Generator<Task> {
  for (let image = 0; image < images; image++) {
    for (let t = 1; t <= timesteps; t++) yield { image, t, weight: 1, draw: t - 1 };
  }
}

/** Groups of at most `size` items of one kind, in their order. */
function* inGroups<T>(items: Iterable<T>, size: number, kindOf: (item: T) => unknown): Generator<T[]> {
  const groups = new Map<unknown, T[]>();
  for (const item of items) {
    const kind = kindOf(item);
    const group = groups.get(kind) ?? [];
    groups.set(kind, group);
    group.push(item);
    if (group.length < size) continue;
    yield group;
    groups.delete(kind);
  }
  yield* groups.values();
}

/** The compiled network with its data. */
interface Evaluator {
  readonly compiled: CompiledNetwork;
  /** Images per run. */
  readonly batch: number;
  readonly images: readonly RgbImage[];
  readonly schedule: Schedule;
  readonly seed: string;
  readonly signal: AbortSignal | undefined;
}

/** Runs the network on a group of tasks, at most a batch. */
async function evaluate(
  { compiled, batch, images, schedule, seed, signal }: Evaluator,
  group: readonly Task[],
  use: (task: Task, x0: Float32Array, xt: Float32Array, output: Float32Array) => void,
): Promise<void> {
  const size = images[0].data.length;
  const sample = new Float32Array(batch * size);
  // If the group is smaller than a batch, the rest of the output is ignored.
  const timesteps = Array<number>(batch).fill(group[0].t);
  const originals = group.map(({ image, t, draw }, i) => {
    const x0 = toUnit(images[image].data);
    const abar = schedule.alphasCumprod[t];
    const [signalShare, noiseShare] = [Math.sqrt(abar), Math.sqrt(1 - abar)];
    const gaussian = gaussians(integerStream(`${seed}/${image}/${draw}`));
    const xt = sample.subarray(i * size, (i + 1) * size);
    for (let k = 0; k < size; k++) xt[k] = signalShare * x0[k] + noiseShare * gaussian();
    timesteps[i] = t;
    return x0;
  });
  const output = await compiled.run(sample, timesteps, signal);
  const outputSize = output.length / batch;
  group.forEach((task, i) => {
    const xt = sample.subarray(i * size, (i + 1) * size);
    use(task, originals[i], xt, output.subarray(i * outputSize, (i + 1) * outputSize));
  });
}

/** Mean and standard error of values that arrive one by one (Welford 1962). */
interface Moments {
  add(value: number): void;
  count(): number;
  estimate(): Estimate;
}

function createMoments(): Moments {
  let count = 0;
  let mean = 0;
  let squares = 0;
  return {
    add(value) {
      count++;
      const before = value - mean;
      mean += before / count;
      squares += before * (value - mean);
    },
    count: () => count,
    estimate: () => ({ value: mean, standardError: standardError(squares, count) }),
  };
}

/** The mean of values and its standard error, which is NaN for a single value. */
export function estimate(values: readonly number[]): Estimate {
  const value = values.reduce((sum, x) => sum + x, 0) / values.length;
  const squares = values.reduce((sum, x) => sum + (x - value) ** 2, 0);
  return { value, standardError: standardError(squares, values.length) };
}

/** Standard error of a mean, from the sum of squared deviations; NaN for a single value. */
function standardError(squares: number, count: number): number {
  return count > 1 ? Math.sqrt(squares / (count - 1) / count) : Number.NaN;
}
