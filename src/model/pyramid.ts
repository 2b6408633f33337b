/**
 * In much noise only the large shapes of a picture remain. So a denoiser is asked for the picture at half its size,
 * where averaging has halved the noise. This is a quarter of the work, and the more noise there is, the better it makes
 * xhat0: the network sees farther and knows the noise levels there better. Natural pictures look alike at all scales.
 * What holds for a picture and its half therefore holds for the half and its quarter, and a single timestep decides it
 * all. Pictures with more detail switch later, because half the size cannot show their detail.
 *
 * In less noise the network is asked for the picture itself, but a quarter or more of its error is still in shapes of
 * 16 pixels and more. A network that is asked at a quarter of the size, a sixteenth of the work, predicts those better.
 * So the two estimates are blended: the larger the shapes, the more is taken from the quarter.
 */
import type { Size } from '../image/image.js';
import { clip, type Denoiser, type NetworkEvaluation, type NoisyPicture } from './denoiser.js';
import type { Schedule } from './schedule.js';
import { mirror } from './windows.js';

/** The sizes at which a picture is denoised. Part of the model, because other sizes give another xhat0. */
export interface Pyramid {
  /** Timestep, 2..T, from which pictures are denoised at half their size; their detail moves it. */
  readonly halfFrom: number;
  /**
   * Pictures with a shorter side, in pixels, are not halved. Down to which size halving helps depends on the
   * network: calibration measures it.
   */
  readonly leastSide: number;
  /** Default: values that are about right for photographs. */
  readonly shares?: Shares | undefined;
}

/** Shares taken from the estimate at a quarter of the size. */
export interface Shares {
  /**
   * Ascending, from 1 on. Below the first timestep the quarter is not used. Shares are linear between timesteps and
   * constant from the last one on.
   */
  readonly timesteps: readonly number[];
  /**
   * In thousandths, for each timestep: the share in shapes of less than 4 pixels; then, for shapes of 4, 8, and 16 or
   * more, the increase over the previous share.
   */
  readonly parts: readonly (readonly number[])[];
}

/** Number of shares at a timestep. */
export const SHARE_COUNT = 4;
const UNIT = 1000;

/** The shares without a table. Below a quarter of `halfFrom` there is almost nothing to gain. */
function defaultShares(halfFrom: number): Shares {
  return { timesteps: [Math.ceil(halfFrom / 4)], parts: [[0, 200, 150, 300]] };
}

/**
 * Timesteps, in tenths of `halfFrom`, from which pictures are denoised at half their size, by their detail. For a step
 * of a chain: half the size is a quarter of the work, which makes steps shorter, and that is worth more than the
 * squared error it costs. For a picture that is shown: a separate list.
 */
const HALF_FROM = { chain: [6, 8, 8, 10], best: [8, 10, 12, 13] } as const;
/** Detail of pictures for which it is unknown. */
const MIDDLE = 2;

/** A picture's size, the timestep it is at, and its detail. */
export interface Place extends Size {
  readonly t: number;
  /** See {@link NoisyPicture}. */
  readonly detail?: number | undefined;
}

/** Whether a picture of this size is ever denoised at half its size. */
export function canBeHalved({ leastSide }: Pick<Pyramid, 'leastSide'>, width: number, height: number): boolean {
  return Math.min(width, height) >= leastSide;
}

/**
 * The sizes that xhat0 of a picture is computed from.
 * @param best for a picture that is shown
 */
function sourcesOf(pyramid: Pyramid, place: Place, best = false): 'half' | 'itself' | 'itself and quarter' {
  const { width, height, t, detail = MIDDLE } = place;
  if (!canBeHalved(pyramid, width, height)) return 'itself';
  const tenths = HALF_FROM[best ? 'best' : 'chain'][detail];
  if (t >= Math.floor((tenths * pyramid.halfFrom + 5) / 10)) return 'half';
  return t >= sharesOf(pyramid).timesteps[0] ? 'itself and quarter' : 'itself';
}

/**
 * Timestep at which a picture's detail is measured. There a picture with detail 0 is denoised at half its size, and one
 * with detail 1 at its own.
 */
