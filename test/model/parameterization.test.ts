import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  logVariances,
  outputChannels,
  PREDICTIONS,
  targetCoefficients,
  x0Coefficients,
} from '../../src/model/parameterization.js';
import { createSchedule, jumpCoefficients, paperSchedule } from '../../src/model/schedule.js';

const schedule = createSchedule(paperSchedule);
const timestep = fc.integer({ min: 1, max: 1000 });
const value = fc.double({ min: -1, max: 1, noNaN: true });

test.each(PREDICTIONS)('what a perfect network for %s says gives back x_0', (prediction) => {
  fc.assert(
    fc.property(timestep, value, fc.double({ min: -4, max: 4, noNaN: true }), (t, x0, noise) => {
      const abar = schedule.alphasCumprod[t];
      const xt = Math.sqrt(abar) * x0 + Math.sqrt(1 - abar) * noise;
      const target = targetCoefficients(schedule, prediction, t);
      const output = target.x0 * x0 + target.noise * noise;
      const back = x0Coefficients(schedule, prediction, t);
      expect(back.xt * xt + back.output * output).toBeCloseTo(x0, 8);
    }),
  );
});

test('the target of mu is the posterior mean of Eq. 7', () => {
  fc.assert(
    fc.property(timestep, value, value, (t, x0, noise) => {
      const { alphasCumprod } = schedule;
      const abar = alphasCumprod[t];
      const before = alphasCumprod[t - 1];
      const alpha = abar / before;
      const xt = Math.sqrt(abar) * x0 + Math.sqrt(1 - abar) * noise;
      const mean = (Math.sqrt(before) * (1 - alpha) * x0 + Math.sqrt(alpha) * (1 - before) * xt) / (1 - abar);
      const target = targetCoefficients(schedule, 'mu', t);
      expect(target.x0 * x0 + target.noise * noise).toBeCloseTo(mean, 10);
    }),
  );
});

describe('variances', () => {
  test('beta-tilde is below beta and tends to it', () => {
    for (const t of [2, 10, 100, 1000]) {
      const { beta, betaTilde } = logVariances(schedule, t);
      expect(betaTilde).toBeLessThan(beta);
      expect(Math.exp(betaTilde)).toBeCloseTo(jumpCoefficients(schedule, t, t - 1).sigma ** 2, 12);
    }
    expect(Math.exp(logVariances(schedule, 1).beta)).toBeCloseTo(1e-4, 12);
    expect(Math.exp(logVariances(schedule, 1000).beta)).toBeCloseTo(0.02, 12);
  });

  test('beta-tilde of t = 1, which is 0, is that of t = 2', () => {
    expect(logVariances(schedule, 1).betaTilde).toBe(logVariances(schedule, 2).betaTilde);
  });

  test('learned ones have channels of their own', () => {
    expect([outputChannels('beta', 3), outputChannels('beta-tilde', 3), outputChannels('learned', 3)]).toEqual([
      3, 3, 6,
    ]);
  });
});

test.each([0, 1001, 1.5])('t = %s is refused', (t) => {
  expect(() => targetCoefficients(schedule, 'eps', t)).toThrow(/from 1 to 1000/);
  expect(() => x0Coefficients(schedule, 'x0', t)).toThrow(/from 1 to 1000/);
});
