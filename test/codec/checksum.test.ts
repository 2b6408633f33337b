import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc8, crc32c } from '../../src/codec/bits/checksum.js';

const DIGITS = new TextEncoder().encode('123456789');

test('checksums have the check values of the catalogue of parametrised CRC algorithms', () => {
  expect(crc8(DIGITS)).toBe(0xdf);
  expect(crc32c(DIGITS)).toBe(0xe3069283);
});

test('CRC-32C has the values of RFC 3720, appendix B.4', () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
});

test('any burst of up to 32 bits changes CRC-32C, of up to 8 bits CRC-8', () => {
  const burst = fc.record({
    bytes: fc.uint8Array({ minLength: 8, maxLength: 100 }),
    at: fc.nat(),
    flips: fc.uint8Array({ minLength: 4, maxLength: 4 }).filter((flips) => flips.some((flip) => flip > 0)),
  });
  fc.assert(
    fc.property(burst, ({ bytes, at, flips }) => {
      const start = at % (bytes.length - flips.length + 1);
      const other = bytes.slice();
      for (const [i, flip] of flips.entries()) other[start + i] ^= flip;
      expect(crc32c(other)).not.toBe(crc32c(bytes));
      const one = bytes.slice();
      one[start] ^= flips.find((flip) => flip > 0) ?? 1;
      expect(crc8(one)).not.toBe(crc8(bytes));
    }),
  );
});
