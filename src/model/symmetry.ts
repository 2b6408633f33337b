/**
 * A network that was trained on pictures and their mirror images is as good at the one as at the other, but errs
 * differently. The mean of both estimates has one percent less squared error, at the price of a second evaluation. That
 * is too much for every step of a chain, and worth it for a picture that is shown.
 */
import type { Size } from '../image/image.js';

/** `mirror` exchanges left and right; `turn` turns a picture upside down, by 180 degrees. */
export const SYMMETRIES = ['mirror', 'turn'] as const;
export type Symmetry = (typeof SYMMETRIES)[number];

/** How many estimates the picture that is shown is a mean of. */
export function estimatesShown(symmetry: Symmetry | undefined): number {
  return symmetry === undefined ? 1 : 2;
}

/**
 * Mirrors or turns a picture, in place: large pictures have no memory for one more array. Both are their own inverse.
 * @param values height * width * 3 values
 * @returns `values`
 */
export function transform(values: Float32Array, { width, height }: Size, symmetry: Symmetry): Float32Array {
  // A picture that is turned by 180 degrees has its pixels in reverse order.
  const run = 3 * (symmetry === 'turn' ? width * height : width);
  for (let start = 0; start < values.length; start += run) reversePixels(values, start, start + run);
  return values;
}

function reversePixels(values: Float32Array, from: number, to: number): void {
  for (let a = from, b = to - 3; a < b; a += 3, b -= 3) {
    for (let c = 0; c < 3; c++) {
      const value = values[a + c];
      values[a + c] = values[b + c];
      values[b + c] = value;
    }
  }
}

/**
 * The mean of an estimate and of the one made for the transformed picture.
 * @param other in the layout of the transformed picture; overwritten with the mean
 * @returns `other`
 */
export function meanOfBoth(estimate: Float32Array, other: Float32Array, size: Size, symmetry: Symmetry): Float32Array {
  const mean = transform(other, size, symmetry);
  for (let i = 0; i < mean.length; i++) mean[i] = (mean[i] + estimate[i]) / 2;
  return mean;
}
