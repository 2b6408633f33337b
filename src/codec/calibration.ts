/**
 * Calibration: measures a model's profile on training images, so that plans fit the model.
 *
 * For every image the error of xhat0 is measured at a few noise levels (x_t drawn from q, as for the ideal
 * rate-distortion curve). The profile is the mean of its log2 over the images and its first two principal components.
 */
import { checkList, checkMade, checkOptions, WORK_ARGUMENTS } from '../common/arguments.js';
import { invalidArgument } from '../common/errors.js';
import { integerStream } from '../common/random.js';
import { mapAhead } from '../common/side-by-side.js';
import type { WorkOptions } from '../common/work.js';
import { checkOpaque } from '../image/alpha.js';
import { checkImage, type RgbImage } from '../image/image.js';
import { toUnit } from '../image/pixels.js';
import { clip, type Denoiser } from '../model/denoiser.js';
import {
  denoise,
  denoisingError,
  MEASURABLE_ERROR,
  putNoise,
  squaredDifference,
  type UnitImage,
} from '../model/denoising.js';
import { WHERE_FROM } from '../model/diffusion-model.js';
import {
  addDoubled,
  blend,
  canBeHalved,
  halfOf,
  inUnits,
  type Pyramid,
  SHARE_COUNT,
  sharesAt,
  withPyramid,
} from '../model/pyramid.js';
import type { Schedule } from '../model/schedule.js';
import { meanOfBoth, SYMMETRIES, type Symmetry, transform } from '../model/symmetry.js';
import { DEVIATIONS_PER_UNIT, type Profile } from './format/plan.js';
import { greyLevel } from './lossless/agreement.js';
import {
  type Covariances,
  measureCovariances,
  type ResidualPicture,
  type ResidualStatistics,
  solve,
} from './lossless/residuals.js';

/** Timesteps at which the profile is measured, in T/1000. Between them log2 error is linear in log2 snr. */
const KNOTS = [
  1000, 900, 800, 700, 620, 550, 480, 420, 360, 300, 250, 210, 175, 145, 120, 100, 82, 66, 53, 42, 33, 25, 19, 14, 10,
  7, 5, 3, 2, 1,
];

/**
 * This many images are enough to measure how images differ. With fewer, the differences are assumed, see
 * {@link assumedComponents}.
 */
export const ENOUGH_IMAGES = 8;

/**
 * Measures a profile.
 * @param images training images, best a hundred or more; never ones that results are reported on. Fewer than 8 only
 *   show how hard images are, not how they differ; the differences are then assumed to be about those of the shipped
 *   models. Must not be changed before the promise settles
 * @throws CodecError('usage') without images, and for invalid arguments
 */
export async function calibrate(
  images: readonly RgbImage[],
  model: { readonly schedule: Schedule; readonly denoiser: Denoiser },
  options: WorkOptions = {},
): Promise<Profile> {
  checkList('calibration images', images);
  checkMade('model', model, WHERE_FROM, { schedule: 'object', denoiser: 'object' });
  checkOptions('calibrate', WORK_ARGUMENTS, options);
  for (const image of images) checkImage(image);
  const { onProgress, signal } = options;
  if (images.length === 0) throw invalidArgument('calibration images', 'at least one', 'none');
  for (const image of images) checkOpaque(image, 'calibration');
  const { schedule } = model;
  const knots = timestepsOf(schedule, KNOTS, 1);
  const stream = integerStream('ddc1/calibration');
  const rows = images.map(() => new Float64Array(knots.length));
  function* places() {
    for (const [i, { data, width, height }] of images.entries()) {
      const x0 = toUnit(data);
      for (const [k, t] of knots.entries()) yield { row: rows[i], k, t, x0, width, height };
    }
  }
  // Each task draws its noise before it waits for the network, so that the draws happen in the order of the tasks.
  const measured = mapAhead(places(), model.denoiser.parallelism, async ({ row, k, t, x0, width, height }) => {
    const error = await denoisingError({ x0, width, height }, t, model, stream, signal);
    row[k] = Math.log2(Math.max(error / x0.length, MEASURABLE_ERROR));
  });
  let done = 0;
  for await (const _ of measured) onProgress?.(++done / (images.length * knots.length));
  return fitProfile(schedule, knots, rows);
}

