/** Cuts a picture into windows for a network, and joins them again. */
import type { Size } from '../image/image.js';

/** How an image is cut for the network. Part of the model, because another cut gives another xhat0. */
export interface Tiling {
  /** Largest side of a window in pixels, a multiple of the network's stride. */
  readonly tile: number;
  /** Least overlap of neighbouring windows in pixels. */
  readonly overlap: number;
}

/** Largest tile in pixels. A window's memory grows with its area, and with attention even faster. */
export const MOST_TILE = 2048;

/** Where windows lie along one axis. */
export interface WindowAxis {
  /** Window size after padding, a multiple of the stride. */
  readonly size: number;
  /** First pixel of each window. */
  readonly starts: readonly number[];
  /** Blending weight of each pixel of each window; at every pixel of the image the weights of all windows add up to 1. */
  readonly weights: readonly Float64Array[];
}

/** Lays windows along an axis of `length` pixels, blended with linear ramps. */
export function layWindows(length: number, stride: number, { tile, overlap }: Tiling): WindowAxis {
  const count = length <= tile ? 1 : Math.ceil((length - overlap) / (tile - overlap));
  // No larger than this number of windows requires, because the network's work is the sum of their areas.
  const size = Math.ceil((length + (count - 1) * overlap) / count / stride) * stride;
  const starts = Array.from({ length: count }, (_, i) =>
    count === 1 ? 0 : Math.round((i * (length - size)) / (count - 1)),
  );
  const total = new Float64Array(length);
  const weights = starts.map((start, i) => {
    const before = i > 0 ? starts[i - 1] + size - start : 0;
    const after = i < count - 1 ? start + size - starts[i + 1] : 0;
    const weight = Float64Array.from({ length: size }, (_, j) =>
      Math.min(1, before ? (j + 0.5) / before : 1, after ? (size - j - 0.5) / after : 1),
    );
    for (let j = 0; j < size && start + j < length; j++) total[start + j] += weight[j];
    return weight;
  });
  weights.forEach((weight, i) => {
    for (let j = 0; j < size; j++) weight[j] = starts[i] + j < length ? weight[j] / total[starts[i] + j] : 0;
  });
  return { size, starts, weights };
}

/**
 * Lays windows along an axis so that they overlap by `reach` pixels on both sides of the part that each one
 * contributes. For a function that sees no farther, the result then does not depend on the windows. Windows begin at
 * even pixels and have even sizes, for functions that take pixels in pairs.
 * @param most largest size of a window, even
 * @param reach even
 */
export function layExactWindows(length: number, most: number, reach: number): WindowAxis {
  const fewest = Math.ceil(length / (most - 2 * reach));
  const core = 2 * Math.ceil(length / fewest / 2);
  const size = core + 2 * reach;
  const starts = Array.from({ length: Math.ceil(length / core) }, (_, i) => i * core - reach);
  const weight = Float64Array.from({ length: size }, (_, j) => (j >= reach && j < reach + core ? 1 : 0));
  return { size, starts, weights: starts.map(() => weight) };
}

/** Index of the pixel that replaces pixel i when an axis is mirrored at its ends without repeating the edge. */
export function mirror(i: number, length: number): number {
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const phase = Math.abs(i) % period;
  return phase < length ? phase : period - phase;
}

/** A window of an image. */
export interface Window {
  readonly top: number;
  readonly left: number;
  /** Blending weights of its rows and columns, one for each. */
  readonly rowWeights: Float64Array;
  readonly columnWeights: Float64Array;
}

/** Windows of one size. */
export interface Windows extends Size {
  readonly windows: readonly Window[];
}

/** All windows of a picture, for windows laid along both axes, in rows from the top and from the left within a row. */
export function windowsOf(across: WindowAxis, down: WindowAxis): Windows {
  const windows = down.starts.flatMap((top, row) =>
    across.starts.map((left, column) => ({
      top,
      left,
      rowWeights: down.weights[row],
      columnWeights: across.weights[column],
    })),
  );
  return { windows, width: across.size, height: down.size };
}

/**
 * Calls `each`, row by row, for every run of a window's pixels that are also adjacent in the picture. Beyond the edges
 * the window shows the picture mirrored.
 * @param each first pixel of the picture, first pixel of the window, number of pixels
 */
export function eachRun(
  { top, left, rowWeights, columnWeights }: Window,
  { width, height }: Size,
  each: (from: number, to: number, length: number) => void,
): void {
  const columns = columnWeights.length;
  const runs: { from: number; to: number; length: number }[] = [];
  for (let x = 0; x < columns; x++) {
    const from = mirror(left + x, width);
    const run = runs.at(-1);
    if (run && from === run.from + run.length) run.length++;
    else runs.push({ from, to: x, length: 1 });
  }
  for (let y = 0; y < rowWeights.length; y++) {
    const row = mirror(top + y, height) * width;
    for (const { from, to, length } of runs) each(row + from, y * columns + to, length);
  }
}

/** Adds a window's values, in three channels, to an image, with the window's blending weights. */
export function blendWindow(values: Float32Array, window: Window, image: Float32Array, size: Size): void {
  eachWeightedRun(window, size, (from, to, weights) => {
    for (let k = 0, v = 3 * from, i = 3 * to; k < weights.length; k++, v += 3, i += 3) {
      image[i] += weights[k] * values[v];
      image[i + 1] += weights[k] * values[v + 1];
      image[i + 2] += weights[k] * values[v + 2];
    }
  });
}

/**
 * Calls `each` for every row of the picture's pixels to which a window contributes.
 * @param each first pixel of the window, first pixel of the picture, blending weights, one per pixel, in an array that
 *   the next call overwrites
 */
export function eachWeightedRun(
  { top, left, rowWeights, columnWeights }: Window,
  { width, height }: Size,
  each: (from: number, to: number, weights: Float64Array) => void,
): void {
  const begin = columnWeights.findIndex((weight) => weight > 0);
  const end = Math.min(columnWeights.findLastIndex((weight) => weight > 0) + 1, width - left);
  if (begin < 0 || end <= begin) return;
  const weights = new Float64Array(end - begin);
  for (let y = 0; y < rowWeights.length; y++) {
    if (rowWeights[y] === 0 || top + y >= height) continue;
    for (let k = 0; k < weights.length; k++) weights[k] = rowWeights[y] * columnWeights[begin + k];
    each(y * columnWeights.length + begin, (top + y) * width + left + begin, weights);
  }
}
