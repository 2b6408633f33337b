/** How far a picture is from the original. */
import { psnr, type RgbImage, rmse } from 'ddpm-codec/browser';

export interface Distance {
  /** In grey levels, 0..255. */
  readonly rmse: number;
  /** In dB; Infinity for equal pictures. */
  readonly psnr: number;
}

export function distance(original: RgbImage, image: RgbImage): Distance {
  return { rmse: rmse(original, image), psnr: psnr(original, image) };
}

export function inNumbers({ rmse, psnr }: Distance): string {
  return `RMSE ${rmse.toFixed(2)} · ${psnr === Infinity ? 'equal to the original' : `PSNR ${psnr.toFixed(2)} dB`}`;
}
