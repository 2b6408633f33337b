import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { rmse } from '../../src/image/metrics.js';
import { interpolate, sampleSharedLatents } from '../../src/model/interpolation.js';
import { openEngine } from '../../src/node/engine/index.js';
import { type Model, openModel } from '../../src/node/models.js';
import { cifarTestImages, syntheticImage } from '../helpers/fixtures.js';

let engine: Engine;
let model: Model & { engine: Engine };
beforeAll(async () => {
  engine = await openEngine('onnx');
  model = { ...(await openModel('cifar10', engine)), engine };
});
afterAll(async () => {
  await model?.dispose();
  await engine.dispose();
});

describe('interpolate', () => {
  const options = { seed: 'a', steps: 100, lambdas: [0, 0.5, 1] };

  test('gives the pictures themselves at t = 0, and between them their mean', async () => {
    const [a, b] = await cifarTestImages();
    const [first, middle, last] = await interpolate(model, a, b, { ...options, t: 0 });
    expect(first.data).toEqual(a.data);
    expect(last.data).toEqual(b.data);
    middle.data.forEach((value, i) => {
      expect(Math.abs(value - (a.data[i] + b.data[i]) / 2)).toBeLessThanOrEqual(0.501);
    });
  });

  test('reconstructs the pictures, the worse the larger t; the same for the same seed', async () => {
    const [a, b] = await cifarTestImages();
    const errors: number[] = [];
    for (const t of [5, 50, 250]) {
      const mixtures = await interpolate(model, a, b, { ...options, t });
      if (t === 50) {
        expect(await interpolate(model, a, b, { ...options, t })).toEqual(mixtures);
        expect(await interpolate(model, a, b, { ...options, t, seed: 'b' })).not.toEqual(mixtures);
      }
      errors.push(Math.max(rmse(a, mixtures[0]), rmse(b, mixtures[2])));
    }
    // A sample of p(x_0|x_t) is about sqrt(2) times as far from x_0 as xhat0, which is 2.3 grey levels off at t = 5.
    expect(errors[0]).toBeLessThan(4);
    expect(errors[1]).toBeLessThan(18);
    expect(errors.toSorted((x, y) => x - y)).toEqual(errors);
    expect(errors[2]).toBeLessThan(rmse(a, b) / 2);
  });

  test('a picture with itself is the same for all lambda, since the noise is', async () => {
    const [a] = await cifarTestImages();
    const [first, middle, last] = await interpolate(model, a, a, { ...options, t: 300 });
    expect(rmse(first, middle)).toBeLessThan(0.2);
    expect(rmse(first, last)).toBeLessThan(0.2);
  });

  test('refuses what it cannot do', async () => {
    const square = syntheticImage(8, 8);
    const attempt = (a: typeof square, b: typeof square, t = 5) => interpolate(model, a, b, { ...options, t });
    await expect(attempt(square, syntheticImage(8, 12))).rejects.toThrow(/one size, got 8x8 and 8x12; crop/);
    await expect(attempt(syntheticImage(10, 9), syntheticImage(10, 9))).rejects.toThrow(/multiples of 4, .* 8x8/);
    await expect(attempt(square, square, 1001)).rejects.toThrow(/`t`: expected an integer from 0 to 1000/);
  });
});

describe('samples that share x_t', () => {
  const options = { count: 3, width: 32, height: 32, seed: 'a', steps: 20 };

  test('are the more alike the smaller t', async () => {
    const progress: number[] = [];
    const groups = await sampleSharedLatents(model, {
      ...options,
      timesteps: [100, 1000, 400],
      onProgress: (fraction) => progress.push(fraction),
    });
    expect(groups.map(({ t, samples }) => [t, samples.length])).toEqual([
      [1000, 3],
      [400, 3],
      [100, 3],
    ]);
    const spread = groups.map(({ samples: [a, b, c] }) => rmse(a, b) + rmse(b, c) + rmse(a, c));
    expect(spread.toSorted((a, b) => b - a)).toEqual(spread);
    const { xhat0, samples } = groups[2];
    expect(rmse(xhat0, samples[0])).toBeLessThan(25);
    expect(progress.toSorted((a, b) => a - b)).toEqual(progress);
    expect(progress.at(-1)).toBeCloseTo(1, 9);
    expect(await sampleSharedLatents(model, { ...options, timesteps: [1000, 400, 100] })).toEqual(groups);
  });

  test.each([[[]], [[0]], [[1001, 5]]])('timesteps %j are refused', async (timesteps) => {
    await expect(sampleSharedLatents(model, { ...options, timesteps })).rejects.toThrow(/timesteps from 1 to 1000/);
  });
});
