import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CodecError } from '../../src/common/errors.js';
import { gaussians, integerStream } from '../../src/common/random.js';
import type { Engine, TensorFunction } from '../../src/engine/engine.js';
import { createDenoiser, type Denoiser } from '../../src/model/denoiser.js';
import { REVERSE_VARIANCES } from '../../src/model/parameterization.js';
import { withPyramid } from '../../src/model/pyramid.js';
import { reverse, type SamplerOptions, sample, timestepsBetween } from '../../src/model/sampler.js';
import { createSchedule, paperSchedule } from '../../src/model/schedule.js';
import { openEngine } from '../../src/node/engine/index.js';

const schedule = createSchedule(paperSchedule);
const SIDE = 8;

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine('onnx');
});
afterAll(() => engine.dispose());

/** Predicts x_0 as half of x_t. A learned variance lies between the two bounds. */
const network = (channels: number) => ({
  fn: ([x]: tf.Tensor[]) => [channels === 3 ? tf.mul(x, 0.5) : tf.concat([tf.mul(x, 0.5), tf.mul(x, 0)], 3)],
  constants: [],
  stride: 4,
});

describe.each(REVERSE_VARIANCES)('variance %s', (variance) => {
  const model = () => ({
    engine,
    network: network(variance === 'learned' ? 6 : 3),
    schedule,
    parameterization: { prediction: 'x0' as const, variance: variance === 'optimal' ? ('beta' as const) : variance },
    expectedErrors: new Float64Array(schedule.timesteps + 1).fill(0.1),
  });
  const own = { width: SIDE, height: 4, steps: 7, seed: 'a', variance };

  test('gives pictures of the size asked for, the same for the same seed', async () => {
    const options = { ...own, count: 3 };
    const pictures = await sample(model(), options);
    expect(pictures.map(({ width, height, data }) => [width, height, data.length])).toEqual(Array(3).fill([8, 4, 96]));
    expect(await sample(model(), options)).toEqual(pictures);
    expect(await sample(model(), { ...options, seed: 'b' })).not.toEqual(pictures);
    expect(new Set(pictures.map(({ data }) => data.join())).size).toBe(3);
  });

  test('more pictures than fit a batch begin with the same ones', async () => {
    const options = { ...own, width: 4, steps: 3 };
    const many = await sample(model(), { ...options, count: 20 });
    expect(many.length).toBe(20);
    const few = await sample(model(), { ...options, count: 17 });
    expect(few).toEqual(many.slice(0, 17));
    expect(await sample(model(), { ...options, first: 1, count: 16 })).toEqual(many.slice(1, 17));
  });
});

describe('a model with a pyramid', () => {
  // Knows nothing of t > 600. Five halvings of 32 pixels take t = 1000 to 563.
  const limited = {
    fn: ([x, t]: tf.Tensor[]) => [
      tf.where(tf.greater(tf.reshape(t, [-1, 1, 1, 1]), 600), tf.fill(x.shape, Number.NaN), tf.mul(x, 0.5)),
    ],
    constants: [],
    stride: 4,
  };
  const parameterization = { prediction: 'x0', variance: 'beta' } as const;
  const plain = { engine, network: limited, schedule, parameterization };
  const pyramid = { halfFrom: 300, leastSide: 2 };
  const options = { count: 3, width: 32, height: 32, steps: 6, seed: 'a' };
  let denoiser: Denoiser;

  beforeAll(() => {
    plain.engine = engine;
    const alone = createDenoiser(engine, limited, schedule, { tile: 32, overlap: 8 }, parameterization);
    // Three pictures are a round of two and one of one.
    denoiser = { ...withPyramid(alone, schedule, pyramid), parallelism: 2 };
  });
  afterAll(() => denoiser.dispose());

  test('is asked at the sizes that the pyramid chooses', async () => {
    await expect(sample(plain, options)).rejects.toThrow('no usable numbers');
    const pictures = await sample({ ...plain, pyramid, denoiser }, options);
    expect(new Set(pictures.map(({ data }) => data.join())).size).toBe(3);
    expect(await sample({ ...plain, pyramid, denoiser }, { ...options, first: 2, count: 1 })).toEqual([pictures[2]]);
  });

  test('gives the picture that its denoiser shows', async () => {
    const noise = gaussians(integerStream('states'));
    const states = Array.from({ length: 3 }, () => Float32Array.from({ length: 32 * 32 * 3 }, noise));
    const size = { width: 32, height: 32 };
    const shared = { ...size, states, noises: states.map(() => noise), from: 700, steps: 1 };
    const drawn = await reverse({ ...plain, pyramid, denoiser }, shared);
    const shown = states.map((xt) => denoiser.predictX0({ ...size, xt, t: 700 }, { best: true }));
    expect(drawn).toEqual(await Promise.all(shown));
  });

  test('needs a denoiser that works', async () => {
    const broken = { ...plain, pyramid, denoiser: { predictX0: 1 } as unknown as Denoiser };
    await expect(sample(broken, options)).rejects.toThrow(CodecError);
  });
});

