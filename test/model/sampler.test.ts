import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Engine, TensorFunction } from '../../src/engine/engine.js';
import { openEngine } from '../../src/engine/index.js';
import { VARIANCES } from '../../src/model/parameterization.js';
import { sample } from '../../src/model/sampler.js';
import { createSchedule, paperSchedule } from '../../src/model/schedule.js';

const schedule = createSchedule(paperSchedule);
const SIDE = 8;

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine('onnx');
});
afterAll(() => engine.dispose());

/** Predicts x_0 as half of x_t; a learned variance is between the two. */
const network = (channels: number) => ({
  fn: ([x]: Parameters<TensorFunction>[0]) => [
    channels === 3 ? tf.mul(x, 0.5) : tf.concat([tf.mul(x, 0.5), tf.mul(x, 0)], 3),
  ],
  constants: [],
  stride: 4,
});

describe.each(VARIANCES)('variance %s', (variance) => {
  const model = () => ({
    engine,
    network: network(variance === 'learned' ? 6 : 3),
    schedule,
    parameterization: { prediction: 'x0' as const, variance },
  });

  test('gives pictures of the size asked for, the same for the same seed', async () => {
    const options = { count: 3, width: SIDE, height: 4, steps: 7, seed: 'a' };
    const pictures = await sample(model(), options);
    expect(pictures.map(({ width, height, data }) => [width, height, data.length])).toEqual(Array(3).fill([8, 4, 96]));
    expect(await sample(model(), options)).toEqual(pictures);
    expect(await sample(model(), { ...options, seed: 'b' })).not.toEqual(pictures);
    expect(new Set(pictures.map(({ data }) => data.join())).size).toBe(3);
  });

  test('more pictures than fit a batch begin with the same ones', async () => {
    const options = { width: 4, height: 4, steps: 3, seed: 'a' };
    const many = await sample(model(), { ...options, count: 20 });
    expect(many.length).toBe(20);
    const few = await sample(model(), { ...options, count: 17 });
    expect(few).toEqual(many.slice(0, 17));
  });
});

test('a network that knows one picture draws it, whatever the steps', async () => {
  const grey = 40;
  const model = {
    engine,
    network: {
      fn: ([x]: Parameters<TensorFunction>[0]) => [tf.add(tf.mul(x, 0), grey / 127.5 - 1)],
      constants: [],
      stride: 4,
    },
    schedule,
    parameterization: { prediction: 'x0' as const, variance: 'beta' as const },
  };
  for (const steps of [1, 10]) {
    const [picture] = await sample(model, { count: 1, width: 4, height: 4, steps, seed: 'x' });
    expect(new Set(picture.data)).toEqual(new Set([grey]));
  }
  const progress: number[] = [];
  await sample(model, { count: 1, width: 4, height: 4, steps: 4, seed: 'x', onProgress: (f) => progress.push(f) });
  expect(progress).toEqual([0.25, 0.5, 0.75, 1]);
});

test.each([0, 1001, 2.5])('%s steps are refused', async (steps) => {
  const model = {
    engine,
    network: network(3),
    schedule,
    parameterization: { prediction: 'x0', variance: 'beta' } as const,
  };
  await expect(sample(model, { count: 1, width: 4, height: 4, steps, seed: 'x' })).rejects.toThrow(/from 1 to 1000/);
  await expect(sample(model, { count: 1, width: 6, height: 4, seed: 'x' })).rejects.toThrow(/multiples of 4/);
});
