/** Pictures mirrored and turned. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { meanOfBoth, SYMMETRIES, transform } from '../../src/model/symmetry.js';

const SIZE = { width: 3, height: 2 };

/** Red, green and blue of pixel n are n, n + 0.25 and n + 0.5. */
const picture = (...pixels: number[]) => Float32Array.from(pixels.flatMap((n) => [n, n + 0.25, n + 0.5]));

test('exchanges left and right, or turns by 180 degrees; a pixel keeps its channels', () => {
  expect(transform(picture(0, 1, 2, 3, 4, 5), SIZE, 'mirror')).toEqual(picture(2, 1, 0, 5, 4, 3));
  expect(transform(picture(0, 1, 2, 3, 4, 5), SIZE, 'turn')).toEqual(picture(5, 4, 3, 2, 1, 0));
});

test('twice, it gives the picture back', () => {
  const pictures = fc
    .record({ width: fc.integer({ min: 1, max: 7 }), height: fc.integer({ min: 1, max: 7 }) })
    .chain((size) => {
      const length = 3 * size.width * size.height;
      const values = fc.float32Array({ minLength: length, maxLength: length, noNaN: true });
      return fc.record({ size: fc.constant(size), values });
    });
  fc.assert(
    fc.property(pictures, fc.constantFrom(...SYMMETRIES), ({ size, values }, symmetry) => {
      const twice = transform(transform(values.slice(), size, symmetry), size, symmetry);
      expect(twice).toEqual(values);
    }),
  );
});

test('the mean is of the same pixel in both', () => {
  for (const symmetry of SYMMETRIES) {
    const estimate = picture(0, 1, 2, 3, 4, 5);
    const other = transform(picture(10, 11, 12, 13, 14, 15), SIZE, symmetry);
    expect(meanOfBoth(estimate, other, SIZE, symmetry)).toEqual(picture(5, 6, 7, 8, 9, 10));
  }
});
