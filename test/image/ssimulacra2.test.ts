/**
 * The golden values come from the original: `ssimulacra2` 2.1 built from github.com/cloudinary/ssimulacra2 (commit 81feacf) with
 * GCC 12 and AVX2, given PNG files of the pictures below.
 */
import { beforeAll, expect, it } from 'vitest';
import type { RgbImage } from '../../src/image/image.js';
import { hasSsimulacra2, ssimulacra2 } from '../../src/image/ssimulacra2.js';
import { readImage } from '../../src/node/image/read.js';
import { cifarTestImages, PHOTO, syntheticImage, withDisc } from '../helpers/fixtures.js';

const clip = (value: number) => Math.max(0, Math.min(255, Math.round(value)));

const mapped = (image: RgbImage, change: (value: number, index: number) => number): RgbImage => ({
  ...image,
  data: image.data.map((value, i) => clip(change(value, i))),
});

/** Adds or subtracts this many grey levels, in a random pattern. */
const noisy = (image: RgbImage, amplitude: number): RgbImage =>
  mapped(image, (value, i) => value + (((i * i * 7 + i * 13) >> 4) % 2 === 0 ? amplitude : -amplitude));

/** Means over this many pixels on either side. */
const blurred = (image: RgbImage, radius: number): RgbImage => {
  const { width, height, data } = image;
  return mapped(image, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    let [sum, count] = [0, 0];
    for (let v = Math.max(0, y - radius); v <= Math.min(height - 1, y + radius); v++) {
      for (let u = Math.max(0, x - radius); u <= Math.min(width - 1, x + radius); u++) {
        sum += data[3 * (v * width + u) + (i % 3)];
        count++;
      }
    }
    return sum / count;
  });
};

/** Like JPEG: cosines of 8 x 8 pixels, rounded to multiples of a step that grows with frequency. */
const transformCoded = (image: RgbImage, step: number): RgbImage => {
  const { width, height, data } = image;
  const out = new Uint8Array(data.length);
  const cosine = (k: number, n: number) =>
    (k === 0 ? Math.SQRT1_2 : 1) * 0.5 * Math.cos(((2 * n + 1) * k * Math.PI) / 16);
  const side = [0, 1, 2, 3, 4, 5, 6, 7];
  for (let top = 0; top < height; top += 8) {
    for (let left = 0; left < width; left += 8) {
      for (let c = 0; c < 3; c++) {
        const place = (x: number, y: number) =>
          3 * (Math.min(height - 1, top + y) * width + Math.min(width - 1, left + x)) + c;
        const block = side.map((y) => side.map((x) => data[place(x, y)]));
        const rows = block.map((row) => side.map((k) => row.reduce((sum, value, n) => sum + value * cosine(k, n), 0)));
        const coefficients = side.map((k) =>
          side.map((l) => {
            const size = step * (1 + k + l);
            return size * Math.round(rows.reduce((sum, row, n) => sum + row[l] * cosine(k, n), 0) / size);
          }),
        );
        const columns = side.map((y) =>
          side.map((l) => side.reduce((sum, k) => sum + coefficients[k][l] * cosine(k, y), 0)),
        );
        for (const y of side) {
          for (const x of side) {
            if (top + y >= height || left + x >= width) continue;
            out[place(x, y)] = clip(side.reduce((sum, l) => sum + columns[y][l] * cosine(l, x), 0));
          }
        }
      }
    }
  }
  return { ...image, data: out };
};

const cut = ({ width, data }: RgbImage, w: number, h: number): RgbImage => ({
  width: w,
  height: h,
  data: Uint8Array.from({ length: 3 * w * h }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % w, Math.floor(i / 3 / w)];
    return data[3 * ((y + 80) * width + x + 150) + (i % 3)];
  }),
});

let photo: RgbImage;
let cifar: RgbImage;

beforeAll(async () => {
  photo = await readImage(PHOTO);
  [, cifar] = await cifarTestImages();
});

const drawing = syntheticImage(61, 45);
const CASES: readonly (readonly [string, () => [RgbImage, RgbImage], number])[] = [
  ['a photograph of 500 x 333, one grey level', () => [photo, noisy(photo, 1)], 94.57508321],
  ['three grey levels', () => [photo, noisy(photo, 3)], 84.76612369],
  ['25 grey levels', () => [photo, noisy(photo, 25)], -8.00257368],
  ['blurred', () => [photo, blurred(photo, 1)], 54.88194319],
  ['blurred more', () => [photo, blurred(photo, 4)], -8.94240651],
  ['coded finely', () => [photo, transformCoded(photo, 3)], 84.01266691],
  ['coded coarsely', () => [photo, transformCoded(photo, 16)], 56.6335369],
  ['brighter', () => [photo, mapped(photo, (value) => value + 12)], 35.78157593],
  ['inverted', () => [photo, mapped(photo, (value) => 255 - value)], -3889.62440367],
  ['from the blurred one, the other way round', () => [blurred(photo, 1), photo], 57.21364778],
  ['a drawing of 61 x 45, three grey levels', () => [drawing, noisy(drawing, 3)], 53.89231204],
  ['coded', () => [drawing, transformCoded(drawing, 10)], 40.59391701],
  [
    'all of one colour, and a little else',
    () => [mapped(drawing, () => 128), mapped(drawing, (_, i) => (i === 600 ? 160 : 128))],
    97.67392749,
  ],
  ['32 x 32, coded', () => [cifar, transformCoded(cifar, 6)], 38.65313616],
  ['32 x 32, blurred', () => [cifar, blurred(cifar, 1)], 72.04711686],
  ['8 x 8', () => [cut(photo, 8, 8), noisy(cut(photo, 8, 8), 3)], 95.49034898],
  ['9 x 8', () => [cut(photo, 9, 8), noisy(cut(photo, 9, 8), 10)], 88.44218094],
  ['17 x 31', () => [cut(photo, 17, 31), blurred(cut(photo, 17, 31), 1)], 84.12507441],
  ['200 x 15', () => [cut(photo, 200, 15), transformCoded(cut(photo, 200, 15), 8)], 80.98137995],
];

it.each(CASES)('%s: as the original has it', (_, pictures, golden) => {
  expect(Math.abs(ssimulacra2(...pictures()) - golden)).toBeLessThan(1e-4);
});

it('is 100 for equal pictures, of any size', () => {
  for (const image of [cifar, drawing, cut(photo, 8, 8), cut(photo, 77, 9)])
    expect(ssimulacra2(image, image)).toBe(100);
});

it('refuses what it is not for', () => {
  expect([hasSsimulacra2(cut(photo, 8, 8)), hasSsimulacra2(cut(photo, 7, 20))]).toEqual([true, false]);
  const small = cut(photo, 7, 20);
  expect(() => ssimulacra2(small, small)).toThrow(/SSIMULACRA2: expected sides of 8 pixels or more, got 7x20/);
  expect(() => ssimulacra2(cifar, drawing)).toThrow(/cannot compare 32x32 with 61x45 pixels/);
  expect(() => ssimulacra2(cifar, withDisc(cifar))).toThrow(/SSIMULACRA2: expected a picture without transparency/);
});
