/** Finds the pass from which an incomplete drawing is shown filled, because that is nearer to the picture. */
import type { RgbImage } from '../../image/image.js';
import { type Pass, POINT_PIXELS, passesOf, pixelsOf } from '../drawing/passes.js';
import { MOST_FILLED } from '../lossless/tail-header.js';
import { ALLOWED_RISE } from './points.js';

/** The allowed rise of squared errors. */
const ALLOWED_SQUARED_RISE = ALLOWED_RISE ** 2;

/** Squared errors at the end of a pass. */
interface PassErrors {
  /** Known pixels alone; the rest as shown before. */
  readonly sparse: number;
  /** Known pixels stand for those around them. */
  readonly filled: number;
  /** Known pixels; elsewhere the known pixels of the pass before, standing for those around them. */
  readonly before: number;
}

/**
 * Finds after how many of the last passes known pixels should stand for those around them, so that no point is more
 * than 1 % worse than the one before.
 * @param samples the samples that are sent
 * @param shown colour of every pixel before it is known: R, G, B
 * @returns 0 where they never should; undefined where points get worse in any case
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
  const filledFrom = first < last ? first + 1 : passes.length;
  return pointsRise(image, samples, shown, passes, errors, filledFrom) ? undefined : last - first;
}

/**
 * Whether a point is worse than the one before. A coarse drawing can make pixels worse one after another and yet end a
 * pass no worse than it began.
 * @param errors after each pass
 * @param filledFrom number of the first pass during which known pixels stand for those around them
 */
function pointsRise(
  image: RgbImage,
  samples: Uint8Array,
  shown: readonly number[],
  passes: readonly Pass[],
  errors: readonly PassErrors[],
  filledFrom: number,
): boolean {
  const { width, height, data, alpha } = image;
  const errorOf = (pixel: number, picture: ArrayLike<number>, at: number) => {
    if (alpha?.[pixel] === 0) return 0;
    let sum = 0;
    for (let c = 0; c < 3; c++) sum += (data[3 * pixel + c] - picture[at + c]) ** 2;
    return sum;
  };
  let error = errorOfShown(image, shown);
  let before = error;
  let known = 0;
  const isWorse = () => {
    const worse = error > before * ALLOWED_SQUARED_RISE;
    before = error;
    return worse;
  };
  for (const [k, pass] of passes.entries()) {
    const { top, left, down, across } = pass;
    const { down: rows, across: columns } = passes[Math.max(0, k - 1)].after;
    let missing = pixelsOf(pass, image);
    for (let y = top; y < height; y += down) {
      for (let x = left; x < width; x += across) {
        const pixel = y * width + x;
        error += errorOf(pixel, samples, 3 * pixel);
        error -=
          k >= filledFrom
            ? errorOf(pixel, samples, 3 * ((y - (y % rows)) * width + x - (x % columns)))
            : errorOf(pixel, shown, 0);
        // The image is filled anew when a pass ends.
        if (--missing === 0) error = k + 1 >= filledFrom ? errors[k].filled : errors[k].sparse;
        if (++known % POINT_PIXELS === 0 && isWorse()) return true;
      }
    }
  }
  return isWorse();
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
