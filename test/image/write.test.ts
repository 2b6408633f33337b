import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { fromRgba } from '../../src/image/alpha.js';
import { rmse } from '../../src/image/metrics.js';
import { readImageBytes } from '../../src/node/image/read.js';
import { encodeAnimation, encodeImage, encodePng, outputFormat } from '../../src/node/image/write.js';
import { syntheticImage, withDisc } from '../helpers/fixtures.js';

describe('writing', () => {
  it.each(['png', 'webp', 'tiff'] as const)('writes %s without loss and without metadata', async (format) => {
    const image = syntheticImage(33, 17);
    const bytes = await encodeImage(image, format);
    const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
    expect({ width: info.width, height: info.height, data: new Uint8Array(data) }).toEqual(image);
    const metadata = await sharp(bytes).metadata();
    expect([metadata.format, metadata.exif, metadata.icc, metadata.xmp]).toEqual([
      format,
      undefined,
      undefined,
      undefined,
    ]);
    expect(await encodeImage(image, format)).toEqual(bytes);
  });

  it('writes animations without loss', async () => {
    const frames = [30, 200].map((value) => {
      const image = syntheticImage(33, 17);
      image.data[0] = value;
      return { image, milliseconds: value };
    });
    const bytes = await encodeAnimation(frames);
    expect(await sharp(bytes, { animated: true }).metadata()).toMatchObject({ pages: 2, loop: 0, delay: [30, 200] });
    for (const [page, { image }] of frames.entries()) {
      expect(new Uint8Array(await sharp(bytes, { page }).removeAlpha().raw().toBuffer())).toEqual(image.data);
    }
    const huge = { image: { width: 16384, height: 1, data: new Uint8Array(16384 * 3) }, milliseconds: 1 };
    await expect(encodeAnimation([huge])).rejects.toThrow(/at most 16383 pixels a side, got 16384x1/);
  });

  it.each(['png', 'webp', 'tiff'] as const)('writes transparency as %s', async (format) => {
    const image = withDisc(syntheticImage(33, 17));
    const read = await readImageBytes(await encodeImage(image, format), format);
    expect(read.alpha).toEqual(image.alpha);
    expect(rmse(read, image)).toBe(0);
  });

  it('writes transparency of animations', async () => {
    const images = [syntheticImage(33, 17), withDisc(syntheticImage(33, 17))];
    const bytes = await encodeAnimation(images.map((image) => ({ image, milliseconds: 50 })));
    for (const [page, image] of images.entries()) {
      const shown = fromRgba(await sharp(bytes, { page }).ensureAlpha().raw().toBuffer(), 33);
      expect(shown.alpha).toEqual(image.alpha);
      expect(rmse(shown, image)).toBe(0);
    }
  });

  it('keeps black and white pictures RGB', async () => {
    const black = { width: 2, height: 2, data: new Uint8Array(12) };
    expect((await sharp(await encodePng(black)).metadata()).channels).toBe(3);
  });

  it('takes the format from the extension', () => {
    expect(['a.png', 'b.WEBP', 'c.tif', 'd.x.tiff'].map(outputFormat)).toEqual(['png', 'webp', 'tiff', 'tiff']);
    for (const name of ['a.jpg', 'b', 'c.png.gz', '.png']) {
      expect(() => outputFormat(name)).toThrow(expect.objectContaining({ code: 'usage' }));
    }
  });

  it('refuses what WebP cannot hold', async () => {
    const wide = { width: 16384, height: 1, data: new Uint8Array(16384 * 3) };
    await expect(encodeImage(wide, 'webp')).rejects.toMatchObject({ code: 'image' });
    expect((await encodeImage(wide, 'png')).length).toBeGreaterThan(0);
  });
});
