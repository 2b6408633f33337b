/** Crops have the pixels of the part that they show. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crop, cutMiddle, middleOf } from '../../src/image/crop.js';
import { syntheticImage } from '../helpers/fixtures.js';

const side = fc.integer({ min: 1, max: 9 });

test('a part has the pixels of its place', () => {
  fc.assert(
    fc.property(side, side, fc.nat(8), fc.nat(8), (width, height, x, y) => {
      const image = syntheticImage(width, height);
      const [left, top] = [x % width, y % height];
      const part = crop(image, { left, top, width: width - left, height: 1 });
      const from = (top * width + left) * 3;
      expect(part).toEqual({ width: width - left, height: 1, data: image.data.slice(from, (top + 1) * width * 3) });
    }),
  );
});

test('the middle leaves as much on both sides, the odd pixel on the right and below', () => {
  expect(middleOf({ width: 10, height: 7 }, 5)).toEqual({ left: 2, top: 1, width: 5, height: 5 });
  const image = syntheticImage(6, 4);
  expect(cutMiddle(image, 6)).toEqual(image);
  expect(cutMiddle(image, 2)).toEqual(crop(image, { left: 2, top: 1, width: 2, height: 2 }));
});
