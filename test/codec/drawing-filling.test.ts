/** From which pass on a drawing is filled up. */
import { expect, test } from 'vitest';
import { passesOf } from '../../src/codec/drawing/passes.js';
import { fillingOf } from '../../src/codec/encoder/drawing-filling.js';

/** White, with a black frame so many pixels thick. */
function frame(side: number, thick: number) {
  const data = new Uint8Array(side * side * 3).fill(255);
  const isInside = (at: number) => at >= side / 4 && at < (3 * side) / 4;
  const isLine = (at: number) => isInside(at) && (at < side / 4 + thick || at >= (3 * side) / 4 - thick);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      if ((isLine(x) && isInside(y)) || (isLine(y) && isInside(x)))
        data.fill(0, (y * side + x) * 3, (y * side + x) * 3 + 3);
    }
  }
  return { width: side, height: side, data };
}

const GREY = [128, 128, 128];

test.each([32, 64, 128, 256, 512])('a frame of %i pixels, four thick, is filled before its last passes', (side) => {
  const image = frame(side, 4);
  const filled = fillingOf(image, image.data, GREY);
  expect(filled).toBeGreaterThanOrEqual(2);
  expect(filled).toBeLessThan(passesOf(image).length);
});

test('noise is not', () => {
  const image = frame(64, 4);
  image.data.set(image.data.map((_, i) => (Math.imul(i + 1, 2654435761) >>> 24) & 255));
  expect(fillingOf(image, image.data, GREY)).toBe(0);
});
