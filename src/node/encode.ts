/** Encoding with Node's threads. */
import type { EncodeOptions, EncodeResult } from '../codec/api.js';
import { encode as encodeAnywhere } from '../codec/encoder/encoder.js';
import type { CodecModel } from '../codec/model.js';
import type { RgbImage } from '../image/image.js';
import { openThreadedSearch } from './threaded-search.js';

/**
 * Encodes an image. Deterministic: the same image, model, options and engine give the same bytes, on any number of
 * threads.
 * @param image is copied at once
 * @throws CodecError('usage') for invalid arguments, and when `maxBytes` is too small for the header; the signal's
 *   reason
 */
export function encode(image: RgbImage, model: CodecModel, options: EncodeOptions = {}): Promise<EncodeResult> {
  return encodeAnywhere(image, model, options, openThreadedSearch);
}
