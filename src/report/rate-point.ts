/** One point of a rate-distortion curve: a file's size, and how far its picture is from the original. */
import type { RgbImage } from '../image/image.js';
import { psnrOfRmse, rmse } from '../image/metrics.js';
import { hasMsSsim, hasSsim, msSsim, ssim } from '../image/ms-ssim.js';

export interface RatePoint {
  /** Size of the whole file, header and container included. */
  readonly bytes: number;
  /** Bits per dimension, 8 bytes / (3 width height). */
  readonly bitsPerDim: number;
  /** Bits per pixel, 8 bytes / (width height). */
  readonly bpp: number;
  /** In grey levels, 0..255, over the three channels together. */
  readonly rmse: number;
  /** In dB, of that RMSE; Infinity (null in JSON) for equal pictures. */
  readonly psnr: number;
  /** 0..1; null where the picture is too small for it, or transparent. */
  readonly msSsim: number | null;
  /**
   * -1..1, for pictures too small for MS-SSIM; null for larger pictures, for sides of less than 11 pixels, and for
   * transparent pictures.
   */
  readonly ssim: number | null;
  /** Other metrics that were asked for, by their names in `METRICS`; null where a picture has none. */
  readonly metrics?: Readonly<Record<string, number | null>>;
}

/**
 * Measures a decoded picture.
 * @param bytes size of the file it was decoded from
 * @throws CodecError `image` when the sizes of the pictures differ
 */
export function ratePoint(original: RgbImage, decoded: RgbImage, bytes: number): RatePoint {
  const pixels = original.width * original.height;
  const error = rmse(original, decoded);
  const comparable = original.alpha === undefined && decoded.alpha === undefined;
  const large = hasMsSsim(original);
  return {
    bytes,
    bitsPerDim: (8 * bytes) / (3 * pixels),
    bpp: (8 * bytes) / pixels,
    rmse: error,
    psnr: psnrOfRmse(error),
    msSsim: comparable && large ? msSsim(original, decoded) : null,
    ssim: comparable && !large && hasSsim(original) ? ssim(original, decoded) : null,
  };
}
