/** Pictures that people name: files, or `-` for standard input. */
import type { RgbImage } from '../image/image.js';
import { type ReadImageOptions, readImage, readImageBytes } from '../node/image/read.js';
import { inputName, readInput, STANDARD_STREAM } from './streams.js';

/** @throws CodecError as {@link readImage} and {@link readInput} */
export async function readPicture(path: string, options: ReadImageOptions): Promise<RgbImage> {
  if (path !== STANDARD_STREAM) return readImage(path, options);
  return readImageBytes(await readInput(path), inputName(path), options);
}
