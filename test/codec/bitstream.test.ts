import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BitReader, BitWriter } from '../../src/codec/bits/bitstream.js';

/** An integer and the number of bits used to write it. */
const field = fc
  .integer({ min: 1, max: 31 })
  .chain((count) => fc.record({ count: fc.constant(count), value: fc.integer({ min: 0, max: 2 ** count - 1 }) }));

test('what is written is read back, whatever the sizes', () => {
  fc.assert(
    fc.property(fc.array(field, { maxLength: 100 }), fc.integer({ min: 0, max: 8 }), (fields, capacity) => {
      const writer = new BitWriter(capacity);
      for (const { value, count } of fields) writer.write(value, count);
      const bits = fields.reduce((sum, { count }) => sum + count, 0);
      expect(writer.length).toBe(bits);
      const bytes = writer.toBytes();
      expect(bytes.length).toBe(Math.ceil(bits / 8));
      const reader = new BitReader(bytes);
      for (const { value, count } of fields) expect(reader.read(count)).toBe(value);
    }),
  );
});

test('the most significant bit comes first and the last byte is padded with zeros', () => {
  const writer = new BitWriter();
  writer.write(0b101, 3);
  writer.write(0b0110_0001_11, 10);
  expect(Array.from(writer.toBytes())).toEqual([0b1010_1100, 0b0011_1000]);
});

test('a copy that was taken does not change when more is written', () => {
  const writer = new BitWriter();
  writer.write(1, 4);
  const before = writer.toBytes();
  writer.write(15, 4);
  expect(Array.from(before)).toEqual([0x10]);
  expect(Array.from(writer.toBytes())).toEqual([0x1f]);
});

test('reading past the end is refused', () => {
  const reader = new BitReader(Uint8Array.of(0xff));
  expect(reader.read(5)).toBe(31);
  expect(() => reader.read(4)).toThrow(RangeError);
  expect(reader.read(3)).toBe(7);
});
