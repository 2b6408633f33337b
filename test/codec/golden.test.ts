/**
 * Files that were written once must decode for ever. `fixtures/golden` holds small files and what they decode to;
 * `UPDATE_GOLDEN=1 npx vitest run test/codec/golden.test.ts` writes them anew, which is right only when the format's
 * version or the shipped model has changed. They are also decoded by a second decoder, written from the specification.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { decode } from '../../src/codec/decoder/decode.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { readInfo } from '../../src/codec/format/info.js';
import type { CompiledFunction, Engine } from '../../src/engine/engine.js';
import { crop } from '../../src/image/crop.js';
import { rmse } from '../../src/image/metrics.js';
import { openEngine } from '../../src/node/engine/index.js';
import { readImage } from '../../src/node/image/read.js';
import { CODEC_FILE, type Model, openModel } from '../../src/node/models.js';
import { cifarTestImages, PHOTO } from '../helpers/fixtures.js';
import { copyOfPilot, edit } from '../helpers/model-copy.js';
import { type SecondModel, secondDecode } from '../helpers/second-decoder.js';

const GOLDEN = fileURLToPath(new URL('../../fixtures/golden/', import.meta.url));

const CASES = [
  {
    name: 'cifar10-test-0',
    sha256: '42ced2e98c2eaf8bd7abb3e40c27df6d2319f9a249d895c0a5270ab3bca7db9b',
    source: async () => (await cifarTestImages())[0],
    options: { targetRmse: 10 },
  },
  {
    name: 'crop-7x5',
    sha256: '8b150e5342b81324bc99cd7bb1c6a272b1d0ab5b6d4e433628651283e7d0ebc1',
    source: async () => crop((await cifarTestImages())[1], { left: 12, top: 9, width: 7, height: 5 }),
    options: { targetRmse: 5, seed: 2026, effort: 1 },
  },
  {
    // Four windows, several blocks a step, stages longer than a transform.
    name: 'photo-70x66',
    sha256: '1f49d791ec1d5a6a84f4df65c48897204bbc112b5f6ad4f02d4bb68a095131c1',
    source: async () => crop(await readImage(PHOTO), { left: 150, top: 100, width: 70, height: 66 }),
    options: { targetRmse: 10, seed: 7, effort: 3 },
  },
  {
    name: 'sampled-20x9',
    sha256: 'de717bd38cc2560274e67d16407dd2b710025b4b111992bea8de3d2d56ff2a64',
    source: async () => crop((await cifarTestImages())[2], { left: 3, top: 5, width: 20, height: 9 }),
    options: { targetRmse: 14, selection: 'sample', seed: 4_000_000_000 },
  },
  {
    name: 'checked-18x12',
    sha256: 'b122a4c07fe07d7f958c876919bb6e8699818f8bc66961088a896db992b160d0',
    source: async () => crop((await cifarTestImages())[4], { left: 7, top: 11, width: 18, height: 12 }),
    options: { targetRmse: 6, checksums: true, metadata: { source: 'crop.png', comment: 'checked' } },
  },
] as const;

/** Files with a lossless tail: every machine must make the same of them, to the bit. */
const LOSSLESS_CASES = [
  {
    // Too small for covariances of its own, and `pilot` has none: samples are coded independently.
    name: 'lossless-9x6',
    sha256: 'ba62f8d7169a1cba6950d24ab8e84258515391cd5756713383a07cf7d2b2aabc',
    source: async () => crop((await cifarTestImages())[3], { left: 10, top: 8, width: 9, height: 6 }),
    options: { lossless: true, seed: 3 },
    ownCovariances: false,
  },
  {
    name: 'lossless-photo-64x64',
    sha256: '5f65677b6db284a3dde0c18873491536ae54113ddfae0e0292905d5f593f1b56',
    source: async () => crop(await readImage(PHOTO), { left: 200, top: 60, width: 64, height: 64 }),
    options: { lossless: true, effort: 2 },
    ownCovariances: true,
  },
] as const;

let model: Model;
let second: SecondModel;

