/**
 * What the encoder writes must not change unnoticed. Files are made with a denoiser of + - * / in doubles alone, so that
 * they are the same on every machine, and compared with the hashes of those that were written when this test was. A hash
 * that changes means a line in the changelog; if older decoders made something else of the new file, also a new version
 * (docs/FORMAT.md) and new golden files.
 */
import { createHash } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import type { EncodeOptions } from '../../src/codec/api.js';
import { decode } from '../../src/codec/decoder/decode.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { FORMAT_VERSION, readHeader } from '../../src/codec/format/header.js';
import { readInfo } from '../../src/codec/format/info.js';
import type { CodecModel } from '../../src/codec/model.js';
import { rmse } from '../../src/image/metrics.js';
import { blur, openBlurModel } from '../helpers/blur-model.js';
import { syntheticImage } from '../helpers/fixtures.js';

let model: CodecModel;

beforeAll(async () => {
  model = await openBlurModel();
});

const CASES: readonly [string, number, number, EncodeOptions, string][] = [
  ['by default', 24, 20, { targetRmse: 20 }, '8912bfb1d9c118ad'],
  [
    'with little effort, a seed and a size',
    33,
    7,
    { effort: 1, seed: 4_000_000_000, maxBytes: 120 },
    'e7b07dcce6af0663',
  ],
  ['with more effort', 16, 16, { effort: 7, targetRmse: 25 }, '88a94d9f393dcbfb'],
  ['at random', 20, 11, { selection: 'sample', effort: 2, targetRmse: 30 }, 'cb8c80c897ec911d'],
  ['of more than 64x64 pixels', 80, 56, { effort: 1, targetRmse: 30 }, 'febd97225cbbfb4b'],
  ['lossless', 21, 14, { effort: 2, lossless: true }, '8edd681507fb6d56'],
  ['lossless with its own covariances', 70, 62, { effort: 1, lossless: true }, '5489459c68766f8e'],
  [
    'with checksums and metadata',
    24,
    20,
    { targetRmse: 20, checksums: true, metadata: { comment: 'a' } },
    '2957abf516c80593',
  ],
];

test('the version that these files are of', () => expect(FORMAT_VERSION).toBe(4));

test.each(CASES)('a file %s', async (_, width, height, options, hash) => {
  const image = syntheticImage(width, height);
  const { bytes, reconstruction, steps } = await encode(image, model, options);
  const { image: decoded, complete } = await decode(bytes, model);
  expect([complete, rmse(decoded, reconstruction)]).toEqual([true, 0]);
  expect(steps.length).toBeGreaterThan(2);
  expect(createHash('sha256').update(bytes).digest('hex').slice(0, 16)).toBe(hash);
});

test('a photograph ends with the bytes that there are, and not a whole step before', async () => {
  const image = syntheticImage(80, 56);
  const whole = await encode(image, model, { effort: 1, targetRmse: 5 });
  const reports = whole.steps.filter(({ rmse }) => rmse < 40);
  for (const [i, after] of [...reports.entries()].slice(1)) {
    // Every third is enough.
    if (i % 3 !== 1) continue;
    const maxBytes = Math.ceil((reports[i - 1].bits + after.bits) / 16);
    const { bytes, reconstruction } = await encode(image, model, { effort: 1, maxBytes });
    expect(bytes.length).toBeLessThanOrEqual(maxBytes);
    expect(bytes.length).toBeGreaterThan(maxBytes - (after.bits - reports[i - 1].bits) / 32);
    expect(rmse((await decode(bytes, model)).image, reconstruction)).toBe(0);
  }
});

test('a photograph that has its RMSE says nothing of a step for which there were bytes', async () => {
  const image = syntheticImage(80, 56);
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
  const half: CodecModel = { ...model, denoiser: { ...blur, precision: 'fp16' } };
  const image = syntheticImage(20, 12);
  const { bytes } = await encode(image, half, { targetRmse: 25, metadata: { comment: 'hi' } });
  expect((await decode(bytes, half)).metadata).toEqual({ comment: 'hi', precision: 'fp16' });
  const plain = await encode(image, half, { targetRmse: 25 });
  expect(readInfo(plain.bytes, half).metadata).toEqual({ precision: 'fp16' });
  expect((await decode((await encode(image, model, { targetRmse: 25 })).bytes, model)).metadata).toBeUndefined();
  await expect(encode(image, half, { lossless: true })).rejects.toThrow('lossless: expected precision fp32, got fp16');
});
