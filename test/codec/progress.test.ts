/** Progress reports of encoder and decoder: measured in pixels evaluated by the network, not in steps. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DecodeOptions, EncodeOptions, EncodeProgress, EncodeResult } from '../../src/codec/api.js';
import { decode } from '../../src/codec/decoder/decode.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { readLayout } from '../../src/codec/format/layout.js';
import { risingShare, STEP_WORK } from '../../src/codec/work.js';
import { type Engine, sizeOf } from '../../src/engine/engine.js';
import { crop } from '../../src/image/crop.js';
import type { RgbImage } from '../../src/image/image.js';
import { openEngine } from '../../src/node/engine/index.js';
import { readImage } from '../../src/node/image/read.js';
import { type Model, openModel } from '../../src/node/models.js';
import { PHOTO, syntheticImage } from '../helpers/fixtures.js';

/** Allowed error of the shares: codewords and tails take work too, and windows overlap or are padded. */
const ALLOWED = 0.12;
/** Number of weights of a network; an update has fewer. */
const NETWORK = 1e6;

let engine: Engine;
let model: Model;
let image: RgbImage;
/** Pixels evaluated by the network. Those of updates, and the steps of an encoder, count by their share of the time. */
let pixels = 0;

/** The engine, with its pixels counted. */
function counting(inner: Engine): Engine {
  return {
    ...inner,
    async compile(fn, shapes, constants = [], options) {
      const compiled = await inner.compile(fn, shapes, constants, options);
      const [height, width] = shapes[0].slice(-3);
      const isNetwork = constants.reduce((sum, { shape }) => sum + sizeOf(shape), 0) > NETWORK;
      return {
        ...compiled,
        async run(inputs, signal) {
          const outputs = await compiled.run(inputs, signal);
          pixels += (height * width) / (isNetwork ? 1 : 16);
          return outputs;
        },
      };
    },
  };
}

beforeAll(async () => {
  engine = counting(await openEngine('onnx'));
  model = await openModel('photo2', engine);
  // Its early steps run at half the size and less. Windows of these sizes need no padding.
  image = crop(await readImage(PHOTO), { left: 160, top: 30, width: 128, height: 128 });
});

afterAll(async () => {
  await model?.dispose();
  await engine?.dispose();
});

interface Said {
  readonly fraction: number;
  readonly pixels: number;
}

/** Largest difference between the reported fractions and the shares of all pixels. */
function largestError(said: readonly Said[], from: number, to: number): number {
  return Math.max(...said.map((one) => Math.abs(one.fraction - (one.pixels - from) / (to - from))));
}

function expectRising(fractions: readonly number[]): void {
  expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
  expect(fractions[0]).toBeGreaterThanOrEqual(0);
  expect(fractions.at(-1)).toBe(1);
}

async function encoded(
  options: EncodeOptions,
): Promise<{ result: EncodeResult; said: (Said & EncodeProgress)[]; error: number }> {
  const said: (Said & EncodeProgress)[] = [];
  const from = pixels;
  const onProgress = (progress: EncodeProgress) => {
    if (progress.t < model.schedule.timesteps) pixels += STEP_WORK * image.width * image.height;
    said.push({ ...progress, pixels });
  };
  const result = await encode(image, model, { effort: 1, ...options, onProgress });
  return { result, said, error: largestError(said, from, pixels) };
}

describe('encoding says how much of its work is done', () => {
  test.each([
    ['of so many bytes', { maxBytes: 1000 }],
    ['of a quality, whose end is foretold', { targetRmse: 7 }],
  ])('for a file %s', async (_, options) => {
    const { result, said, error } = await encoded(options);
    expectRising(said.map(({ fraction }) => fraction));
    expect(error).toBeLessThan(ALLOWED);
    expect(said.at(-1)).toMatchObject({ bytes: result.bytes.length, rmse: result.rmse });
    // Counting steps would give another share.
    const steps = said.filter(({ t }) => t < 1000);
    const bySteps = steps.map((one, i) => ({ fraction: (i + 1) / steps.length, pixels: one.pixels }));
    expect(largestError(bySteps, 0, pixels)).toBeGreaterThan(0.2);
  });

  test('of what takes no steps, too', async () => {
    const fractions: number[] = [];
    const plain = { width: 40, height: 30, data: new Uint8Array(3600).fill(77) };
    for (const easy of [plain, syntheticImage(7, 5)]) {
      fractions.length = 0;
      await encode(easy, model, {
        effort: 1,
        targetRmse: 6,
        onProgress: ({ fraction }) => void fractions.push(fraction),
      });
      expectRising(fractions);
    }
  });
});

describe('decoding says how much of its work is done', () => {
  let file: Uint8Array;
  beforeAll(async () => {
    file = (await encode(image, model, { effort: 1, maxBytes: 1200 })).bytes;
  });

  test.each([
    ['without pictures on the way', {}],
    ['with pictures on the way', { progressivePoints: 6, onPoint() {} }],
    ['of some steps', { maxSteps: 40 }],
    ['of a picture that the network draws on', { maxSteps: 30, realism: 1 }],
    ['of draws on the way', { maxSteps: 30, realism: 'sample', progressivePoints: 3, onPoint() {} }],
  ] as const)('%s', async (_, options) => {
    expect(await errorOf(options)).toBeLessThan(ALLOWED);
  });

  test('up to a state at which the network is asked, which a picture sees twice', async () => {
    const { written } = readLayout(file, model);
    const maxSteps = written.findIndex(({ asks }, i) => asks && i >= 30) + 1;
    expect(maxSteps).toBeGreaterThan(30);
    expect(await errorOf({ maxSteps })).toBeLessThan(ALLOWED);
  });

  async function errorOf(options: DecodeOptions): Promise<number> {
    const said: Said[] = [];
    const from = pixels;
    await decode(file, model, { ...options, onProgress: (fraction) => void said.push({ fraction, pixels }) });
    expectRising(said.map(({ fraction }) => fraction));
    return largestError(said, from, pixels);
  }

  test('of a stream', async () => {
    const said: Said[] = [];
    const from = pixels;
    async function* stream() {
      for (let at = 0; at < file.length; at += 100) yield file.subarray(at, at + 100);
    }
    await decode(stream(), model, { onProgress: (fraction) => void said.push({ fraction, pixels }) });
    expectRising(said.map(({ fraction }) => fraction));
    expect(largestError(said, from, pixels)).toBeLessThan(ALLOWED);
  });
});

test('a share that is foretold anew never falls', () => {
  const share = risingShare();
  expect([share(0, 0), share(1, 3), share(2, 8), share(3, 1), share(4, 0)]).toEqual([0, 0.25, 0.25, 0.75, 1]);
});
