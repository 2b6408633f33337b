/**
 * Multi-scale structural similarity (Wang, Simoncelli & Bovik, Asilomar 2003), in the variant that papers on learned
 * codecs report: that of pytorch_msssim, which CompressAI uses. It has five scales and an 11-tap Gaussian window,
 * applied only where it fits entirely inside the image. Each channel of RGB is measured by itself; the result is their
 * mean. Images are halved by averaging 2x2 pixels. An odd number of rows gets a row of zeros in front, an odd number of
 * columns a column of zeros.
 *
 * No library on npm computes this measure: `@blazediff/ssim` takes the luma, reflects at the borders and halves another
 * way, `image-ms-ssim` (2015) uses blocks instead of the window, `ssim.js` has one scale.
 */
import { CodecError } from '../common/errors.js';
import { checkOpaque } from './alpha.js';
import { checkImage, checkSameSize, checkSides, type RgbImage, type Size } from './image.js';

/** Exponents of the scales, the finest first (Wang et al. 2003, section 3.2). */
const WEIGHTS = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
const TAPS = 11;
const SIGMA = 1.5;
/** (K L)^2 of luminance and of contrast, with K of 0.01 and 0.03 and values of 0..255. */
const C1 = (0.01 * 255) ** 2;
const C2 = (0.03 * 255) ** 2;

/** Both sides of a picture must have more pixels than this, so that the window fits at the coarsest scale. */
export const MS_SSIM_SIDE = (TAPS - 1) * 2 ** (WEIGHTS.length - 1);

/** The window along one axis; its sum is 1. */
const WINDOW = gaussianWindow();

/** One channel of a picture, row by row; values of 0..255. */
interface Plane {
  readonly width: number;
  readonly height: number;
  readonly data: Float64Array;
}

/**
 * MS-SSIM of two pictures, 0..1; 1 for equal ones. The order does not matter.
 * @throws CodecError `image` when their sizes differ, one is transparent, or a side has 160 pixels or fewer
 */
export function msSsim(a: RgbImage, b: RgbImage): number {
  for (const image of [a, b]) checkImage(image);
  if (!hasMsSsim(a)) {
    const expected = `expected sides of more than ${MS_SSIM_SIDE} pixels, for five scales of an ${TAPS}-pixel window`;
    throw new CodecError('image', `MS-SSIM: ${expected}, got ${a.width}x${a.height}`);
  }
  return meanOfChannels(a, b, ofPlanes);
}

/**
 * SSIM of two pictures (Wang, Bovik, Sheikh & Simoncelli 2004), -1..1: one scale of {@link msSsim}, for pictures too small
 * for five. The order does not matter.
 * @throws CodecError `image` when their sizes differ, one is transparent, or a side has fewer pixels than the window
 */
export function ssim(a: RgbImage, b: RgbImage): number {
  for (const image of [a, b]) checkImage(image);
  if (!hasSsim(a)) {
    throw new CodecError('image', `SSIM: expected sides of ${TAPS} pixels or more, got ${a.width}x${a.height}`);
  }
  return meanOfChannels(a, b, (one, other) => meanSimilarity(one, other).similarity);
}

/** Whether a picture is large enough for {@link ssim}. */
export function hasSsim(size: Size): boolean {
  checkSides(size);
  return Math.min(size.width, size.height) >= TAPS;
}

/** Whether a picture is large enough for {@link msSsim}. */
export function hasMsSsim(size: Size): boolean {
  checkSides(size);
  return Math.min(size.width, size.height) > MS_SSIM_SIDE;
}

/** MS-SSIM as it is plotted, -10 log10(1 - x) in dB; Infinity for 1. */
export function msSsimDecibels(value: number): number {
  return 10 * Math.log10(1 / (1 - value));
}

function meanOfChannels(a: RgbImage, b: RgbImage, compare: (a: Plane, b: Plane) => number): number {
  for (const image of [a, b]) checkOpaque(image, 'SSIM');
  checkSameSize(a, b);
  const [red, green, blue] = [0, 1, 2].map((c) => compare(channel(a, c), channel(b, c)));
  return (red + green + blue) / 3;
}

