/** One point of a rate-distortion curve: a file's size, and how far its picture is from the original. */
import type { RgbImage } from '../image/image.js';
import { psnrOfRmse, rmse } from '../image/metrics.js';
import { hasMsSsim, hasSsim, msSsim, ssim } from '../image/ms-ssim.js';

export interface RatePoint {
  /** Of the whole file, header and container included. */
  readonly bytes: number;
  /** Bits per dimension, 8 bytes / (3 width height). */
  readonly bitsPerDim: number;
  /** Bits per pixel, 8 bytes / (width height). */
  readonly bpp: number;
  /** In grey levels, 0..255, over the three channels together. */
  readonly rmse: number;
  /** In dB, of that RMSE; Infinity (in JSON null) for equal pictures. */
  readonly psnr: number;
  /** 0..1; null where the picture is too small for it, or transparent. */
  readonly msSsim: number | null;
  /** Of a picture too small for MS-SSIM, -1..1; null of a larger one, of less than 11 pixels a side, and of one that is transparent. */
  readonly ssim: number | null;
  /** What else was asked for, by its name in `METRICS`; null where a picture has none. */
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
