import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TOTAL } from '../../src/codec/bits/range-coder.js';
import { SampleDistribution, studentHalf } from '../../src/codec/lossless/sample-distribution.js';

/** Includes means far outside the range, which are clipped. Variances range from the smallest used to those of hostile files. */
const moments = fc.record({
  mean: fc.double({ min: -1000, max: 1000, noNaN: true }),
  variance: fc.double({ min: -4, max: 60, noNaN: true }).map((log) => 2 ** log),
});

function distributionOf({ mean, variance }: { mean: number; variance: number }): SampleDistribution {
  const distribution = new SampleDistribution();
  distribution.set(mean, variance);
  return distribution;
}

/** P(T < t) for 12 degrees of freedom: scipy 1.x, `scipy.stats.t.cdf(t, 12)`. */
const STUDENT_12 = [
  [-1.25, 0.11756394018408102],
  [0.1, 0.5390022147715872],
  [0.5, 0.686941261887338],
  [1, 0.8314754710232077],
  [2, 0.965672492980957],
  [3.5, 0.9978090652841259],
  [6, 0.9999689163056757],
  [12, 0.9999999758203576],
  [40, 0.9999999999999808],
] as const;

test.each(STUDENT_12)("the distribution function of Student's t at %d is scipy's", (t, expected) => {
  expect(studentHalf(t) + 0.5).toBeCloseTo(expected, 14);
  expect(studentHalf(-t)).toBe(-studentHalf(t));
});

test('shares are positive and add up to the total', () => {
  fc.assert(
    fc.property(moments, (of) => {
      const distribution = distributionOf(of);
      expect(distribution.cumulative(0)).toBe(0);
      expect(distribution.cumulative(256)).toBe(TOTAL);
      for (let level = 0; level < 256; level++) {
        // At least 4, of which rounding takes up to 1.
        expect(distribution.cumulative(level + 1) - distribution.cumulative(level)).toBeGreaterThanOrEqual(3);
      }
    }),
  );
});

test('a place is found in its value', () => {
  fc.assert(
    fc.property(moments, fc.integer({ min: 0, max: TOTAL - 1 }), fc.nat(255), (of, place, level) => {
      const distribution = distributionOf(of);
      const found = distribution.find(place);
      expect(distribution.cumulative(found)).toBeLessThanOrEqual(place);
      expect(distribution.cumulative(found + 1)).toBeGreaterThan(place);
      expect(distribution.find(distribution.cumulative(level))).toBe(level);
      expect(distribution.find(distribution.cumulative(level + 1) - 1)).toBe(level);
    }),
  );
});

test('shares are those of a t with the variance that was asked for', () => {
  for (const variance of [4, 30, 200]) {
    const mean = 127.3;
    const distribution = distributionOf({ mean, variance });
    let sum = 0;
    let squares = 0;
    for (let level = 0; level < 256; level++) {
      // Without the minimum that every value has.
      const share = (distribution.cumulative(level + 1) - distribution.cumulative(level) - 4) / (TOTAL - 1024);
      sum += share * level;
      squares += share * (level - mean) ** 2;
    }
    expect(sum).toBeCloseTo(mean, 1);
    // Rounding to levels adds 1/12. Little lies beyond 0..255.
    expect(squares / (variance + 1 / 12)).toBeCloseTo(1, 2);
  }
});
