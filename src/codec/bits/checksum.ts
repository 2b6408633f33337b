/** Cyclic redundancy checks. */

/** CRC-8 with polynomial x^8 + x^5 + x^3 + x^2 + x + 1 (0x2F, AUTOSAR), initial value and final XOR 0xFF. */
export function crc8(bytes: ArrayLike<number>): number {
  let crc = 0xff;
  for (let i = 0; i < bytes.length; i++) {
    crc ^= bytes[i];
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80 ? ((crc << 1) ^ 0x2f) & 0xff : (crc << 1) & 0xff;
  }
  return crc ^ 0xff;
}

/** Period in bits of the CRC-16 remainders of single-bit errors; the polynomial is (x + 1) times a primitive one of degree 15. */
export const CRC16_PERIOD = 2 ** 15 - 1;

/**
 * CRC-16 with polynomial 0x1021 and initial value 0xFFFF (CRC-16/IBM-3740) of the bits from `start` to before `end`, most
 * significant first.
 */
export function crc16(bytes: Uint8Array, start = 0, end = bytes.length * 8): number {
  let crc = 0xffff;
  for (let i = start; i < end; i++) {
    const bit = (bytes[i >>> 3] >>> (7 - (i & 7))) & 1;
    crc = crc16Next(crc ^ (bit << 15));
  }
  return crc;
}

/** A remainder times x, modulo the CRC-16 polynomial. */
export function crc16Next(remainder: number): number {
  return (remainder & 0x8000 ? (remainder << 1) ^ 0x1021 : remainder << 1) & 0xffff;
}

/** The remainders of single bytes; polynomial 0x1EDC6F41, bit-reversed. */
const CRC32C_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/**
 * CRC-32C (Castagnoli; RFC 3720, appendix B.4), as an unsigned integer.
 * @param before CRC-32C of the bytes before these
 */
export function crc32c(bytes: Uint8Array, before = 0): number {
  let crc = before ^ 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = CRC32C_TABLE[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
