/**
 * What is left of a picture in much noise is its large shapes. A denoiser is then asked for the picture at half its size, where
 * averaging has taken half of the noise away: a quarter of the work, and from a third of the timesteps on a better xhat0, since the
 * network sees farther and knows the levels of noise it meets there better. Natural pictures look alike at all scales, so what
 * holds for a picture and its half holds for the half and its quarter, and one timestep says it all.
 */
import { type Denoiser, mirror } from './denoiser.js';
import type { Schedule } from './schedule.js';

/** From which noise on a picture is denoised at half its size. Part of the model: another one gives another xhat0. */
export interface Pyramid {
  /** Least timestep, 2..T. */
  readonly halfFrom: number;
}

/** Shorter sides are not halved. */
const LEAST_SIDE = 32;
/** At half the size or less, half of the large shapes are taken from the next half: the mean of two estimates is nearer than either. */
const COARSER_SHARE = 0.5;
/** Below this share of `halfFrom` there is nothing to gain by that. */
const BLEND_FROM = 0.25;

/** Whether a picture of this size is ever denoised at half of it. */
export function canBeHalved(width: number, height: number): boolean {
  return Math.min(width, height) >= LEAST_SIDE;
}

/**
 * A denoiser that from `halfFrom` on asks the one given for smaller pictures.
 * @param pyramid none: the denoiser itself
 */
export function withPyramid(denoiser: Denoiser, schedule: Schedule, pyramid: Pyramid | undefined): Denoiser {
  if (!pyramid) return denoiser;
  const { halfFrom } = pyramid;

  /** xhat0 of a picture from its halves, and where there is not too much noise for that, from itself as well. */
  async function estimate(
    xt: Float32Array,
    width: number,
    height: number,
    t: number,
    into: Float32Array = new Float32Array(xt.length),
  ): Promise<Float32Array> {
    if (!canBeHalved(width, height) || t < BLEND_FROM * halfFrom) return denoiser.predictX0(xt, width, height, t, into);
    const half = timestepOfHalf(schedule, t);
    const halfWidth = Math.ceil(width / 2);
    const halfHeight = Math.ceil(height / 2);
    const smaller = halve(xt, width, height);
    const gain = Math.sqrt(schedule.alphasCumprod[half] / schedule.alphasCumprod[t]);
    for (let i = 0; i < smaller.length; i++) smaller[i] *= gain;
    const coarse = await estimate(smaller, halfWidth, halfHeight, half);
    if (t >= halfFrom) return double(coarse, width, height, into);
    const fine = await denoiser.predictX0(xt, width, height, t, into);
    const ofFine = halve(fine, width, height);
    for (let i = 0; i < coarse.length; i++) coarse[i] = COARSER_SHARE * (coarse[i] - ofFine[i]);
    const correction = double(coarse, width, height);
    for (let i = 0; i < fine.length; i++) fine[i] += correction[i];
    return fine;
  }

  return {
    ...denoiser,
    async predictX0(xt, width, height, t, into = new Float32Array(xt.length)) {
      if (t < halfFrom || !canBeHalved(width, height)) return denoiser.predictX0(xt, width, height, t, into);
      await estimate(xt, width, height, t, into);
      for (let i = 0; i < into.length; i++) into[i] = Math.max(-1, Math.min(1, into[i]));
      return into;
    },
  };
}

/** The timestep at which x_t of half the size is: its noise is half as large, so the signal-to-noise ratio nearest to four times that of t. */
export function timestepOfHalf({ snr }: Schedule, t: number): number {
  const wanted = 4 * snr[t];
  let half = t;
  while (half > 1 && snr[half] < wanted) half--;
  // The nearer of the two around it, as ratios.
  return half < t && wanted * wanted < snr[half] * snr[half + 1] ? half + 1 : half;
}

/**
 * The network's work for xhat0 at a timestep as a share of that without a pyramid: a quarter for each halving.
 * Exact: both ends plan with it.
 */
export function workAt(pyramid: Pyramid | undefined, schedule: Schedule, timestep: number): number {
  let work = 1;
  if (pyramid) for (let t = timestep; t >= pyramid.halfFrom; t = timestepOfHalf(schedule, t)) work /= 4;
  return work;
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
 * A picture of twice the size whose means of 2x2 pixels are the pixels of the one given.
 * @param image ceil(height / 2) * ceil(width / 2) * 3 values
 * @param width of the result
 * @param height of the result
 * @param doubled where it goes
 */
export function double(
  image: Float32Array,
  width: number,
  height: number,
  doubled: Float32Array = new Float32Array(width * height * 3),
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
      doubled[upper + i] = m[i] + slope;
      if (lower >= 0) doubled[lower + i] = m[i] - slope;
    }
  }
  return doubled;
}

/** Index of the pixel that stands for pixel i when an axis is mirrored at its ends with the edge repeated. */
function within(i: number, length: number): number {
  const period = 2 * length;
  const phase = ((i % period) + period) % period;
  return phase < length ? phase : period - 1 - phase;
}
