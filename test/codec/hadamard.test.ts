import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hadamardTransform } from '../../src/codec/trellis/hadamard.js';

/** H by its definition in Sylvester's order: the sign of element (i, j) is the parity of the bits of i & j. */
function directTransform(a: readonly number[]): number[] {
  const parity = (bits: number): number => (bits === 0 ? 0 : 1 ^ parity(bits & (bits - 1)));
  return a.map((_, i) => a.reduce((sum, value, j) => sum + (parity(i & j) ? -value : value), 0));
}

/** 2^0 to 2^most integers between -1000 and 1000. */
const integers = (most: number) =>
  fc
    .integer({ min: 0, max: most })
    .chain((log) => fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 2 ** log, maxLength: 2 ** log }));

test('is the matrix of its definition', () => {
  fc.assert(
    fc.property(integers(7), (values) => {
      const a = Int32Array.from(values);
      hadamardTransform(a);
      expect(Array.from(a)).toEqual(directTransform(values).map((value) => value + 0));
    }),
  );
});

test('twice is the multiplication by the length', () => {
  for (let log = 0; log <= 12; log++) {
    const length = 2 ** log;
    const values = Int32Array.from({ length }, (_, i) => ((i * 7919) % 201) - 100);
    const a = values.slice();
    hadamardTransform(a);
    if (log > 0) expect(a).not.toEqual(values);
    hadamardTransform(a);
    expect(a).toEqual(values.map((value) => value * length));
  }
});

test('gives floats the same results as integers while these fit their mantissa', () => {
  fc.assert(
    fc.property(integers(10), (values) => {
      const a = Int32Array.from(values);
      const b = Float32Array.from(values);
      hadamardTransform(a);
      hadamardTransform(b);
      // Integers have no -0.
      expect(Array.from(b, (value) => value + 0)).toEqual(Array.from(a));
    }),
    { numRuns: 50 },
  );
});