/** Timesteps at which the sizes of a picture are compared, in T/1000, from little noise to much. */
const PYRAMID_KNOTS = [70, 110, 160, 210, 260, 320, 400, 500];
/** Of many images, every one in this many is enough for a comparison. */
const COMPARED_EVERY = 4;
/**
 * How much half the size may cost in squared error, in log2: a twentieth. It takes a quarter of the work, and its steps
 * are shorter for that.
 */
const HALF_MAY_COST = Math.log2(1.05);
/** Keeps shares small where the data do not determine them. */
const SHARES_RIDGE = 1e-4;
/** Timesteps of much noise, in T/1000, at which it is measured down to which size pictures are halved. */
const MUCH_NOISE = [600, 700, 800, 900];
/** The least of these sizes, in pixels: half of it is hardly a picture. */
const LEAST_LEAST_SIDE = 7;

/**
 * Measures the best shares of the estimate at a quarter of the size, for shapes of each size, and the timestep from
 * which images are denoised about as well at half their size as with both (docs/DESIGN.md).
 * @param images training images, some of them full of detail
 * @param model without a pyramid
 * @param leastSide see {@link Pyramid}: the largest that is considered. The smaller a picture is, the less noise it has, which some
 *   networks know better; of this side, half of it, and so on, the one with the least error in much noise is taken
 * @returns undefined where half the size is never good enough, or the images are too small to be halved
 */
export async function calibratePyramid(
  images: readonly RgbImage[],
  { schedule, denoiser }: { readonly schedule: Schedule; readonly denoiser: Denoiser },
  leastSide: number,
  { onProgress, signal }: WorkOptions = {},
): Promise<Pyramid | undefined> {
  const large = images.filter(({ width, height }) => canBeHalved({ leastSide }, width, height));
  const some = someOf(large);
  if (some.length === 0) return undefined;
  const knots = timestepsOf(schedule, PYRAMID_KNOTS, 2);
  const timesteps: number[] = [];
  const parts: number[][] = [];
  const losses: number[] = [];
  for (const [k, t] of knots.entries()) {
    // Smaller versions of the picture are at lower timesteps, whose shares are known by now.
    const shares = k > 0 ? { timesteps, parts } : undefined;
    const below = withPyramid(denoiser, schedule, { halfFrom: schedule.timesteps + 1, leastSide, shares });
    const compared: SizesCompared[] = [];
    const comparisons = mapAhead(some, denoiser.parallelism, ({ data, width, height }) => {
      const picture = { x0: toUnit(data), width, height };
      return compareSizes(picture, t, schedule, denoiser, below, signal);
    });
    for await (const one of comparisons) {
      compared.push(one);
      onProgress?.((k + compared.length / some.length) / (knots.length + 1));
    }
    timesteps.push(t);
    parts.push(inUnits(bestShares(compared)));
    const ofBoth = sharesAt({ halfFrom: 2, leastSide, shares: { timesteps, parts } }, t);
    const loss = compared.map((one) => Math.log2(Math.max(one.ofHalf, one.least) / errorWith(one, ofBoth)));
    losses.push(loss.reduce((sum, value) => sum + value, 0) / some.length - HALF_MAY_COST);
  }
  const first = losses.findIndex((loss) => loss <= 0);
  if (first < 0) return undefined;
  const way = first === 0 ? 0 : losses[first - 1] / (losses[first - 1] - losses[first]);
  const before = timesteps[Math.max(0, first - 1)];
  const halfFrom = Math.round(before + way * (timesteps[first] - before));
  const pyramid = { halfFrom, leastSide, shares: { timesteps, parts } };
  const best = await bestLeastSide(some, { schedule, denoiser }, pyramid, {
    onProgress: (fraction) => onProgress?.((knots.length + fraction) / (knots.length + 1)),
    ...(signal && { signal }),
  });
  return { ...pyramid, leastSide: best };
}

