/**
 * Files that were written once must decode for ever. `fixtures/golden` holds small files and what they decode to;
 * `UPDATE_GOLDEN=1 npx vitest run test/codec/golden.test.ts` writes them anew, which is right only when the format's
 * version or the shipped model has changed. They are also decoded by a second decoder, written from the specification.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { decode } from '../../src/codec/decoder.js';
import { encode } from '../../src/codec/encoder.js';
import type { CompiledFunction, Engine } from '../../src/engine/engine.js';
import { openEngine } from '../../src/engine/index.js';
import type { RgbImage } from '../../src/image/image.js';
import { rmse } from '../../src/image/metrics.js';
import { readImage } from '../../src/image/read.js';
import { type Model, openModel } from '../../src/model/model.js';
import { cifarTestImages, PHOTO } from '../helpers/fixtures.js';
import { type SecondModel, secondDecode } from '../helpers/second-decoder.js';

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
  {
    // Four windows, several blocks a step, stages longer than a transform.
    name: 'photo-70x66',
    sha256: '1f8cebe965a2b6cdde30fd53fa304d522e3fd7e4765311fd9c2bdeeb1f0a7478',
    source: async () => crop(await readImage(PHOTO), 150, 100, 70, 66),
    options: { targetRmse: 10, seed: 7, effort: 3 },
  },
  {
    name: 'sampled-20x9',
    sha256: '165130fc2aa58d045a91d5d87a3b5f429a19950794f5b2251c3108ad0536de70',
    source: async () => crop((await cifarTestImages())[2], 3, 5, 20, 9),
    options: { targetRmse: 14, selection: 'sample', seed: 4_000_000_000 },
  },
] as const;

let model: Model;
let second: SecondModel;

beforeAll(async () => {
  const engine = await openEngine('onnx');
  model = await openModel('pilot', engine);
  second = await secondModelOf(model, engine);
  if (!process.env.UPDATE_GOLDEN) return;
  await mkdir(GOLDEN, { recursive: true });
  for (const { name, source, options } of CASES) {
    const { bytes, reconstruction } = await encode(await source(), model, options);
    await writeFile(`${GOLDEN}${name}.ddc`, bytes);
    await writeFile(`${GOLDEN}${name}.rgb`, reconstruction.data);
  }
}, 180_000);

/** What the second decoder needs of a model, read from its files but for the network. */
async function secondModelOf({ directory, network }: Model, engine: Engine): Promise<SecondModel> {
  const codec = JSON.parse(await readFile(`${directory}/codec.json`, 'utf8'));
  const compiled = new Map<string, Promise<CompiledFunction>>();
  return {
    ...codec,
    stride: network.stride,
    async eps(window, height, width, timestep) {
      const size = `${width}x${height}`;
      const fn = compiled.get(size) ?? engine.compile(network.fn, [[1, height, width, 3], [1]], network.constants);
      compiled.set(size, fn);
      return (await (await fn).run([window, Float32Array.of(timestep)]))[0];
    },
  };
}

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

  test.each([1, 0.6])('the second decoder makes the same of %d of it', { timeout: 60_000 }, async (share) => {
    const whole = await readFile(`${GOLDEN}${name}.ddc`);
    const file = whole.subarray(0, Math.ceil(share * whole.length));
    const first = await decode(file, model);
    const { timesteps, modelId, ...picture } = await secondDecode(file, second);
    expect(modelId).toBe(model.id.slice(0, 6));
    expect([timesteps.length, timesteps.at(-1)]).toEqual([first.stepsUsed, first.t]);
    expect(timesteps.length).toBeGreaterThan(0);
    // Engines run a window alone and several side by side with other roundings.
    const differences = picture.data.map((value, i) => Math.abs(value - first.image.data[i]));
    expect(Math.max(...differences)).toBeLessThanOrEqual(1);
    expect(differences.filter((difference) => difference > 0).length).toBeLessThanOrEqual(differences.length / 500);
  });
});
