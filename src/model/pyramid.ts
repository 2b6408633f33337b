/**
 * What is left of a picture in much noise is its large shapes. A denoiser is then asked for the picture at half its size, where
 * averaging has taken half of the noise away: a quarter of the work, and the more noise there is the better an xhat0, since the
 * network sees farther and knows the levels of noise it meets there better. Natural pictures look alike at all scales, so what
 * holds for a picture and its half holds for the half and its quarter, and one timestep says it all. It comes the later the more
 * detail a picture has, which half the size cannot show.
 *
 * In less noise the network is asked for the picture itself, but a quarter or more of its error is still in shapes of 16 pixels and
 * more, and a network asked at a quarter of the size, a sixteenth of the work, gets those better: the two are blended, the larger the
 * shapes the more from the quarter.
 */
import type { Size } from '../image/image.js';
import { clip, type Denoiser, type NetworkEvaluation, type NoisyPicture } from './denoiser.js';
import type { Schedule } from './schedule.js';
import { mirror } from './windows.js';

/** At which sizes a picture is denoised. Part of the model: another one gives another xhat0. */
export interface Pyramid {
  /** From which timestep on, 2..T, pictures are denoised at half their size, but for their detail. */
  readonly halfFrom: number;
  /**
   * Pictures with a shorter side, in pixels, are left as they are: what fits into one of the network's windows has nothing farther
   * to see.
   */
  readonly leastSide: number;
  /** Default: what is about right for photographs. */
  readonly shares?: Shares | undefined;
}

/** What is taken of the estimate from a quarter of the size. */
export interface Shares {
  /** Ascending, from 1 on. Below the first the quarter is not asked. Between two the shares are linear, from the last on they are its own. */
  readonly timesteps: readonly number[];
  /** In thousandths, for each timestep: the share in shapes of less than 4 pixels, then in those of 4, 8, and 16 or more what each adds to the one before. */
  readonly parts: readonly (readonly number[])[];
}

/** How many shares there are at a timestep. */
export const SHARE_COUNT = 4;
const UNIT = 1000;

/** Without a table: below a quarter of `halfFrom` there is next to nothing to gain. */
function defaultShares(halfFrom: number): Shares {
  return { timesteps: [Math.ceil(halfFrom / 4)], parts: [[0, 200, 150, 300]] };
}

/**
 * From which tenths of `halfFrom` on pictures are denoised at half their size, by their detail: for a step of a chain, which is the shorter for being a
 * quarter of the work, and that is worth more than the squared error it costs; and for a picture that is shown.
 */
const HALF_FROM = { chain: [6, 8, 8, 10], best: [8, 10, 12, 13] } as const;
/** Detail of what is not known better. */
const MIDDLE = 2;

/** A picture's size, the timestep it is at, and its detail. */
export interface Place extends Size {
  readonly t: number;
  /** See {@link NoisyPicture}. */
  readonly detail?: number | undefined;
}

/** Whether a picture of this size is ever denoised at half of it. */
export function canBeHalved({ leastSide }: Pick<Pyramid, 'leastSide'>, width: number, height: number): boolean {
  return Math.min(width, height) >= leastSide;
}

/** What xhat0 of a picture is made from. @param best for a picture that is shown */
function sourcesOf(pyramid: Pyramid, place: Place, best = false): 'half' | 'itself' | 'itself and quarter' {
  const { width, height, t, detail = MIDDLE } = place;
  if (!canBeHalved(pyramid, width, height)) return 'itself';
  const tenths = HALF_FROM[best ? 'best' : 'chain'][detail];
  if (t >= Math.floor((tenths * pyramid.halfFrom + 5) / 10)) return 'half';
  return t >= sharesOf(pyramid).timesteps[0] ? 'itself and quarter' : 'itself';
}

/** Timestep at which a picture's detail is measured: there it is denoised at half its size with detail 0, at its own with 1. */
export function timestepOfDetail({ halfFrom }: Pyramid): number {
  return Math.round(0.7 * halfFrom);
}

/** Squared errors at half the size, over those at the picture's own, above which a picture has detail 1, 2 and 3. */
const DETAILED = [1.035, 1.1, 1.22];

/**
 * A picture's detail.
 * @param ratio of the squared errors of xhat0 with detail 0 and with detail 1, at {@link timestepOfDetail}
 */
export function detailOf(ratio: number): number {
  return DETAILED.filter((limit) => ratio > limit).length;
}

/**
 * A denoiser that asks the one given for smaller pictures, too.
 * @param pyramid none: the denoiser itself
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

/** The part at the finest size that the network sees is what moves. */
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

