/**
 * What is left of a picture in much noise is its large shapes. A denoiser is then asked for the picture at half its size, where
 * averaging has taken half of the noise away: a quarter of the work, and from a third of the timesteps on a better xhat0, since the
 * network sees farther and knows the levels of noise it meets there better. Natural pictures look alike at all scales, so what
 * holds for a picture and its half holds for the half and its quarter, and one timestep says it all.
 *
 * In less noise the network is asked for the picture itself, but a quarter or more of its error is still in shapes of 16 pixels and
 * more, and a network asked at a quarter of the size, a sixteenth of the work, gets those better: the two are blended, the larger the
 * shapes the more from the quarter.
 */
import { clip, type Denoiser, type NetworkEvaluation, type NoisyPicture } from './denoiser.js';
import type { Schedule } from './schedule.js';
import { mirror } from './windows.js';

/** From which noise on a picture is denoised at half its size. Part of the model: another one gives another xhat0. */
export interface Pyramid {
  /** Least timestep, 2..T. */
  readonly halfFrom: number;
  /**
   * Pictures with a shorter side, in pixels, are left as they are: what fits into one of the network's windows has nothing farther
   * to see.
   */
  readonly leastSide: number;
}

/** Below this share of `halfFrom` there is next to nothing to gain by a blend with the quarter. */
const BLEND_FROM = 0.25;
/** Share of the quarter's estimate in shapes of 4, 8 and 16 pixels or more: what each adds to the one before. */
const SHARES = [0.2, 0.15, 0.3] as const;

/** A picture's size and the timestep it is at. */
export interface Place {
  readonly width: number;
  readonly height: number;
  readonly t: number;
}

/** Whether a picture of this size is ever denoised at half of it. */
export function canBeHalved({ leastSide }: Pick<Pyramid, 'leastSide'>, width: number, height: number): boolean {
  return Math.min(width, height) >= leastSide;
}

/** What xhat0 of a picture is made from. */
function sourcesOf(
  pyramid: Pyramid,
  { width, height, t }: Place,
  best = false,
): 'half' | 'itself' | 'itself and quarter' | 'itself and half' {
  if (!canBeHalved(pyramid, width, height)) return 'itself';
  if (t >= pyramid.halfFrom) return best ? 'itself and half' : 'half';
  return t >= BLEND_FROM * pyramid.halfFrom ? 'itself and quarter' : 'itself';
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
  if (sources === 'itself and quarter') clip(await blendWithQuarter(by, picture, evaluation.xhat0));
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
  const { width, height } = picture;
  const sources = sourcesOf(by.pyramid, picture, by.best);
  if (sources === 'half') {
    const coarse = await estimate(by, halfOf(by.schedule, picture));
    return clip(addDoubled(coarse, width, height, into?.fill(0)));
  }
  const fine = await by.denoiser.predictX0(picture, { into, signal: by.signal });
  if (sources === 'itself and half') return blendWithHalf(by, picture, fine);
  return sources === 'itself' ? fine : clip(await blendWithQuarter(by, picture, fine));
}

/** The mean of both. @param fine xhat0 of the picture itself, where the result goes */
async function blendWithHalf(by: Estimator, picture: NoisyPicture, fine: Float32Array): Promise<Float32Array> {
  const { width, height } = picture;
  const half = await estimate(by, halfOf(by.schedule, picture));
  for (let i = 0; i < fine.length; i++) fine[i] *= 0.5;
  for (let i = 0; i < half.length; i++) half[i] *= 0.5;
  return clip(addDoubled(half, width, height, fine));
}

/** @param fine xhat0 of the picture itself, where the result goes */
async function blendWithQuarter(by: Estimator, picture: NoisyPicture, fine: Float32Array): Promise<Float32Array> {
  const { width, height } = picture;
  const half = halfOf(by.schedule, picture);
  const quarter = halfOf(by.schedule, half);
  const difference = await estimate(by, quarter);
  const ofFine = halve(halve(fine, width, height), half.width, half.height);
  for (let i = 0; i < difference.length; i++) difference[i] -= ofFine[i];
  const share = shareOf(difference, quarter.width, quarter.height);
  return addDoubled(addDoubled(share, half.width, half.height), width, height, fine);
}

/** What is taken of a difference: the more, the larger its shapes are. */
function shareOf(difference: Float32Array, width: number, height: number, scale = 0): Float32Array {
  const share = difference.map((value) => SHARES[scale] * value);
  if (scale + 1 === SHARES.length) return share;
  const smaller = shareOf(halve(difference, width, height), Math.ceil(width / 2), Math.ceil(height / 2), scale + 1);
  return addDoubled(smaller, width, height, share);
}

/** The picture at half its size, in the noise that the network expects at its timestep. */
function halfOf(schedule: Schedule, picture: NoisyPicture): NoisyPicture {
  const { xt, width, height, t } = picture;
  const half = halfPlace(schedule, picture);
  const smaller = halve(xt, width, height);
  const gain = Math.sqrt(schedule.alphasCumprod[half.t] / schedule.alphasCumprod[t]);
  for (let i = 0; i < smaller.length; i++) smaller[i] *= gain;
  return { ...half, xt: smaller, snr: 4 * (picture.snr ?? schedule.snr[t]) };
}

function halfPlace(schedule: Schedule, { width, height, t }: Place): Place {
  return { width: Math.ceil(width / 2), height: Math.ceil(height / 2), t: timestepOfHalf(schedule, t) };
}

/** The timestep at which x_t of half the size is: its noise is half as large, so the signal-to-noise ratio nearest to four times that of t. */
export function timestepOfHalf({ snr }: Schedule, t: number): number {
  const wanted = 4 * snr[t];
  let half = t;
  while (half > 1 && snr[half] < wanted) half--;
  // The nearer of the two around it, as ratios.
  return half < t && wanted * wanted < snr[half] * snr[half + 1] ? half + 1 : half;
}

/** How many times a picture is halved before the network sees it. Exact: both ends plan with it. */
export function halvings(pyramid: Pyramid | undefined, schedule: Schedule, place: Place): number {
  if (!pyramid || sourcesOf(pyramid, place) !== 'half') return 0;
  return 1 + halvings(pyramid, schedule, halfPlace(schedule, place));
}

/** Whether xhat0 is as good as can be, also for a step of a chain. */
export function isBest(pyramid: Pyramid | undefined, place: Place): boolean {
  return !pyramid || sourcesOf(pyramid, place) === sourcesOf(pyramid, place, true);
}

/** Where the network is asked for a picture, halved or itself. Exact, too. */
export function placeAsked(pyramid: Pyramid | undefined, schedule: Schedule, place: Place): Place {
  if (!pyramid || sourcesOf(pyramid, place) !== 'half') return place;
  return placeAsked(pyramid, schedule, halfPlace(schedule, place));
}

/** The network's work for xhat0 as a share of that without a pyramid. */
export function workAt(pyramid: Pyramid | undefined, schedule: Schedule, place: Place, best = false): number {
  const sources = pyramid ? sourcesOf(pyramid, place, best) : 'itself';
  if (sources === 'itself') return 1;
  const half = halfPlace(schedule, place);
  if (sources === 'half') return workAt(pyramid, schedule, half) / 4;
  if (sources === 'itself and half') return 1 + workAt(pyramid, schedule, half, best) / 4;
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
 * Weights by which a pixel is told from its neighbours on the left, at distance 2 and 1, when it is cut in halves: those of the
 * polynomial of fourth degree that has the means of the five as its own. The right half has them reversed in sign.
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
