/** Small pictures of all kinds: what the encoder claims about its files is true. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EncodeOptions } from '../../src/codec/api.js';
import { decode } from '../../src/codec/decoder/decode.js';
import { openDecoder } from '../../src/codec/decoder/decoder.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { leastFile } from '../../src/codec/encoder/least-bytes.js';
import type { CodecModel } from '../../src/codec/model.js';
import { integerStream } from '../../src/common/random.js';
import { crop } from '../../src/image/crop.js';
import type { RgbImage } from '../../src/image/image.js';
import { rmse } from '../../src/image/metrics.js';
import { openEngine } from '../../src/node/engine/index.js';
import { readImage } from '../../src/node/image/read.js';
import { type Model, openModel } from '../../src/node/models.js';
import { openBlurModel } from '../helpers/blur-model.js';
import { PHOTO, toSharp } from '../helpers/fixtures.js';
import { noiseImage, openNoiseModel } from '../helpers/noise-model.js';

/** The factor by which a point may be worse than the one before. */
const ALLOWED_RISE = 1.01;
const MOST_SIDE = 24;
const photo = await readImage(PHOTO);

const KINDS = [
  'flat',
  'two colours',
  'dark',
  'light',
  'checkers',
  'noise',
  'few colours',
  'photograph',
  'known',
] as const;

function makePicture(kind: (typeof KINDS)[number], width: number, height: number, seed: number): RgbImage {
  const next = integerStream(`any ${seed}`);
  const byte = () => next() & 255;
  if (kind === 'known') return noiseImage(width, height);
  if (kind === 'photograph') {
    const [left, top] = [photo.width - width, photo.height - height].map((room) => (next() >>> 1) % room);
    return crop(photo, { left, top, width, height });
  }
  const colours = Array.from({ length: 6 }, () => [byte(), byte(), byte()]);
  const slope = 1 + (byte() % 3);
  const pixel = (x: number, y: number): readonly number[] => {
    if (kind === 'flat') return colours[0];
    if (kind === 'two colours') return colours[Number(x * slope > y + 3)];
    if (kind === 'dark') return [Math.floor((x * slope) / 2), Math.floor(y / 2), 3];
    if (kind === 'light') return [255 - Math.floor((x * slope) / 2), 255 - Math.floor(y / 3), 252];
    if (kind === 'checkers') return colours[(Math.floor(x / slope) + Math.floor(y / slope)) & 1];
    return kind === 'noise' ? [byte(), byte(), byte()] : colours[byte() % colours.length];
  };
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) data.set(pixel(i % width, Math.floor(i / width)), 3 * i);
  return { width, height, data };
}

const pictures = fc
  .record({
    kind: fc.constantFrom(...KINDS),
    width: fc.integer({ min: 1, max: MOST_SIDE }),
    height: fc.integer({ min: 1, max: MOST_SIDE }),
    seed: fc.nat(),
  })
  .map(({ kind, width, height, seed }) => ({ kind, image: makePicture(kind, width, height, seed) }));
const efforts = fc.constantFrom(1, 5);

/** Encodes, and checks every promise made for any file. @returns the result, with the RMSE at every point */
async function checked(image: RgbImage, model: CodecModel, options: EncodeOptions) {
  const result = await encode(image, model, options);
  const { bytes, reconstruction, rmse: reported } = result;
  const { image: decoded, complete, lossless } = await decode(bytes, model);
  expect([complete, lossless]).toEqual([true, options.lossless === true || lossless]);
  expect(decoded).toEqual(reconstruction);
  expect(rmse(decoded, image)).toBe(reported);
  const errors: number[] = [];
  const decoder = openDecoder(model);
  for await (const point of decoder.push(bytes)) errors.push(rmse((await point.reconstruct()).image, image));
  for (let i = 1; i < errors.length; i++) {
    expect(errors[i], `point ${i} of ${errors.map((one) => one.toFixed(2))}`).toBeLessThanOrEqual(
      ALLOWED_RISE * errors[i - 1],
    );
  }
  expect(errors.at(-1)).toBe(reported);
  return result;
}

async function checkTarget(image: RgbImage, model: CodecModel, targetRmse: number, effort: number): Promise<void> {
  const result = await checked(image, model, { targetRmse, effort });
  expect(result.rmse).toBeLessThanOrEqual(targetRmse);
  expect(result).toMatchObject({ stoppedBy: 'target', targetMet: true });
}

/** @param room bytes above the smallest possible file */
async function checkLimit(image: RgbImage, model: CodecModel, room: number, options: EncodeOptions): Promise<void> {
  const maxBytes = leastFile(image, options).bytes + room;
  const { bytes, stoppedBy, targetMet, rmse: reached } = await checked(image, model, { ...options, maxBytes });
  expect(bytes.length).toBeLessThanOrEqual(maxBytes);
  const { targetRmse } = options;
  if (targetRmse === undefined)
    expect([targetMet, stoppedBy]).toEqual([undefined, reached === 0 ? 'exact' : 'maxBytes']);
  else expect([targetMet, stoppedBy]).toEqual(reached <= targetRmse ? [true, 'target'] : [false, 'maxBytes']);
}

