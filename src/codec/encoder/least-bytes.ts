/** The size of the shortest file there can be of a picture, known before a model is. */
import type { Size } from '../../image/image.js';
import type { EncodeOptions } from '../api.js';
import { FORMAT_VERSION, MODEL_ID_DIGITS, writeHeader } from '../format/header.js';
import { writeMetadata } from '../format/metadata.js';
import { MIN_STATE_BITS } from '../trellis/trellis.js';

/**
 * Bytes of a file without steps: what `encode` needs at least as `maxBytes`.
 * @throws CodecError('usage') when the metadata are too long
 */
export function leastBytes({ width, height }: Size, { seed = 0, checksums, metadata }: EncodeOptions): number {
  const said = metadata === undefined ? 0 : writeMetadata(metadata).length;
  const header = writeHeader({
    version: FORMAT_VERSION,
    stateBits: MIN_STATE_BITS,
    modelId: '0'.repeat(MODEL_ID_DIGITS),
    width,
    height,
    plan: { first: 0, second: 0, load: 0, pace: 0 },
    seed,
    stepCount: 0,
    ...(checksums && { checksums }),
    ...(said > 0 && { metadata: true }),
  });
  return header.length + said;
}
