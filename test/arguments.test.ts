/** Arbitrary arguments for every public function: they may only cause CodecErrors, and soon. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as core from '../src/core.js';
import * as decodeEntry from '../src/decode.js';
import * as node from '../src/index.js';
import { syntheticImage } from './helpers/fixtures.js';

type AnyFunction = (...args: unknown[]) => unknown;

const image = syntheticImage(8, 8);
const engine = await node.openEngine('onnx');
const model = await node.openModel('pilot', engine);
afterAll(async () => {
  await model.dispose();
  await engine.dispose();
});

let bytes: Uint8Array;
let png: Uint8Array;
beforeAll(async () => {
  bytes = (await node.encode(image, model, { targetRmse: 60, effort: 1 })).bytes;
  png = await node.encodePng(image);
});

const header = (): unknown => node.readHeader(bytes).header;
const curve = [1, 2, 3, 4].map((i) => ({ rate: i, quality: i }));
const gaussian = (): unknown => {
  const fit = node.fitGaussian(2);
  for (const vector of [
    [0, 1],
    [1, 0],
    [2, 2],
  ])
    fit.add(Float32Array.from(vector));
  return fit.gaussian();
};
const vectors = [
  [0, 1],
  [1, 0],
  [2, 2],
].map((values) => Float32Array.from(values));
const drawn = { count: 1, width: 8, height: 8, seed: 'x', steps: 1 };
const state = new Float32Array(192);

/** Valid arguments of each function. Each one, and all of them together, are replaced by arbitrary values. */
const GOOD: Readonly<Record<string, () => readonly unknown[]>> = {
  // core
  encode: () => [image, model, { targetRmse: 60, effort: 1 }],
  decode: () => [bytes, model, { maxSteps: 0 }],
  openDecoder: () => [model, {}],
  readHeader: () => [bytes],
  repairHeader: () => [bytes],
  writeHeader: () => [header()],
  readInfo: () => [bytes, model],
  truncate: () => [bytes, bytes.length],
  createModel: () => [{ name: 'x', config: {}, codec: {}, weights: bytes }, engine],
  createEagerEngine: () => ['wasm', 'wasm', 'description', 1],
  flatten: () => [image, [1, 2, 3]],
  fromRgba: () => [new Uint8Array(64), 4],
  toRgba: () => [image],
  meanSquaredError: () => [image, image],
  psnr: () => [image, image],
  rmse: () => [image, image],
  hasMsSsim: () => [image],
  hasSsim: () => [image],
  msSsim: () => [syntheticImage(170, 170), syntheticImage(170, 170)],
  hasSsimulacra2: () => [image],
  ssimulacra2: () => [image, image],
  ssim: () => [syntheticImage(16, 16), syntheticImage(16, 16)],
  bandFile: () => [{ least: 4, most: 60 }],
  interpolate: () => [model, image, image, { t: 0, lambdas: [0.5], seed: 'x' }],
  sampleSharedLatents: () => [model, { ...drawn, timesteps: [1] }],
  evaluateBound: () => [[image], model, { strata: 1 }],
  measureBound: () => [[image], model, { strata: 1 }],
  reverse: () => [model, { states: [state], noises: [() => 0], width: 8, height: 8, from: 0 }],
  sample: () => [model, drawn],
  // node
  calibrate: () => [[], model, {}],
  openImageSet: () => [['/nowhere'], {}],
  parseImageSet: () => ['cifar10:test'],
  openEngine: () => ['auto', { threads: 1 }],
  readImage: () => ['/nowhere', {}],
  readImageBytes: () => [png, 'name', { background: 'white' }],
  encodeAnimation: () => [[{ image, milliseconds: 10 }]],
  encodeImage: () => [image, 'png'],
  encodePng: () => [image],
  findModel: () => [header(), 'cifar10'],
  listModels: () => [],
  loadModelInfo: () => ['cifar10'],
  modelForSize: () => [image],
  openModel: () => ['cifar10', engine],
  openModelFor: () => [image, engine, 'cifar10'],
  bdQuality: () => [curve, curve],
  bdRate: () => [curve, curve],
  featuresOf: () => [[], { evaluate: () => [], batch: 1 }],
  fitGaussian: () => [2],
  frechetDistanceOfSets: () => [vectors, vectors],
  kernelDistance: () => [vectors, vectors, [0, 1, 2]],
  openDistanceNetwork: () => ['/nowhere', 1],
  frechetDistance: () => [gaussian(), gaussian()],
  inceptionScore: () => [[Float32Array.of(0.5, 0.5)], 1],
  openFeatureNetwork: () => ['/nowhere', 1],
};