async function checkExact(image: RgbImage, model: CodecModel, effort: number): Promise<void> {
  const result = await checked(image, model, { lossless: true, effort });
  expect([result.rmse, result.stoppedBy]).toEqual([0, 'exact']);
  const { lossless, image: decoded } = await decode(result.bytes, model);
  expect([lossless, decoded.data]).toEqual([true, image.data]);
}

const targets = fc.double({ min: 1, max: 20, noNaN: true });
/** Bytes above the smallest file; small numbers are drawn more often than large ones. */
const rooms = fc.tuple(fc.nat(1000), fc.nat(1000)).map(([a, b]) => Math.floor((a * b) / 1000));

let cifar10: Model;
beforeAll(async () => {
  cifar10 = await openModel('cifar10', await openEngine('onnx'));
});
afterAll(() => cifar10.dispose());

describe.each([
  { name: 'a poor model', open: async (): Promise<CodecModel> => openBlurModel(), runs: 40 },
  { name: 'a model of noise', open: async (): Promise<CodecModel> => openNoiseModel(), runs: 30 },
  { name: 'the model that is shipped', open: async (): Promise<CodecModel> => cifar10, runs: 6 },
])('with $name', ({ open, runs }) => {
  let model: CodecModel;
  beforeAll(async () => {
    model = await open();
  });

  test('a target is met', async () => {
    const property = fc.asyncProperty(pictures, targets, efforts, ({ image }, target, effort) =>
      checkTarget(image, model, target, effort),
    );
    await fc.assert(property, { numRuns: runs });
  });

  test('a limit is kept, and it is told whether a target is met within it', async () => {
    const property = fc.asyncProperty(
      pictures,
      rooms,
      fc.option(targets, { nil: undefined }),
      efforts,
      ({ image }, room, targetRmse, effort) =>
        checkLimit(image, model, room, { effort, ...(targetRmse !== undefined && { targetRmse }) }),
    );
    await fc.assert(property, { numRuns: runs });
  });

  test('lossless files come back exactly', async () => {
    const property = fc.asyncProperty(pictures, efforts, ({ image }, effort) => checkExact(image, model, effort));
    await fc.assert(property, { numRuns: Math.ceil(runs / 2) });
  });
});

test('a file whose header alone comes to its target has nothing else', async () => {
  const picture = makePicture('few colours', 7, 7, 3);
  const model = await openNoiseModel();
  const { bytes, steps, targetMet, tailBytes } = await encode(picture, model, { effort: 1, targetRmse: 150 });
  expect({ targetMet, tailBytes, points: steps.length }).toEqual({ targetMet: true, tailBytes: 0, points: 1 });
  expect(bytes.length).toBe(leastFile(picture, {}).bytes);
});

test('steps that are not shown are left out at the end, where saying so would go past a limit', async () => {
  const flat = { width: 1, height: 3, data: Uint8Array.from([196, 18, 154, 196, 18, 154, 196, 18, 154]) };
  await checkLimit(flat, await openNoiseModel(), 1, { effort: 1 });
});

describe('pictures that photographs are not like', () => {
  const filled = (width: number, height: number, pixel: (x: number, y: number) => readonly number[]): RgbImage => {
    const data = new Uint8Array(width * height * 3);
    for (let i = 0; i < width * height; i++) data.set(pixel(i % width, Math.floor(i / width)), 3 * i);
    return { width, height, data };
  };
  const next = integerStream('random colours');
  const byte = () => next() & 255;
  const CASES: readonly [string, RgbImage][] = [
    ['black', filled(128, 128, () => [0, 0, 0])],
    ['checkers', filled(32, 32, (x, y) => ((x + y) & 1 ? [255, 255, 255] : [0, 0, 0]))],
    ['nearly black', filled(32, 32, (x, y) => [(x + y) % 4, x % 3, y % 2])],
    ['white', filled(32, 32, () => [255, 255, 255])],
    ['red', filled(32, 32, () => [255, 0, 0])],
    ['one black pixel', filled(1, 1, () => [0, 0, 0])],
    ['magenta', filled(3, 3, () => [255, 0, 255])],
    ['random colours', filled(32, 32, () => [byte(), byte(), byte()])],
  ];

  test.each(CASES)('%s', async (_, image) => {
    const { width, height, data } = image;
    const { bytes } = await checked(image, cifar10, { targetRmse: 3, effort: 1 });
    expect(rmse((await decode(bytes, cifar10)).image, image)).toBeLessThanOrEqual(3);
    const colours = new Set(Array.from({ length: width * height }, (_, i) => data.slice(3 * i, 3 * i + 3).join()));
    const png = await toSharp(image).png({ palette: false, compressionLevel: 9 }).toBuffer();
    const most = colours.size <= 16 ? Math.min(data.length, 1.2 * png.length) : data.length;
    expect(bytes.length).toBeLessThanOrEqual(most + 16);
  });
});
