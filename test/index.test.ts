/** The library as its users import it: the README's example. */
import { expect, test } from 'vitest';
import * as library from '../dist/index.js';
import { crop } from '../src/image/crop.js';
import { PHOTO } from './helpers/fixtures.js';

test('the example of the README, on the middle of a photograph', async () => {
  const { decode, encode, encodePng, openEngine, openModel, readImage, rmse } = library;
  const engine = await openEngine('auto');
  const model = await openModel('auto', engine);
  const photo = await readImage(PHOTO);
  // More than 64 pixels, so that the model is the one for photographs.
  const image = crop(photo, { left: 200, top: 100, width: 96, height: 8 });
  const { bytes } = await encode(image, model, { targetRmse: 5 });
  const whole = await decode(bytes, model);
  expect(rmse(whole.image, image)).toBeLessThanOrEqual(5);
  const part = await decode(bytes.subarray(0, 40), model);
  expect(part.bytesUsed).toBeLessThanOrEqual(40);
  expect((await encodePng(part.image)).subarray(1, 4).toString()).toBe('PNG');
  await model.dispose();
  await engine.dispose();
});