const FUNCTIONS = Object.fromEntries(
  Object.entries({ ...decodeEntry, ...core, ...node })
    .filter(([name, value]) => typeof value === 'function' && name !== 'CodecError')
    .map(([name, value]) => [name, value as unknown as AnyFunction]),
);

/** Includes values that look like valid arguments but are not. */
const anything = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.anything({ withNullPrototype: true, withTypedArray: true, withDate: true, withMap: true }),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom<unknown>(
      undefined,
      null,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      -1,
      0,
      2.5,
      1e9,
      2 ** 53 - 1,
      '',
      '8',
      'a\0b',
      [],
      {},
      Symbol('s'),
      10n,
      () => {},
      new Uint8Array(),
      new Float32Array(192).fill(Number.NaN),
    ),
  },
);

/** Replaces one value inside the arguments: in options, pictures or anything else that they hold. */
function spoiled(good: unknown, random: { at: number; value: unknown }): unknown {
  if (typeof good !== 'object' || good === null || ArrayBuffer.isView(good)) return random.value;
  const keys = Object.keys(good);
  if (keys.length === 0) return random.value;
  const key = keys[random.at % keys.length];
  const inner = (good as Record<string, unknown>)[key];
  const value = random.at % 3 === 0 ? spoiled(inner, { ...random, at: random.at >> 2 }) : random.value;
  return Array.isArray(good) ? good.with(Number(key), value) : { ...good, [key]: value };
}

/** Consumes what a function returns; of a sequence, only the first item. */
async function take(given: unknown): Promise<void> {
  const result = await given;
  const isGenerator = typeof result === 'object' && result !== null && Symbol.asyncIterator in result;
  if (isGenerator) for await (const _ of result as AsyncIterable<unknown>) break;
}

async function expectCodecError(name: string, args: readonly unknown[]): Promise<void> {
  const started = performance.now();
  try {
    await take(FUNCTIONS[name](...args));
  } catch (error) {
    if (!(error instanceof node.CodecError)) throw error;
    expect(error.message).toMatch(/^[^\n]{1,1000}$/);
  }
  // No long work may begin, not even on a busy machine.
  expect(performance.now() - started).toBeLessThan(20_000);
}

test('every public function is here', () => {
  expect(Object.keys(GOOD).sort()).toEqual(Object.keys(FUNCTIONS).sort());
});

const RUNS = 20;

describe.each(Object.keys(GOOD))('%s', (name) => {
  test('anything in the place of an argument', async () => {
    const good = GOOD[name]();
    const property = fc.asyncProperty(fc.nat(), anything, async (at, value) => {
      if (good.length === 0) return;
      await expectCodecError(name, good.with(at % good.length, value));
    });
    await fc.assert(property, { numRuns: RUNS });
  });

  test('anything within an argument', async () => {
    const good = GOOD[name]();
    const property = fc.asyncProperty(fc.nat(), fc.nat(), anything, async (which, at, value) => {
      if (good.length === 0) return;
      const i = which % good.length;
      const isModel = good[i] === model || good[i] === engine;
      await expectCodecError(name, good.with(i, isModel ? value : spoiled(good[i], { at, value })));
    });
    await fc.assert(property, { numRuns: RUNS });
  });

  test('nothing', () => expectCodecError(name, []));
});

