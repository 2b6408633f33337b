/** Measures how much of the gain of asking a network anew its update achieves, on pictures that neither has seen. */
import { gaussians, integerStream } from '../common/random.js';
import { mapAhead } from '../common/side-by-side.js';
import type { RgbImage } from '../image/image.js';
import { createDenoiser, type Denoiser, type NoisyPicture } from './denoiser.js';
import type { DiffusionModel } from './diffusion-model.js';
import type { Schedule } from './schedule.js';
import { type UNet, withUpdate } from './unet.js';
import type { UpdateNetwork } from './update.js';
import type { Tiling } from './windows.js';

/** Root mean squared errors of xhat0, in grey levels, over all pictures. */
export interface UpdateGain {
  readonly timestep: number;
  /** snr of the later state over that of the timestep. */
  readonly ratio: number;
  /** At the timestep of the evaluation. */
  readonly before: number;
  /** At the later state, for the network asked anew and for the update. */
  readonly asked: number;
  readonly updated: number;
  /**
   * Share of the network's gain in squared error that the update achieves: 1 is all of it; null where the network gains
   * nothing.
   */
  readonly share: number | null;
}

/** Timesteps to measure, as shares of T, and ratios. */
const NOISE_SHARES = [0.4, 0.24, 0.11, 0.045, 0.014];
const RATIOS = [1.2, 1.5, 2, 3];
const SEED = 'ddpm-codec/update-gain';

export async function measureUpdateGain(
  images: readonly RgbImage[],
  { engine, network, schedule, parameterization }: DiffusionModel & { readonly network: UNet },
  update: UpdateNetwork,
  { tiling, onProgress }: { readonly tiling: Tiling; readonly onProgress?: (fraction: number) => void },
): Promise<UpdateGain[]> {
  const updated = withUpdate(network, update);
  const denoiser = createDenoiser(engine, network, schedule, tiling, parameterization, updated);
  const timesteps = NOISE_SHARES.map((share) => Math.max(2, Math.round(share * schedule.timesteps)));
  const jobs = timesteps.flatMap((t) => images.map((image, i) => ({ t, image, name: `${SEED}/${t}/${i}` })));
  const sums = new Map(timesteps.map((t) => [t, RATIOS.map(() => ({ before: 0, asked: 0, updated: 0 }))]));
  let done = 0;
  try {
    const measure = async ({ t, image, name }: (typeof jobs)[number]) => ({
      t,
      errors: await errorsOf(image, t, denoiser, schedule, name),
    });
    for await (const { t, errors } of mapAhead(jobs, engine.parallelism, measure)) {
      sums.get(t)!.forEach((sum, i) => {
        for (const key of ['before', 'asked', 'updated'] as const) sum[key] += errors[i][key];
      });
      onProgress?.(++done / jobs.length);
    }
  } finally {
    await denoiser.dispose();
  }
  const values = images.reduce((sum, { data }) => sum + data.length, 0);
  const rmse = (sum: number) => 127.5 * Math.sqrt(sum / values);
  return timesteps.flatMap((timestep) =>
    sums.get(timestep)!.map(({ before, asked, updated: moved }, i) => ({
      ...{ timestep, ratio: RATIOS[i], before: rmse(before), asked: rmse(asked), updated: rmse(moved) },
      share: before > asked ? (before - moved) / (before - asked) : null,
    })),
  );
}

/** Squared errors of a picture for each ratio. */
async function errorsOf(image: RgbImage, t: number, denoiser: Denoiser, schedule: Schedule, name: string) {
  const { width, height, data } = image;
  const x0 = Float32Array.from(data, (level) => level / 127.5 - 1);
  const gaussian = gaussians(integerStream(name));
  const draw = () => Float32Array.from(x0, gaussian);
  const noise = draw();
  /** x at an snr, with noise of variance 1. */
  const stateAt = (snr: number, at: number, noiseAt: (i: number) => number): NoisyPicture => {
    const signal = Math.sqrt(schedule.alphasCumprod[at]);
    return {
      ...{ width, height, t: at, snr },
      xt: x0.map((value, i) => signal * (value + noiseAt(i) / Math.sqrt(snr))),
    };
  };
  const errorOf = (xhat0: Float32Array) => xhat0.reduce((sum, value, i) => sum + (value - x0[i]) ** 2, 0);
  const snr = schedule.snr[t];
  const evaluation = await denoiser.evaluate!(stateAt(snr, t, (i) => noise[i]));
  const before = errorOf(evaluation.xhat0);
  const errors: { before: number; asked: number; updated: number }[] = [];
  for (const ratio of RATIOS) {
    const further = draw();
    // The noise of the later state: the mean of y_t and the later observation, weighted by their precision.
    const [ofFirst, ofFurther] = [Math.sqrt(1 / ratio), Math.sqrt(1 - 1 / ratio)];
    const later = stateAt(
      ratio * snr,
      timestepAt(schedule, ratio * snr),
      (i) => ofFirst * noise[i] + ofFurther * further[i],
    );
    const asked = errorOf(await denoiser.predictX0(later));
    errors.push({ before, asked, updated: errorOf(await evaluation.move(later)) });
  }
  return errors;
}

/** The last timestep with at least this snr; the first timestep if there is none. */
function timestepAt({ snr, timesteps }: Schedule, least: number): number {
  let t = 1;
  while (t < timesteps && snr[t + 1] >= least) t++;
  return t;
}
