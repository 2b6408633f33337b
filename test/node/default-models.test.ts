/**
 * Files of the models that are used by default, `photo` and `cifar10`. A release freezes them: from then on these files and
 * ids stay, and a better model gets another name. Before that, a new model replaces them:
 * `UPDATE_GOLDEN=1 npx vitest run test/node/default-models.test.ts`, and its id below.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decode } from '../../src/codec/decoder/decode.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { leastFile } from '../../src/codec/encoder/least-bytes.js';
import { readHeader } from '../../src/codec/format/header.js';
import { modelForSize } from '../../src/codec/model-choice.js';
import type { Engine } from '../../src/engine/engine.js';
import { crop } from '../../src/image/crop.js';
import { rmse } from '../../src/image/metrics.js';
import { openEngine } from '../../src/node/engine/index.js';
import { readImage } from '../../src/node/image/read.js';
import { findModel, openModel } from '../../src/node/models.js';
import { cifarTestImages, grained, PHOTO } from '../helpers/fixtures.js';

const DIRECTORY = fileURLToPath(new URL('../../fixtures/golden/default/', import.meta.url));
const IDS: Readonly<Record<string, string>> = {
  cifar10: '83974f804467c276143f7c4e52feafc1a616dabae7319df41c9b46e6b81aae57',
  photo: '3cff7ee1fd228be564b78f47bd7e691152bbc78d5640fb86f74bc98b52407413',
};
const photograph = async (width: number, height: number) =>
  crop(await readImage(PHOTO), { left: 170, top: 80, width, height });

const CASES = [
  { name: 'cifar10-32x32', source: async () => (await cifarTestImages())[7], options: { targetRmse: 5 } },
  { name: 'cifar10-32x32-lossless', source: async () => (await cifarTestImages())[8], options: { lossless: true } },
  { name: 'photo-120x72', source: async () => photograph(120, 72), options: { targetRmse: 6 } },
  {
    name: 'photo-48x45',
    source: async () => grained(await photograph(48, 45)),
    options: { lossless: true, effort: 1 },
  },
] as const;

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine('onnx');
  if (!process.env.UPDATE_GOLDEN) return;
  await mkdir(DIRECTORY, { recursive: true });
  for (const { name, source, options } of CASES) {
    const image = await source();
    const model = await openModel(modelForSize(image), engine);
    const { bytes, reconstruction } = await encode(image, model, options);
    await model.dispose();
    await writeFile(join(DIRECTORY, `${name}.ddc`), bytes);
    await writeFile(join(DIRECTORY, `${name}.rgb`), reconstruction.data);
  }
});
afterAll(() => engine.dispose());

describe.each(CASES)('$name', ({ name, source, options }) => {
  test('finds its model, and decodes to the recorded picture', async () => {
    const bytes = new Uint8Array(await readFile(join(DIRECTORY, `${name}.ddc`)));
    const expected = new Uint8Array(await readFile(join(DIRECTORY, `${name}.rgb`)));
    const { info, open } = await findModel(readHeader(bytes).header);
    expect(IDS[info.name]).toBe(info.id);
    expect(name.startsWith(`${info.name}-`)).toBe(true);
    const model = await open(engine);
    const { image, complete, lossless } = await decode(bytes, model);
    await model.dispose();
    expect([complete, lossless]).toEqual([true, 'lossless' in options]);
    const original = await source();
    expect([image.width, image.height]).toEqual([original.width, original.height]);
    // Lossless files are the same everywhere; others within the rounding of another machine.
    const difference = Math.max(...image.data.map((value, i) => Math.abs(value - expected[i])));
    expect(difference).toBeLessThanOrEqual('lossless' in options ? 0 : 1);
    expect(rmse(image, original)).toBeLessThanOrEqual('lossless' in options ? 0 : options.targetRmse + 0.1);
  });
});

test('photo keeps every size limit, from the bare header on', async () => {
  const model = await openModel('photo', engine);
  const image = await photograph(48, 48);
  const least = leastFile(image, {}).bytes;
  for (const maxBytes of [0, 1, 2, 3, 5, 8, 12, 17].map((more) => least + more)) {
    const { bytes } = await encode(image, model, { effort: 1, maxBytes });
    expect(bytes.length).toBeLessThanOrEqual(maxBytes);
    expect((await decode(bytes, model)).complete).toBe(true);
  }
  await model.dispose();
});
