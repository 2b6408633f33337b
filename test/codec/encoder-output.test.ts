/**
 * What the encoder writes must not change unnoticed. The denoiser here uses only + - * / in doubles, so the files are the
 * same on every machine. The test compares them with hashes recorded when it was written. A changed hash means a line in the
 * changelog. If older decoders decode the new file differently, it also means a new version (docs/FORMAT.md) and new golden
 * files.
 */
import { createHash } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import type { EncodeOptions } from '../../src/codec/api.js';
import { decode } from '../../src/codec/decoder/decode.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { FORMAT_VERSION, readHeader } from '../../src/codec/format/header.js';
import { readInfo } from '../../src/codec/format/info.js';
import type { CodecModel } from '../../src/codec/model.js';
import type { RgbImage } from '../../src/image/image.js';
import { rmse } from '../../src/image/metrics.js';
import { syntheticImage } from '../helpers/fixtures.js';
import { noiseImage, openNoiseModel } from '../helpers/noise-model.js';

let model: CodecModel;

beforeAll(async () => {
  model = await openNoiseModel();
});

const CASES: readonly [string, number, number, EncodeOptions, string][] = [
  ['by default', 24, 20, { targetRmse: 20 }, '30a652d5aebb318d'],
  [
    'with little effort, a seed and a size',
    33,
    7,
    { effort: 1, seed: 4_000_000_000, maxBytes: 120 },
    '298eda3344cb5c16',
  ],
  ['with more effort', 16, 16, { effort: 7, targetRmse: 25 }, '598029407e12f6b3'],
  ['at random', 20, 11, { selection: 'sample', effort: 2, targetRmse: 30 }, '03760708ec1ff3b3'],
  ['of more than 64x64 pixels', 80, 56, { effort: 1, targetRmse: 30 }, '416f39f1380739dc'],
  ['lossless', 21, 14, { effort: 2, lossless: true }, '9e95fc8df781b3eb'],
  ['lossless, of more than 64x64 pixels', 70, 62, { effort: 1, lossless: true }, '19dd43fe80ef5fec'],
  [
    'with checksums and metadata',
    24,
    20,
    { targetRmse: 20, checksums: true, metadata: { comment: 'a' } },
    '71d316be5694e53b',
  ],
];

test('the version that these files are of', () => expect(FORMAT_VERSION).toBe(7));

test.each(CASES)('a file %s', async (_, width, height, options, hash) => {
  const { bytes, reconstruction, steps } = await encode(noiseImage(width, height), model, options);
  const { image: decoded, complete } = await decode(bytes, model);
  expect([complete, rmse(decoded, reconstruction)]).toEqual([true, 0]);
  // Samples follow after few steps: more steps would not improve this model.
  expect(steps.length).toBeGreaterThan(options.lossless ? 1 : 2);
  expect(createHash('sha256').update(bytes).digest('hex').slice(0, 16)).toBe(hash);
});

test.each([1, 5, 8, 9])(
  'a picture of 80x56 pixels at effort %d has as many states as there can be at most',
  async (effort) => {
    const { bytes } = await encode(noiseImage(80, 56), model, { effort, targetRmse: 40 });
    expect((await decode(bytes, model)).complete).toBe(true);
    expect(readHeader(bytes).header.stateBits).toBe({ 1: 13, 5: 15, 8: 16, 9: 16 }[effort]);
  },
);

/** Few colours, so that a drawing uses a palette. */
function checkers(width: number, height: number): RgbImage {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    return [30, 220, 140][(Math.floor(x / 5) + Math.floor(y / 4) + (i % 3) * x) % 3];
  });
  return { width, height, data };
}

const DRAWINGS: readonly [string, RgbImage, EncodeOptions, string][] = [
  ['of few colours', checkers(40, 24), { targetRmse: 3 }, '13348fcb71da0df1'],
  ['of many', syntheticImage(33, 21), { targetRmse: 5 }, 'dfcd37a3d03c8124'],
  ['of noise', noiseImage(20, 12), { targetRmse: 1 }, 'd311375e88b8834e'],
  ['lossless', syntheticImage(33, 21), { lossless: true }, '15e74820aaaaf476'],
  ['with a mean colour', syntheticImage(70, 66), { targetRmse: 8, effort: 1 }, 'fd4aefb27611e39c'],
  ['of so many bytes', syntheticImage(12, 9), { maxBytes: 40 }, 'c814eb312a882d19'],
];

