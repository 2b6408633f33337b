/**
 * Files of the models that come with the package, `photo2`, `photo` and `cifar10`. They and the ids are frozen: a better
 * model gets another name, and cases of its own.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decode } from '../../src/codec/decoder/decode.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { leastFile } from '../../src/codec/encoder/least-bytes.js';
import { readHeader } from '../../src/codec/format/header.js';
import { modelInWords, RELEASED_MODELS } from '../../src/codec/format/released-models.js';
import { DEFAULT_MODELS } from '../../src/codec/model-choice.js';
import type { Engine } from '../../src/engine/engine.js';
import { crop } from '../../src/image/crop.js';
import { rmse } from '../../src/image/metrics.js';
import { openEngine } from '../../src/node/engine/index.js';
import { readImage } from '../../src/node/image/read.js';
import { findModel, loadModelInfo, openModel } from '../../src/node/models.js';
import { cifarTestImages, grained, PHOTO } from '../helpers/fixtures.js';
import { writeNewGoldens } from '../helpers/golden.js';

const DIRECTORY = fileURLToPath(new URL('../../fixtures/golden/default/', import.meta.url));
const IDS: Readonly<Record<string, string>> = {
  cifar10: '83974f804467c276143f7c4e52feafc1a616dabae7319df41c9b46e6b81aae57',
  photo: '3cff7ee1fd228be564b78f47bd7e691152bbc78d5640fb86f74bc98b52407413',
  photo2: '81f9b665a9c58b709004e8a887b38c02dfa4764d577950323d06997003fa6756',
};
const photograph = async (width: number, height: number) =>
  crop(await readImage(PHOTO), { left: 170, top: 80, width, height });

const CASES = [
  { name: 'cifar10-32x32', source: async () => (await cifarTestImages())[7], options: { targetRmse: 5 } },
  { name: 'cifar10-32x32-lossless', source: async () => (await cifarTestImages())[8], options: { lossless: true } },
  { name: 'photo-120x72', source: async () => photograph(120, 72), options: { targetRmse: 6 } },
  {
    // Four windows, and estimates from a quarter of the size.
    name: 'photo-232x208',
    source: async () => photograph(232, 208),
    options: { targetRmse: 9, effort: 3, checksums: true },
  },
  {
    name: 'photo-48x45',
    source: async () => grained(await photograph(48, 45)),
    options: { lossless: true, effort: 1 },
  },
  // Both of its weights, and the update of either.
  { name: 'photo2-120x72', source: async () => photograph(120, 72), options: { targetRmse: 6 } },
  {
    name: 'photo2-48x45',
    source: async () => grained(await photograph(48, 45)),
    options: { lossless: true, effort: 1 },
  },
] as const;

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine('onnx');
  await writeNewGoldens(DIRECTORY, CASES, async ({ name, source, options }) => {
    const model = await openModel(name.split('-')[0], engine);
    const result = await encode(await source(), model, options);
    await model.dispose();
    return result;
  });
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
    const allowed = 'lossless' in options ? 0 : 1;
    expect(image.data.every((value, i) => Math.abs(value - expected[i]) <= allowed)).toBe(true);
    expect(rmse(image, original)).toBeLessThanOrEqual('lossless' in options ? 0 : options.targetRmse + 0.1);
  });
});

test('are those that messages know, and those that come with the package', async () => {
  expect(RELEASED_MODELS).toEqual(Object.entries(IDS).map(([name, id]) => ({ name, id })));
  for (const name of DEFAULT_MODELS) expect((await loadModelInfo(name)).id).toBe(IDS[name]);
  expect(modelInWords('3cff7e')).toBe('photo (3cff7e)');
  expect(modelInWords('3cff7f')).toBe('3cff7f');
  const format = await readFile(fileURLToPath(new URL('../../docs/FORMAT.md', import.meta.url)), 'utf8');
  for (const { name, id } of RELEASED_MODELS) expect(format).toMatch(new RegExp(`\\| \`${name}\` .*\`${id}\``));
});

test('photo2 keeps every size limit, from the bare header on', async () => {
  const model = await openModel('photo2', engine);
  const image = await photograph(48, 48);
  const least = leastFile(image, {}).bytes;
  for (const maxBytes of [0, 1, 2, 3, 5, 8, 12, 17].map((more) => least + more)) {
    const { bytes } = await encode(image, model, { effort: 1, maxBytes });
    expect(bytes.length).toBeLessThanOrEqual(maxBytes);
    expect((await decode(bytes, model)).complete).toBe(true);
  }
  await model.dispose();
});
