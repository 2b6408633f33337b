/** A tail of residuals for a quality, or a size, that the steps alone do not reach. */

import { firstThat } from '../../common/search.js';
import type { RgbImage } from '../../image/image.js';
import { meanSquaredError } from '../../image/metrics.js';
import type { TailContext } from '../lossless/tail.js';
import { MOST_HALF_STEP } from '../lossless/tail-header.js';
import { chooseTail, type WrittenTail, writeTail } from '../lossless/tail-writer.js';

/** The requirements on a tail. */
export interface TailGoal {
  /** Largest mean squared error, in grey levels. */
  readonly mostSquaredError: number;
  /** Size of the tail. */
  readonly mostBytes: number;
}

/**
 * The coarsest tail that reaches the quality. If that is too long, the finest one that fits.
 * @param context of xhat0 after the last step
 * @param margin see {@link writeTail}
 * @returns undefined where none is short enough
 */
export function nearTail(
  image: RgbImage,
  context: TailContext,
  margin: number,
  { mostSquaredError, mostBytes }: TailGoal,
): (WrittenTail & { readonly squaredError: number }) | undefined {
  const write = (halfStep: number) => {
    const tail = writeTail(context, image.data, chooseTail(context, image.data, 2 * halfStep + 1), margin);
    return { ...tail, squaredError: meanSquaredError(image, { ...image, data: tail.samples }) };
  };
  // Errors that are uniform over a step of n levels have the mean square (n n - 1) / 12; most samples are nearer to the
  // middle of their step.
  let halfStep = Math.min(MOST_HALF_STEP, Math.floor((Math.sqrt(12 * mostSquaredError + 1) - 1) / 2));
  let tail = write(halfStep);
  while (tail.squaredError > mostSquaredError) tail = write(--halfStep);
  while (halfStep < MOST_HALF_STEP) {
    const coarser = write(halfStep + 1);
    if (coarser.squaredError > mostSquaredError) break;
    tail = coarser;
    halfStep++;
  }
  if (tail.bytes.length <= mostBytes) return tail;
  const shortEnough = firstThat(halfStep + 1, MOST_HALF_STEP, (value) => write(value).bytes.length <= mostBytes);
  return shortEnough === undefined ? undefined : write(shortEnough);
}