export function timestepOfDetail({ halfFrom }: Pyramid): number {
  return Math.round(0.7 * halfFrom);
}

/** Thresholds for detail 1, 2 and 3 of the ratio of squared errors at half the size to those at the picture's own size. */
const DETAILED = [1.035, 1.1, 1.22];

/**
 * A picture's detail.
 * @param ratio of the squared errors of xhat0 with detail 0 and with detail 1, at {@link timestepOfDetail}
 */
export function detailOf(ratio: number): number {
  return DETAILED.filter((limit) => ratio > limit).length;
}

/**
 * A denoiser that asks the given one for smaller pictures as well.
 * @param pyramid undefined: the given denoiser is returned
 */
export function withPyramid(denoiser: Denoiser, schedule: Schedule, pyramid: Pyramid | undefined): Denoiser {
  if (!pyramid) return denoiser;
  return {
    ...denoiser,
    predictX0: (picture, { into = new Float32Array(picture.xt.length), signal, best } = {}) =>
      estimate({ denoiser, schedule, pyramid, signal, best }, picture, into),
    ...(denoiser.evaluate && {
      evaluate: (picture, { signal } = {}) => evaluate({ denoiser, schedule, pyramid, signal }, picture),
    }),
  };
}

/** A later move changes only the part at the finest size that the network sees. */
async function evaluate(by: Estimator, picture: NoisyPicture): Promise<NetworkEvaluation> {
  const { width, height } = picture;
  const sources = sourcesOf(by.pyramid, picture);
  if (sources === 'half') {
    const half = await evaluate(by, halfOf(by.schedule, picture));
    return {
      xhat0: clip(addDoubled(half.xhat0, width, height)),
      async move(now, { into = new Float32Array(now.xt.length), signal } = {}) {
        const moved = await half.move(halfOf(by.schedule, now), { signal });
        return clip(addDoubled(moved, width, height, into.fill(0)));
      },
    };
  }
  const evaluation = await by.denoiser.evaluate!(picture, { signal: by.signal });
  if (sources === 'itself and quarter') await blendWithQuarter(by, picture, evaluation.xhat0);
  return evaluation;
}

interface Estimator {
  readonly denoiser: Denoiser;
  readonly schedule: Schedule;
  readonly pyramid: Pyramid;
  readonly signal: AbortSignal | undefined;
  readonly best?: boolean | undefined;
}

/** xhat0, in [-1, 1]. */
async function estimate(by: Estimator, picture: NoisyPicture, into?: Float32Array): Promise<Float32Array> {
  const sources = sourcesOf(by.pyramid, picture, by.best);
  if (sources === 'half') {
    const half = await estimate(by, halfOf(by.schedule, picture));
    return clip(addDoubled(half, picture.width, picture.height, into?.fill(0)));
  }
  const fine = await by.denoiser.predictX0(picture, { into, signal: by.signal });
  return sources === 'itself' ? fine : blendWithQuarter(by, picture, fine);
}

/** @param fine xhat0 of the picture itself; overwritten with the result */
async function blendWithQuarter(by: Estimator, picture: NoisyPicture, fine: Float32Array): Promise<Float32Array> {
  const quarter = await estimate({ ...by, best: false }, halfOf(by.schedule, halfOf(by.schedule, picture)));
  return clip(blend(fine, quarter, picture, sharesAt(by.pyramid, picture.t)));
}

function sharesOf({ shares, halfFrom }: Pyramid): Shares {
  return shares ?? defaultShares(halfFrom);
}

/** The shares at a timestep, where 1 is the whole. */
export function sharesAt(pyramid: Pyramid, t: number): number[] {
  const { timesteps, parts } = sharesOf(pyramid);
  const next = timesteps.findIndex((timestep) => timestep > t);
  if (next <= 0) return parts[next === 0 ? 0 : parts.length - 1].map((part) => part / UNIT);
  const way = (t - timesteps[next - 1]) / (timesteps[next] - timesteps[next - 1]);
  return parts[next - 1].map((part, i) => (part + way * (parts[next][i] - part)) / UNIT);
}

