/** Identifies a picture by its samples, independent of its file. */
import { createHash } from 'node:crypto';
import type { RgbImage } from '../image/image.js';

/** First 16 hexadecimal digits of the SHA-256 of a picture's samples. */
export function pixelHash({ data }: RgbImage): string {
  return createHash('sha256').update(data).digest('hex').slice(0, 16);
}
