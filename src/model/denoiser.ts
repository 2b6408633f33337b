/**
 * A denoiser computes xhat0 from x_t for images of any size. This one uses a U-Net, tile by tile.
 *
 * x_t is a single field over the whole image; only the network sees tiles. Tiles are windows of equal size on a regular
 * grid that overlap by at least `overlap` pixels. Their predictions are blended with linear ramps. An image smaller
 * than a tile is one window, mirrored to the next multiple of the network's stride; that padding is never coded.
 */

import { invalidArgument } from '../common/errors.js';
import type { Engine, Precision } from '../engine/engine.js';
import type { Size } from '../image/image.js';
import { networkAt } from './bands.js';
import { checkFinite, type NoisePredictor } from './network.js';
import { type Parameterization, paperParameterization, x0Coefficients } from './parameterization.js';
import type { Schedule } from './schedule.js';
import type { UpdateNetwork } from './update.js';
import { type Observation, openUpdates } from './updates.js';
import { openWindowed } from './windowed.js';
import { blendWindow, eachRun, layWindows, type Tiling, type Window, windowsOf } from './windows.js';

/** A noisy picture. */
export interface NoisyPicture extends Size {
  /** x_t: height * width * 3 values, rows from the top, channels interleaved. Not modified. */
  readonly xt: Float32Array;
  /** Timestep of x_t, 1..T. */
  readonly t: number;
  /** Signal-to-noise ratio of x_t where it differs slightly from that of the timestep. */
  readonly snr?: number;
  /** How detailed the picture is, from 0, smooth, to 3. The more detail, the later a model's pyramid begins. Default 2. */
  readonly detail?: number | undefined;
}

/** An evaluation of the network from which later states of the same chain can be computed. */
export interface NetworkEvaluation {
  /** As from `predictX0`, in an array owned by the evaluation. */
  readonly xhat0: Float32Array;
  /**
   * xhat0 of a later state, in [-1, 1], without asking the network: its last output, moved by the information that has
   * arrived since.
   * @param now a later state of the evaluation's chain: the same size, with less noise
   * @returns `into`
   * @throws as `predictX0`
   */
  move(now: NoisyPicture, options?: PredictOptions): Promise<Float32Array>;
}

/** Options of a request for xhat0. */
export interface PredictOptions {
  /** Where the result is written, in the layout of x_t but a different array; default: a new one. */
  readonly into?: Float32Array | undefined;
  /** When it is aborted, no more windows start. */
  readonly signal?: AbortSignal | undefined;
  /** Best quality, for a picture that is shown. Default: as good as is worth the work for a step of a chain. */
  readonly best?: boolean | undefined;
}

/** Computes xhat0, the expected picture without its noise. */
export interface Denoiser {
  /** Number of threads that concurrent calls keep busy. The result of a call does not depend on other calls. */
  readonly parallelism: number;
  /** Precision of the engine; another precision gives another xhat0. */
  readonly precision: Precision;
  /** See `Engine`: where it is set, the results cannot be used to code exact samples. */
  readonly approximate?: boolean;
  /**
   * xhat0 (Eq. 15), clipped to [-1, 1].
   * @returns `into`
   * @throws CodecError('usage') for a timestep or an array that does not fit, CodecError('model') where the network
   *   gives numbers that are not finite; the signal's reason when it is aborted
   */
  predictX0(picture: NoisyPicture, options?: PredictOptions): Promise<Float32Array>;
  /** The same, keeping the data that `move` needs; present where the model has an update. */
  evaluate?(picture: NoisyPicture, options?: Pick<PredictOptions, 'signal'>): Promise<NetworkEvaluation>;
  dispose(): Promise<void>;
}

/** A network with its update. */
export interface UpdatedNetwork {
  readonly update: UpdateNetwork;
  /** The network with a second output, which the update keeps. */
  readonly keeping: NoisePredictor;
}

