/** The bound where it is known, and its estimate compared with the full sum. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import type { RgbImage } from '../../src/image/image.js';
import { toUnit } from '../../src/image/pixels.js';
import { logDiscretizedGaussian } from '../../src/model/bound-terms.js';
import type { DiffusionModel } from '../../src/model/diffusion-model.js';
import { evaluateBound, measureBound } from '../../src/model/likelihood.js';
import { logNormalCdf, logNormalMass } from '../../src/model/normal.js';
import {
  type Parameterization,
  PREDICTIONS,
  REVERSE_VARIANCES,
  type ReverseVariance,
  targetCoefficients,
} from '../../src/model/parameterization.js';
import { createSchedule, jumpCoefficients, type Schedule } from '../../src/model/schedule.js';

/** Few steps, so that all of them can be summed. */
const schedule = createSchedule({ betaSchedule: 'linear', timesteps: 20, betaStart: 1e-3, betaEnd: 0.5 });
const SIDE = 4;
const DIMS = SIDE * SIDE * 3;

function image(seed: number): RgbImage {
  return { width: SIDE, height: SIDE, data: Uint8Array.from({ length: DIMS }, (_, i) => (i * 53 + seed * 91) % 256) };
}

/** A stand-in for an engine: a network written as a function of one x_t. */
function modelOf(
  predict: (xt: Float32Array, t: number) => Float32Array | number[],
  parameterization: Parameterization = { prediction: 'x0', variance: 'beta-tilde' },
): DiffusionModel {
  const engine: Engine = {
    name: 'wasm',
    description: 'a stand-in',
    parallelism: 1,
    precision: 'fp32',
    batch: 1,
    async compile(_fn, [shape]) {
      const size = shape[1] * shape[2] * shape[3];
      return {
        outputShapes: [shape],
        run: async ([sample, timestep]) => [
          Float32Array.from(
            [...timestep].flatMap((t, n) => [...predict(sample.subarray(n * size, (n + 1) * size), t + 1)]),
          ),
        ],
        dispose: async () => {},
      };
    },
    dispose: async () => {},
  };
  const network = { fn: () => [], constants: [], stride: 4 };
  return { engine, network, schedule, parameterization };
}

describe('the normal distribution', () => {
  // Python's math.erfc: log(erfc(-x / sqrt 2) / 2), by log1p for x >= 0.
  const GOLDEN = [
    [-30, -454.3212439563431],
    [-10, -53.23128515051246],
    [-3.5, -8.366065308344092],
    [-3, -6.607726221510348],
    [-2.5, -5.08164827727869],
    [-1, -1.8410216450092634],
    [0, -Math.LN2],
    [0.3, -0.48141016158848127],
    [2, -0.0230129093289635],
    [3, -0.0013508099647481949],
    [3.5, -0.00023265614137680455],
    [7, -1.2798125438866539e-12],
  ];
  test.each(GOLDEN)('log Phi(%d)', (x, expected) => {
    expect(logNormalCdf(x) / expected).toBeCloseTo(1, 11);
  });

  test('masses add up, in the tails, too', () => {
    const sorted = fc
      .tuple(...[0, 1, 2].map(() => fc.double({ min: -20, max: 20, noNaN: true })))
      .map((x) => x.sort((a, b) => a - b));
    fc.assert(
      fc.property(sorted, ([a, b, c]) => {
        fc.pre(b - a > 1e-6 && c - b > 1e-6);
        const whole = logNormalMass(a, c);
        const parts = [logNormalMass(a, b), logNormalMass(b, c)];
        const largest = Math.max(...parts);
        const sum = largest + Math.log(Math.exp(parts[0] - largest) + Math.exp(parts[1] - largest));
        expect(sum).toBeCloseTo(whole, 6);
      }),
    );
    expect(logNormalMass(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)).toBe(0);
    expect(logNormalMass(Number.NEGATIVE_INFINITY, 1)).toBe(logNormalCdf(1));
  });
});

test('the probabilities of the 256 grey levels add up to 1', () => {
  const mean = fc.double({ min: -1.2, max: 1.2, noNaN: true });
  fc.assert(
    fc.property(mean, fc.double({ min: 1e-4, max: 2, noNaN: true }), (m, sigma) => {
      let sum = 0;
      for (const x of toUnit(Uint8Array.from({ length: 256 }, (_, i) => i)))
        sum += Math.exp(logDiscretizedGaussian(x, m, sigma));
      expect(sum).toBeCloseTo(1, 5);
    }),
    { numRuns: 50 },
  );
});

