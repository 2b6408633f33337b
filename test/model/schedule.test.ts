import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createSchedule, jumpCoefficients, jumpKlBits, paperSchedule } from '../../src/model/schedule.js';

const schedule = createSchedule(paperSchedule);
const { alphasCumprod: abar, snr } = schedule;

/** A jump T >= t > s >= 1. */
const jumps = fc
  .tuple(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 1000 }))
  .filter(([a, b]) => a !== b)
  .map(([a, b]) => ({ t: Math.max(a, b), s: Math.min(a, b) }));

test("abar is the product of the paper's alphas", () => {
  expect(abar.length).toBe(1001);
  expect(abar[0]).toBe(1);
  // Summing logarithms is another way to compute the product.
  let log = 0;
  for (let t = 1; t <= 1000; t++) {
    log += Math.log1p(-(1e-4 + ((t - 1) / 999) * (0.02 - 1e-4)));
    expect(abar[t] / Math.exp(log)).toBeCloseTo(1, 11);
    expect(snr[t]).toBe(abar[t] / (1 - abar[t]));
  }
  expect(snr[0]).toBe(Number.POSITIVE_INFINITY);
});

test('abar has the recorded values', () => {
  // From the product in 40-digit decimal arithmetic.
  expect(abar[1]).toBe(1 - 1e-4);
  expect(abar[2] / 0.999780092072072).toBeCloseTo(1, 14);
  expect(abar[500] / 0.0785872428817782).toBeCloseTo(1, 12);
  expect(abar[1000] / 0.00004035829765375683).toBeCloseTo(1, 11);
});

test.each([
  ['scaled_linear', 0.00085, 0.012, { 1: 0.99915, 500: 0.2776696504564568, 1000: 0.00466009851307724 }],
  [
    'squaredcos_cap_v2',
    1e-4,
    0.02,
    { 1: 0.999958715775178, 500: 0.4938435904406377, 999: 2.428766907034468e-6, 1000: 2.428766907034468e-9 },
  ],
] as const)('abar of %s has the recorded values', (betaSchedule, betaStart, betaEnd, values) => {
  // From the product in 40-digit decimal arithmetic.
  const { alphasCumprod } = createSchedule({ betaSchedule, timesteps: 1000, betaStart, betaEnd });
  for (const [t, expected] of Object.entries(values)) {
    expect(alphasCumprod[Number(t)] / expected, `t = ${t}`).toBeCloseTo(1, 10);
  }
});

test('a jump has the mean and variance of q(x_s|x_t, x_0)', () => {
  fc.assert(
    fc.property(jumps, ({ t, s }) => {
      const jump = jumpCoefficients(schedule, t, s);
      // Averaged over x_t ~ q(x_t|x_0), it is q(x_s|x_0).
      expect(jump.x0 + jump.xt * Math.sqrt(abar[t])).toBeCloseTo(Math.sqrt(abar[s]), 12);
      expect(jump.sigma ** 2 + jump.xt ** 2 * (1 - abar[t])).toBeCloseTo(1 - abar[s], 12);
      // Bayes: the precisions of q(x_s|x_0) and q(x_t|x_s) add up.
      const alpha = abar[t] / abar[s];
      expect(jump.sigma ** -2 / (1 / (1 - abar[s]) + alpha / (1 - alpha))).toBeCloseTo(1, 8);
    }),
  );
});

test("a step to t - 1 is the paper's posterior, Eq. 7", () => {
  for (const t of [2, 10, 500, 1000]) {
    const beta = 1e-4 + ((t - 1) / 999) * (0.02 - 1e-4);
    const jump = jumpCoefficients(schedule, t, t - 1);
    expect(jump.x0 / ((Math.sqrt(abar[t - 1]) * beta) / (1 - abar[t]))).toBeCloseTo(1, 9);
    expect(jump.xt / ((Math.sqrt(1 - beta) * (1 - abar[t - 1])) / (1 - abar[t]))).toBeCloseTo(1, 9);
    expect(jump.sigma ** 2 / ((beta * (1 - abar[t - 1])) / (1 - abar[t]))).toBeCloseTo(1, 9);
  }
});

test('two jumps are one: with x_0 the same, mean and variance compose', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 1000 }), { minLength: 3, maxLength: 3 }), (times) => {
      const [s, u, t] = times.sort((a, b) => a - b);
      const first = jumpCoefficients(schedule, t, u);
      const second = jumpCoefficients(schedule, u, s);
      const whole = jumpCoefficients(schedule, t, s);
      expect(second.x0 + second.xt * first.x0).toBeCloseTo(whole.x0, 11);
      expect(second.xt * first.xt).toBeCloseTo(whole.xt, 11);
      expect(second.sigma ** 2 + (second.xt * first.sigma) ** 2).toBeCloseTo(whole.sigma ** 2, 11);
    }),
  );
});

test('the KL is half the squared shift of the mean in standard deviations', () => {
  fc.assert(
    fc.property(jumps, fc.double({ min: 1e-6, max: 1e4, noNaN: true }), ({ t, s }, squaredError) => {
      const jump = jumpCoefficients(schedule, t, s);
      const squaredDelta = (jump.x0 / jump.sigma) ** 2 * squaredError;
      expect(jumpKlBits(schedule, t, s, squaredError) / (squaredDelta / 2 / Math.LN2)).toBeCloseTo(1, 8);
    }),
  );
});

test('the last jump, to t = 0, gives x_0', () => {
  const jump = jumpCoefficients(schedule, 7, 0);
  expect([jump.x0, jump.xt, jump.sigma]).toEqual([1, 0, 0]);
});

describe('refused', () => {
  test.each([
    [5, 5],
    [5, 6],
    [1001, 3],
    [3, -1],
    [Number.NaN, 0],
  ])('a jump from %d to %d', (t, s) => {
    expect(() => jumpCoefficients(schedule, t, s)).toThrow(/jump: expected 1000 >= t > s >= 0/);
  });

  test.each([
    [{ betaSchedule: 'cosine' as 'linear' }, /expected linear, scaled_linear, squaredcos_cap_v2, got "cosine"/],
    [{ timesteps: 1 }, /timesteps: expected an integer from 2 to 10000, got 1/],
    [{ timesteps: 10.5 }, /timesteps/],
    [{ timesteps: 1e9 }, /timesteps/],
    [{ betaStart: 0 }, /betas: expected/],
    [{ betaStart: 0.5 }, /betas: expected/],
    [{ betaEnd: 1 }, /betas: expected/],
    [{ betaEnd: Number.NaN }, /betas: expected/],
  ])('a schedule with %o', (wrong, message) => {
    expect(() => createSchedule({ ...paperSchedule, ...wrong })).toThrow(message);
  });
});