/** Enough of the images for a comparison. */
function someOf(images: readonly RgbImage[]): RgbImage[] {
  return images.filter((_, i) => i % COMPARED_EVERY === 0 || images.length < ENOUGH_IMAGES * COMPARED_EVERY);
}

/** The {@link Pyramid.leastSide} with the least error in much noise, weighted as in a rate. */
async function bestLeastSide(
  images: readonly RgbImage[],
  { schedule, denoiser }: { readonly schedule: Schedule; readonly denoiser: Denoiser },
  pyramid: Pyramid,
  { onProgress, signal }: WorkOptions,
): Promise<number> {
  const candidates: number[] = [];
  for (let side = pyramid.leastSide; side >= LEAST_LEAST_SIDE; side = Math.ceil(side / 2)) candidates.push(side);
  let best = { leastSide: pyramid.leastSide, error: Number.POSITIVE_INFINITY };
  for (const [i, leastSide] of candidates.entries()) {
    const model = { schedule, denoiser: withPyramid(denoiser, schedule, { ...pyramid, leastSide }) };
    let error = 0;
    for (const t of timestepsOf(schedule, MUCH_NOISE, 2)) {
      // Every candidate sees the same noise.
      const stream = integerStream(`ddc1/pyramid/${t}`);
      const errors = mapAhead(images, denoiser.parallelism, async ({ data, width, height }) => {
        const squared = await denoisingError({ x0: toUnit(data), width, height }, t, model, stream, signal);
        return squared / data.length;
      });
      for await (const one of errors) error += schedule.snr[t] * one;
    }
    if (error < best.error) best = { leastSide, error };
    onProgress?.((i + 1) / candidates.length);
  }
  return best.leastSide;
}

/** Squared errors of a picture's xhat0, as sums over its values. */
interface SizesCompared {
  readonly ofHalf: number;
  readonly ofItself: number;
  /** Smaller errors are not measurable. */
  readonly least: number;
  /** Effect of a full share of the quarter for shapes of each size: its products with the error and with the other sizes. */
  readonly withError: readonly number[];
  readonly withEachOther: readonly (readonly number[])[];
}

/** @param below the denoiser for smaller pictures */
async function compareSizes(
  picture: UnitImage,
  t: number,
  schedule: Schedule,
  denoiser: Denoiser,
  below: Denoiser,
  signal: AbortSignal | undefined,
): Promise<SizesCompared> {
  const { x0, width, height } = picture;
  const noisy = putNoise(picture, t, schedule, integerStream(`ddc1/pyramid/${t}`));
  const half = halfOf(schedule, noisy);
  const fine = await denoiser.predictX0(noisy, { signal });
  const ofHalf = addDoubled(await below.predictX0(half, { signal }), width, height);
  const quarter = await below.predictX0(halfOf(schedule, half), { signal });
  const added = Array.from({ length: SHARE_COUNT }, (_, i) => {
    const whole = Array.from({ length: SHARE_COUNT }, (_, j) => (i === j ? 1 : 0));
    return blend(fine.slice(), quarter.slice(), picture, whole).map((value, j) => value - fine[j]);
  });
  const error = x0.map((value, i) => value - fine[i]);
  return {
    ofHalf: squaredDifference(x0, clip(ofHalf)),
    ofItself: dot(error, error),
    least: MEASURABLE_ERROR * x0.length,
    withError: added.map((one) => dot(one, error)),
    withEachOther: added.map((one) => added.map((other) => dot(one, other))),
  };
}

/** Squared error of a picture blended with its quarter. */
function errorWith({ ofItself, least, withError, withEachOther }: SizesCompared, shares: readonly number[]): number {
  const change = shares.map((share, i) => share * (dot(shares, withEachOther[i]) - 2 * withError[i]));
  return Math.max(
    least,
    change.reduce((sum, value) => sum + value, ofItself),
  );
}