/** @param fine xhat0 of the picture itself, where the result goes */
async function blendWithQuarter(by: Estimator, picture: NoisyPicture, fine: Float32Array): Promise<Float32Array> {
  const quarter = await estimate({ ...by, best: false }, halfOf(by.schedule, halfOf(by.schedule, picture)));
  return clip(blend(fine, quarter, picture, sharesAt(by.pyramid, picture.t)));
}

function sharesOf({ shares, halfFrom }: Pyramid): Shares {
  return shares ?? defaultShares(halfFrom);
}

/** The shares at a timestep, 1 for the whole. */
export function sharesAt(pyramid: Pyramid, t: number): number[] {
  const { timesteps, parts } = sharesOf(pyramid);
  const next = timesteps.findIndex((timestep) => timestep > t);
  if (next <= 0) return parts[next === 0 ? 0 : parts.length - 1].map((part) => part / UNIT);
  const way = (t - timesteps[next - 1]) / (timesteps[next] - timesteps[next - 1]);
  return parts[next - 1].map((part, i) => (part + way * (parts[next][i] - part)) / UNIT);
}

/** Shares as a model has them. */
export function inUnits(shares: Iterable<number>): number[] {
  return Array.from(shares, (share) => Math.round(UNIT * share));
}

/**
 * Puts two estimates of a picture together.
 * @param fine of the picture itself, where the result goes
 * @param quarter of a quarter of the size, overwritten
 * @param shares as {@link sharesAt} has them
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

/** What is taken of a difference: the more, the larger its shapes are. */
function shareOf(difference: Float32Array, size: Size, [share, ...larger]: readonly number[]): Float32Array {
  const taken = difference.map((value) => share * value);
  if (larger.length === 0) return taken;
  const { width, height } = size;
  return addDoubled(shareOf(halve(difference, width, height), halfSize(size), larger), width, height, taken);
}

/** The picture at half its size, in the noise that the network expects at its timestep. */
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

/** The timestep at which x_t of half the size is: its noise is half as large, so the signal-to-noise ratio nearest to four times that of t. */
export function timestepOfHalf({ snr }: Schedule, t: number): number {
  const wanted = 4 * snr[t];
  let half = t;
  while (half > 1 && snr[half] < wanted) half--;
  // The nearer of the two around it, as ratios.
  return half < t && wanted * wanted < snr[half] * snr[half + 1] ? half + 1 : half;
}

/** Where the network is asked for a picture, and how many times the picture is halved before. Exact: both ends plan with it. @param best for a picture that is shown */
export function placeAsked(
  pyramid: Pyramid | undefined,
  schedule: Schedule,
  place: Place,
  best = false,
): { place: Place; halvings: number } {
  let asked = place;
  let halvings = 0;
  while (pyramid && sourcesOf(pyramid, asked, best) === 'half') {
    asked = halfPlace(schedule, asked);
    halvings++;
  }
  return { place: asked, halvings };
}

/** Whether xhat0 for a step of a chain is as good as can be, and the same as for a picture that is shown. */
export function isBest(pyramid: Pyramid | undefined, schedule: Schedule, place: Place): boolean {
  const halvings = (best: boolean) => placeAsked(pyramid, schedule, place, best).halvings;
  return halvings(false) === halvings(true);
}

/** The network's work for xhat0 as a share of that without a pyramid. @param best for a picture that is shown */
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
 * A pixel is split into two halves by the quartic polynomial that has the same means over it and its two neighbours on each side. These are
 * the weights of the left neighbours, at distance 2 and 1, in the left half. In the right half their signs are reversed.
 */
const FAR = 3 / 128;
const NEAR = 22 / 128;

/**
 * Adds a picture of twice the size whose means of 2x2 pixels are the pixels of the one given.
 * @param image ceil(height / 2) * ceil(width / 2) * 3 values
 * @param width of the result
 * @param height of the result
 * @param sum what it is added to: large pictures have no room for one more. Default: nothing
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
  // Rows of the source in twice the width, each made once and kept while it is a neighbour.
  const wide = Array.from({ length: 5 }, () => new Float32Array(width * 3));
  const widened = (y: number) => wide[((y % 5) + 5) % 5];
  const widen = (y: number) => {
    const row = within(y, rows) * columns;
    const into = widened(y);
    for (let x = 0; x < columns; x++) {
      const at = (k: number) => (row + within(x + k, columns)) * 3;
      const [a, b, m, d, e] = [at(-2), at(-1), at(0), at(1), at(2)];
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

/** Index of the pixel that stands for pixel i when an axis is mirrored at its ends with the edge repeated. */
function within(i: number, length: number): number {
  const period = 2 * length;
  const phase = ((i % period) + period) % period;
  return phase < length ? phase : period - 1 - phase;
}
