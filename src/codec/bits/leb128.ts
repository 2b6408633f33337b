/** Unsigned LEB128 integers: 7 bits per byte, the low ones first; the top bit is set if more bytes follow. */
import { CodecError } from '../../common/errors.js';

const MOST_BYTES = 5;

/** @param value an integer of 0..2^35-1 */
export function leb128(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) | 0x80);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}

/**
 * Reads an integer of at most `most` in its shortest form.
 * @returns the integer and the position behind it; undefined when the bytes end too early
 * @throws CodecError('format') for a larger integer or a longer form
 */
export function readLeb128(bytes: Uint8Array, start: number, most: number): { value: number; end: number } | undefined {
  let value = 0;
  let scale = 1;
  for (let i = 0; i < MOST_BYTES; i++, scale *= 128) {
    if (start + i >= bytes.length) return undefined;
    const byte = bytes[start + i];
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) {
      if ((byte === 0 && i > 0) || value > most) break;
      return { value, end: start + i + 1 };
    }
  }
  throw new CodecError('format', `.ddc file is damaged: expected a number up to ${most}`);
}