test('a network that knows the image leaves no bits but those of x_T and of the last decision', async () => {
  const known = image(1);
  const x0 = toUnit(known.data);
  const bound = await measureBound(
    [known],
    modelOf(() => x0),
    { strata: 19 },
  );
  expect(bound.diffusion.value).toBeCloseTo(0, 9);
  const sigma = jumpCoefficients(schedule, 2, 1).sigma;
  const nats = x0.reduce((sum, x) => sum - logDiscretizedGaussian(x, x, sigma), 0);
  expect(bound.decoder.value).toBeCloseTo(nats / DIMS / Math.LN2, 6);
  const abar = schedule.alphasCumprod[20];
  const prior = x0.reduce((sum, x) => sum + 0.5 * (abar * x * x - abar - Math.log(1 - abar)), 0);
  expect(bound.prior.value).toBeCloseTo(prior / DIMS / Math.LN2, 9);
  expect(bound.total.value).toBeCloseTo(bound.prior.value + bound.diffusion.value + bound.decoder.value, 12);
});

test('a network that always says grey costs what the formulas say', async () => {
  const images = [image(1), image(2), image(3)];
  const bound = await measureBound(
    images,
    modelOf((xt) => new Float32Array(xt.length)),
    { strata: 200 },
  );
  // With beta-tilde KL_t = (snr_{t-1} - snr_t) |x_0|^2 / 2, whatever the noise: only the draw of t varies.
  const { snr } = schedule;
  const squares = images.map(({ data }) => toUnit(data).reduce((sum, x) => sum + x * x, 0));
  const exact = squares.map((square) => (0.5 * (snr[1] - snr[20]) * square) / DIMS / Math.LN2);
  const mean = exact.reduce((a, b) => a + b) / 3;
  expect(bound.diffusion.value / mean).toBeCloseTo(1, 2);
});

/** The sum over t = 2..T with the noise averaged out, for a network whose error does not depend on the noise. */
function exactDiffusion(
  s: Schedule,
  squaredError: (t: number) => number,
  variance: Exclude<ReverseVariance, 'learned'>,
): number {
  let nats = 0;
  for (let t = 2; t <= s.timesteps; t++) {
    const { x0: slope, sigma } = jumpCoefficients(s, t, t - 1);
    const beta = 1 - s.alphasCumprod[t] / s.alphasCumprod[t - 1];
    const optimal = sigma ** 2 + (slope ** 2 * squaredError(t)) / DIMS;
    const chosen = { beta, 'beta-tilde': sigma ** 2, optimal }[variance];
    const ratio = sigma ** 2 / chosen;
    nats += 0.5 * (DIMS * (ratio - 1 - Math.log(ratio)) + (slope ** 2 * squaredError(t)) / chosen);
  }
  return nats / DIMS / Math.LN2;
}

test.each(REVERSE_VARIANCES)('the estimate is that of the whole sum on average (variance %s)', async (variance) => {
  const original = image(4);
  const x0 = toUnit(original.data).map((x) => 0.9 * x);
  const clipped: RgbImage = { ...original, data: Uint8Array.from(x0, (x) => Math.round((x + 1) * 127.5)) };
  const exactX0 = toUnit(clipped.data);
  const off = (t: number) => 0.001 * t;
  const predict = (_: Float32Array, t: number) => {
    const said = Array.from(exactX0, (x) => x + off(t));
    if (variance !== 'learned') return said;
    // The upper end of the range, which is beta.
    const both: number[] = [];
    for (let i = 0; i < DIMS; i += 3) both.push(...said.slice(i, i + 3), 1, 1, 1);
    return both;
  };
  const own = variance === 'optimal' ? 'beta' : variance;
  const expectedErrors = Array.from({ length: schedule.timesteps + 1 }, (_, t) => off(t) ** 2);
  const model = { ...modelOf(predict, { prediction: 'x0', variance: own }), expectedErrors };
  const { diffusion } = await measureBound(Array(400).fill(clipped), model, { strata: 3, variance });
  const exact = exactDiffusion(schedule, (t) => DIMS * off(t) ** 2, variance === 'learned' ? 'beta' : variance);
  expect(Math.abs(diffusion.value - exact)).toBeLessThan(4 * diffusion.standardError + 1e-6);
  expect(diffusion.standardError / exact).toBeLessThan(0.05);
});

test('the parameterisation does not matter to a network that predicts the same', async () => {
  const known = image(5);
  const x0 = toUnit(known.data);
  const said = x0.map((x) => 0.8 * x);
  const bounds = [];
  for (const prediction of PREDICTIONS) {
    const predict = (xt: Float32Array, t: number) => {
      const abar = schedule.alphasCumprod[t];
      const target = targetCoefficients(schedule, prediction, t);
      return xt.map(
        (x, i) => target.x0 * said[i] + target.noise * ((x - Math.sqrt(abar) * said[i]) / Math.sqrt(1 - abar)),
      );
    };
    bounds.push(await measureBound([known], modelOf(predict, { prediction, variance: 'beta' })));
  }
  for (const bound of bounds) expect(bound.total.value / bounds[0].total.value).toBeCloseTo(1, 4);
});