beforeAll(async () => {
  const engine = await openEngine('onnx');
  model = await openModel('pilot', engine);
  second = await secondModelOf(model, shipped('pilot'), engine);
  if (!process.env.UPDATE_GOLDEN) return;
  await mkdir(GOLDEN, { recursive: true });
  for (const { name, source, options } of [...CASES, ...LOSSLESS_CASES]) {
    const { bytes, reconstruction } = await encode(await source(), model, options);
    await writeFile(`${GOLDEN}${name}.ddc`, bytes);
    await writeFile(`${GOLDEN}${name}.rgb`, reconstruction.data);
  }
});

/** Directory of a model that comes with the package. */
const shipped = (name: string) => fileURLToPath(new URL(`../../models/${name}`, import.meta.url));

/** What the second decoder needs of a model, read from its files but for the network. */
async function secondModelOf({ network }: Model, directory: string, engine: Engine): Promise<SecondModel> {
  const codec = JSON.parse(await readFile(`${directory}/codec.json`, 'utf8'));
  const compiled = new Map<string, Promise<CompiledFunction>>();
  // Beginnings of a file have states in common: what the network, a pure function, made of them is kept.
  const made = new Map<string, Float32Array>();
  return {
    ...codec,
    stride: network.stride,
    async eps(window, height, width, timestep) {
      const size = `${width}x${height}`;
      const fn = compiled.get(size) ?? engine.compile(network.fn, [[1, height, width, 3], [1]], network.constants);
      compiled.set(size, fn);
      const key = `${size} ${timestep} ${createHash('sha256').update(window).digest('hex')}`;
      const known = made.get(key);
      if (known) return known.slice();
      const [eps] = await (await fn).run([window, Float32Array.of(timestep)]);
      made.set(key, eps.slice());
      return eps;
    },
  };
}

const golden = async (name: string) => new Uint8Array(await readFile(`${GOLDEN}${name}.ddc`));
const recorded = async (name: string) => new Uint8Array(await readFile(`${GOLDEN}${name}.rgb`));

/** What both decoders make of the beginning of a file, which must be the same but for the rounding of engines. */
async function decodeTwice(name: string, share: number) {
  const whole = await golden(name);
  const file = whole.subarray(0, Math.ceil(share * whole.length));
  const [first, other] = [await decode(file, model), await secondDecode(file, second)];
  expect(other.modelId).toBe(model.id.slice(0, 6));
  expect([other.timesteps.length, other.timesteps.at(-1)]).toEqual([first.stepsUsed, first.t]);
  expect(other.timesteps.length).toBeGreaterThan(0);
  // Engines run a window alone and several side by side with other roundings.
  const differences = other.data.map((value, i) => Math.abs(value - first.image.data[i]));
  expect(Math.max(...differences)).toBeLessThanOrEqual(1);
  expect(differences.filter((difference) => difference > 0).length).toBeLessThanOrEqual(differences.length / 500);
  return { first, other };
}

describe.each([...CASES, ...LOSSLESS_CASES])('$name', ({ name, sha256 }) => {
  test('is the file that was recorded', async () => {
    const hash = createHash('sha256').update(await golden(name));
    expect(hash.digest('hex')).toBe(sha256);
  });
});

describe.each(CASES)('$name', ({ name, source, options }) => {
  test('decodes to the recorded picture, to within the rounding of another machine', async () => {
    const { image, complete } = await decode(await golden(name), model);
    const expected = await recorded(name);
    expect(complete).toBe(true);
    expect(image.data.length).toBe(expected.length);
    expect(Math.max(...image.data.map((value, i) => Math.abs(value - expected[i])))).toBeLessThanOrEqual(1);
    const original = await source();
    expect([image.width, image.height]).toEqual([original.width, original.height]);
    expect(rmse(image, original)).toBeLessThanOrEqual(options.targetRmse + 0.1);
  });

  test.each([1, 0.6])('the second decoder makes the same of %d of it', async (share) => {
    await decodeTwice(name, share);
  });
});

