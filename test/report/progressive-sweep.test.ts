import { expect, it } from 'vitest';
import { decode } from '../../src/codec/decoder.js';
import { encode } from '../../src/codec/encoder.js';
import { openEngine } from '../../src/engine/index.js';
import { rmse } from '../../src/image/metrics.js';
import { openModel } from '../../src/model/model.js';
import { sweepProgressive } from '../../src/report/progressive-sweep.js';
import { cifarTestImages } from '../helpers/fixtures.js';

it('has a point for every step, each that of the file cut off there', async () => {
  const engine = await openEngine('onnx');
  const model = await openModel('pilot', engine);
  const [image] = await cifarTestImages();
  const options = { targetRmse: 10, seed: 3 };
  const progress: number[] = [];
  const { points, networkEvaluations, encodeSeconds } = await sweepProgressive(image, model, options, (fraction) =>
    progress.push(fraction),
  );
  const file = await encode(image, model, options);
  expect(networkEvaluations).toBe(file.networkEvaluations);
  expect(points.length).toBe(file.steps.length - 1);
  expect(points.map(({ klBits }) => klBits)).toEqual(file.steps.slice(1).map(({ klBits }) => klBits));
  expect(points.map(({ t }) => t)).toEqual(file.steps.slice(1).map(({ t }) => t));
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
  await model.dispose();
  await engine.dispose();
});