/** Converts shares to the model's units. */
export function inUnits(shares: Iterable<number>): number[] {
  return Array.from(shares, (share) => Math.round(UNIT * share));
}

/**
 * Blends two estimates of a picture.
 * @param fine of the picture itself; overwritten with the result
 * @param quarter at a quarter of the size; overwritten
 * @param shares as from {@link sharesAt}
 * @returns `fine`
 */
export function blend(
  fine: Float32Array,
  quarter: Float32Array,
  { width, height }: Size,
  [finest, ...larger]: readonly number[],
): Float32Array {
  const half = halfSize({ width, height });
  const ofFine = halve(halve(fine, width, height), half.width, half.height);
  for (let i = 0; i < quarter.length; i++) quarter[i] -= ofFine[i];
  const share = shareOf(quarter, halfSize(half), larger);
  for (let i = 0; i < share.length; i++) share[i] += finest * ofFine[i];
  for (let i = 0; i < fine.length; i++) fine[i] *= 1 - finest;
  return addDoubled(addDoubled(share, half.width, half.height), width, height, fine);
}

/** The part of a difference that is taken: the larger the shapes, the more of them. */
function shareOf(difference: Float32Array, size: Size, [share, ...larger]: readonly number[]): Float32Array {
  const taken = difference.map((value) => share * value);
  if (larger.length === 0) return taken;
  const { width, height } = size;
  return addDoubled(shareOf(halve(difference, width, height), halfSize(size), larger), width, height, taken);
}

/** The picture at half its size, scaled for the timestep that matches its noise. */
export function halfOf(schedule: Schedule, picture: NoisyPicture): NoisyPicture {
  const { xt, width, height, t } = picture;
  const half = halfPlace(schedule, picture);
  const smaller = halve(xt, width, height);
  const gain = Math.sqrt(schedule.alphasCumprod[half.t] / schedule.alphasCumprod[t]);
  for (let i = 0; i < smaller.length; i++) smaller[i] *= gain;
  return { ...half, xt: smaller, snr: 4 * (picture.snr ?? schedule.snr[t]) };
}

function halfPlace(schedule: Schedule, place: Place): Place {
  return { ...halfSize(place), t: timestepOfHalf(schedule, place.t), detail: place.detail };
}

function halfSize({ width, height }: Size): Size {
  return { width: Math.ceil(width / 2), height: Math.ceil(height / 2) };
}

/**
 * The timestep of x_t at half the size. Its noise is half as large, so this is the timestep whose signal-to-noise ratio
 * is nearest to four times that of t.
 */
export function timestepOfHalf({ snr }: Schedule, t: number): number {
  const wanted = 4 * snr[t];
  let half = t;
  while (half > 1 && snr[half] < wanted) half--;
  // The nearer of the two timesteps around it, by ratio.
  return half < t && wanted * wanted < snr[half] * snr[half + 1] ? half + 1 : half;
}

/**
 * The place at which the network is asked for a picture, how many times the picture is halved before that, and the work
 * of an evaluation there, relative to one at the picture's own size. Exact, because both ends plan with it.
 * @param best for a picture that is shown
 */
export function placeAsked(
  pyramid: Pyramid | undefined,
  schedule: Schedule,
  place: Place,
  best = false,
): { place: Place; halvings: number; work: number } {
  let asked = place;
  let halvings = 0;
  let work = 1;
  while (pyramid && sourcesOf(pyramid, asked, best) === 'half') {
    asked = halfPlace(schedule, asked);
    halvings++;
    work /= 4;
  }
  return { place: asked, halvings, work };
}

/** Whether xhat0 for a step of a chain is the best possible one, identical to that for a picture that is shown. */
export function isBest(pyramid: Pyramid | undefined, schedule: Schedule, place: Place): boolean {
  const halvings = (best: boolean) => placeAsked(pyramid, schedule, place, best).halvings;
  return halvings(false) === halvings(true);
}

/**
 * The network's work for xhat0, relative to the work without a pyramid.
 * @param best for a picture that is shown
 */