describe.each(LOSSLESS_CASES)('$name, lossless', ({ name, source, ownCovariances }) => {
  test.each(['onnx', 'wasm'] as const)('decodes to the recorded picture on %s', async (engine) => {
    const opened = engine === 'onnx' ? model : await openModel('pilot', await openEngine(engine));
    const { image, complete, lossless } = await decode(await golden(name), opened);
    expect({ complete, lossless }).toEqual({ complete: true, lossless: true });
    expect(image.data).toEqual(await recorded(name));
    if (opened !== model) await opened.dispose();
  });

  test('is of its source, with covariances of its own where they pay', async () => {
    const { width, height, data } = await source();
    expect(data).toEqual(await recorded(name));
    const file = await golden(name);
    const info = readInfo(file, model);
    expect(info).toMatchObject({ width, height, lossless: true, complete: true });
    const flags = file[info.steps?.at(-1)?.bytes ?? Number.NaN];
    expect((flags & 0x10) !== 0).toBe(ownCovariances);
  });

  test('the second decoder makes exactly the same of it', async () => {
    const { first, other } = await decodeTwice(name, 1);
    expect([first.lossless, other.lossless]).toEqual([true, true]);
    expect(first.image.data).toEqual(other.data);
  });

  test.each([0.95, 0.6])('both know the same samples of %d of it', async (share) => {
    const { first, other } = await decodeTwice(name, share);
    const data = await recorded(name);
    const known = other.known.flatMap((is, i) => (is ? [i] : []));
    expect(known.length).toBe(first.knownSamples);
    expect(known.length).toBeGreaterThan(0);
    expect(known.length).toBeLessThan(data.length);
    expect([first.lossless, other.lossless]).toEqual([false, false]);
    for (const picture of [first.image.data, other.data]) {
      expect(known.map((i) => picture[i])).toEqual(known.map((i) => data[i]));
    }
  });
});

test('the second decoder makes the same of a file whose model brings covariances', async () => {
  const engine = await openEngine('onnx');
  const other = await openModel('cifar10', engine);
  expect(other.residuals).toBeDefined();
  const source = crop((await cifarTestImages())[5], { left: 4, top: 6, width: 24, height: 17 });
  const { bytes } = await encode(source, other, { lossless: true, effort: 2 });
  const { residuals: _, ...bare } = other;
  const own = await encode(source, bare, { lossless: true, effort: 2 });
  // That they help says that they were used.
  expect(bytes.length).toBeLessThan(own.bytes.length);
  const decoded = await secondDecode(bytes, await secondModelOf(other, shipped('cifar10'), engine));
  expect([decoded.lossless, [...decoded.data]]).toEqual([true, [...source.data]]);
  await other.dispose();
});

test('a photograph ends at the RMSE it is to have, for both decoders', async () => {
  const source = crop(await readImage(PHOTO), { left: 150, top: 60, width: 77, height: 70 });
  for (const targetRmse of [17, 8]) {
    const { bytes, steps, rmse: reached } = await encode(source, model, { targetRmse, effort: 3 });
    expect(reached).toBeLessThanOrEqual(targetRmse);
    expect(reached).toBeGreaterThan(0.97 * targetRmse);
    const first = await decode(bytes, model);
    expect(rmse(first.image, source)).toBe(reached);
    const decoded = await secondDecode(bytes, second);
    expect(decoded.timesteps).toEqual(steps.slice(1).map(({ t }) => t));
    expect(rmse(first.image, decoded)).toBeLessThan(0.01);
  }
});

test('the second decoder makes the same of a file whose model has a pyramid', async () => {
  const engine = await openEngine('onnx');
  const directory = await copyOfPilot();
  await edit(directory, CODEC_FILE, (json) => Object.assign(json, { pyramid: { halfFrom: 250, leastSide: 40 } }));
  const other = await openModel(directory, engine);
  expect(other.id).not.toBe(model.id);
  const source = crop(await readImage(PHOTO), { left: 90, top: 20, width: 77, height: 70 });
  const { bytes, steps } = await encode(source, other, { targetRmse: 12 });
  // Steps at half the size, at less, at its own, and at that with the quarter's.
  expect(steps[1].t).toBeGreaterThan(500);
  expect(steps.at(-1)!.t).toBeLessThan(250);
  const first = await decode(bytes, other);
  const decoded = await secondDecode(bytes, await secondModelOf(other, directory, engine));
  expect(decoded.timesteps).toEqual(steps.slice(1).map(({ t }) => t));
  expect(rmse(first.image, decoded)).toBeLessThan(0.01);
  await other.dispose();
});