/** The shares with the least mean squared error; each picture's error is relative to its own error without the quarter. */
function bestShares(compared: readonly SizesCompared[]): Float64Array {
  const mean = (value: (one: SizesCompared) => number) =>
    compared.reduce((sum, one) => sum + value(one) / Math.max(one.ofItself, one.least), 0) / compared.length;
  const indices = [...Array(SHARE_COUNT).keys()];
  const matrix = indices.map((i) =>
    Float64Array.from(indices, (j) => mean((one) => one.withEachOther[i][j]) + (i === j ? SHARES_RIDGE : 0)),
  );
  const right = Float64Array.from(indices, (i) => mean((one) => one.withError[i]));
  return solve(matrix, right)!;
}

/** Timesteps at which symmetries are compared, in T/1000: most files end near them. */
const SYMMETRY_KNOTS = [25, 80, 200];
/** How much squared error a second estimate has to save, in log2: a second evaluation for the picture shown costs a reader time. */
const LEAST_SAVED = -Math.log2(0.997);

/**
 * Measures which symmetry the network has: the mean of its estimates of a picture and of the transformed picture must
 * have less error than the one estimate.
 * @param images training images
 * @param model with its pyramid
 * @returns the symmetry with the least error; undefined where none saves enough, as with a network for digits, which was
 *   never shown a mirrored one
 */
export async function calibrateSymmetry(
  images: readonly RgbImage[],
  { schedule, denoiser }: { readonly schedule: Schedule; readonly denoiser: Denoiser },
  { onProgress, signal }: WorkOptions = {},
): Promise<Symmetry | undefined> {
  const saved = SYMMETRIES.map(() => 0);
  const knots = timestepsOf(schedule, SYMMETRY_KNOTS, 1);
  const places = knots.flatMap((t) => someOf(images).map((image) => ({ t, image })));
  let done = 0;
  const measured = mapAhead(places, denoiser.parallelism, async ({ t, image: { data, width, height } }) => {
    const size = { width, height };
    const x0 = toUnit(data);
    const noisy = putNoise({ x0, ...size }, t, schedule, integerStream(`ddc1/symmetry/${t}`));
    const estimateOf = (xt: Float32Array) => denoiser.predictX0({ ...noisy, xt }, { signal, best: true });
    const errorOf = (xhat0: Float32Array) => Math.max(squaredDifference(x0, xhat0), MEASURABLE_ERROR * x0.length);
    const one = await estimateOf(noisy.xt);
    const errors: number[] = [];
    for (const symmetry of SYMMETRIES) {
      const other = await estimateOf(transform(noisy.xt.slice(), size, symmetry));
      errors.push(errorOf(meanOfBoth(one, other, size, symmetry)));
    }
    return errors.map((error) => Math.log2(errorOf(one) / error));
  });
  for await (const savings of measured) {
    for (const [i, saving] of savings.entries()) saved[i] += saving / places.length;
    onProgress?.(++done / places.length);
  }
  const best = saved.indexOf(Math.max(...saved));
  return saved[best] >= LEAST_SAVED ? SYMMETRIES[best] : undefined;
}

/** Timesteps at which residuals are measured, in T/1000: lossless files end their chains at one of the last steps. */
const RESIDUAL_KNOTS = [1, 2, 3, 5, 8, 13, 21];

/**
 * Measures the covariances of the errors of xhat0, for lossless tails.
 * @param images training images
 */
export async function calibrateResiduals(
  images: readonly RgbImage[],
  model: { readonly schedule: Schedule; readonly denoiser: Denoiser },
  { onProgress, signal }: WorkOptions = {},
): Promise<ResidualStatistics> {
  const { schedule } = model;
  const timesteps = timestepsOf(schedule, RESIDUAL_KNOTS, 1);
  const stream = integerStream('ddc1/residuals');
  const covariances: Covariances[] = [];
  for (const [k, t] of timesteps.entries()) {
    const pictures: ResidualPicture[] = [];
    const measured = mapAhead(images, model.denoiser.parallelism, async ({ data, width, height }) => {
      const xhat0 = await denoise({ x0: toUnit(data), width, height }, t, model, stream, signal);
      return { width, height, residuals: xhat0.map((value, i) => data[i] - greyLevel(value)) };
    });
    for await (const picture of measured) {
      pictures.push(picture);
      onProgress?.((k + pictures.length / images.length) / timesteps.length);
    }
    covariances.push(measureCovariances(pictures));
  }
  return { timesteps, covariances };
}

