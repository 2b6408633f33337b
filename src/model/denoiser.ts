/**
 * A denoiser gives xhat0 from x_t for images of any size; this one asks a U-Net, tile by tile.
 *
 * x_t is one field over the whole image. Only the network sees tiles: windows of equal size on an even grid that overlap
 * by at least `overlap` pixels, whose predictions are blended with linear ramps. Images smaller than a tile are one
 * window, mirrored to the next multiple of the network's stride; that padding is never coded.
 */

import { invalidArgument } from '../common/errors.js';
import { type CompiledFunction, type Engine, type Precision, runAll } from '../engine/engine.js';
import type { Size } from '../image/image.js';
import { compileNetwork, type NoisePredictor } from './network.js';
import { type Parameterization, paperParameterization, x0Coefficients } from './parameterization.js';
import type { Schedule } from './schedule.js';

/** A picture in noise. */
export interface NoisyPicture extends Size {
  /** x_t: height * width * 3 values, rows from the top, channels interleaved. Not modified. */
  readonly xt: Float32Array;
  /** Timestep of x_t, 1..T. */
  readonly t: number;
}

/** How xhat0 is asked for. */
export interface PredictOptions {
  /** Where the result goes, of the layout of x_t but another array; default a new one. */
  readonly into?: Float32Array | undefined;
  /** When it is aborted no more windows are begun. */
  readonly signal?: AbortSignal | undefined;
}

/** Gives xhat0, the picture as it is expected to be without its noise. */
export interface Denoiser {
  /** Threads that calls side by side keep busy. What a call gives does not depend on others. */
  readonly parallelism: number;
  /** What the engine computes in; another one gives another xhat0. */
  readonly precision: Precision;
  /**
   * xhat0 (Eq. 15), clipped to [-1, 1].
   * @returns `into`
   * @throws CodecError('usage') for a timestep or an array that does not fit, CodecError('model') where the network gives something
   *   else than finite numbers; the signal's reason when it is aborted
   */
  predictX0(picture: NoisyPicture, options?: PredictOptions): Promise<Float32Array>;
  dispose(): Promise<void>;
}

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

/** Lays windows along an axis of `length` pixels. */
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

/** Index of the pixel that stands for pixel i when an axis is mirrored at its ends without repeating the edge. */
export function mirror(i: number, length: number): number {
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const phase = i % period;
  return phase < length ? phase : period - phase;
}

/** Compiled functions that are kept, one for each size of window: pictures of many sizes must not fill the memory. */
const MOST_COMPILED = 6;

interface PredictInto {
  readonly into: Float32Array;
  readonly signal: AbortSignal | undefined;
}

interface Compiled {
  readonly fn: Promise<CompiledFunction>;
  /** Calls that use it; it is not disposed under them. */
  users: number;
}

