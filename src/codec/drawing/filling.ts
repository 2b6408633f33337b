/** Fills images of which some passes are known: each known pixel stands for those below and to the right of it. */
import type { Size } from '../../image/image.js';
import type { Pass } from './passes.js';

/**
 * Fills the unknown pixels.
 * @param colours -1 where unknown
 * @param pass the last finished pass
 */
export function fill(colours: Int32Array, { width, height }: Size, { after }: Pass): Int32Array {
  const filled = colours.slice();
  for (let y = 0, i = 0; y < height; y++) {
    const row = (y - (y % after.down)) * width;
    for (let x = 0; x < width; x++, i++) if (filled[i] < 0) filled[i] = colours[row + x - (x % after.across)];
  }
  return filled;
}
