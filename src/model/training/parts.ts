/**
 * A batch is cut into parts of a few images. Engines that can work on several parts at a time do, without changing what is computed.
 */
import { invalidArgument } from '../../common/errors.js';
import { gaussians, integerStream } from '../../common/random.js';

/** Most images of a part, and most pixels: large crops leave parts for several threads, too. */
const PART = 8;
const PART_PIXELS = 8 * 64 * 64;
export const CHANNELS = 3;

/** Largest number of images within the limits that cuts the batch evenly; of batch and side alone, so that results are. */
export function partSize(batch: number, side: number): number {
  let size = Math.max(1, Math.min(PART, batch, Math.floor(PART_PIXELS / (side * side))));
  while (batch % size !== 0) size--;
  return size;
}

/** `count` images of a batch from the first on, in -1..1. @param size values of an image */
export function imagesOf(levels: Uint8Array, first: number, count: number, size: number): Float32Array {
  return Float32Array.from(levels.subarray(first * size, (first + count) * size), (level) => level / 127.5 - 1);
}

/** Gaussian noise, a pure function of the name. */
export function noiseOf(name: string, length: number): Float32Array {
  const gaussian = gaussians(integerStream(name));
  const noise = new Float32Array(length);
  for (let i = 0; i < length; i++) noise[i] = gaussian();
  return noise;
}

/** @throws CodecError('usage') unless there are so many grey levels as a batch has */
export function checkImages(
  images: Uint8Array,
  { batch, side }: { readonly batch: number; readonly side: number },
): void {
  const size = batch * side * side * CHANNELS;
  if (images.length !== size) throw invalidArgument('images', `${size} values`, images.length);
}
