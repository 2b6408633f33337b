/** Real files of the other codecs, for a crop of a photograph just large enough for MS-SSIM. */
import { spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import type { RgbImage } from '../../src/image/image.js';
import { psnr, rmse } from '../../src/image/metrics.js';
import { msSsim } from '../../src/image/ms-ssim.js';
import { readImage } from '../../src/node/image/read.js';
import {
  BASELINES,
  type Baseline,
  baselineVersions,
  decodeBaseline,
  encodeBaseline,
  encodeWithin,
  findBaseline,
  findBaselines,
  sweepBaseline,
} from '../../src/report/baselines.js';
import { payloadBytes } from '../../src/report/payload.js';
import { PHOTO, syntheticImage, temporaryDirectory } from '../helpers/fixtures.js';

const WIDTH = 171;
const HEIGHT = 163;

let image: RgbImage;

beforeAll(async () => {
  const data = await sharp(PHOTO).extract({ left: 150, top: 60, width: WIDTH, height: HEIGHT }).raw().toBuffer();
  image = { width: WIDTH, height: HEIGHT, data };
});

const [LOSSY, LOSSLESS] = [false, true].map((one) => BASELINES.filter(({ qualities: [q] }) => (q === 100) === one));

describe.each(LOSSY)('$name', (codec) => {
  it('sizes are of whole files, errors of what any reader makes of them', async () => {
    const qualities = [codec.qualities[0], 40, codec.qualities[codec.qualities.length - 1]];
    const seen: number[] = [];
    const points = await sweepBaseline(image, { ...codec, qualities }, ({ quality }) => void seen.push(quality));
    expect(seen).toEqual(qualities);
    const directory = await temporaryDirectory();
    for (const { quality, bytes, payloadBytes, bpp, bitsPerDim, ...measured } of points) {
      const file = await encodeBaseline(image, codec, quality);
      expect(bytes).toBe(file.length);
      expect(payloadBytes).toBeGreaterThan(0);
      expect(payloadBytes).toBeLessThan(bytes);
      expect([bpp, bitsPerDim]).toEqual([(8 * bytes) / WIDTH / HEIGHT, (8 * bytes) / (3 * WIDTH * HEIGHT)].map(near));
      const path = join(directory, `${quality}.${codec.format}`);
      await writeFile(path, file);
      // Readers drop the last two of an AVIF's ten bits.
      const isWeb = codec.format !== 'jxl' && codec.format !== 'avif';
      const read = isWeb ? await readImage(path) : await decodeBaseline(await readFile(path), codec);
      expect(measured).toMatchObject({ rmse: rmse(image, read), psnr: psnr(image, read), msSsim: msSsim(image, read) });
      expect(measured.ssim).toBe(null);
      expect(measured.encodeSeconds).toBeGreaterThan(0);
    }
    const rising = (values: (number | null)[]) => expect(values).toEqual(values.toSorted((a, b) => a! - b!));
    rising(points.map(({ bytes }) => bytes));
    rising(points.map(({ psnr: decibels }) => decibels));
    rising(points.map((point) => point.msSsim));
  });

  it('the largest file of a size is within it, and the next quality is not', async () => {
    const { length } = await encodeBaseline(image, codec, 50);
    const found = (await encodeWithin(image, codec, length))!;
    expect(found.file.length).toBeLessThanOrEqual(length);
    expect(found.quality).toBeGreaterThanOrEqual(50);
    expect((await encodeBaseline(image, codec, found.quality + 1)).length).toBeGreaterThan(length);
    expect(await decodeBaseline(found.file, codec)).toMatchObject({ width: WIDTH, height: HEIGHT });
    expect(await encodeWithin(image, codec, 50)).toBe(undefined);
  });
});

it('settings do what they say: 4:4:4 keeps colour that 4:2:0 smears', async () => {
  const colours = { ...syntheticImage(64, 64) };
  colours.data = colours.data.map((_, i) => (((i % 3) + Math.floor(i / 3)) % 2 === 0 ? 40 : 200));
  const error = async (name: string) => {
    const codec = findBaseline(name);
    return rmse(colours, await decodeBaseline(await encodeBaseline(colours, codec, 95), codec));
  };
  expect(await error('jpeg444')).toBeLessThan(8);
  expect(await error('avif')).toBeLessThan(8);
  expect(await error('jxl')).toBeLessThan(8);
  expect(await error('jpeg')).toBeGreaterThan(20);
  expect(await error('webp')).toBeGreaterThan(20);
});

it('pictures too small for MS-SSIM have SSIM in its place', async () => {
  const [point] = await sweepBaseline(syntheticImage(40, 30), { ...findBaseline('webp'), qualities: [50] });
  expect(point).toMatchObject({ msSsim: null, ssim: expect.any(Number) });
  const [smaller] = await sweepBaseline(syntheticImage(40, 10), { ...findBaseline('webp'), qualities: [50] });
  expect(smaller).toMatchObject({ msSsim: null, ssim: null });
});

it.each(LOSSLESS)('$name is one point, lossless', async (codec) => {
  const [point, ...others] = await sweepBaseline(image, codec);
  expect(others).toEqual([]);
  expect(point).toMatchObject({ rmse: 0, psnr: Infinity, msSsim: 1 });
});

it('JPEG XL is the same bytes again, and not the same at another effort', async () => {
  const codec = findBaseline('jxl');
  const [one, two] = [await encodeBaseline(image, codec, 50), await encodeBaseline(image, codec, 50)];
  expect(one.equals(two)).toBe(true);
  const fast: Baseline = { ...codec, format: 'jxl', settings: { effort: 3, lossless: false } };
  expect((await encodeBaseline(image, fast, 50)).equals(one)).toBe(false);
});

/** Debian's libjxl-tools. Newer decoders dither before they round, so pixels differ by up to a grey level. */
it.skipIf(spawnSync('djxl', ['--version']).error)('JPEG XL: djxl reads the files, with the same error', async () => {
  const directory = await temporaryDirectory();
  const [path, decoded] = ['picture.jxl', 'picture.png'].map((name) => join(directory, name));
  for (const [name, quality] of [
    ['jxl', 20],
    ['jxl', 90],
    ['jxl-lossless', 100],
  ] as const) {
    const [{ rmse: measured }] = await sweepBaseline(image, { ...findBaseline(name), qualities: [quality] });
    await writeFile(path, await encodeBaseline(image, findBaseline(name), quality));
    expect(spawnSync('djxl', [path, decoded]).status).toBe(0);
    expect(Math.abs(rmse(image, await readImage(decoded)) - measured)).toBeLessThan(0.05);
  }
});

/** Sizes of the parts according to the formats' specifications. */
it('the container of a format is as large as its parts, whatever the quality', async () => {
  const container = async (name: string, quality: number) => {
    const file = await encodeBaseline(syntheticImage(32, 32), findBaseline(name), quality);
    return file.length - payloadBytes(file, findBaseline(name).format);
  };
  for (const quality of [10, 90]) {
    // SOI, two DQT of 8 bits, SOF2 of three components, EOI. sharp leaves APP0 out.
    expect(await container('jpeg', quality)).toBe(2 + 2 * (2 + 2 + 65) + 19 + 2);
    // RIFF header and one chunk header, plus a byte of padding where the payload's length is odd.
    expect([20, 21]).toContain(await container('webp', quality));
  }
  // The signature of a bare codestream.
  expect([await container('jxl', 50), await container('jxl-lossless', 100)]).toEqual([2, 2]);
  // Signature, IHDR, pHYs, IEND, and the length, type and checksum of the only IDAT.
  expect(await container('png', 100)).toBe(8 + 25 + 21 + 12 + 12);
  expect(() => payloadBytes(new Uint8Array(100), 'jpeg')).toThrow(/expected a whole file/);
  expect(() => payloadBytes(new Uint8Array([0xff, 0xd8, 0xff]), 'jpeg')).toThrow(/expected a whole file/);
});

it('records which libraries encoded', () => {
  expect(baselineVersions()).toMatchObject({
    sharp: expect.any(String),
    webp: expect.any(String),
    jxl: expect.stringMatching(/^\d+\.\d+\.\d+$/),
  });
});

it('the ten bits of AVIF are rounded: dropping two of them makes a picture 3/8 of a level darker', async () => {
  const avif = findBaseline('avif');
  const { data } = await decodeBaseline(await encodeBaseline(image, avif, 85), avif);
  const brighter = data.reduce((sum, value, i) => sum + value - image.data[i], 0) / data.length;
  expect(brighter).toBeGreaterThan(-0.1);
  expect(brighter).toBeLessThan(0.3);
});

it('names are those of the list', () => {
  expect(findBaseline('avif').label).toContain('AVIF');
  expect(() => findBaseline('bpg')).toThrow(
    /expected jpeg, jpeg444, webp, avif, jxl, png, webp-lossless, jxl-lossless, got "bpg"/,
  );
  expect(findBaselines(['png', 'jpeg']).map(({ name }) => name)).toEqual(['jpeg', 'jpeg444', 'png']);
  expect(findBaselines(['jxl']).map(({ name }) => name)).toEqual(['jxl', 'jxl-lossless']);
});

function near(value: number) {
  return expect.closeTo(value, 10);
}