/** A denoiser around a network. The last few functions that were compiled are kept until `dispose`. */
export function createDenoiser(
  engine: Engine,
  network: NoisePredictor,
  schedule: Schedule,
  tiling: Tiling,
  { prediction }: Pick<Parameterization, 'prediction'> = paperParameterization,
): Denoiser {
  /** The latest use last. */
  const compiled = new Map<string, Compiled>();
  /** Calls that go on. */
  let calls = 0;

  async function withCompiled(
    shape: readonly [batch: number, height: number, width: number],
    parallel: boolean,
    work: (fn: CompiledFunction) => Promise<void>,
  ): Promise<void> {
    const key = `${shape.join('x')}${parallel ? ' parallel' : ''}`;
    const entry = compiled.get(key) ?? {
      fn: compileNetwork(engine, network, shape, { parallel }),
      users: 0,
    };
    compiled.delete(key);
    compiled.set(key, entry);
    entry.users++;
    try {
      await work(await entry.fn);
    } finally {
      entry.users--;
      await disposeOldest(MOST_COMPILED);
    }
  }

  /** Keeps so many functions and those that are in use. */
  async function disposeOldest(keep: number): Promise<void> {
    const idle = [...compiled].filter(([, { users }]) => users === 0);
    const old = idle.slice(0, Math.max(0, compiled.size - keep));
    for (const [key] of old) compiled.delete(key);
    await Promise.all(
      old.map(([, { fn }]) =>
        fn.then(
          (compiled) => compiled.dispose(),
          () => {},
        ),
      ),
    );
  }

  async function predict(picture: NoisyPicture, { into, signal }: PredictInto): Promise<Float32Array> {
    const { xt, width, height, t } = picture;
    if (!(Number.isInteger(t) && t >= 1 && t <= schedule.timesteps)) {
      throw invalidArgument('t', `an integer from 1 to ${schedule.timesteps}`, t);
    }
    if (xt.length !== width * height * 3) throw invalidArgument('xt', `${width * height * 3} values`, xt.length);
    const across = layWindows(width, network.stride, tiling);
    const down = layWindows(height, network.stride, tiling);
    const windows: Window[] = down.starts.flatMap((top, row) =>
      across.starts.map((left, column) => ({
        top,
        left,
        rowWeights: down.weights[row],
        columnWeights: across.weights[column],
      })),
    );
    const batch = Math.min(engine.batch, windows.length);
    // A window alone is run on all threads; several, of one image or of many, on a thread each.
    const parallel = windows.length > batch || (calls > 1 && engine.parallelism > 1);
    const values = down.size * across.size * 3;
    const timestep = new Float32Array(batch).fill(t - 1);
    const groups = Array.from({ length: Math.ceil(windows.length / batch) }, (_, i) =>
      windows.slice(i * batch, (i + 1) * batch),
    );
    function* samples(): Generator<Float32Array[]> {
      for (const group of groups) {
        signal?.throwIfAborted();
        const sample = new Float32Array(batch * values);
        group.forEach((window, i) => {
          cutWindow(picture, window, sample.subarray(i * values, (i + 1) * values));
        });
        yield [sample, timestep];
      }
    }
    into.fill(0);
    await withCompiled([batch, down.size, across.size], parallel, async (fn) => {
      let done = 0;
      for await (const [output] of runAll(engine, fn, samples(), signal)) {
        const predicted = firstChannels(output, fn.outputShapes[0][3]);
        groups[done++].forEach((window, i) => {
          blendWindow(predicted.subarray(i * values, (i + 1) * values), window, into, picture);
        });
      }
    });
    const coefficients = x0Coefficients(schedule, prediction, t);
    for (let i = 0; i < into.length; i++) {
      into[i] = Math.max(-1, Math.min(1, coefficients.xt * xt[i] + coefficients.output * into[i]));
    }
    return into;
  }

  return {
    parallelism: engine.parallelism,
    precision: engine.precision,
    async predictX0(picture, { into = new Float32Array(picture.xt.length), signal } = {}) {
      signal?.throwIfAborted();
      calls++;
      try {
        return await predict(picture, { into, signal });
      } finally {
        calls--;
      }
    },
    dispose: () => disposeOldest(0),
  };
}

/** The first three of a network's output channels; a learned variance is in the others. */
function firstChannels(output: Float32Array, channels: number): Float32Array {
  if (channels === 3) return output;
  const first = new Float32Array((output.length / channels) * 3);
  for (let from = 0, to = 0; from < output.length; from += channels, to += 3) {
    first[to] = output[from];
    first[to + 1] = output[from + 1];
    first[to + 2] = output[from + 2];
  }
  return first;
}

/** A window of an image. */
interface Window {
  readonly top: number;
  readonly left: number;
  /** Blending weights of its rows and columns, as many as it has. */
  readonly rowWeights: Float64Array;
  readonly columnWeights: Float64Array;
}

/** Copies a window of x_t, mirrored where it reaches beyond the right or lower edge. */
function cutWindow({ xt, width, height }: NoisyPicture, window: Window, into: Float32Array): void {
  const { top, left, rowWeights, columnWeights } = window;
  for (let y = 0, o = 0; y < rowWeights.length; y++) {
    const row = mirror(top + y, height) * width;
    for (let x = 0; x < columnWeights.length; x++, o += 3) {
      const i = (row + mirror(left + x, width)) * 3;
      into[o] = xt[i];
      into[o + 1] = xt[i + 1];
      into[o + 2] = xt[i + 2];
    }
  }
}

/** Adds a window's values to an image with its blending weights. */
function blendWindow(values: Float32Array, window: Window, image: Float32Array, { width, height }: Size): void {
  const { top, left, rowWeights, columnWeights } = window;
  for (let y = 0; y < rowWeights.length && top + y < height; y++) {
    for (let x = 0; x < columnWeights.length && left + x < width; x++) {
      const weight = rowWeights[y] * columnWeights[x];
      const from = (y * columnWeights.length + x) * 3;
      const to = ((top + y) * width + left + x) * 3;
      image[to] += weight * values[from];
      image[to + 1] += weight * values[from + 1];
      image[to + 2] += weight * values[from + 2];
    }
  }
}
