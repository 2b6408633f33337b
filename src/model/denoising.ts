/** Denoising pictures that noise was put on: how good xhat0 is. */
import { gaussians, type IntegerStream } from '../common/random.js';
import type { Size } from '../image/image.js';
import type { Denoiser } from './denoiser.js';
import type { Schedule } from './schedule.js';

/** A picture in the model's scale. */
export interface UnitImage extends Size {
  /** x_0 in [-1, 1]: height * width * 3 values, channels interleaved. */
  readonly x0: Float32Array;
}

/** xhat0(x_t) of an x_t ~ q(x_t|x_0). @param stream of the noise */
export async function denoise(
  { x0, width, height }: UnitImage,
  t: number,
  { schedule, denoiser }: { readonly schedule: Schedule; readonly denoiser: Denoiser },
  stream: IntegerStream,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const signalShare = Math.sqrt(schedule.alphasCumprod[t]);
  const noiseShare = Math.sqrt(1 - schedule.alphasCumprod[t]);
  signal?.throwIfAborted();
  const gaussian = gaussians(stream);
  const xt = x0.map((value) => signalShare * value + noiseShare * gaussian());
  return denoiser.predictX0({ xt, width, height, t }, { signal });
}

/** Sum of |x_0 - xhat0(x_t)|^2 as of {@link denoise}, the error that the ideal rate-distortion curve is made of. */
export async function denoisingError(
  picture: UnitImage,
  t: number,
  model: { readonly schedule: Schedule; readonly denoiser: Denoiser },
  stream: IntegerStream,
  signal?: AbortSignal,
): Promise<number> {
  const xhat0 = await denoise(picture, t, model, stream, signal);
  const { x0 } = picture;
  let sum = 0;
  for (let i = 0; i < x0.length; i++) sum += (x0[i] - xhat0[i]) ** 2;
  return sum;
}

/** Squared error per dimension below which a measurement says nothing: a hundredth of a grey level, squared. */
export const MEASURABLE_ERROR = (0.01 / 127.5) ** 2;
