/** From which pass on a drawing that has not come to its end is filled up: from where that is nearer to the picture. */
import type { RgbImage } from '../../image/image.js';
import { type Pass, passesOf } from '../drawing/passes.js';
import { MOST_FILLED } from '../lossless/tail-header.js';
import { ALLOWED_RISE } from './points.js';

/** Of squared errors. */
const ALLOWED_SQUARED_RISE = ALLOWED_RISE ** 2;

/** Squared errors where a pass has come to its end. */
interface PassErrors {
  /** Known pixels alone; what was shown before elsewhere. */
  readonly sparse: number;
  /** Known pixels stand for those around them. */
  readonly filled: number;
  /** Known pixels, elsewhere those of the pass before for what is around them. */
  readonly before: number;
}

/**
 * After how many of the last passes known pixels stand for those around them, so that no point is more than 1 % worse than the one before.
 * @param samples that are sent
 * @param shown of every pixel before it is known: R, G, B
 * @returns 0 where they never do; undefined where points become worse in any case
 */
export function fillingOf(image: RgbImage, samples: Uint8Array, shown: readonly number[]): number | undefined {
  const passes = passesOf(image);
  const errors = passes.map((pass, k) => errorsAfter(image, samples, shown, pass, passes[k - 1]));
  const last = passes.length - 1;
  let first = last;
  for (let k = last; k >= 0 && k >= last - MOST_FILLED; k--) {
    const { sparse, filled } = errors[k];
    const next = errors[k + 1];
    const goesOn =
      next === undefined ||
      (next.before <= filled * ALLOWED_SQUARED_RISE && next.filled <= next.before * ALLOWED_SQUARED_RISE);
    if (!goesOn) break;
    if (filled <= sparse * ALLOWED_SQUARED_RISE) first = k;
  }
  let before = errorOfShown(image, shown);
  for (const { sparse } of errors.slice(0, first)) {
    if (sparse > before * ALLOWED_SQUARED_RISE) return undefined;
    before = sparse;
  }
  return last - first;
}

function errorsAfter(
  { width, height, data, alpha }: RgbImage,
  samples: Uint8Array,
  shown: readonly number[],
  { after }: Pass,
  previous: Pass | undefined,
): PassErrors {
  let [sparse, filled, before] = [0, 0, 0];
  for (let y = 0, pixel = 0; y < height; y++) {
    const row = y - (y % after.down);
    const rowBefore = previous ? y - (y % previous.after.down) : 0;
    for (let x = 0; x < width; x++, pixel++) {
      if (alpha?.[pixel] === 0) continue;
      const column = x - (x % after.across);
      const isKnown = row === y && column === x;
      const from = (row * width + column) * 3;
      const fromBefore = previous ? (rowBefore * width + x - (x % previous.after.across)) * 3 : 0;
      for (let c = 0; c < 3; c++) {
        const sample = data[3 * pixel + c];
        const own = (sample - samples[from + c]) ** 2;
        filled += own;
        sparse += isKnown ? own : (sample - shown[c]) ** 2;
        before += isKnown ? own : (sample - (previous ? samples[fromBefore + c] : shown[c])) ** 2;
      }
    }
  }
  return { sparse, filled, before };
}

function errorOfShown({ data, alpha }: RgbImage, shown: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < data.length; i++) if (alpha?.[Math.floor(i / 3)] !== 0) sum += (data[i] - shown[i % 3]) ** 2;
  return sum;
}
