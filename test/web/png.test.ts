/** PNG files of the page's pictures with opacity. */
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { pngOf } from '../../web/png.js';

/** Every opacity, beside colours that a canvas would not keep at low ones. */
const samples = (pixels: number) =>
  Uint8Array.from({ length: 4 * pixels }, (_, i) => (i % 4 === 3 ? Math.floor(i / 4) : 37 * i));

test.each([
  [1, 1],
  [16, 16],
  [7, 300],
  [300, 7],
])('a PNG of %ix%i pixels has the very samples', async (width, height) => {
  const rgba = samples(width * height);
  const png = await pngOf(rgba, { width, height });
  expect(png.type).toBe('image/png');
  const image = sharp(Buffer.from(await png.arrayBuffer()), { failOn: 'warning' });
  expect(await image.metadata()).toMatchObject({ format: 'png', width, height, channels: 4, depth: 'uchar' });
  expect(new Uint8Array(await image.raw().toBuffer())).toEqual(rgba);
});