describe('what is refused, in words', () => {
  const cases: readonly [string, string, () => readonly unknown[], RegExp][] = [
    [
      'a width of two and a half',
      'encode',
      () => [{ ...image, width: 2.5 }, model],
      /image width: expected an integer from 1 to \d+, got 2.5/,
    ],
    ['and in a header', 'writeHeader', () => [{ ...(header() as object), width: 2.5 }], /width: .*got 2.5/],
    [
      'an architecture with a number that JSON does not have',
      'createModel',
      () => [{ ...(GOOD.createModel()[0] as object), config: { layers_per_block: [8n] } }, engine],
      /config\.json: layers_per_block: expected .*, got a list of 1/,
    ],
    [
      'a load of a plan that has no words of its own',
      'writeHeader',
      () => {
        const good = header() as { plan: object };
        return [{ ...good, plan: { ...good.plan, load: Object.create(null) } }];
      },
      /plan load: expected 0 or 1, got Object/,
    ],
    ['a width as text', 'encodePng', () => [{ ...image, width: '8' }], /image width: .*got "8"/],
    ['no width', 'sample', () => [model, { ...drawn, width: 0 }], /samples width: .*got 0/],
    [
      'samples that fit in no memory',
      'sample',
      () => [model, { ...drawn, width: 2 ** 24, height: 2 ** 24 }],
      /at most 67108864 pixels/,
    ],
    [
      'samples that are not bytes',
      'encodePng',
      () => [{ ...image, data: new Float32Array(192).fill(Number.NaN) }],
      /image data: expected a Uint8Array of 192 samples, got Float32Array of 192 values/,
    ],
    ['another format', 'encodeImage', () => [image, 'bmp'], /format: expected "png", "webp" or "tiff", got "bmp"/],
    [
      'a slip in the name of an option',
      'encode',
      () => [image, model, { targetRMSE: 3 }],
      /encode: options: expected only .*targetRmse.*, got "targetRMSE"/,
    ],
    [
      'no model',
      'encode',
      () => [image],
      /model: expected a model, as from `openModel` or `createModel`, got undefined/,
    ],
    ['no bytes', 'decode', () => [null, model], /source: expected a Uint8Array or a stream of them, got null/],
    ['text for bytes', 'readInfo', () => ['text'], /bytes: expected a Uint8Array, got "text"/],
    [
      'metadata that are no text',
      'encode',
      () => [image, model, { metadata: { comment: 5 } }],
      /comment: expected a string, got 5/,
    ],
    [
      'frames of several sizes',
      'encodeAnimation',
      () => [[image, syntheticImage(9, 9)].map((one) => ({ image: one, milliseconds: 1 }))],
      /frames: expected pictures of one size/,
    ],
    ['a file of nothing', 'readImageBytes', () => [new Uint8Array(), 'x'], /x: not a picture/],
  ];
  test.each(cases)('%s', async (_, name, args, message) => {
    await expect((async () => take(FUNCTIONS[name](...args())))()).rejects.toThrow(message);
  });
});

describe('what the caller does with its arrays meanwhile does not matter', () => {
  test('while a picture is encoded', async () => {
    const data = Buffer.from(image.data);
    const encoding = node.encode({ ...image, data }, model, { targetRmse: 60, effort: 1 });
    data.fill(0);
    expect((await encoding).bytes).toEqual(bytes);
  });

  test('while a file is decoded', async () => {
    const changing = Buffer.from(bytes);
    const decoding = node.decode(changing, model);
    changing.fill(0);
    expect((await decoding).image).toEqual((await node.decode(bytes, model)).image);
  });

  test('while a picture is written', async () => {
    const data = Buffer.from(image.data);
    const writing = node.encodePng({ ...image, data });
    data.fill(0);
    expect(new Uint8Array(await writing)).toEqual(new Uint8Array(png));
  });

  test('and what is not seen of it stays as it was', async () => {
    const data = Buffer.from(image.data);
    const alpha = Buffer.alloc(64, 255).fill(0, 0, 32);
    await node.encode({ ...image, data, alpha }, model, { targetRmse: 60, effort: 1 });
    expect(new Uint8Array(data)).toEqual(image.data);
  });
});

test('more pictures of a progressive decoding than a file has bytes', async () => {
  const noise = { ...image, data: Uint8Array.from(image.data, (_, i) => (i * i * 31 + i * 7) % 256) };
  const file = (await node.encode(noise, model, { targetRmse: 30, effort: 1 })).bytes;
  let points = 0;
  const onPoint = () => void points++;
  await node.decode(file, model, { progressivePoints: 2 ** 26, onPoint });
  expect(points).toBeLessThanOrEqual(file.length);
  expect(points).toBeGreaterThan(1);
});
