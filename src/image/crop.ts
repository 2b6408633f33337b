/** Cutting pictures. */
import type { RgbImage } from './image.js';

/** The middle of a picture, at most `most` pixels a side. */
export function cutMiddle(image: RgbImage, most: number): RgbImage {
  const width = Math.min(image.width, most);
  const height = Math.min(image.height, most);
  const left = (image.width - width) >> 1;
  const top = (image.height - height) >> 1;
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * image.width + left) * 3;
    data.set(image.data.subarray(from, from + width * 3), y * width * 3);
  }
  return { width, height, data };
}
