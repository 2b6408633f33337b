/** The size of the shortest possible file of a picture, known before a model is. */
import { isOpaque } from '../../image/alpha.js';
import { isSmall, type RgbImage } from '../../image/image.js';
import type { EncodeOptions } from '../api.js';
import { writeAlphaPlane } from '../format/alpha-plane.js';
import { FORMAT_VERSION, MODEL_ID_DIGITS, writeHeader } from '../format/header.js';
import { writeMetadata } from '../format/metadata.js';
import { BLANK_PLAN } from '../format/plan.js';
import { MIN_STATE_BITS } from '../trellis/trellis.js';

/** The least content of a file. */
export interface LeastFile {
  readonly bytes: number;
  /** Its parts, in words. */
  readonly parts: string;
}

/**
 * A file without steps, which is the smallest `maxBytes` that `encode` accepts. The alpha plane is coded to find its
 * size.
 * @throws CodecError('usage') when the metadata are too long
 */
export function leastFile(image: RgbImage, { seed = 0, checksums = false, metadata }: EncodeOptions): LeastFile {
  const { width, height } = image;
  const alpha = image.alpha === undefined || isOpaque(image.alpha) ? undefined : image.alpha;
  const plane = alpha ? writeAlphaPlane(image, alpha, checksums).length : 0;
  const said = metadata === undefined ? 0 : writeMetadata(metadata).length;
  const header = writeHeader({
    version: FORMAT_VERSION,
    stateBits: MIN_STATE_BITS,
    modelId: '0'.repeat(MODEL_ID_DIGITS),
    width,
    height,
    plan: BLANK_PLAN,
    seed,
    stepCount: 0,
    checksums,
    alpha: plane > 0,
    metadata: said > 0,
    // The header of every larger picture has a mean colour.
    ...(!isSmall(image) && { meanColour: 0 }),
  });
  return { bytes: header.length + plane + said, parts: leastParts({ alpha: plane > 0, metadata: said > 0 }) };
}

/** The parts of the shortest file that has these, in words. */
export function leastParts(has: { readonly alpha: boolean; readonly metadata: boolean }): string {
  const parts = ['the header', ...(has.alpha ? ['the alpha plane'] : []), ...(has.metadata ? ['the metadata'] : [])];
  return parts.length === 1 ? parts[0] : `${parts.slice(0, -1).join(', ')} and ${parts[parts.length - 1]}`;
}