test('a network that knows one picture draws it, whatever the steps', async () => {
  const grey = 40;
  const model = {
    engine,
    network: {
      fn: ([x]: tf.Tensor[]) => [tf.add(tf.mul(x, 0), grey / 127.5 - 1)],
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

/** Variance of the values of generated pictures, small enough that xhat0 is not clipped. */
const DATA = 1 / 16;

/** E[x_0|x_t] / x_t for independent values of N(0, DATA). */
const slopeAt = (abar: number) => (Math.sqrt(abar) * DATA) / (abar * DATA + 1 - abar);

/** Variance of x_0 given x_t. */
const errorAt = (abar: number) => (DATA * (1 - abar)) / (abar * DATA + 1 - abar);

/** The exact denoiser of such pictures. The network computes abar_t as exp(sum of log(1 - beta)), to second order. */
function gaussianModel(variance: 'beta' | 'beta-tilde') {
  const start = paperSchedule.betaStart;
  const rise = (paperSchedule.betaEnd - start) / (schedule.timesteps - 1);
  const polynomial = (n: tf.Tensor, coefficients: readonly number[]) =>
    coefficients.reduce<tf.Tensor>((sum, c) => tf.add(tf.mul(sum, n), c), tf.mul(n, 0));
  const fn: TensorFunction = ([x, t]: tf.Tensor[]) => {
    const n = tf.add(tf.reshape(t, [-1, 1, 1, 1]), 1);
    const betas = polynomial(n, [rise / 2, start - rise / 2, 0]);
    const squares = polynomial(n, [
      rise ** 2 / 3,
      start * rise - rise ** 2 / 2,
      start ** 2 - start * rise + rise ** 2 / 6,
      0,
    ]);
    const abar = tf.exp(tf.neg(tf.add(betas, tf.mul(squares, 0.5))));
    const slope = tf.div(tf.mul(tf.sqrt(abar), DATA), tf.add(tf.mul(abar, DATA - 1), 1));
    return [tf.mul(x, slope)];
  };
  const network = { fn, constants: [], stride: 4 };
  const expectedErrors = schedule.alphasCumprod.map(errorAt);
  return { engine, network, schedule, parameterization: { prediction: 'x0' as const, variance }, expectedErrors };
}

describe('with the exact denoiser of Gaussian pictures', () => {
  const side = 32;
  const to = 1;

  /** Standard deviation of x_1 drawn from x_T ~ N(0, I). */
  async function drawn(options: SamplerOptions): Promise<number> {
    const noise = gaussians(integerStream('sampler test'));
    const states = [Float32Array.from({ length: side * side * 3 }, noise)];
    const rest = { states, noises: [noise], width: side, height: side, from: schedule.timesteps, to };
    const [x] = await reverse(gaussianModel('beta'), { ...rest, ...options });
    return Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length);
  }

  /** The same in theory: every step is linear, so the variances follow a recursion. */
  function expected({ steps = 1000, sampler, variance }: SamplerOptions): number {
    const { alphasCumprod } = schedule;
    const places = timestepsBetween(schedule.timesteps, to, steps, schedule.timesteps);
    return Math.sqrt(
      places.slice(1).reduce((before, s, i) => {
        const [at, as] = [alphasCumprod[places[i]], alphasCumprod[s]];
        const v = 1 - at / as;
        const posterior = (v * (1 - as)) / (1 - at);
        const own = variance ?? (places[i] - s === 1 ? 'beta' : 'optimal');
        const optimal = posterior + ((Math.sqrt(as) * v) / (1 - at)) ** 2 * errorAt(at);
        const added = sampler === 'ddim' ? 0 : own === 'beta' ? v : own === 'optimal' ? optimal : posterior;
        const kept = sampler === 'ddim' ? 0 : posterior;
        // Song, Meng & Ermon 2021, Eq. 12: the predicted x_0, the direction to x_t, the noise.
        const xhat0 = slopeAt(at);
        const direction = (1 - Math.sqrt(at) * xhat0) / Math.sqrt(1 - at);
        const gain = Math.sqrt(as) * xhat0 + Math.sqrt(1 - as - kept) * direction;
        return gain ** 2 * before + added;
      }, 1),
    );
  }

  test.each<SamplerOptions>([
    { steps: 50 },
    { steps: 50, variance: 'beta' },
    { steps: 50, sampler: 'ddim' },
    { steps: 1000 },
    { steps: 1000, variance: 'beta-tilde' },
    { steps: 4, variance: 'optimal' },
    { steps: 50, variance: 'optimal' },
  ])('%j draws the deviation that theory says', async (options) => {
    // 3072 values: the standard deviation of the estimate is 1.3 %.
    expect(Math.abs((await drawn(options)) / expected(options) - 1)).toBeLessThan(0.045);
  });

  const right = Math.sqrt(schedule.alphasCumprod[to] * DATA + 1 - schedule.alphasCumprod[to]);

  test('the optimal variance is exact for jumps of any length', () => {
    for (const steps of [1, 4, 50, 1000]) expect(expected({ steps, variance: 'optimal' }) / right).toBeCloseTo(1, 3);
    expect(expected({ steps: 4, variance: 'beta-tilde' })).toBeLessThan(0.9 * right);
  });

  test('long jumps with variance beta leave noise, the default none', () => {
    expect(expected({ steps: 50, variance: 'beta' })).toBeGreaterThan(1.09 * right);
    expect(expected({ steps: 50 }) / right).toBeCloseTo(1, 3);
    expect(expected({ steps: 1000 })).toBeCloseTo(right, 1);
  });
});

describe('reverse', () => {
  const model = () => gaussianModel('beta-tilde');
  const state = () => Float32Array.from({ length: 48 }, gaussians(integerStream('state')));
  const stream = () => gaussians(integerStream('noise'));

  test('ddim draws no noise, and estimates are told at every t', async () => {
    const told: [number, number][] = [];
    const options = { states: [state(), state()], width: 4, height: 4, from: 500, steps: 10, sampler: 'ddim' as const };
    const refuse = () => {
      throw new Error('noise was drawn');
    };
    const [a, b] = await reverse(model(), {
      ...options,
      noises: [refuse, refuse],
      onEstimate: (picture, t) => told.push([picture, t]),
    });
    expect(a).toEqual(b);
    expect(told).toEqual(
      [500, 400, 300, 200, 100].flatMap((t) => [
        [0, t],
        [1, t],
      ]),
    );
  });

  test('a chain in two parts is the chain', async () => {
    const options = { width: 4, height: 4, steps: 10 };
    const whole = await reverse(model(), { ...options, states: [state()], noises: [stream()], from: 1000 });
    const noises = [stream()];
    const half = await reverse(model(), { ...options, states: [state()], noises, from: 1000, to: 500 });
    expect(await reverse(model(), { ...options, states: half, noises, from: 500 })).toEqual(whole);
  });

  test('long steps of a model whose errors are not known have the variance of q', async () => {
    const options = { width: 4, height: 4, steps: 10, from: 1000 };
    const { expectedErrors: _, ...unknown } = gaussianModel('beta');
    const drawn = await reverse(unknown, { ...options, states: [state()], noises: [stream()] });
    const chosen = { ...options, variance: 'beta-tilde' as const };
    expect(drawn).toEqual(await reverse(unknown, { ...chosen, states: [state()], noises: [stream()] }));
  });

  test('from t = 0 nothing happens', async () => {
    const given = state();
    const [x] = await reverse(model(), { states: [given], noises: [stream()], width: 4, height: 4, from: 0 });
    expect(x).toEqual(given);
  });

  test('refuses a variance that was not learned, and the optimal one of unknown errors', async () => {
    const options = { states: [state()], noises: [stream()], width: 4, height: 4, from: 9 };
    const expectedVariance = /`variance`: expected beta or beta-tilde/;
    await expect(reverse(model(), { ...options, variance: 'learned' })).rejects.toThrow(expectedVariance);
    const { expectedErrors, ...unknown } = model();
    await expect(reverse(unknown, { ...options, variance: 'optimal' })).rejects.toThrow(expectedVariance);
    const short = { ...unknown, expectedErrors: expectedErrors.subarray(1) };
    await expect(reverse(short, options)).rejects.toThrow(
      /expectedErrors: expected a number for each t = 0..1000, got 1000/,
    );
  });
});

test('timesteps fall strictly, end where they should, and never jump further than a chain does', () => {
  const part = fc.integer({ min: 0, max: 1000 });
  fc.assert(
    fc.property(part, part, fc.integer({ min: 1, max: 1000 }), (a, b, steps) => {
      const [to, from] = [Math.min(a, b), Math.max(a, b)];
      const ts = timestepsBetween(from, to, steps, 1000);
      expect([ts[0], ts.at(-1)]).toEqual([from, to]);
      for (let i = 1; i < ts.length; i++) {
        expect(ts[i - 1] - ts[i]).toBeGreaterThan(0);
        expect(ts[i - 1] - ts[i]).toBeLessThanOrEqual(Math.ceil(1000 / steps));
      }
    }),
  );
  for (const [from, to] of [
    [1001, 0],
    [5, 6],
    [5, -1],
    [2.5, 0],
  ]) {
    expect(() => timestepsBetween(from, to, 10, 1000)).toThrow(/integer from 0 to 1000/);
  }
});
