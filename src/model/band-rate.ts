/** Measures the rate of a noise band, which weights of its own are meant to lower. */
import { checkList } from '../common/arguments.js';
import { integerStream } from '../common/random.js';
import { mapAhead } from '../common/side-by-side.js';
import type { RgbImage } from '../image/image.js';
import { toUnit } from '../image/pixels.js';
import type { Band } from './bands.js';
import type { Denoiser } from './denoiser.js';
import { denoisingError } from './denoising.js';
import type { Schedule } from './schedule.js';

/** Number of timesteps at which each picture is denoised, evenly spaced in log snr. */
const STRATA = 8;
const SEED = 'ddpm-codec/band-rate';

/**
 * Bits per dimension that an ideal coder with infinitely short steps spends between the ends of a band: half the
 * squared error of xhat0, integrated over the signal-to-noise ratio.
 * @param images of any size, preferably ones that training has not seen
 * @returns the rate of each image; the noise is the same for all denoisers, so that two denoisers can be compared in
 *   pairs
 */
export async function measureBandRate(
  images: readonly RgbImage[],
  model: { readonly denoiser: Denoiser; readonly schedule: Schedule },
  band: Band,
  { onProgress }: { readonly onProgress?: (fraction: number) => void } = {},
): Promise<number[]> {
  checkList('images', images);
  const { schedule, denoiser } = model;
  const range = Math.log(schedule.snr[band.least] / schedule.snr[band.most]);
  const timesteps = Array.from({ length: STRATA }, (_, i) =>
    timestepNear(schedule, band, Math.log(schedule.snr[band.most]) + (range * (i + 0.5)) / STRATA),
  );
  const rates = images.map(() => 0);
  const jobs = images.flatMap((image, i) => timesteps.map((t, k) => ({ image, i, t, name: `${SEED}/${i}/${k}` })));
  const measured = mapAhead(jobs, denoiser.parallelism, async ({ image: { data, width, height }, i, t, name }) => {
    const error = await denoisingError({ x0: toUnit(data), width, height }, t, model, integerStream(name));
    return { i, nats: (0.5 * range * schedule.snr[t] * error) / data.length / STRATA };
  });
  let done = 0;
  for await (const { i, nats } of measured) {
    rates[i] += nats / Math.LN2;
    onProgress?.(++done / jobs.length);
  }
  return rates;
}

/** The timestep of a band with the nearest log snr. */
function timestepNear({ snr }: Schedule, { least, most }: Band, logSnr: number): number {
  let t = least;
  while (t < most && Math.log(snr[t] * snr[t + 1]) > 2 * logSnr) t++;
  return t;
}
