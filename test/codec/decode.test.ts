/** Decoding with the shipped model: every prefix, every reconstruction, either engine. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DecodePoint, DecodeResult, EncodeResult } from '../../src/codec/api.js';
import { decode } from '../../src/codec/decoder/decode.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { truncate } from '../../src/codec/format/info.js';
import { completeSteps, type Layout, readLayout } from '../../src/codec/format/layout.js';
import { CodecError } from '../../src/common/errors.js';
import { crop } from '../../src/image/crop.js';
import type { RgbImage } from '../../src/image/image.js';
import { rmse } from '../../src/image/metrics.js';
import { openEngine } from '../../src/node/engine/index.js';
import { type Model, openModel } from '../../src/node/models.js';
import { cifarTestImages, syntheticImage } from '../helpers/fixtures.js';

interface Sample {
  readonly image: RgbImage;
  readonly result: EncodeResult;
  readonly layout: Layout;
}

let model: Model;
let samples: Sample[];

async function sampleOf(image: RgbImage, targetRmse: number): Promise<Sample> {
  const result = await encode(image, model, { targetRmse });
  return { image, result, layout: readLayout(result.bytes, model) };
}

beforeAll(async () => {
  model = await openModel('pilot', await openEngine('onnx'));
  const [first, second] = await cifarTestImages();
  const part = crop(first, { left: 8, top: 8, width: 16, height: 16 });
  const tiny = crop(second, { left: 12, top: 9, width: 7, height: 5 });
  samples = [await sampleOf(part, 16), await sampleOf(second, 24), await sampleOf(tiny, 5)];
});

afterAll(() => model.dispose());

const isPicture = ({ image }: DecodePoint, { width, height }: RgbImage) =>
  image.width === width && image.height === height && image.data.length === width * height * 3;

describe('prefixes', () => {
  test('shorter than the header are refused', async () => {
    for (const { result, layout } of samples) {
      for (let length = 0; length < layout.headerBytes; length++) {
        const refused = await decode(result.bytes.subarray(0, length), model).catch((error: unknown) => error);
        expect(refused).toBeInstanceOf(CodecError);
        expect((refused as CodecError).code).toBe('format');
      }
    }
  });

  test('of every other length use the steps that are whole', () => {
    for (const { result, layout } of samples) {
      for (let length = layout.headerBytes; length <= result.bytes.length; length++) {
        const prefix = readLayout(result.bytes.subarray(0, length), model);
        expect(prefix).toEqual(layout);
        const steps = result.steps.filter(({ bits }) => Math.ceil(bits / 8) <= length).length - 1;
        expect(completeSteps(prefix, length)).toBe(steps);
      }
    }
  });

  test('around every step boundary decode to what the encoder saw there', async () => {
    for (const { image, result, layout } of samples) {
      const full = result.bytes.length;
      const lengths = layout.boundaries.flatMap((end) => [end - 1, end, end + 1]);
      const pictures = new Map<number, Uint8Array>();
      for (const length of new Set(lengths.filter((n) => n >= layout.headerBytes && n <= full))) {
        const decoded = await decode(result.bytes.subarray(0, length), model);
        const { stepsUsed } = decoded;
        expect(stepsUsed).toBe(completeSteps(layout, length));
        expect(decoded).toMatchObject({
          bytesTotal: length,
          bytesUsed: layout.boundaries[stepsUsed],
          t: result.steps[stepsUsed].t,
          stepsTotal: layout.written.length,
          complete: length === full,
        });
        expect(rmse(decoded.image, image)).toBe(result.steps[stepsUsed].rmse);
        const known = pictures.get(stepsUsed);
        if (known) expect(decoded.image.data).toEqual(known);
        pictures.set(stepsUsed, decoded.image.data);
      }
      expect(pictures.size).toBe(layout.written.length + 1);
    }
  });
});

test.each([
  [1, 1],
  [7, 5],
  [33, 17],
  [1, 90],
])('a %d x %d image round-trips', async (width, height) => {
  const image = syntheticImage(width, height);
  const { bytes, reconstruction, rmse: reported } = await encode(image, model, { targetRmse: 6 });
  expect(reported).toBeLessThanOrEqual(6);
  const decoded = await decode(bytes, model);
  expect(decoded.complete).toBe(true);
  expect(decoded.image).toEqual(reconstruction);
  expect(rmse(decoded.image, image)).toBe(reported);
});

describe('limits', () => {
  test('maxBytes decodes as the truncated file does', async () => {
    const { result, layout } = samples[2];
    const middle = layout.boundaries[2] + 1;
    const limited = await decode(result.bytes, model, { maxBytes: middle });
    const cut = await decode(truncate(result.bytes, middle), model);
    expect(limited.image).toEqual(cut.image);
    expect(limited.stepsUsed).toBe(completeSteps(layout, middle));
    expect(limited.bytesUsed).toBeLessThanOrEqual(middle);
    expect([limited.bytesTotal, limited.complete]).toEqual([result.bytes.length, true]);
    expect([cut.bytesTotal, cut.complete]).toEqual([middle, false]);
    await expect(decode(result.bytes, model, { maxBytes: layout.headerBytes - 1 })).rejects.toThrow(
      /expected at least the \d+ bytes of the header/,
    );
  });

  test('maxSteps stops at that step', async () => {
    const { image, result } = samples[2];
    for (const maxSteps of [0, 1, 3]) {
      const decoded = await decode(result.bytes, model, { maxSteps });
      expect(decoded.stepsUsed).toBe(maxSteps);
      expect(rmse(decoded.image, image)).toBe(result.steps[maxSteps].rmse);
    }
    expect((await decode(result.bytes, model, { maxSteps: 10 ** 6 })).image).toEqual(result.reconstruction);
  });

  test('an encoder told how many bytes never writes more', async () => {
    const { image, result } = samples[2];
    for (const maxBytes of [12, 13, 20, result.bytes.length]) {
      const { bytes } = await encode(image, model, { maxBytes });
      expect(bytes.length).toBeLessThanOrEqual(maxBytes);
      expect((await decode(bytes, model)).complete).toBe(true);
    }
    await expect(encode(image, model, { maxBytes: 5 })).rejects.toThrow(/bytes of the header, got 5/);
  });

  test('pictures larger than allowed are refused', async () => {
    const { result } = samples[2];
    await expect(decode(result.bytes, model, { maxPixels: 34 })).rejects.toMatchObject({ code: 'format' });
    await decode(result.bytes, model, { maxPixels: 35, maxSteps: 0 });
  });

  test.each([
    [{ maxBytes: -1 }, /maxBytes: expected/],
    [{ maxSteps: Number.NaN }, /maxSteps: expected/],
    [{ maxSteps: 3.7 }, /maxSteps: expected an integer/],
    [{ realism: 'median' as 'sample' }, /realism: expected a number from 0 to 1, or "sample", got "median"/],
    [{ realism: 1.01 }, /realism: expected a number from 0 to 1, or "sample", got 1.01/],
  ])('options out of range are refused: %o', async (options, message) => {
    await expect(decode(samples[2].result.bytes, model, options)).rejects.toThrow(message);
  });
});

test('progressive points come in order, end with the result and are what shorter files give', async () => {
  const { image, result, layout } = samples[2];
  const points: DecodePoint[] = [];
  const done: number[] = [];
  const decoded = await decode(result.bytes, model, {
    progressivePoints: 4,
    onPoint: (point) => void points.push(point),
    onProgress: (fraction) => void done.push(fraction),
  });
  expect(points.length).toBeGreaterThanOrEqual(2);
  expect(points.length).toBeLessThanOrEqual(5);
  const steps = points.map(({ stepsUsed }) => stepsUsed);
  expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b));
  for (const point of points) {
    expect(point.bytesUsed).toBe(layout.boundaries[point.stepsUsed]);
    expect(point.bitsPerDim).toBe((point.bytesUsed * 8) / (7 * 5 * 3));
    expect(rmse(point.image, image)).toBe(result.steps[point.stepsUsed].rmse);
  }
  expect(points.at(-1)!.image).toEqual(decoded.image);
  expect(done.at(-1)).toBe(1);
  expect(done).toEqual([...done].sort((a, b) => a - b));
});

test('pictures at sizes are those of the file cut off there, and the network is asked no more often', async () => {
  const { result, layout } = samples[0];
  let asked = 0;
  const denoiser = new Proxy(model.denoiser, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      if (name !== 'predictX0') return value.bind(target);
      return (...args: unknown[]) => {
        asked++;
        return value.apply(target, args);
      };
    },
  });
  const counting = { ...model, denoiser };
  await decode(result.bytes, counting);
  const once = asked;
  expect(once).toBeGreaterThan(1);
  const { boundaries } = layout;
  const sizes = [boundaries[1] - 1, boundaries[2], boundaries[2] + 1, result.bytes.length + 9];
  const points: DecodePoint[] = [];
  const options = { progressivePoints: [...sizes].reverse(), onPoint: (point: DecodePoint) => void points.push(point) };
  await decode(result.bytes, counting, options);
  expect(asked).toBe(2 * once);
  expect(points.map(({ stepsUsed }) => stepsUsed)).toEqual([0, 2, 2, result.steps.length - 1]);
  for (const [i, size] of sizes.entries()) {
    const { image, bytesUsed } = await decode(result.bytes.subarray(0, size), model);
    expect(points[i]).toMatchObject({ image, bytesUsed });
  }
  await expect(decode(result.bytes, model, { progressivePoints: [-1] })).rejects.toThrow(/progressivePoints: expected/);
});

test.each(['sample', 1] as const)('realism %s gives a picture, the same every time', async (realism) => {
  const { image, result } = samples[2];
  const decodeAt = (maxSteps: number) => decode(result.bytes, model, { realism, maxSteps });
  const seen: DecodeResult[] = [];
  for (const steps of [1, result.steps.length - 1]) {
    const decoded = await decodeAt(steps);
    expect(isPicture(decoded, image)).toBe(true);
    expect((await decodeAt(steps)).image).toEqual(decoded.image);
    const mean = await decode(result.bytes, model, { maxSteps: steps });
    expect(decoded.image).not.toEqual(mean.image);
    expect(rmse(decoded.image, image)).toBeLessThan(128);
    seen.push(decoded);
  }
  // More of the file gives a picture closer to the original.
  expect(rmse(seen[1].image, image)).toBeLessThan(rmse(seen[0].image, image));
});

describe('machines', () => {
  describe('wasm and onnx', () => {
    const pairs: (readonly [DecodeResult, DecodeResult])[] = [];
    const largest = (a: ArrayLike<number>, b: ArrayLike<number>) =>
      Array.from(a, (value, i) => Math.abs(value - b[i])).reduce((x, y) => Math.max(x, y));

    beforeAll(async () => {
      const wasm = await openModel('pilot', await openEngine('wasm'));
      for (const { result } of samples)
        pairs.push([await decode(result.bytes, wasm), await decode(result.bytes, model)]);
      await wasm.dispose();
    });

    test('decode the same file to within a grey level', () => {
      for (const [a, b] of pairs) expect(largest(a.image.data, b.image.data)).toBeLessThanOrEqual(1);
    });

    // Compared before rounding: among 3072 rounded values, a single one that rounds the other way already gives 0.018 RMS.
    test('decode the same file to within 0.01 grey levels RMS', () => {
      for (const [{ unrounded: a }, { unrounded: b }] of pairs) {
        const sum = a.reduce((total, value, i) => total + ((value - b[i]) * 127.5) ** 2, 0);
        expect(Math.sqrt(sum / a.length)).toBeLessThanOrEqual(0.01);
      }
    });
  });

  test('encoding again gives the same bytes, with any number of threads', async () => {
    const { image, result } = samples[0];
    expect((await encode(image, model, { targetRmse: 16 })).bytes).toEqual(result.bytes);
    for (const threads of [1, 2]) {
      const other = await openModel('pilot', await openEngine('onnx', { threads }));
      expect((await encode(image, other, { targetRmse: 16 })).bytes).toEqual(result.bytes);
      await other.dispose();
    }
  });

  test('sampling selection repeats too, and decodes', async () => {
    const { image } = samples[2];
    const options = { selection: 'sample', seed: 7, targetRmse: 12 } as const;
    const { bytes, reconstruction } = await encode(image, model, options);
    expect((await encode(image, model, options)).bytes).toEqual(bytes);
    expect((await encode(image, model, { ...options, seed: 8 })).bytes).not.toEqual(bytes);
    expect((await decode(bytes, model)).image).toEqual(reconstruction);
  });
});
