import { afterEach, expect, it, vi } from 'vitest';
import { decode } from '../../src/codec/decoder/decode.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { readHeader } from '../../src/codec/format/header.js';
import type { Engine } from '../../src/engine/engine.js';
import { crop } from '../../src/image/crop.js';
import type { RgbImage } from '../../src/image/image.js';
import { rmse } from '../../src/image/metrics.js';
import { openEngine } from '../../src/node/engine/index.js';
import { readImage } from '../../src/node/image/read.js';
import { openModel } from '../../src/node/models.js';
import { sweepProgressive } from '../../src/report/progressive-sweep.js';
import { cifarTestImages, grained, PHOTO } from '../helpers/fixtures.js';

/** Three stripes of 32x24: a drawing. */
function flagImage(): RgbImage {
  const data = new Uint8Array(32 * 24 * 3).map((_, i) => (i < 768 ? 200 : i < 1536 ? 90 : 10));
  data.set([1, 2, 3, 250, 4, 77], 999);
  return { width: 32, height: 24, data };
}

afterEach(() => vi.restoreAllMocks());

/** The engine with a clock that only it moves: a second for every run of a network. */
function clocked(inner: Engine): Engine {
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  return {
    ...inner,
    async compile(...sources) {
      const compiled = await inner.compile(...sources);
      return {
        ...compiled,
        async run(...inputs) {
          const outputs = await compiled.run(...inputs);
          now += 1000;
          return outputs;
        },
      };
    },
  };
}

it('has a point for every step, each that of the file cut off there', async () => {
  const engine = clocked(await openEngine('onnx'));
  const model = await openModel('pilot', engine);
  const [image] = await cifarTestImages();
  const options = { targetRmse: 10, seed: 3 };
  const progress: number[] = [];
  const sweep = await sweepProgressive(image, model, { ...options, onProgress: (fraction) => progress.push(fraction) });
  const { networkEvaluations, encodeSeconds, headerBytes, steps } = sweep;
  const [points] = sweep.curves;
  const file = await encode(image, model, options);
  expect(sweep.bytes).toEqual(file.bytes);
  expect(headerBytes).toBe(readHeader(file.bytes).length);
  const stepBits = steps.reduce((sum, { bits }) => sum + bits, 0);
  expect(file.bytes.length).toBe(headerBytes + Math.ceil(stepBits / 8));
  expect(steps.reduce((sum, { klBits }) => sum + klBits, 0)).toBeCloseTo(file.klBits, 6);
  expect(steps.map(({ t }) => t)).toEqual(file.steps.slice(1).map(({ t }) => t));
  expect(networkEvaluations).toBe(file.networkEvaluations);
  expect(points.length).toBe(file.steps.length);
  expect(points.map(({ klBits }) => klBits)).toEqual(file.steps.map(({ klBits }) => klBits));
  expect(points.map(({ t }) => t)).toEqual(file.steps.map(({ t }) => t));
  expect(points[0]).toMatchObject({ t: 1000, klBits: 0, bytes: headerBytes });
  expect(points.at(-1)).toMatchObject({ bytes: file.bytes.length, rmse: file.rmse, msSsim: null });
  const { bytes, bitsPerDim, rmse: error } = points[Math.floor(points.length / 2)];
  const cut = await decode(file.bytes.subarray(0, bytes), model);
  expect({ bytes: cut.bytesUsed, bitsPerDim: cut.bitsPerDim, error: rmse(cut.image, image) }).toEqual({
    bytes,
    bitsPerDim,
    error,
  });
  const seconds = points.map(({ decodeSeconds }) => decodeSeconds);
  expect(seconds).toEqual(seconds.toSorted((a, b) => a - b));
  expect(encodeSeconds).toBeGreaterThan(0);
  expect(progress).toEqual(progress.toSorted((a, b) => a - b));
  expect(progress.at(-1)).toBe(1);
  const pictures: number[] = [];
  const few = await sweepProgressive(image, model, {
    ...options,
    points: 3,
    onPicture: (picture) => void pictures.push(rmse(picture, image)),
  });
  expect(few.curves[0].map(({ rmse }) => rmse)).toEqual(pictures);
  expect(few.curves[0].length).toBe(4);
  expect(few.curves[0].at(-1)).toMatchObject({ bytes: file.bytes.length });

  const drawn = await sweepProgressive(flagImage(), model, { targetRmse: 1 });
  expect(drawn.steps).toEqual([]);
  expect(drawn.curves[0].length).toBe(9);
  expect(drawn.curves[0].at(-1)).toMatchObject({ bytes: drawn.bytes.length, klBits: 0, t: 1000 });
  expect(drawn.curves[0].at(-1)!.rmse).toBeLessThanOrEqual(1);
  await model.dispose();
  await engine.dispose();
});

it.each([
  ['ends with a step', { targetRmse: 9 }],
  ['ends with samples', { lossless: true, effort: 1 }],
])('does not count the pictures before a point into its seconds, where a file %s', async (_, options) => {
  const engine = clocked(await openEngine('onnx'));
  const model = await openModel('photo2', engine);
  try {
    const image = grained(crop(await readImage(PHOTO), { left: 170, top: 80, width: 64, height: 48 }));
    const [all] = (await sweepProgressive(image, model, options)).curves;
    const [few] = (await sweepProgressive(image, model, { ...options, points: 1 })).curves;
    expect(all.length).toBeGreaterThan(few.length + 5);
    expect(all.at(-1)!.decodeSeconds).toBeGreaterThan(5);
    expect(all.at(-1)).toEqual(few.at(-1));
  } finally {
    await model.dispose();
    await engine.dispose();
  }
});