test.each([
  [1, 9],
  [3, 13],
  [5, 16],
  [9, 16],
])('a small picture at effort %d has 2^%d states', async (effort, stateBits) => {
  const { bytes } = await encode(noiseImage(24, 20), model, { effort, targetRmse: 40 });
  expect(readHeader(bytes).header.stateBits).toBe(stateBits);
});

test.each(DRAWINGS)('a drawing %s', async (_, image, options, hash) => {
  const { bytes, reconstruction, rmse: reached } = await encode(image, model, options);
  const { image: decoded, complete } = await decode(bytes, model);
  expect([complete, decoded, rmse(decoded, image)]).toEqual([true, reconstruction, reached]);
  expect(readInfo(bytes, model).samples?.kind).toBe('drawing');
  expect(createHash('sha256').update(bytes).digest('hex').slice(0, 16)).toBe(hash);
});

test('a photograph ends with the bytes that there are, and not a whole step before', async () => {
  const image = noiseImage(80, 56);
  const whole = await encode(image, model, { effort: 1, targetRmse: 5 });
  // Earlier steps are excluded: one that does not improve the picture would be left out at the end.
  const reports = whole.steps.filter(({ rmse }) => rmse < 36);
  for (const [i, after] of [...reports.entries()].slice(1)) {
    // Every third limit is enough.
    if (i % 3 !== 1) continue;
    const maxBytes = Math.ceil((reports[i - 1].bits + after.bits) / 16);
    const { bytes, reconstruction } = await encode(image, model, { effort: 1, maxBytes });
    expect(bytes.length).toBeLessThanOrEqual(maxBytes);
    expect(bytes.length).toBeGreaterThan(maxBytes - (after.bits - reports[i - 1].bits) / 32);
    expect(rmse((await decode(bytes, model)).image, reconstruction)).toBe(0);
  }
});

test('a step that is held does not take bytes that there are not', async () => {
  const image = noiseImage(130, 128);
  // Where the model is this bad, steps are held. With a pyramid, decoders show another picture than the chain has.
  const denoiser: CodecModel['denoiser'] = {
    ...model.denoiser,
    async predictX0(picture, options) {
      const xhat0 = await model.denoiser.predictX0(picture, options);
      for (let i = 0; picture.t % 2 === 0 && i < xhat0.length; i++) {
        xhat0[i] = Math.max(-1, Math.min(1, xhat0[i] + (i & 1 ? 0.1 : -0.1)));
      }
      return xhat0;
    },
  };
  const bad: CodecModel = { ...model, denoiser, pyramid: { halfFrom: 500, leastSide: 16 } };
  let held = 0;
  for (let maxBytes = 48; maxBytes < 60; maxBytes++) {
    const { bytes } = await encode(image, bad, { effort: 1, maxBytes });
    expect(bytes.length).toBeLessThanOrEqual(maxBytes);
    if (readHeader(bytes).header.heldSteps) held++;
  }
  expect(held).toBeGreaterThan(0);
});

test('a photograph that has its RMSE says nothing of a step for which there were bytes', async () => {
  const image = noiseImage(80, 56);
  const { steps } = await encode(image, model, { effort: 1, targetRmse: 30 });
  let withoutStop = 0;
  for (const { rmse: targetRmse } of steps.slice(-4)) {
    const { bytes } = await encode(image, model, { effort: 1, targetRmse });
    if (readHeader(bytes).header.stop === undefined) withoutStop++;
    for (const more of [20, 180]) {
      const limited = await encode(image, model, { effort: 1, targetRmse, maxBytes: bytes.length + more });
      expect(limited.bytes).toEqual(bytes);
    }
  }
  expect(withoutStop).toBeGreaterThan(0);
});

test('a file says when the network was in half precision, and is not lossless then', async () => {
  const half: CodecModel = { ...model, denoiser: { ...model.denoiser, precision: 'fp16' } };
  const image = noiseImage(20, 12);
  const { bytes } = await encode(image, half, { targetRmse: 25, metadata: { comment: 'hi' } });
  expect((await decode(bytes, half)).metadata).toEqual({ comment: 'hi', precision: 'fp16' });
  const plain = await encode(image, half, { targetRmse: 25 });
  expect(readInfo(plain.bytes, half).metadata).toEqual({ precision: 'fp16' });
  expect((await decode((await encode(image, model, { targetRmse: 25 })).bytes, model)).metadata).toBeUndefined();
  await expect(encode(image, half, { lossless: true })).rejects.toThrow('lossless: expected precision fp32, got fp16');
});
