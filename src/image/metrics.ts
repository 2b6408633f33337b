/** Distances between two pictures. */
import { checkImage, checkSameSize, type RgbImage } from './image.js';

/**
 * Mean over all samples (pixels x 3 channels) of the squared difference of 8-bit values; 0..65025. Of pictures with
 * transparency only the visible colours count: the samples of pixels that have some opacity in both pictures, all with
 * equal weight; 0 if there are none. Opacity itself is not compared.
 * @throws CodecError `image` for pictures of different sizes, `usage` for invalid pictures
 */
export function meanSquaredError(a: RgbImage, b: RgbImage): number {
  for (const image of [a, b]) checkImage(image);
  checkSameSize(a, b);
  // Integers below 2^53 for every picture that fits in memory, so the sum is exact.
  let sum = 0;
  let count = 0;
  for (let i = 0, pixel = 0; i < a.data.length; i += 3, pixel++) {
    if (a.alpha?.[pixel] === 0 || b.alpha?.[pixel] === 0) continue;
    count += 3;
    for (let at = i; at < i + 3; at++) {
      const difference = a.data[at] - b.data[at];
      sum += difference * difference;
    }
  }
  return count === 0 ? 0 : sum / count;
}

/** Square root of the {@link meanSquaredError}, in grey levels, 0..255: the paper's distortion. */
export function rmse(a: RgbImage, b: RgbImage): number {
  return Math.sqrt(meanSquaredError(a, b));
}

/** Peak signal-to-noise ratio, 10 log10(255^2 / MSE) in dB, over the three channels together; Infinity for equal images. */
export function psnr(a: RgbImage, b: RgbImage): number {
  return psnrOfRmse(rmse(a, b));
}

/** The PSNR in dB for a root mean squared error in grey levels; Infinity for 0. */
export function psnrOfRmse(rootMeanSquare: number): number {
  return rootMeanSquare === 0 ? Number.POSITIVE_INFINITY : 20 * Math.log10(255 / rootMeanSquare);
}
