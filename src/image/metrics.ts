/** How far two pictures are apart. */
import { CodecError } from '../common/errors.js';
import type { RgbImage } from './image.js';

/** Mean over all samples (pixels x 3 channels) of the squared difference of 8-bit values; 0..65025. */
export function meanSquaredError(a: RgbImage, b: RgbImage): number {
  if (a.width !== b.width || a.height !== b.height) {
    throw new CodecError('image', `cannot compare ${a.width}x${a.height} with ${b.width}x${b.height} pixels`);
  }
  // Integers below 2^53 for every picture that fits in memory, so the sum is exact.
  let sum = 0;
  for (let i = 0; i < a.data.length; i++) {
    const difference = a.data[i] - b.data[i];
    sum += difference * difference;
  }
  return sum / a.data.length;
}

/** Root of the mean squared error, in grey levels, 0..255: the paper's distortion. */
export function rmse(a: RgbImage, b: RgbImage): number {
  return Math.sqrt(meanSquaredError(a, b));
}

/** Peak signal-to-noise ratio, 10 log10(255^2 / MSE) in dB, over the three channels together; Infinity when equal. */
export function psnr(a: RgbImage, b: RgbImage): number {
  return psnrOfRmse(rmse(a, b));
}

/** The PSNR in dB that a root mean squared error in grey levels amounts to; Infinity for 0. */
export function psnrOfRmse(rootMeanSquare: number): number {
  return rootMeanSquare === 0 ? Number.POSITIVE_INFINITY : 20 * Math.log10(255 / rootMeanSquare);
}
