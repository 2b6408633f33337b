/** Cuts a batch into parts of a few images. Engines may work on several parts at a time without changing the result. */
import { invalidArgument } from '../../common/errors.js';
import { gaussians, integerStream } from '../../common/random.js';

/** Limits of a part in images and in pixels. With the pixel limit, large crops also leave parts for several threads. */
const PART = 8;
const PART_PIXELS = 8 * 64 * 64;
export const CHANNELS = 3;

/** The largest number of images within the limits that divides the batch. It depends only on batch and side, so results do too. */
export function partSize(batch: number, side: number): number {
  let size = Math.max(1, Math.min(PART, batch, Math.floor(PART_PIXELS / (side * side))));
  while (batch % size !== 0) size--;
  return size;
}

/**
 * `count` images of a batch from `first` on, in -1..1.
 * @param size values of an image
 */
export function imagesOf(levels: Uint8Array, first: number, count: number, size: number): Float32Array {
  return Float32Array.from(levels.subarray(first * size, (first + count) * size), (level) => level / 127.5 - 1);
}

/** Gaussian noise that depends only on the name. */
export function noiseOf(name: string, length: number): Float32Array {
  const gaussian = gaussians(integerStream(name));
  const noise = new Float32Array(length);
  for (let i = 0; i < length; i++) noise[i] = gaussian();
  return noise;
}

/** @throws CodecError('usage') unless the number of grey levels matches the batch */
export function checkImages(
  images: Uint8Array,
  { batch, side }: { readonly batch: number; readonly side: number },
): void {
  const size = batch * side * side * CHANNELS;
  if (images.length !== size) throw invalidArgument('images', `${size} values`, images.length);
}
