/**
 * What an ideal coder would need with the same model: a coder that sends a sample of q(x_s|x_t, x_0) with exactly
 * KL(q||p) bits.
 *
 * There are two ways to compute the sum, which agree as far as the model's chain follows q. `independent` is how the
 * authors of the paper computed figure 5 and table 4: a fresh x_t ~ q(x_t|x_0) for every t. `chain` is one run through
 * the steps of a file.
 */
import { Chain } from '../codec/chain.js';
import { readLayout } from '../codec/format/layout.js';
import type { CodecModel } from '../codec/model.js';
import { gaussians, type IntegerStream } from '../common/random.js';
import type { RgbImage } from '../image/image.js';
import { psnrOfRmse, rmse } from '../image/metrics.js';
import { fromUnit, toUnit } from '../image/pixels.js';
import { denoisingError } from '../model/denoising.js';
import { jumpKlBits } from '../model/schedule.js';

export interface TheoryPoint {
  /** Timestep reached. */
  readonly t: number;
  /** Sum of KL(q||p) from T down to t. */
  readonly klBits: number;
  /** klBits / (width height 3). */
  readonly bitsPerDim: number;
  /** klBits / (width height). */
  readonly bpp: number;
  /** RMSE of xhat0(x_t), in grey levels. */
  readonly rmse: number;
  /** In dB, of that RMSE. */
  readonly psnr: number;
  readonly msSsim: null;
}

/**
 * Number of timesteps besides T at which {@link independentCurve} runs the network: evenly spaced in log snr, up to
 * rounding.
 */
const NOISE_LEVELS = 64;

/**
 * KL(q||p) of all steps t -> t - 1 of length one, from T down, with x_t drawn anew for each t and xhat0 clipped to [-1,
 * 1]. The RMSE is of xhat0 before rounding. At T = 1000 the network runs at about 60 of the timesteps. In between, the
 * log of the squared error is interpolated linearly in log snr, which takes a sixteenth of the time.
 * @param stream of the noise
 */
export async function independentCurve(
  image: RgbImage,
  model: Pick<CodecModel, 'schedule' | 'denoiser'>,
  stream: IntegerStream,
  onProgress?: (fraction: number) => void,
): Promise<TheoryPoint[]> {
  const { schedule } = model;
  const { width, height } = image;
  const x0 = toUnit(image.data);
  const levels = noiseLevels(schedule.snr, schedule.timesteps);
  const points: TheoryPoint[] = [];
  let bits = 0;
  let above: { t: number; error: number } | undefined;
  for (const t of levels) {
    const error = await denoisingError({ x0, width, height }, t, model, stream);
    if (above !== undefined) {
      for (let step = above.t; step > t; step--) {
        bits += jumpKlBits(schedule, step, step - 1, between(schedule.snr, above, { t, error }, step));
      }
    }
    points.push(pointOf(image, t, bits, 127.5 * Math.sqrt(error / x0.length)));
    above = { t, error };
    onProgress?.(points.length / levels.length);
  }
  return points;
}

/** T first, then in descending order to 1. */
function noiseLevels(snr: Float64Array, timesteps: number): number[] {
  const range = Math.log(snr[1] / snr[timesteps]);
  const levels = new Set([timesteps]);
  let passed = 0;
  for (let t = timesteps - 1; t >= 1; t--) {
    const place = (Math.log(snr[t] / snr[timesteps]) / range) * (NOISE_LEVELS - 1);
    if (place >= passed + 1 || t === 1) {
      levels.add(t);
      passed = Math.floor(place);
    }
  }
  return [...levels];
}

function between(
  snr: Float64Array,
  a: { readonly t: number; readonly error: number },
  b: { readonly t: number; readonly error: number },
  t: number,
): number {
  const share = Math.log(snr[t] / snr[a.t]) / Math.log(snr[b.t] / snr[a.t]);
  return a.error ** (1 - share) * b.error ** share;
}

/**
 * The chain of a file with true samples of q(x_s|x_t, x_0), z = delta + noise, in place of codewords, at the cost of
 * the KL. It ends when the RMSE of the 8-bit picture reaches `targetRmse`. After the file's last step it continues with
 * the steps that the encoder planned but did not write.
 * @param stream of the noise
 */
export async function chainCurve(
  image: RgbImage,
  file: Uint8Array,
  model: CodecModel,
  targetRmse: number,
  stream: IntegerStream,
  onProgress?: (fraction: number) => void,
): Promise<TheoryPoint[]> {
  const { header, written, unwritten } = readLayout(file, model);
  const x0 = toUnit(image.data);
  const chain = Chain.begin(model, header);
  const gaussian = gaussians(stream);
  const points: TheoryPoint[] = [];
  let bits = 0;
  for (const jump of [...written, ...unwritten]) {
    const { t, s } = jump;
    const xhat0 = await chain.estimate();
    const error = rmse({ ...image, data: fromUnit(await chain.shown()) }, image);
    points.push(pointOf(image, t, bits, error));
    onProgress?.(points.length / (written.length + unwritten.length));
    if (error <= targetRmse) break;
    const squaredError = x0.reduce((sum, value, i) => sum + (value - xhat0[i]) ** 2, 0);
    bits += chain.klBits(s, squaredError);
    const toDelta = chain.deltaScale(s);
    x0.forEach((value, i) => {
      chain.z[i] = toDelta * (value - xhat0[i]) + gaussian();
    });
    await chain.advance(jump);
  }
  return points;
}

function pointOf({ width, height }: RgbImage, t: number, klBits: number, error: number): TheoryPoint {
  const bpp = klBits / (width * height);
  return { t, klBits, bitsPerDim: bpp / 3, bpp, rmse: error, psnr: psnrOfRmse(error), msSsim: null };
}