test('the same seed gives the same numbers, however the images are batched', async () => {
  const model = modelOf((xt) => xt.map((x) => 0.5 * x));
  const images = Array.from({ length: 5 }, (_, i) => image(i));
  const all = await measureBound(images, model, { strata: 4 });
  expect(await measureBound(images, model, { strata: 4 })).toEqual(all);
  const first = await measureBound(images.slice(0, 2), model, { strata: 4 });
  const second = await measureBound(images.slice(0, 1), model, { strata: 4 });
  expect(first.images).toBe(2);
  expect(second.evaluations).toBe(5);
  expect((await measureBound(images, model, { strata: 4, seed: 'other' })).total.value).not.toBe(all.total.value);
});

test('another variance: a learned one that is at the upper end is beta', async () => {
  const said = toUnit(image(6).data).map((x) => 0.7 * x);
  const learned = modelOf(
    () => {
      const both: number[] = [];
      for (let i = 0; i < DIMS; i += 3) both.push(...said.slice(i, i + 3), 1, 1, 1);
      return both;
    },
    { prediction: 'x0', variance: 'learned' },
  );
  const fixed = modelOf(() => said);
  const measure = (model: DiffusionModel, variance?: 'beta' | 'beta-tilde') =>
    evaluateBound([image(6), image(7)], model, { strata: 'all', ...(variance && { variance }) });
  const beta = await measure(fixed, 'beta');
  expect((await measure(learned)).bound.total.value).toBeCloseTo(beta.bound.total.value, 9);
  expect(await measure(learned, 'beta')).toEqual(beta);
  const betaTilde = await measure(fixed);
  expect(await measure(learned, 'beta-tilde')).toEqual(betaTilde);
  expect(betaTilde.bound.total.value).not.toBeCloseTo(beta.bound.total.value, 3);
});

test('no fixed variance gives a lower bound than the optimal one', async () => {
  const said = toUnit(image(6).data).map((x) => 0.7 * x);
  const error = toUnit(image(6).data).reduce((sum, x) => sum + (0.3 * x) ** 2, 0) / DIMS;
  const model = { ...modelOf(() => said), expectedErrors: new Float64Array(schedule.timesteps + 1).fill(error) };
  const diffusion = async (variance: ReverseVariance, factor = 1) => {
    const expectedErrors = model.expectedErrors.map((value) => factor * value);
    const { bound } = await evaluateBound([image(6)], { ...model, expectedErrors }, { strata: 'all', variance });
    return bound.diffusion.value;
  };
  const least = await diffusion('optimal');
  for (const other of ['beta', 'beta-tilde'] as const) expect(await diffusion(other)).toBeGreaterThan(least);
  for (const factor of [0.8, 1.25]) expect(await diffusion('optimal', factor)).toBeGreaterThan(least);
});

test('without clipping a prediction beyond white counts as it is', async () => {
  const white: RgbImage = { ...image(0), data: new Uint8Array(DIMS).fill(255) };
  const model = modelOf((xt) => new Float32Array(xt.length).fill(1.5));
  const clipped = await evaluateBound([white], model, { strata: 'all' });
  expect([clipped.rmse.value, clipped.bound.diffusion.value]).toEqual([0, 0]);
  const raw = await evaluateBound([white], model, { strata: 'all', clip: false });
  expect(raw.rmse.value).toBeCloseTo(0.5 * 127.5, 9);
  expect(raw.bound.diffusion.value).toBeCloseTo(
    exactDiffusion(schedule, () => DIMS * 0.25, 'beta-tilde'),
    9,
  );
});

describe('errors', () => {
  const model = modelOf((xt) => xt);
  test('no images', async () => {
    await expect(measureBound([], model)).rejects.toThrow(/at least one image/);
  });
  test('different sizes', async () => {
    const wide = { width: 8, height: 4, data: new Uint8Array(96) };
    await expect(measureBound([image(1), wide], model)).rejects.toThrow(/one size, got 4x4 and 8x4/);
  });
  test('sides that the network does not take', async () => {
    await expect(measureBound([{ width: 6, height: 4, data: new Uint8Array(72) }], model)).rejects.toThrow(
      /multiples of 4, got 6x4/,
    );
  });
  test('a variance that the network does not give', async () => {
    await expect(measureBound([image(1)], model, { variance: 'learned' })).rejects.toThrow(
      /`variance`: expected beta or beta-tilde.*got "learned"/,
    );
    await expect(measureBound([image(1)], model, { variance: 'optimal' })).rejects.toThrow(
      /`variance`: expected beta or beta-tilde.*got "optimal"/,
    );
  });
  test('no strata', async () => {
    await expect(measureBound([image(1)], model, { strata: 0 })).rejects.toThrow(/an integer from 1 to 10000, got 0/);
  });
});
