/** How a picture is cut into windows for a network, and put together again. */
import type { Size } from '../image/image.js';

/** How an image is cut for the network. Part of the model: another cut gives another xhat0. */
export interface Tiling {
  /** Largest side of a window in pixels, a multiple of the network's stride. */
  readonly tile: number;
  /** Least overlap of neighbouring windows in pixels. */
  readonly overlap: number;
}

/** Where windows lie along one axis. */
export interface WindowAxis {
  /** Window size after padding, a multiple of the stride. */
  readonly size: number;
  /** First pixel of each window. */
  readonly starts: readonly number[];
  /** Blending weight of each pixel of each window; they add up to 1 over the windows at every pixel of the image. */
  readonly weights: readonly Float64Array[];
}

/** Lays windows along an axis of `length` pixels, blended with linear ramps. */
export function layWindows(length: number, stride: number, { tile, overlap }: Tiling): WindowAxis {
  const count = length <= tile ? 1 : Math.ceil((length - overlap) / (tile - overlap));
  // No larger than so many windows have to be: the network's work is the sum of their areas.
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
 * Lays windows along an axis that overlap by `reach` pixels on both sides of what each of them gives: for a function that sees
 * no farther, so that the picture does not depend on its windows.
 * @param most largest size of a window
 */
export function layExactWindows(length: number, most: number, reach: number): WindowAxis {
  const count = Math.ceil(length / (most - 2 * reach));
  const core = Math.ceil(length / count);
  const size = core + 2 * reach;
  const starts = Array.from({ length: count }, (_, i) => i * core - reach);
  const weight = Float64Array.from({ length: size }, (_, j) => (j >= reach && j < reach + core ? 1 : 0));
  return { size, starts, weights: starts.map(() => weight) };
}

/** Index of the pixel that stands for pixel i when an axis is mirrored at its ends without repeating the edge. */
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
  /** Blending weights of its rows and columns, as many as it has. */
  readonly rowWeights: Float64Array;
  readonly columnWeights: Float64Array;
}

/** Windows of one size. */
export interface Windows extends Size {
  readonly windows: readonly Window[];
}

/** The windows of a picture whose axes are laid out so, from the top, in a row from the left. */
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
 * Calls for every pixel of a window, row by row, with the index of the picture's pixel that it shows, mirrored where it reaches beyond the
 * edges.
 * @param each pixel of the picture, pixel of the window
 */
export function eachPixel(window: Window, { width, height }: Size, each: (from: number, to: number) => void): void {
  const { top, left, rowWeights, columnWeights } = window;
  const columns = Int32Array.from(columnWeights, (_, x) => mirror(left + x, width));
  for (let y = 0, to = 0; y < rowWeights.length; y++) {
    const row = mirror(top + y, height) * width;
    for (let x = 0; x < columns.length; x++, to++) each(row + columns[x], to);
  }
}

/** Adds a window's values of three channels to an image, with its blending weights. */
export function blendWindow(values: Float32Array, window: Window, image: Float32Array, size: Size): void {
  eachWeighted(window, size, (from, to, weight) => {
    image[3 * to] += weight * values[3 * from];
    image[3 * to + 1] += weight * values[3 * from + 1];
    image[3 * to + 2] += weight * values[3 * from + 2];
  });
}

/**
 * Calls for every pixel of the picture that a window has a share of.
 * @param each pixel of the window, pixel of the picture, share
 */
export function eachWeighted(
  { top, left, rowWeights, columnWeights }: Window,
  { width, height }: Size,
  each: (from: number, to: number, weight: number) => void,
): void {
  for (let y = 0; y < rowWeights.length; y++) {
    if (rowWeights[y] === 0 || top + y >= height) continue;
    for (let x = 0; x < columnWeights.length; x++) {
      const weight = rowWeights[y] * columnWeights[x];
      if (weight > 0 && left + x < width) each(y * columnWeights.length + x, (top + y) * width + left + x, weight);
    }
  }
}
