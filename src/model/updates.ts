/** Runs the update (`update.ts`) on pictures. */
import type { Engine } from '../engine/engine.js';
import type { Size } from '../image/image.js';
import { checkFinite } from './network.js';
import { levelsOf, OBSERVED_CHANNELS, outputScale, UPDATE_REACH, type UpdateNetwork } from './update.js';
import { openWindowed, type WindowInput } from './windowed.js';
import {
  blendWindow,
  eachRun,
  eachWeightedRun,
  layExactWindows,
  type Window,
  type Windows,
  windowsOf,
} from './windows.js';

/** Largest side of a window, in pixels. The result does not depend on it. */
const LARGEST_WINDOW = 288;
/** Kept data of an evaluation are rounded to multiples of 1 / KEPT_SCALE, within ±16. This takes half the memory of floats. */
const KEPT_SCALE = 2048;
const KEPT_UNIT = 1 / KEPT_SCALE;
const MOST_KEPT = 2 ** 15 - 1;

/** A noisy picture as an observation. */
export interface Observation {
  /** x: height * width * 3 values. */
  readonly values: Float32Array;
  /** 1 / sqrt(abar), the factor from x to y; y is the picture with noise added. */
  readonly scale: number;
  /** 1 / variance of the noise in y. */
  readonly snr: number;
}

/** An evaluation that updates start from. */
export interface Evaluated extends Size {
  /** x_t, as the network was asked. */
  readonly before: Observation;
  /** xhat0 of the network, or blended with that of other sizes. */
  readonly xhat0: Float32Array;
  /** Made by {@link Updates.emptyKept}, filled by {@link Updates.keep}. */
  readonly kept: Int16Array;
}

/** The update on an engine. */
export interface Updates {
  /** A buffer for an evaluation's kept data: `shape.kept` values per pixel. */
  emptyKept(size: Size): Int16Array;
  /**
   * Adds the kept data of a window.
   * @param values [height, width, kept]; the window's weights are applied
   */
  keep(values: Float32Array, window: Window, kept: Int16Array, size: Size): void;
  /**
   * xhat0 of a later state, not clipped.
   * @param into where the result is written; must not be an array of `evaluated`
   * @returns `into`
   * @throws CodecError('model') where the network gives numbers that are not finite; the signal's reason
   */
  move(evaluated: Evaluated, now: Observation, into: Float32Array, signal?: AbortSignal): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/** The windows in which a picture is updated. */
export function updateWindows({ width, height }: Size): Windows {
  const [across, down] = [width, height].map((length) => layExactWindows(length, LARGEST_WINDOW, UPDATE_REACH));
  return windowsOf(across, down);
}

/** Opens an update on an engine. */
export function openUpdates(engine: Engine, update: UpdateNetwork): Updates {
  const windowed = openWindowed(engine);
  const channels = update.shape.kept;
  return {
    emptyKept: ({ width, height }) => new Int16Array(width * height * channels),
    keep(values, window, kept, size) {
      eachWeightedRun(window, size, (from, to, weights) => {
        for (let k = 0, i = from * channels, o = to * channels; k < weights.length; k++) {
          const share = KEPT_SCALE * weights[k];
          for (let c = 0; c < channels; c++, i++, o++) {
            const sum = kept[o] + Math.floor(share * values[i] + 0.5);
            kept[o] = sum > MOST_KEPT ? MOST_KEPT : sum < -MOST_KEPT ? -MOST_KEPT : sum;
          }
        }
      });
    },
    async move(evaluated, now, into, signal) {
      const { before, xhat0, kept } = evaluated;
      const windows = updateWindows(evaluated);
      const levels = levelsOf(before.snr, now.snr);
      const inputs: WindowInput[] = [
        {
          shape: [windows.height, windows.width, channels],
          fill: (window, to) =>
            eachRun(window, evaluated, (from, at, length) =>
              takeKept(kept.subarray(from * channels, (from + length) * channels), to, at * channels),
            ),
        },
        {
          shape: [windows.height, windows.width, OBSERVED_CHANNELS],
          fill: (window, to) => observe(evaluated, now, window, to),
        },
        { shape: [levels.length], fill: (_, to) => to.set(levels) },
      ];
      into.fill(0);
      const take = (window: Window, [output]: readonly Float32Array[]) => {
        checkFinite(output);
        blendWindow(output, window, into, evaluated);
      };
      await windowed.run(update, windows, inputs, take, signal);
      const scale = outputScale(now.snr);
      for (let i = 0; i < into.length; i++) into[i] = xhat0[i] + scale * into[i];
      return into;
    },
    dispose: () => windowed.dispose(),
  };
}

/** A loop of its own, which is three times as fast as one in a closure. */
function takeKept(kept: Int16Array, into: Float32Array, at: number): void {
  for (let i = 0; i < kept.length; i++) into[at + i] = kept[i] * KEPT_UNIT;
}

/** The inputs of an update in a window: xhat0, and the differences of u and y_t from it, in standard deviations of their noise. */
function observe(evaluated: Evaluated, now: Observation, window: Window, into: Float32Array): void {
  const { before, xhat0 } = evaluated;
  const gain = now.snr - before.snr;
  const ofNow = (now.snr * now.scale) / gain;
  const ofBefore = (before.snr * before.scale) / gain;
  const ofU = Math.sqrt(gain);
  const ofY = Math.sqrt(before.snr);
  const { scale, values: earlier } = before;
  const { values } = now;
  eachRun(window, evaluated, (from, at, length) => {
    for (let i = 3 * from, o = OBSERVED_CHANNELS * at; i < 3 * (from + length); o += OBSERVED_CHANNELS) {
      for (let c = 0; c < 3; c++, i++) {
        const mean = xhat0[i];
        into[o + c] = mean;
        into[o + c + 3] = ofU * (ofNow * values[i] - ofBefore * earlier[i] - mean);
        into[o + c + 6] = ofY * (scale * earlier[i] - mean);
      }
    }
  });
}
