/**
 * Files that were written once must decode for ever. `fixtures/golden` holds small files and what they decode to;
 * `UPDATE_GOLDEN=1 npx vitest run test/codec/golden.test.ts` writes them anew, which is right only when the format's
 * version or the shipped model has changed.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { decode } from '../../src/codec/decoder.js';
import { encode } from '../../src/codec/encoder.js';
import { openEngine } from '../../src/engine/index.js';
import type { RgbImage } from '../../src/image/image.js';
import { rmse } from '../../src/image/metrics.js';
import { type Model, openModel } from '../../src/model/model.js';
import { cifarTestImages } from '../helpers/fixtures.js';

const GOLDEN = fileURLToPath(new URL('../../fixtures/golden/', import.meta.url));

/** The part of an image from (left, top). */
function crop({ width, data }: RgbImage, left: number, top: number, columns: number, rows: number): RgbImage {
  const row = (y: number) => data.subarray((y * width + left) * 3, (y * width + left + columns) * 3);
  return {
    width: columns,
    height: rows,
    data: Uint8Array.from(Array.from({ length: rows }, (_, y) => [...row(top + y)]).flat()),
  };
}

const CASES = [
  {
    name: 'cifar10-test-0',
    sha256: 'a5aeab01aa58580d375d438ed18cc5223d5d8ec7af7906906d5a57b3ec4a0cd2',
    source: async () => (await cifarTestImages())[0],
    options: { targetRmse: 10 },
  },
  {
    name: 'crop-7x5',
    sha256: '4a67882e950aa9747ca8e04b1b3cc062851df831782439928e2541b6fe27e663',
    source: async () => crop((await cifarTestImages())[1], 12, 9, 7, 5),
    options: { targetRmse: 5, seed: 2026, effort: 1 },
  },
];

let model: Model;

beforeAll(async () => {
  model = await openModel('pilot', await openEngine('onnx'));
  if (!process.env.UPDATE_GOLDEN) return;
  await mkdir(GOLDEN, { recursive: true });
  for (const { name, source, options } of CASES) {
    const { bytes, reconstruction } = await encode(await source(), model, options);
    await writeFile(`${GOLDEN}${name}.ddc`, bytes);
    await writeFile(`${GOLDEN}${name}.rgb`, reconstruction.data);
  }
}, 60_000);

describe.each(CASES)('$name', ({ name, sha256, source, options }) => {
  test('is the file that was recorded', async () => {
    const file = await readFile(`${GOLDEN}${name}.ddc`);
    expect(createHash('sha256').update(file).digest('hex')).toBe(sha256);
  });

  test('decodes to the recorded picture, to within the rounding of another machine', async () => {
    const { image, complete } = await decode(await readFile(`${GOLDEN}${name}.ddc`), model);
    const expected = await readFile(`${GOLDEN}${name}.rgb`);
    expect(complete).toBe(true);
    expect(image.data.length).toBe(expected.length);
    expect(Math.max(...image.data.map((value, i) => Math.abs(value - expected[i])))).toBeLessThanOrEqual(1);
    const original = await source();
    expect([image.width, image.height]).toEqual([original.width, original.height]);
    expect(rmse(image, original)).toBeLessThanOrEqual(options.targetRmse + 0.1);
  });
});
