/** Reads pictures that the user names: files, or `-` for standard input. */
import type { RgbImage } from '../image/image.js';
import { opaque, type ReadImageOptions, readImage, readImageBytes } from '../node/image/read.js';
import { inputName, readInput, STANDARD_STREAM } from './streams.js';

/** @throws CodecError as {@link readImage} and {@link readInput} */
export async function readPicture(path: string, options: ReadImageOptions): Promise<RgbImage> {
  if (path !== STANDARD_STREAM) return readImage(path, options);
  return readImageBytes(await readInput(path), inputName(path), options);
}

/**
 * Reads a picture for uses that do not support transparency.
 * @throws CodecError as {@link readPicture}, and `image` for a transparent one
 */
export async function readOpaquePicture(path: string, options: ReadImageOptions): Promise<RgbImage> {
  return opaque(await readPicture(path, options), inputName(path));
}
