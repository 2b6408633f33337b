/** Measures how long work with a model takes, and how much of that is the network's. */
import { integerStream } from '../common/random.js';
import type { Size } from '../image/image.js';
import type { Denoiser } from './denoiser.js';
import type { NoisePredictor } from './network.js';
import { type Pyramid, workAt } from './pyramid.js';
import type { Schedule } from './schedule.js';
import { layWindows, type Tiling } from './windows.js';

export interface Timed<R> {
  readonly result: R;
  readonly seconds: number;
  /** Time during which the network or its update was running; concurrent calls count once. */
  readonly networkSeconds: number;
}

/** @param work gets a copy of the model whose network is timed */
export async function timeWork<M extends { readonly denoiser: Denoiser }, R>(
  model: M,
  work: (model: M) => Promise<R>,
): Promise<Timed<R>> {
  let milliseconds = 0;
  /** Number of running calls, and the time since which there has been at least one. */
  let calls = 0;
  let since = 0;
  const timed = async <T>(call: () => Promise<T>): Promise<T> => {
    if (calls++ === 0) since = performance.now();
    try {
      return await call();
    } finally {
      if (--calls === 0) milliseconds += performance.now() - since;
    }
  };
  const given = model.denoiser;
  const denoiser: Denoiser = {
    ...given,
    predictX0: (...args) => timed(() => given.predictX0(...args)),
    ...(given.evaluate && {
      async evaluate(...args) {
        const evaluation = await timed(() => given.evaluate!(...args));
        return { ...evaluation, move: (...now) => timed(() => evaluation.move(...now)) };
      },
    }),
  };
  const start = performance.now();
  const result = await work({ ...model, denoiser });
  return { result, seconds: (performance.now() - start) / 1000, networkSeconds: milliseconds / 1000 };
}

/** The part of a model whose network is timed. */
interface TimedModel {
  readonly denoiser: Denoiser;
  readonly network: NoisePredictor;
  readonly schedule: Schedule;
  readonly tiling: Tiling;
  readonly pyramid?: Pyramid;
}

/** Windows on each side of the picture whose evaluation is timed; more where there are more threads. */
const TIMED_SIDE = 4;
/** Timestep of that picture, as a share of T: the network is asked at full size there. */
const TIMED_AT = 0.03;

/**
 * Times the network, after a first run that compiles it.
 * @returns seconds of an evaluation on a picture of a size
 * @throws as the denoiser
 */
export async function timeNetwork({
  denoiser,
  network: { stride },
  schedule,
  tiling,
  pyramid,
}: TimedModel): Promise<(size: Size) => number> {
  const across = Math.max(TIMED_SIDE, Math.ceil(Math.sqrt(2 * denoiser.parallelism)));
  const side = across * tiling.tile - (across - 1) * tiling.overlap;
  const size = { width: side, height: side };
  const t = Math.round(TIMED_AT * schedule.timesteps);
  const stream = integerStream('network-time');
  const xt = Float32Array.from({ length: side * side * 3 }, () => stream() / 2 ** 31);
  const areaOf = ({ width, height }: Size) => {
    const [columns, rows] = [width, height].map((length) => layWindows(length, stride, tiling));
    return columns.starts.length * columns.size * rows.starts.length * rows.size;
  };
  let seconds = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 3; run++) {
    const start = performance.now();
    await denoiser.predictX0({ xt, ...size, t });
    // The first one has compiled it.
    if (run > 0) seconds = Math.min(seconds, (performance.now() - start) / 1000);
  }
  const ofArea = seconds / workAt(pyramid, schedule, { ...size, t }) / areaOf(size);
  return (of) => ofArea * areaOf(of);
}
