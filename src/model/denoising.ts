/** Denoises pictures with added noise, to measure how good xhat0 is. */
import { gaussians, type IntegerStream, integerStream } from '../common/random.js';
import { mapAhead } from '../common/side-by-side.js';
import type { Size } from '../image/image.js';
import type { Denoiser, NoisyPicture } from './denoiser.js';
import { canBeHalved, detailOf, type Pyramid, timestepOfDetail, workAt } from './pyramid.js';
import type { Schedule } from './schedule.js';

/** A picture in the model's scale. */
export interface UnitImage extends Size {
  /** x_0 in [-1, 1]: height * width * 3 values, channels interleaved. */
  readonly x0: Float32Array;
  /** See {@link NoisyPicture}. */
  readonly detail?: number | undefined;
}

interface DenoisingModel {
  readonly schedule: Schedule;
  readonly denoiser: Denoiser;
}

/**
 * Draws x_t ~ q(x_t|x_0).
 * @param stream of the noise
 */
export function putNoise(
  { x0, width, height, detail }: UnitImage,
  t: number,
  { alphasCumprod }: Schedule,
  stream: IntegerStream,
): NoisyPicture {
  const signalShare = Math.sqrt(alphasCumprod[t]);
  const noiseShare = Math.sqrt(1 - alphasCumprod[t]);
  const gaussian = gaussians(stream);
  return { xt: x0.map((value) => signalShare * value + noiseShare * gaussian()), width, height, t, detail };
}

/** xhat0(x_t) of an x_t ~ q(x_t|x_0). @param stream of the noise */
export async function denoise(
  picture: UnitImage,
  t: number,
  { schedule, denoiser }: DenoisingModel,
  stream: IntegerStream,
  signal?: AbortSignal,
): Promise<Float32Array> {
  signal?.throwIfAborted();
  return denoiser.predictX0(putNoise(picture, t, schedule, stream), { signal });
}

/** Sum of |x_0 - xhat0(x_t)|^2 as of {@link denoise}: the error behind the ideal rate-distortion curve. */
export async function denoisingError(
  picture: UnitImage,
  t: number,
  model: DenoisingModel,
  stream: IntegerStream,
  signal?: AbortSignal,
): Promise<number> {
  return squaredDifference(picture.x0, await denoise(picture, t, model, stream, signal));
}

/** Sum of |a - b|^2. */
export function squaredDifference(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum;
}

/** Squared error per dimension below which a measurement is meaningless: a hundredth of a grey level, squared. */
export const MEASURABLE_ERROR = (0.01 / 127.5) ** 2;

/**
 * Measures how detailed a picture is. This decides from where on its chain is denoised at half its size.
 * @param samples parts of the picture, large enough to be halved
 * @returns 0..3, see {@link NoisyPicture}, undefined where the model or the samples leave nothing to decide; and the
 *   network's work, in evaluations of one pixel
 */
export async function measureDetail(
  samples: readonly UnitImage[],
  { schedule, denoiser, pyramid }: DenoisingModel & { readonly pyramid?: Pyramid | undefined },
  signal?: AbortSignal,
): Promise<{ readonly detail: number | undefined; readonly work: number }> {
  const large = samples.filter(({ width, height }) => pyramid && canBeHalved(pyramid, width, height));
  if (!pyramid || large.length === 0) return { detail: undefined, work: 0 };
  const t = timestepOfDetail(pyramid);
  const stream = integerStream('ddc1/detail');
  const errors = mapAhead(large, denoiser.parallelism, async (sample) => {
    // Both use the same noise. It is drawn before the network is awaited, so that the draws happen in the order of the
    // samples.
    const noisy = putNoise(sample, t, schedule, stream);
    const error = async (detail: number) =>
      squaredDifference(sample.x0, await denoiser.predictX0({ ...noisy, detail }, { signal }));
    return { ofHalf: await error(0), ofItself: await error(1), least: MEASURABLE_ERROR * sample.x0.length };
  });
  let [half, itself, work] = [0, 0, 0];
  for (const { width, height } of large) {
    for (const detail of [0, 1]) work += width * height * workAt(pyramid, schedule, { width, height, t, detail });
  }
  for await (const { ofHalf, ofItself, least } of errors) {
    half += Math.max(ofHalf, least);
    itself += Math.max(ofItself, least);
  }
  return { detail: detailOf(half / itself), work };
}
