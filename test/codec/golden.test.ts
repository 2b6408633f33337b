/**
 * Files written once must decode for ever. `fixtures/golden` holds small files and what they decode to; its README says how
 * to add one. A second decoder, written from the specification, decodes them as well.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { decode } from '../../src/codec/decoder/decode.js';
import { writeDrawing } from '../../src/codec/drawing/drawing-writer.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { type Header, readHeader, writeHeader } from '../../src/codec/format/header.js';
import { readInfo } from '../../src/codec/format/info.js';
import { readLayout } from '../../src/codec/format/layout.js';
import { MARGIN } from '../../src/codec/lossless/agreement.js';
import { INDEPENDENT } from '../../src/codec/lossless/residuals.js';
import { writeTailBytes } from '../../src/codec/lossless/tail-header.js';
import { chooseTail, writeTail } from '../../src/codec/lossless/tail-writer.js';
import { integerStream } from '../../src/common/random.js';
import type { CompiledFunction, Engine, HostTensor, Shape, TensorFunction } from '../../src/engine/engine.js';
import { crop } from '../../src/image/crop.js';
import type { RgbImage } from '../../src/image/image.js';
import { rmse } from '../../src/image/metrics.js';
import type { UNetConfig } from '../../src/model/config.js';
import { readSafetensors } from '../../src/model/safetensors.js';
import { createUNet, type UNet, withUpdate } from '../../src/model/unet.js';
import { createUpdate } from '../../src/model/update.js';
import { openEngine } from '../../src/node/engine/index.js';
import { readImage } from '../../src/node/image/read.js';
import { CODEC_FILE, type Model, openModel, UPDATE_FILE, WEIGHTS_FILE } from '../../src/node/models.js';
import { cifarTestImages, grained, PHOTO, syntheticImage, withDisc } from '../helpers/fixtures.js';
import { writeNewGoldens } from '../helpers/golden.js';
import { addBand, copyOf, copyOfPilot, edit } from '../helpers/model-copy.js';
import { type SecondModel, type SecondUpdate, secondDecode } from '../helpers/second-decoder.js';

const GOLDEN = fileURLToPath(new URL('../../fixtures/golden/', import.meta.url));

const CASES = [
  {
    name: 'cifar10-test-0',
    source: async () => (await cifarTestImages())[0],
    options: { targetRmse: 10 },
  },
  {
    name: 'crop-7x5',
    source: async () => crop((await cifarTestImages())[1], { left: 12, top: 9, width: 7, height: 5 }),
    options: { targetRmse: 5, seed: 2026, effort: 1 },
  },
  {
    // Four windows, several blocks per step, stages longer than a transform.
    name: 'photo-70x66',
    source: async () => crop(await readImage(PHOTO), { left: 150, top: 100, width: 70, height: 66 }),
    options: { targetRmse: 10, seed: 7, effort: 3 },
  },
  {
    name: 'sampled-20x9',
    source: async () => crop((await cifarTestImages())[2], { left: 3, top: 5, width: 20, height: 9 }),
    options: { targetRmse: 14, selection: 'sample', seed: 4_000_000_000 },
  },
  {
    name: 'checked-18x12',
    source: async () => crop((await cifarTestImages())[4], { left: 7, top: 11, width: 18, height: 12 }),
    options: { targetRmse: 6, checksums: true, metadata: { source: 'crop.png', comment: 'checked' } },
  },
  {
    name: 'transparent-24x20',
    source: async () => withDisc(crop((await cifarTestImages())[5], { left: 4, top: 6, width: 24, height: 20 })),
    options: { targetRmse: 3, seed: 11 },
  },
] as const;

/** Files with a lossless tail: every machine must decode them to the same bits. */
const LOSSLESS_CASES = [
  {
    name: 'lossless-drawing-9x6',
    source: async () => crop((await cifarTestImages())[3], { left: 10, top: 8, width: 9, height: 6 }),
    options: { lossless: true, seed: 3 },
    samples: 'a drawing',
  },
  {
    // Too small for its own covariances, and `pilot` has none, so samples are coded independently.
    name: 'lossless-10x8',
    source: async () => crop((await cifarTestImages())[6], { left: 10, top: 8, width: 10, height: 8 }),
    options: { lossless: true, seed: 3 },
    samples: 'residuals',
  },
  {
    name: 'lossless-photo-64x64',
    source: async () => grained(crop(await readImage(PHOTO), { left: 200, top: 60, width: 64, height: 64 })),
    options: { lossless: true, effort: 1 },
    samples: 'residuals with covariances',
  },
] as const;