function ofPlanes(a: Plane, b: Plane): number {
  let product = 1;
  for (const [scale, weight] of WEIGHTS.entries()) {
    const { contrast, similarity } = meanSimilarity(a, b);
    const last = scale === WEIGHTS.length - 1;
    // Opposite structure gives negative means, which cannot be raised to a fractional power; they count as no
    // similarity.
    product *= Math.max(0, last ? similarity : contrast) ** weight;
    if (!last) [a, b] = [downsample(a), downsample(b)];
  }
  return product;
}

/**
 * Means over all positions of the window. `contrast` is that of contrast and structure, (2 cov + C2) / (var a + var b +
 * C2); `similarity` is that of the same times luminance, (2 mean a mean b + C1) / (mean a ^2 + mean b ^2 + C1).
 */
function meanSimilarity(a: Plane, b: Plane): { contrast: number; similarity: number } {
  const width = a.width - TAPS + 1;
  const height = a.height - TAPS + 1;
  // The latest rows, smoothed from left to right: a, b, a^2 + b^2 and ab, one after the other. Four quantities are
  // enough, because only the sum of the variances is needed.
  const rows = Array.from({ length: TAPS }, () => new Float64Array(4 * width));
  const products = [2, 3].map(() => new Float64Array(a.width));
  const sums = new Float64Array(4 * width);
  let contrast = 0;
  let similarity = 0;
  for (let y = 0; y < a.height; y++) {
    smoothRow(a, b, y, products, rows[y % TAPS]);
    const top = y - TAPS + 1;
    if (top < 0) continue;
    sums.fill(0);
    for (let k = 0; k < TAPS; k++) {
      const row = rows[(top + k) % TAPS];
      const weight = WINDOW[k];
      for (let i = 0; i < sums.length; i++) sums[i] += weight * row[i];
    }
    for (let x = 0; x < width; x++) {
      const meanA = sums[x];
      const meanB = sums[width + x];
      const squares = meanA * meanA + meanB * meanB;
      const product = 2 * meanA * meanB;
      const here = (2 * sums[3 * width + x] - product + C2) / (sums[2 * width + x] - squares + C2);
      contrast += here;
      similarity += (here * (product + C1)) / (squares + C1);
    }
  }
  return { contrast: contrast / (width * height), similarity: similarity / (width * height) };
}

/** Row y of a, b, a^2 + b^2 and ab under the window, into `out`; `products` is room for two rows. */
function smoothRow(a: Plane, b: Plane, y: number, products: readonly Float64Array[], out: Float64Array): void {
  const rowA = a.data.subarray(y * a.width, (y + 1) * a.width);
  const rowB = b.data.subarray(y * a.width, (y + 1) * a.width);
  const [squares, cross] = products;
  for (let x = 0; x < a.width; x++) {
    squares[x] = rowA[x] * rowA[x] + rowB[x] * rowB[x];
    cross[x] = rowA[x] * rowB[x];
  }
  const width = a.width - TAPS + 1;
  [rowA, rowB, squares, cross].forEach((row, i) => {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let k = 0; k < TAPS; k++) sum += WINDOW[k] * row[x + k];
      out[i * width + x] = sum;
    }
  });
}

/** Averages of 2x2 pixels. An odd side gets zeros in front of it, and the zeros count, as in pytorch_msssim. */
function downsample(plane: Plane): Plane {
  const oddX = plane.width % 2;
  const oddY = plane.height % 2;
  const width = (plane.width + oddX) / 2;
  const height = (plane.height + oddY) / 2;
  const data = new Float64Array(width * height);
  for (let y = 0; y < plane.height; y++) {
    const row = ((y + oddY) >> 1) * width;
    for (let x = 0; x < plane.width; x++) data[row + ((x + oddX) >> 1)] += plane.data[y * plane.width + x] / 4;
  }
  return { width, height, data };
}

function channel({ width, height, data }: RgbImage, c: number): Plane {
  const values = new Float64Array(width * height);
  for (let i = 0; i < values.length; i++) values[i] = data[3 * i + c];
  return { width, height, data: values };
}

function gaussianWindow(): Float64Array {
  const window = Float64Array.from({ length: TAPS }, (_, i) =>
    Math.exp(-((i - (TAPS - 1) / 2) ** 2) / (2 * SIGMA ** 2)),
  );
  const sum = window.reduce((a, b) => a + b);
  return window.map((value) => value / sum);
}
