/** The library as its users import it: the README's example. */
import { expect, test } from 'vitest';
import * as library from '../dist/index.js';
import { PHOTO } from './helpers/fixtures.js';

test('the example of the README, on the middle of a photograph', async () => {
  const { decode, encode, encodePng, openEngine, openModel, readImage, rmse } = library;
  const engine = await openEngine('auto');
  const model = await openModel('auto', engine);
  const photo = await readImage(PHOTO);
  const { width } = photo;
  const image = { width, height: 8, data: photo.data.slice(0, width * 8 * 3) };
  const { bytes } = await encode(image, model, { targetRmse: 5 });
  const whole = await decode(bytes, model);
  expect(rmse(whole.image, image)).toBeLessThanOrEqual(5);
  const part = await decode(bytes.subarray(0, 40), model);
  expect(part.bytesUsed).toBeLessThanOrEqual(40);
  expect((await encodePng(part.image)).subarray(1, 4).toString()).toBe('PNG');
  await model.dispose();
  await engine.dispose();
});
