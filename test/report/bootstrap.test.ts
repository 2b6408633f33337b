import { describe, expect, it } from 'vitest';
import { gaussians, integerStream } from '../../src/common/random.js';
import { percentileInterval, RESAMPLES, resamplesOf } from '../../src/report/bootstrap.js';

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('resamplesOf', () => {
  it('draws at least 1000 samples of as many, the same ones each time', () => {
    const drawn = resamplesOf(24);
    expect(RESAMPLES).toBeGreaterThanOrEqual(1000);
    expect(drawn.length).toBe(RESAMPLES);
    expect(drawn).toEqual(resamplesOf(24));
    expect(drawn.every((places) => places.length === 24)).toBe(true);
    expect(drawn.flat().every((place) => Number.isInteger(place) && place >= 0 && place < 24)).toBe(true);
    // Drawn with replacement: about n (1 - 1/e) of n occur.
    expect(mean(drawn.map((places) => new Set(places).size)) / 24).toBeCloseTo(1 - (1 - 1 / 24) ** 24, 2);
  });
});

describe('percentileInterval', () => {
  it('of a mean is about that of the normal distribution', () => {
    const gaussian = gaussians(integerStream('bootstrap test'));
    const values = Array.from({ length: 100 }, () => 5 + 2 * gaussian());
    const center = mean(values);
    const error = Math.sqrt(mean(values.map((value) => (value - center) ** 2)) / values.length);
    const [low, high] = percentileInterval(resamplesOf(100).map((places) => mean(places.map((i) => values[i]))))!;
    expect((center - low) / error).toBeCloseTo(1.96, 0);
    expect((high - center) / error).toBeCloseTo(1.96, 0);
  });

  it('has the middle 95 of 100', () => {
    const values = Array.from({ length: 101 }, (_, i) => 100 - i);
    expect(percentileInterval(values)).toEqual([2.5, 97.5].map((end) => expect.closeTo(end, 9)));
    expect(percentileInterval([3, 3, 3])).toEqual([3, 3]);
  });

  it('is none where too many resamples have no value', () => {
    expect(percentileInterval([])).toBe(null);
    expect(percentileInterval([...Array(94).fill(1), ...Array(6).fill(null)])).toBe(null);
    expect(percentileInterval([...Array(95).fill(1), ...Array(5).fill(null)])).toEqual([1, 1]);
  });
});
