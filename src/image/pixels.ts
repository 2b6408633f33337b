/** Conversion between 8-bit samples and the model's scale: 0..255 maps to [-1, 1]. */

/** Bytes to [-1, 1]. */
export function toUnit(bytes: Uint8Array): Float32Array {
  const values = new Float32Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) values[i] = bytes[i] / 127.5 - 1;
  return values;
}

/** The 256 levels in [-1, 1]. */
export const UNIT_LEVELS = toUnit(Uint8Array.from({ length: 256 }, (_, level) => level));

/** [-1, 1] to bytes, rounded to the nearest, halves up; values outside are clipped. */
export function fromUnit(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    bytes[i] = Math.max(0, Math.min(255, Math.floor((values[i] + 1) * 127.5 + 0.5)));
  }
  return bytes;
}