/** Three rows of letters in three colours on a fourth. */
function text(): RgbImage {
  const letters = ['1111110001100011', '0110100110010110', '1000100010001111', '1001111110011001', '0111100001101110'];
  const colours = [
    [250, 248, 240],
    [20, 24, 90],
    [180, 30, 40],
    [20, 110, 60],
  ];
  const data = new Uint8Array(40 * 24 * 3);
  for (let y = 0; y < 24; y++) {
    for (let x = 0; x < 40; x++) {
      const [row, column] = [Math.floor(y / 8), Math.floor(x / 6)];
      const [dy, dx] = [(y % 8) - 2, (x % 6) - 1];
      const isInk = dy >= 0 && dy < 4 && dx >= 0 && dx < 4 && letters[(3 * row + column) % 5][4 * dy + dx] === '1';
      data.set(colours[isInk ? row + 1 : 0], 3 * (40 * y + x));
    }
  }
  return { width: 40, height: 24, data };
}

function uniformNoise(width: number, height: number): RgbImage {
  const next = integerStream('golden noise');
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, () => next() & 255) };
}

/** Files without steps: every machine must decode them, and all their beginnings, to the same bits. */
const DRAWING_CASES = [
  {
    name: 'text-40x24',
    source: async () => text(),
    options: { targetRmse: 3 },
  },
  {
    name: 'noise-20x12',
    source: async () => uniformNoise(20, 12),
    options: { targetRmse: 3 },
  },
  {
    name: 'gradient-17x9',
    source: async () => syntheticImage(17, 9),
    options: { targetRmse: 4, checksums: true, metadata: { comment: 'drawn' } },
  },
  {
    // The header has a mean colour. A page's mean colour is close to that of its paper.
    name: 'drawn-66x65',
    source: async () => syntheticImage(66, 65),
    options: { targetRmse: 12, effort: 1 },
  },
  {
    name: 'lossless-text-40x24',
    source: async () => text(),
    options: { lossless: true },
  },
  {
    // The plane has a checksum.
    name: 'glass-20x12',
    source: async () => withDisc(crop(text(), { left: 10, top: 6, width: 20, height: 12 })),
    options: { lossless: true, checksums: true },
  },
] as const;

let model: Model;
let second: SecondModel;
const ALL_CASES = [...CASES, ...LOSSLESS_CASES, ...DRAWING_CASES];

beforeAll(async () => {
  const engine = await openEngine('onnx');
  model = await openModel('pilot', engine);
  second = await secondModelOf(model, shipped('pilot'), engine);
  await writeNewGoldens(GOLDEN, ALL_CASES, async ({ source, options }) => encode(await source(), model, options));
});

/** Directory of a model shipped with the package. */
const shipped = (name: string) => fileURLToPath(new URL(`../../models/${name}`, import.meta.url));

