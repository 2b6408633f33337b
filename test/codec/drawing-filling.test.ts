/** From which pass on a drawing is filled. */
import { expect, test } from 'vitest';
import { openDecoder } from '../../src/codec/decoder/decoder.js';
import { passesOf } from '../../src/codec/drawing/passes.js';
import { fillingOf } from '../../src/codec/encoder/drawing-filling.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { leastFile } from '../../src/codec/encoder/least-bytes.js';
import { rmse } from '../../src/image/metrics.js';
import { openNoiseModel } from '../helpers/noise-model.js';

/** White, with a black frame this many pixels thick. */
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

test('a coarse drawing whose last pixels spoil what the ones before made better is refused', async () => {
  // Found by a property test. The first 64 of 105 pixels take the error from 31.16 to 30.64; the others take it to 30.97.
  const data = Uint8Array.from({ length: 5 * 21 * 3 }, (_, i) => [92, 153, 156][i % 3]);
  data.set([31, 68, 235], 4 * 3);
  const image = { width: 5, height: 21, data };
  const model = await openNoiseModel();
  const maxBytes = leastFile(image, {}).bytes + 6;
  const { bytes, rmse: reached } = await encode(image, model, { effort: 1, maxBytes });
  const errors: number[] = [];
  for await (const point of openDecoder(model).push(bytes)) errors.push(rmse((await point.reconstruct()).image, image));
  for (let i = 1; i < errors.length; i++) expect(errors[i]).toBeLessThanOrEqual(1.01 * errors[i - 1]);
  expect(errors.at(-1)).toBe(reached);
  const samples = Uint8Array.from(data, (_, i) => (i < 3 * 64 ? data[i] : 255 - data[i]));
  expect(fillingOf(image, samples, GREY)).toBeUndefined();
});
