/** Pictures with an alpha plane. */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { flatten, fromRgba, spreadColours, toRgba } from '../../src/image/alpha.js';
import { crop } from '../../src/image/crop.js';
import type { RgbImage } from '../../src/image/image.js';
import { meanSquaredError, rmse } from '../../src/image/metrics.js';
import { ssim } from '../../src/image/ms-ssim.js';
import { contactSheet, thumbnail } from '../../src/node/image/contact-sheet.js';
import { syntheticImage, withDisc } from '../helpers/fixtures.js';

const row = (data: readonly number[], alpha?: readonly number[]): RgbImage => ({
  width: data.length / 3,
  height: 1,
  data: Uint8Array.from(data),
  ...(alpha && { alpha: Uint8Array.from(alpha) }),
});

test('pixels of a canvas become a picture and come back', () => {
  const pictures = fc.integer({ min: 1, max: 9 }).chain((width) =>
    fc.integer({ min: 1, max: 9 }).chain((height) => {
      const length = width * height * 4;
      return fc.record({ width: fc.constant(width), rgba: fc.uint8Array({ minLength: length, maxLength: length }) });
    }),
  );
  fc.assert(
    fc.property(pictures, ({ width, rgba }) => {
      const image = fromRgba(rgba, width);
      expect(image.data.length).toBe(width * image.height * 3);
      expect(toRgba(image)).toEqual(rgba);
    }),
  );
  expect(fromRgba(Uint8Array.of(1, 2, 3, 255), 1)).toEqual(row([1, 2, 3]));
});

test('a colour put under a picture is seen as far as that is not opaque', () => {
  const image = row([100, 100, 100, 100, 100, 100, 9, 9, 9], [255, 51, 0]);
  expect(flatten(image, [255, 0, 128])).toEqual(row([100, 100, 100, 224, 20, 122, 255, 0, 128]));
  expect(flatten(row([1, 2, 3]), [0, 0, 0])).toEqual(row([1, 2, 3]));
});

describe('distances', () => {
  const a = row([10, 10, 10, 20, 20, 20, 30, 30, 30], [255, 1, 0]);

  it('are those of colours that are seen, however opaque they are', () => {
    expect(meanSquaredError(a, row([10, 10, 10, 26, 20, 20, 99, 99, 99]))).toBe(6);
    expect(rmse(a, { ...a, data: a.data.map((value, i) => (i < 6 ? value : 255 - value)) })).toBe(0);
  });

  it('are of what is seen in both, and 0 where that is nothing', () => {
    const b = row([13, 10, 10, 99, 99, 99, 99, 99, 99], [7, 0, 255]);
    expect(meanSquaredError(a, b)).toBe(3);
    expect(meanSquaredError(b, a)).toBe(3);
    expect(meanSquaredError(a, { ...b, alpha: Uint8Array.of(0, 0, 255) })).toBe(0);
  });

  it('by SSIM are of opaque pictures', () => {
    const image = syntheticImage(16, 16);
    expect(() => ssim(image, withDisc(image))).toThrow(/SSIM: expected a picture without transparency; `flatten`/);
  });
});

describe('colours spread into what is not seen', () => {
  it('leave what is seen, and are between what is around', () => {
    const image = withDisc(syntheticImage(40, 27));
    const spread = spreadColours(image, image.alpha!);
    expect(rmse(spread, image)).toBe(0);
    const [dark, light] = [row([0, 10, 200, 9, 9, 9, 9, 9, 9, 8, 90, 200]), [255, 0, 0, 3]];
    const { data } = spreadColours(dark, Uint8Array.from(light));
    for (let i = 3; i < 9; i += 3) {
      expect(data[i]).toBeLessThanOrEqual(8);
      expect(data[i + 1]).toBeGreaterThanOrEqual(10);
      expect(data[i + 1]).toBeLessThanOrEqual(90);
      expect(data[i + 2]).toBe(200);
    }
  });

  it('do not depend on what was there', () => {
    const image = withDisc(syntheticImage(40, 27));
    const other = { ...image, data: image.data.map((value, i) => (image.alpha![Math.floor(i / 3)] ? value : i & 255)) };
    expect(spreadColours(other, image.alpha!).data).toEqual(spreadColours(image, image.alpha!).data);
  });

  it('are grey where nothing is seen', () => {
    const { data } = spreadColours(syntheticImage(5, 3), new Uint8Array(15));
    expect(new Set(data)).toEqual(new Set([128]));
  });
});

test('a part of a picture has that part of the plane', () => {
  const image = withDisc(syntheticImage(20, 10));
  const part = crop(image, { left: 7, top: 2, width: 5, height: 4 });
  expect(toRgba(part)).toEqual(
    Uint8Array.from({ length: 80 }, (_, i) => {
      const [pixel, c] = [i >> 2, i & 3];
      return toRgba(image)[4 * ((2 + Math.floor(pixel / 5)) * 20 + 7 + (pixel % 5)) + c];
    }),
  );
});

test('sheets show pictures as transparent as they are, on opaque paper', async () => {
  const image = withDisc(syntheticImage(24, 20));
  const sheet = await contactSheet([
    { image, label: '' },
    { image: syntheticImage(24, 20), label: '' },
  ]);
  const shown = await thumbnail(image);
  const found = crop(sheet, { left: 12, top: 12, width: shown.width, height: shown.height });
  expect(found.alpha).toEqual(shown.alpha);
  expect([sheet.alpha![0], sheet.alpha!.at(-1)]).toEqual([255, 255]);
  const large = await thumbnail(withDisc(syntheticImage(700, 20)));
  expect([large.width, Math.min(...large.alpha!), Math.max(...large.alpha!)]).toEqual([640, 0, 255]);
  expect((await contactSheet([{ image: syntheticImage(24, 20), label: '' }])).alpha).toBeUndefined();
});