/** Makes a denoiser around a network. The last few compiled functions are kept until `dispose`. */
export function createDenoiser(
  engine: Engine,
  network: NoisePredictor,
  schedule: Schedule,
  tiling: Tiling,
  { prediction }: Pick<Parameterization, 'prediction'> = paperParameterization,
  updated?: UpdatedNetwork,
): Denoiser {
  // The same function serves all evaluations, because each compiled function has threads and memory of its own.
  const asked = updated?.keeping ?? network;
  const { stride } = asked;
  const windowed = openWindowed(engine);

  /** @param take is called with the second output of each window */
  async function predict(
    picture: NoisyPicture,
    into: Float32Array,
    signal: AbortSignal | undefined,
    take?: (window: Window, output: Float32Array) => void,
  ): Promise<Float32Array> {
    checkPicture(picture, schedule);
    const { xt, width, height, t } = picture;
    const across = layWindows(width, stride, tiling);
    const down = layWindows(height, stride, tiling);
    const windows = windowsOf(across, down);
    const fillSample = (window: Window, to: Float32Array) =>
      eachRun(window, picture, (from, at, length) => to.set(xt.subarray(3 * from, 3 * (from + length)), 3 * at));
    into.fill(0);
    await windowed.run(
      await networkAt(asked, t),
      windows,
      [
        { shape: [windows.height, windows.width, 3], fill: fillSample },
        { shape: [], fill: (_, to) => to.fill(t - 1) },
      ],
      (window, [output, further]) => {
        checkFinite(output);
        blendWindow(firstChannels(output, output.length / (windows.width * windows.height)), window, into, picture);
        take?.(window, further);
      },
      signal,
    );
    const coefficients = x0Coefficients(schedule, prediction, t);
    for (let i = 0; i < into.length; i++) {
      into[i] = Math.max(-1, Math.min(1, coefficients.xt * xt[i] + coefficients.output * into[i]));
    }
    return into;
  }

  const denoiser: Denoiser = {
    parallelism: engine.parallelism,
    precision: engine.precision,
    ...(engine.approximate && { approximate: true }),
    predictX0: (picture, { into = new Float32Array(picture.xt.length), signal } = {}) => predict(picture, into, signal),
    dispose: () => windowed.dispose(),
  };
  if (!updated) return denoiser;

  const updates = openUpdates(engine, updated.update);
  const observationOf = ({ xt, t, snr }: NoisyPicture): Observation => ({
    values: xt,
    scale: 1 / Math.sqrt(schedule.alphasCumprod[t]),
    snr: snr ?? schedule.snr[t],
  });
  return {
    ...denoiser,
    async evaluate(picture, { signal } = {}) {
      const { width, height, xt } = picture;
      const kept = updates.emptyKept(picture);
      const keep = (window: Window, output: Float32Array) => updates.keep(output, window, kept, picture);
      const xhat0 = await predict(picture, new Float32Array(xt.length), signal, keep);
      const before = observationOf({ ...picture, xt: xt.slice() });
      const evaluated = { before, xhat0, kept, width, height };
      return {
        xhat0,
        async move(now, { into = new Float32Array(xt.length), signal } = {}) {
          checkPicture(now, schedule);
          return clip(await updates.move(evaluated, observationOf(now), into, signal));
        },
      };
    },
    async dispose() {
      await Promise.all([windowed, updates].map((part) => part.dispose()));
    },
  };
}

/** Clips to [-1, 1], in place. */
export function clip(values: Float32Array): Float32Array {
  for (let i = 0; i < values.length; i++) values[i] = Math.max(-1, Math.min(1, values[i]));
  return values;
}

function checkPicture({ xt, width, height, t }: NoisyPicture, { timesteps }: Schedule): void {
  if (!(Number.isInteger(t) && t >= 1 && t <= timesteps)) {
    throw invalidArgument('t', `an integer from 1 to ${timesteps}`, t);
  }
  if (xt.length !== width * height * 3) throw invalidArgument('xt', `${width * height * 3} values`, xt.length);
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