/** What the second decoder needs of a model, read from its files, except the network. */
async function secondModelOf({ config }: Model, directory: string, engine: Engine): Promise<SecondModel> {
  const codec = JSON.parse(await readFile(`${directory}/codec.json`, 'utf8'));
  const networkOf = await networksOf(config, directory, codec.bands ?? []);
  const compiled = new Map<string, Promise<CompiledFunction>>();
  // Beginnings of a file share states. The network is a pure function, so its results are cached.
  const made = new Map<string, Float32Array>();
  return {
    ...codec,
    stride: networkOf(0).stride,
    ...(await secondUpdateOf(networkOf, directory, engine)),
    async eps(window, height, width, timestep) {
      const network = networkOf(timestep);
      const size = `${width}x${height} ${network.name}`;
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

/** The network of a model for each timestep, counted from 0, with the name of its file. */
async function networksOf(config: UNetConfig, directory: string, bands: readonly { least: number; most: number }[]) {
  const read = async (name: string) => ({
    ...createUNet(config, readSafetensors(await readFile(join(directory, name)))),
    name,
  });
  const itself = await read(WEIGHTS_FILE);
  const ofBands = await Promise.all(
    bands.map(async ({ least, most }) => ({
      ...{ least, most },
      network: await read(`band-${least}-${most}.safetensors`),
    })),
  );
  return (timestep: number) =>
    ofBands.find(({ least, most }) => timestep + 1 >= least && timestep + 1 <= most)?.network ?? itself;
}

/** The networks of a model's update, if it has one, each compiled for one picture. */
async function secondUpdateOf(
  networkOf: (timestep: number) => UNet,
  directory: string,
  engine: Engine,
): Promise<{ readonly update?: SecondUpdate }> {
  const bytes = await readFile(join(directory, UPDATE_FILE)).catch(() => undefined);
  if (!bytes) return {};
  const update = createUpdate(readSafetensors(bytes), networkOf(0).featureChannels);
  const run = async (fn: TensorFunction, constants: readonly HostTensor[], inputs: [Float32Array, Shape][]) => {
    const shapes = inputs.map(([, shape]) => shape);
    const compiled = await engine.compile(fn, shapes, constants);
    const outputs = await compiled.run(inputs.map(([values]) => values));
    await compiled.dispose();
    return outputs;
  };
  const channels = update.shape.kept;
  return {
    update: {
      channels,
      keep: async (window, height, width, timestep) => {
        const { keeping } = withUpdate(networkOf(timestep), update);
        const inputs: [Float32Array, Shape][] = [
          [window, [1, height, width, 3]],
          [Float32Array.of(timestep), [1]],
        ];
        return (await run(keeping.fn, keeping.constants, inputs))[1];
      },
      move: async (kept, observed, levels, height, width) =>
        (
          await run(update.fn, update.constants, [
            [kept, [1, height, width, channels]],
            [observed, [1, height, width, 9]],
            [Float32Array.from(levels), [1, 2]],
          ])
        )[0],
    },
  };
}

const golden = async (name: string) => new Uint8Array(await readFile(`${GOLDEN}${name}.ddc`));
const recorded = async (name: string) => new Uint8Array(await readFile(`${GOLDEN}${name}.rgb`));

/** The results of both decoders for the beginning of a file. They must be the same except for the engines' rounding. */
async function decodeTwice(name: string, share: number) {
  const whole = await golden(name);
  const file = whole.subarray(0, Math.ceil(share * whole.length));
  const [first, other] = [await decode(file, model), await secondDecode(file, second)];
  expect(other.modelId).toBe(model.id.slice(0, 6));
  expect([other.timesteps.length, other.timesteps.at(-1) ?? model.schedule.timesteps]).toEqual([
    first.stepsUsed,
    first.t,
  ]);
  // Engines round differently when they run one window alone and several side by side.
  const differences = other.data.map((value, i) => Math.abs(value - first.image.data[i]));
  expect(Math.max(...differences)).toBeLessThanOrEqual(1);
  expect(differences.filter((difference) => difference > 0).length).toBeLessThanOrEqual(differences.length / 500);
  expect(first.image.alpha).toEqual(other.alpha);
  return { first, other };
}

test('the golden files are those that were recorded, all of them', async () => {
  const sums = (await readFile(`${GOLDEN}SHA256SUMS`, 'utf8')).trim().split('\n');
  const expected = new Map(sums.map((line) => line.split('  ').reverse() as [name: string, sha256: string]));
  const files = (await readdir(GOLDEN, { recursive: true })).filter((name) => /\.(ddc|rgb)$/.test(name));
  const found = files.map(async (name) => {
    const hash = createHash('sha256').update(await readFile(`${GOLDEN}${name}`));
    return [name.replaceAll('\\', '/'), hash.digest('hex')] as const;
  });
  expect(new Map(await Promise.all(found))).toEqual(expected);
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
    expect(image.alpha).toEqual(original.alpha);
    expect(rmse(image, original)).toBeLessThanOrEqual(options.targetRmse + 0.1);
  });

  test.each([1, 0.6])('the second decoder makes the same of %d of it', async (share) => {
    const { other } = await decodeTwice(name, share);
    expect(other.timesteps.length).toBeGreaterThan(0);
  });
});

describe.each(LOSSLESS_CASES)('$name, lossless', ({ name, source, samples }) => {
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
    expect(info).toMatchObject({ width, height, samples: { step: 1, lossless: true }, complete: true });
    const flags = file[info.steps?.at(-1)?.bytes ?? Number.NaN];
    const ofResiduals = flags & 0x10 ? 'residuals with covariances' : 'residuals';
    expect(flags & 0x80 ? 'a drawing' : ofResiduals).toBe(samples);
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

describe.each(DRAWING_CASES)('$name, drawn', ({ name, source, options }) => {
  test('decodes to the recorded picture', async () => {
    const { image, complete, stepsTotal, lossless } = await decode(await golden(name), model);
    expect([complete, stepsTotal, lossless]).toEqual([true, 0, 'lossless' in options]);
    expect(image.data).toEqual(await recorded(name));
    expect(image.alpha).toEqual((await source()).alpha);
    expect(rmse(image, await source())).toBeLessThanOrEqual('lossless' in options ? 0 : options.targetRmse);
  });

  test('the second decoder makes the same of all that it begins with', async () => {
    const file = await golden(name);
    const { headerBytes } = readInfo(file);
    let known = 0;
    for (let length = headerBytes; length <= file.length; length++) {
      const beginning = file.subarray(0, length);
      const [first, other] = [await decode(beginning, model), await secondDecode(beginning, second)];
      expect(Buffer.compare(first.image.data, other.data), `of ${length} bytes`).toBe(0);
      expect(first.image.alpha).toEqual(other.alpha);
      expect(first.knownSamples).toBe(other.known.filter(Boolean).length);
      expect([first.lossless, first.stepsUsed]).toEqual([other.lossless, 0]);
      expect(first.knownSamples).toBeGreaterThanOrEqual(known);
      known = first.knownSamples;
    }
    expect(known).toBe((await recorded(name)).length);
  });
});

test('the cases have what a header can say of pictures', async () => {
  const headers = await Promise.all(ALL_CASES.map(async ({ name }) => readHeader(await golden(name)).header));
  const count = (is: (header: Header) => unknown) => headers.filter(is).length;
  expect(count(({ heldSteps }) => heldSteps)).toBeGreaterThan(0);
  expect(count(({ alpha, tail }) => alpha && tail)).toBeGreaterThan(0);
  expect(count(({ alpha, tail }) => alpha && !tail)).toBeGreaterThan(0);
  expect(count(({ meanColour, tail }) => meanColour !== undefined && tail)).toBeGreaterThan(0);
  expect(count(({ meanColour, tail }) => meanColour !== undefined && !tail)).toBeGreaterThan(0);
  const tails = await Promise.all(DRAWING_CASES.map(async ({ name }) => readInfo(await golden(name), model)));
  expect(tails.every(({ samples }) => samples?.kind === 'drawing')).toBe(true);
});

test('the second decoder makes the same where a file ends after a held step', async () => {
  let held = 0;
  for (const { name } of [...CASES, ...LOSSLESS_CASES]) {
    const file = await golden(name);
    const { heldSteps = [] } = readHeader(file).header;
    const { boundaries } = readLayout(file, model);
    for (const step of heldSteps) {
      const [shown, before, other] = await Promise.all([
        decode(file.subarray(0, boundaries[step]), model),
        decode(file.subarray(0, boundaries[step - 1]), model),
        secondDecode(file.subarray(0, boundaries[step]), second),
      ]);
      expect([shown.stepsUsed, other.timesteps.length]).toEqual([step, step]);
      expect(shown.image).toEqual(before.image);
      expect(rmse(shown.image, other)).toBeLessThan(0.05);
      held++;
    }
  }
  expect(held).toBeGreaterThan(0);
});

test('the second decoder makes the same of a drawing after steps, which no encoder writes', async () => {
  const file = await golden('crop-7x5');
  const { header, length } = readHeader(file);
  const parameters = { width: 7, height: 5, channels: 3, hasPalette: false, isEven: false, step: 3 } as const;
  const { code, samples } = writeDrawing(await recorded('crop-7x5'), parameters, 1)!;
  const tail = writeTailBytes({ kind: 'drawing', hasPalette: false, isEven: false, step: 3, filledPasses: 2 }, code);
  const bytes = Uint8Array.from([...writeHeader({ ...header, tail: true }), ...file.subarray(length), ...tail]);
  for (let cut = file.length + 6; cut <= bytes.length; cut += 5) {
    const beginning = bytes.subarray(0, cut);
    const [first, other] = [await decode(beginning, model), await secondDecode(beginning, second)];
    expect(first.knownSamples).toBe(other.known.filter(Boolean).length);
    expect(first.image.data).toEqual(other.data);
  }
  expect((await decode(bytes, model)).image.data).toEqual(samples);
});

test.each([3, 9, 127])('the second decoder makes the same of residuals in steps of %d levels', async (step) => {
  const file = await golden('lossless-10x8');
  const { header, length } = readHeader(file);
  const { boundaries } = readLayout(file, model);
  const steps = file.subarray(0, boundaries.at(-1));
  const end = await decode(steps, model);
  const { width, height, seed } = header;
  const context = { width, height, seed, xhat0: end.unrounded, covariances: INDEPENDENT };
  const image = await recorded('lossless-10x8');
  const tail = writeTail(context, image, chooseTail(context, image, step), MARGIN);
  const bytes = Uint8Array.from([...steps, ...tail.bytes]);
  expect(length).toBeLessThan(steps.length);
  expect(Math.max(...tail.samples.map((sample, i) => Math.abs(sample - image[i])))).toBeLessThanOrEqual((step - 1) / 2);
  for (const cut of [bytes.length, bytes.length - 5, steps.length + Math.ceil(0.5 * tail.bytes.length)]) {
    const [first, other] = [
      await decode(bytes.subarray(0, cut), model),
      await secondDecode(bytes.subarray(0, cut), second),
    ];
    const known = other.known.flatMap((is, i) => (is ? [i] : []));
    expect([first.lossless, other.lossless, first.knownSamples]).toEqual([false, false, known.length]);
    // Steps of 127 levels take so few bytes that half of them may make no sample certain.
    if (step < 127) expect(known.length).toBeGreaterThan(0);
    for (const picture of [first.image.data, other.data]) {
      expect(known.map((i) => picture[i])).toEqual(known.map((i) => tail.samples[i]));
    }
    expect(rmse(first.image, other)).toBeLessThan(0.05);
    if (cut === bytes.length) expect(first.image.data).toEqual(tail.samples);
  }
});

test('the second decoder makes the same of a file whose model brings covariances', async () => {
  const engine = await openEngine('onnx');
  const other = await openModel('cifar10', engine);
  expect(other.residuals).toBeDefined();
  const source = crop((await cifarTestImages())[5], { left: 4, top: 6, width: 24, height: 17 });
  const { bytes } = await encode(source, other, { lossless: true, effort: 2 });
  const { residuals: _, ...bare } = other;
  const own = await encode(source, bare, { lossless: true, effort: 2 });
  // The file is smaller, which proves that they were used.
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
  const source = grained(crop(await readImage(PHOTO), { left: 90, top: 20, width: 77, height: 70 }));
  const { bytes, steps } = await encode(source, other, { targetRmse: 10 });
  // Steps at half the size, at smaller sizes, at its own size, and at its own size combined with the quarter.
  expect(steps[1].t).toBeGreaterThan(500);
  expect(steps.at(-1)!.t).toBeLessThan(250);
  const first = await decode(bytes, other);
  const decoded = await secondDecode(bytes, await secondModelOf(other, directory, engine));
  expect(decoded.timesteps).toEqual(steps.slice(1).map(({ t }) => t));
  expect(rmse(first.image, decoded)).toBeLessThan(0.01);
  await other.dispose();
});

test.each([
  ['an update', false],
  ['an update and bands', true],
])('the second decoder makes the same of beginnings of a file whose model has %s', async (_, hasBands) => {
  const engine = await openEngine('onnx');
  const directory = await copyOf('photo');
  if (hasBands) {
    // Bands also apply to halved pictures, which use lower timesteps.
    await addBand(directory, { least: 20, most: 70 }, 0.99);
    await addBand(directory, { least: 71, most: 150 }, 0.98);
  }
  await edit(directory, CODEC_FILE, (json) => Object.assign(json.pyramid as object, { leastSide: 40 }));
  const other = await openModel(directory, engine);
  const second = await secondModelOf(other, directory, engine);
  const source = grained(crop(await readImage(PHOTO), { left: 90, top: 20, width: 57, height: 46 }));
  const { bytes } = await encode(source, other, { targetRmse: 7, effort: 1 });
  const { written, boundaries } = readLayout(bytes, other);
  // Steps with and without a new evaluation of the network, at half the size and at full size.
  const moved = written.filter(({ asks }) => !asks);
  expect([moved.length > 3, moved.length < written.length - 3]).toEqual([true, true]);
  expect([moved[0].s > 200, moved.at(-1)!.s < 150]).toEqual([true, true]);
  const last = written.length - 1;
  for (const i of [Math.floor(last / 2), written.indexOf(moved.at(-1)!), last]) {
    const beginning = bytes.subarray(0, boundaries[i + 1]);
    const [first, decoded] = [await decode(beginning, other), await secondDecode(beginning, second)];
    expect(decoded.timesteps.at(-1)).toBe(written[i].s);
    expect(rmse(first.image, decoded)).toBeLessThan(0.01);
  }
  await other.dispose();
});
