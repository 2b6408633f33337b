/**
 * The golden values come from another program, given the bytes of the pictures below. It is a transcription of pytorch_msssim's
 * `ms_ssim` to PyTorch 1.13 in double precision, with the window as one 11 x 11 convolution (`F.conv2d`, no padding), the five
 * moments of the definition and `F.avg_pool2d(x, 2, padding=[h % 2, w % 2])`. Values of `ssim` come from the definition in
 * NumPy 2.4: moments by `scipy.ndimage.correlate` with the 11 x 11 window, five pixels cut off all around.
 */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { RgbImage } from '../../src/image/image.js';
import { hasMsSsim, hasSsim, MS_SSIM_SIDE, msSsim, msSsimDecibels, ssim } from '../../src/image/ms-ssim.js';
import { readImage } from '../../src/node/image/read.js';
import { PHOTO, syntheticImage } from '../helpers/fixtures.js';

/** Multiples of 16, plus 8: the flat areas and steps of a coarse codec. */
const quantised = (image: RgbImage): RgbImage => ({
  ...image,
  data: image.data.map((value) => Math.floor(value / 16) * 16 + 8),
});

/** Adds a pattern of -amplitude..amplitude, and clips. */
const noisy = (image: RgbImage, amplitude: number): RgbImage => ({
  ...image,
  data: image.data.map((value, i) =>
    Math.max(0, Math.min(255, value + ((i * 31 + Math.floor(i / 97) * 17) % (2 * amplitude + 1)) - amplitude)),
  ),
});

/** No two neighbours alike. */
const texture = (width: number, height: number): RgbImage => ({
  width,
  height,
  data: Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * i + 7 * Math.floor(i / width)) % 251),
});

const inverted = (image: RgbImage): RgbImage => ({ ...image, data: image.data.map((value) => 255 - value) });

let photo: RgbImage;

beforeAll(async () => {
  photo = await readImage(PHOTO);
});

describe('msSsim', () => {
  it.each([
    ['161x163, odd sides on most scales', () => syntheticImage(161, 163), (a: RgbImage) => noisy(a, 20), 0.8709413088],
    ['texture, 200x177', () => texture(200, 177), (a: RgbImage) => noisy(a, 60), 0.9685745384],
    ['texture in coarse steps', () => texture(200, 177), quantised, 0.9982887908],
    ['photograph in coarse steps', () => photo, quantised, 0.9695437283],
    ['photograph with strong noise', () => photo, (a: RgbImage) => noisy(a, 90), 0.7233229437],
  ])('%s: as PyTorch has it', (_name, original, degrade, expected) => {
    const image = original();
    expect(msSsim(image, degrade(image))).toBeCloseTo(expected, 9);
  });

  it('is 1 for equal pictures and 0 for opposite structure', () => {
    expect(msSsim(photo, photo)).toBe(1);
    const image = texture(170, 165);
    expect(msSsim(image, inverted(image))).toBe(0);
  });

  it('does not depend on the order', () => {
    const sides = fc.integer({ min: MS_SSIM_SIDE + 1, max: MS_SSIM_SIDE + 20 });
    fc.assert(
      fc.property(sides, sides, fc.integer({ min: 1, max: 100 }), (width, height, amplitude) => {
        const image = texture(width, height);
        const other = noisy(image, amplitude);
        const value = msSsim(image, other);
        expect(value).toBeGreaterThan(0);
        expect(value).toBeLessThan(1);
        expect(msSsim(other, image)).toBeCloseTo(value, 12);
      }),
      { numRuns: 10 },
    );
  });

  it('falls as noise grows', () => {
    const values = [0, 2, 5, 10, 20, 40, 80].map((amplitude) => msSsim(photo, noisy(photo, amplitude)));
    expect(values).toEqual(values.toSorted((a, b) => b - a));
    expect(new Set(values).size).toBe(values.length);
  });

  it('refuses pictures that are too small, or of different sizes', () => {
    expect(hasMsSsim({ width: 161, height: 161 })).toBe(true);
    expect(hasMsSsim({ width: 160, height: 500 })).toBe(false);
    const small = syntheticImage(160, 500);
    expect(() => msSsim(small, small)).toThrow(/sides of more than 160 pixels.*got 160x500/);
    expect(() => msSsim(syntheticImage(170, 180), syntheticImage(180, 170))).toThrow(/170x180 with 180x170/);
  });
});

describe('ssim', () => {
  it.each([
    ['strong noise', texture(32, 24), (a: RgbImage) => noisy(a, 60), 0.8965310381],
    ['coarse steps', texture(32, 24), quantised, 0.9978342927],
    ['opposite structure', texture(32, 24), inverted, -0.9634784112],
    ['one place of the window', texture(11, 11), (a: RgbImage) => noisy(a, 100), 0.753803385],
  ])('%s: as NumPy has it', (_name, image, degrade, expected) => {
    const other = degrade(image);
    expect(ssim(image, other)).toBeCloseTo(expected, 9);
    expect(ssim(other, image)).toBeCloseTo(expected, 9);
  });

  it('is 1 for equal pictures, and refuses those that are smaller than the window, or of different sizes', () => {
    expect(ssim(texture(32, 32), texture(32, 32))).toBe(1);
    expect([hasSsim({ width: 11, height: 11 }), hasSsim({ width: 10, height: 50 })]).toEqual([true, false]);
    expect(() => ssim(texture(10, 50), texture(10, 50))).toThrow(/sides of 11 pixels or more, got 10x50/);
    expect(() => ssim(texture(12, 13), texture(13, 12))).toThrow(/12x13 with 13x12/);
  });
});

describe('msSsimDecibels', () => {
  it('is 10 dB for each factor of 10 that is missing to 1', () => {
    expect([0, 0.9, 0.99].map(msSsimDecibels)).toEqual([0, expect.closeTo(10, 9), expect.closeTo(20, 9)]);
    expect(msSsimDecibels(1)).toBe(Number.POSITIVE_INFINITY);
  });
});