/** Distinct timesteps of a schedule, from `least` on, for knots in T/1000. */
function timestepsOf({ timesteps }: Schedule, knots: readonly number[], least: number): number[] {
  return [...new Set(knots.map((t) => Math.max(least, Math.round((t * timesteps) / 1000))))];
}

/** Fits the profile to log2 errors measured at `knots` (descending timesteps, from T to 1), one row per image. */
export function fitProfile(schedule: Schedule, knots: readonly number[], rows: readonly Float64Array[]): Profile {
  const mean = Float64Array.from(knots, (_, k) => rows.reduce((sum, row) => sum + row[k], 0) / rows.length);
  const centred = rows.map((row) => row.map((value, k) => value - mean[k]));
  const [first, second] = rows.length < ENOUGH_IMAGES ? assumedComponents(knots.length) : principalComponents(centred);
  const unit = ({ direction, deviation }: Component, index: 0 | 1) =>
    direction.map((value) => value * DEVIATIONS_PER_UNIT[index] * deviation);
  const expand = (values: Float64Array) => interpolate(schedule, knots, values);
  return { mean: expand(mean), components: [expand(unit(first, 0)), expand(unit(second, 1))] };
}

interface Component {
  /** Unit vector. Its largest element is positive, so that a higher coordinate means a harder image. */
  readonly direction: Float64Array;
  /** Standard deviation of the rows along this direction. */
  readonly deviation: number;
}

/**
 * Approximate differences between pictures in the shipped models: harder or easier where most bits are, and harder in
 * much or in little noise.
 */
function assumedComponents(length: number): [Component, Component] {
  const along = (wave: (angle: number) => number) =>
    Float64Array.from({ length }, (_, k) => Math.sqrt(2 / length) * wave((Math.PI * (k + 0.5)) / length));
  return [
    { direction: along(Math.sin), deviation: 6 },
    { direction: along(Math.cos), deviation: 1.4 },
  ];
}

/** The first two principal components of centred rows, by power iteration with deflation. */
function principalComponents(rows: readonly Float64Array[]): [Component, Component] {
  const first = leadingComponent(rows);
  const rest = rows.map((row) => {
    const along = dot(row, first.direction);
    return row.map((value, k) => value - along * first.direction[k]);
  });
  return [first, leadingComponent(rest)];
}

function leadingComponent(rows: readonly Float64Array[]): Component {
  const length = rows[0].length;
  let direction = Float64Array.from({ length }, (_, k) => 1 + k / length);
  for (let iteration = 0; iteration < 500; iteration++) {
    const next = new Float64Array(length);
    for (const row of rows) {
      const along = dot(row, direction);
      for (let k = 0; k < length; k++) next[k] += along * row[k];
    }
    const norm = Math.sqrt(dot(next, next));
    if (norm === 0) break;
    direction = next.map((value) => value / norm);
  }
  const largest = direction.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
  if (largest < 0) direction = direction.map((value) => -value);
  const variance = rows.reduce((sum, row) => sum + dot(row, direction) ** 2, 0) / rows.length;
  return { direction, deviation: Math.sqrt(variance) };
}

/** Interpolates values at knots to integers in 1/256 at t = 1..T, linearly in log2 snr. */
function interpolate({ snr, timesteps }: Schedule, knots: readonly number[], values: Float64Array): number[] {
  const result: number[] = [];
  for (let t = 1; t <= timesteps; t++) {
    let k = 0;
    while (k < knots.length - 2 && knots[k + 1] > t) k++;
    const from = Math.log2(snr[knots[k]]);
    const share = (Math.log2(snr[t]) - from) / (Math.log2(snr[knots[k + 1]]) - from);
    result.push(Math.round(256 * (values[k] + share * (values[k + 1] - values[k]))));
  }
  return result;
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
