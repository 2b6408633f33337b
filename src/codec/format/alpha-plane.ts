/** The alpha plane of a file (docs/FORMAT.md, section 1): the opacity of every pixel, exactly, as a drawing of one channel. */
import { concat } from '../../common/bytes.js';
import { CodecError } from '../../common/errors.js';
import type { Size } from '../../image/image.js';
import { crc16 } from '../bits/checksum.js';
import { leb128, readLeb128 } from '../bits/leb128.js';
import { DrawingReader } from '../drawing/drawing-reader.js';
import { writeDrawing } from '../drawing/drawing-writer.js';

const CHECKSUM_BYTES = 2;
/** Largest value of the length field, which is about twice the code's length. */
const MOST_LENGTH = 2 ** 32 - 1;
const PLANE = { channels: 1, step: 1, isEven: false } as const;

/**
 * The plane in bytes, with or without a palette, whichever is shorter.
 * @param alpha height * width bytes
 * @param checksums whether the file has them
 */
export function writeAlphaPlane({ width, height }: Size, alpha: Uint8Array, checksums: boolean): Uint8Array {
  const draw = (hasPalette: boolean, most?: number) =>
    writeDrawing(alpha, { ...PLANE, width, height, hasPalette }, 0, most)?.code;
  const byPalette = draw(true)!;
  const plain = draw(false, byPalette.length);
  const section =
    plain !== undefined && plain.length < byPalette.length ? framed(plain, false) : framed(byPalette, true);
  if (!checksums) return section;
  const checksum = crc16(section);
  return concat(section, Uint8Array.of(checksum >>> 8, checksum & 255));
}

function framed(code: Uint8Array, hasPalette: boolean): Uint8Array {
  return concat(Uint8Array.from(leb128(2 * code.length + (hasPalette ? 1 : 0))), code);
}

/**
 * Length in bytes of the plane that begins here; undefined where too few bytes are there to tell.
 * @throws CodecError('format') when the length field is damaged
 */
export function alphaPlaneBytes(section: Uint8Array, checksums: boolean): number | undefined {
  const length = readLeb128(section, 0, MOST_LENGTH);
  return length && length.end + Math.floor(length.value / 2) + (checksums ? CHECKSUM_BYTES : 0);
}

/**
 * Whether a plane's checksum is right.
 * @param section the whole plane, the checksum included
 */
export function isAlphaPlaneSound(section: Uint8Array): boolean {
  const end = section.length - CHECKSUM_BYTES;
  return crc16(section, 0, end * 8) === section[end] * 256 + section[end + 1];
}

/**
 * The opacity of every pixel: height * width bytes.
 * @param section the whole plane
 * @throws CodecError('format') when it is damaged
 */
export function readAlphaPlane(section: Uint8Array, { width, height }: Size, checksums: boolean): Uint8Array {
  if (checksums && !isAlphaPlaneSound(section)) throw damaged();
  const end = section.length - (checksums ? CHECKSUM_BYTES : 0);
  const length = readLeb128(section, 0, MOST_LENGTH)!;
  const code = section.slice(length.end, end);
  const hasPalette = (length.value & 1) === 1;
  const reader = new DrawingReader({ ...PLANE, width, height, hasPalette, codedBytes: code.length });
  reader.append(code);
  if (!reader.read(width * height)) throw damaged();
  const alpha = new Uint8Array(width * height);
  reader.show(alpha, Number.POSITIVE_INFINITY);
  return alpha;
}

function damaged(): CodecError {
  return new CodecError(
    'format',
    'the alpha plane, right after the header, is damaged; `tolerant` gives the picture of the bare header',
  );
}