export function workAt(pyramid: Pyramid | undefined, schedule: Schedule, place: Place, best = false): number {
  const sources = pyramid ? sourcesOf(pyramid, place, best) : 'itself';
  if (sources === 'itself') return 1;
  const half = halfPlace(schedule, place);
  if (sources === 'half') return workAt(pyramid, schedule, half, best) / 4;
  return 1 + workAt(pyramid, schedule, halfPlace(schedule, half)) / 16;
}

/** Means of 2x2 pixels; an odd side is mirrored at its end. @returns ceil(height / 2) * ceil(width / 2) * 3 values */
export function halve(image: Float32Array, width: number, height: number): Float32Array {
  const columns = Math.ceil(width / 2);
  const rows = Math.ceil(height / 2);
  const half = new Float32Array(rows * columns * 3);
  for (let y = 0, o = 0; y < rows; y++) {
    const upper = 2 * y * width;
    const lower = mirror(2 * y + 1, height) * width;
    for (let x = 0; x < columns; x++) {
      const left = 2 * x;
      const right = mirror(left + 1, width);
      for (let c = 0; c < 3; c++, o++) {
        half[o] =
          (image[(upper + left) * 3 + c] +
            image[(upper + right) * 3 + c] +
            image[(lower + left) * 3 + c] +
            image[(lower + right) * 3 + c]) /
          4;
      }
    }
  }
  return half;
}

/**
 * Weights of the left neighbours at distance 2 and 1 for the left half of a pixel; for the right half their signs are
 * reversed. A pixel is split into two halves with the quartic polynomial that has the same means over the pixel and its
 * two neighbours on each side.
 */
const FAR = 3 / 128;
const NEAR = 22 / 128;

/**
 * Adds the picture upsampled to twice its size; the means of 2x2 pixels of the upsampled picture are the pixels of the
 * given one.
 * @param image ceil(height / 2) * ceil(width / 2) * 3 values
 * @param width of the result
 * @param height of the result
 * @param sum where the result is added, because large pictures have no memory for one more array. Default: zeros
 * @returns `sum`
 */
export function addDoubled(
  image: Float32Array,
  width: number,
  height: number,
  sum: Float32Array = new Float32Array(width * height * 3),
): Float32Array {
  const columns = Math.ceil(width / 2);
  const rows = Math.ceil(height / 2);
  /** For x = -2 .. columns + 1. */
  const starts = Int32Array.from({ length: columns + 4 }, (_, i) => within(i - 2, columns) * 3);
  // Rows of the source at twice the width. Each is made once and kept while it is a neighbour.
  const wide = Array.from({ length: 5 }, () => new Float32Array(width * 3));
  const widened = (y: number) => wide[((y % 5) + 5) % 5];
  const widen = (y: number) => {
    const row = within(y, rows) * columns * 3;
    const into = widened(y);
    for (let x = 0; x < columns; x++) {
      const a = row + starts[x];
      const b = row + starts[x + 1];
      const m = row + starts[x + 2];
      const d = row + starts[x + 3];
      const e = row + starts[x + 4];
      for (let c = 0; c < 3; c++) {
        const slope = NEAR * (image[b + c] - image[d + c]) - FAR * (image[a + c] - image[e + c]);
        into[6 * x + c] = image[m + c] + slope;
        if (2 * x + 1 < width) into[6 * x + 3 + c] = image[m + c] - slope;
      }
    }
  };
  for (let y = -2; y < 2; y++) widen(y);
  for (let y = 0; y < rows; y++) {
    widen(y + 2);
    const [a, b, m, d, e] = [-2, -1, 0, 1, 2].map((k) => widened(y + k));
    const upper = 2 * y * width * 3;
    const lower = 2 * y + 1 < height ? upper + width * 3 : -1;
    for (let i = 0; i < width * 3; i++) {
      const slope = NEAR * (b[i] - d[i]) - FAR * (a[i] - e[i]);
      sum[upper + i] += m[i] + slope;
      if (lower >= 0) sum[lower + i] += m[i] - slope;
    }
  }
  return sum;
}

/** Index of the pixel that replaces pixel i when an axis is mirrored at its ends with the edge repeated. */
function within(i: number, length: number): number {
  const period = 2 * length;
  const phase = ((i % period) + period) % period;
  return phase < length ? phase : period - 1 - phase;
}
