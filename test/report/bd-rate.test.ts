import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bdQuality, bdRate, improving, type RateQuality, relativeRates } from '../../src/report/bd-rate.js';

const curve = (...points: [rate: number, quality: number][]): RateQuality[] =>
  points.map(([rate, quality]) => ({ rate, quality }));

/** Curves of 4 to 10 points, with rate in 1..10^4 and quality in 20..60, so that most pairs overlap. */
const curves = fc
  .array(fc.tuple(fc.double({ min: 0.01, max: 1, noNaN: true }), fc.double({ min: 0.01, max: 1, noNaN: true })), {
    minLength: 4,
    maxLength: 10,
  })
  .map((steps) => {
    const total = steps.reduce(([a, b], [x, y]) => [a + x, b + y], [0, 0]);
    let [rate, quality] = [0, 20];
    return steps.map(([x, y]) => {
      rate += (4 * x) / total[0];
      quality += (40 * y) / total[1];
      return { rate: 10 ** rate, quality };
    });
  });

/**
 * Anchor and test of two sequences from JCT-VC's spreadsheet, with its results; quoted by Netflix/vmaf,
 * python/test/bd_rate_calculator_test.py (BDrateCalculatorJCTVCTest, shares of 1 to 4 places).
 */
const JCT_VC = [
  {
    anchor: curve([108048.8736, 43.6471], [61279.976, 40.3953], [33905.6656, 37.247], [18883.6928, 34.2911]),
    test: curve([108061.2784, 43.6768], [61299.9936, 40.4232], [33928.7472, 37.2761], [18910.912, 34.3147]),
    percent: -0.465215420752807,
  },
  {
    anchor: curve([40433.8848, 37.5761], [7622.7456, 35.3756], [2394.488, 33.8977], [1017.6184, 32.0603]),
    test: curve([40370.12, 37.5982], [7587.0024, 35.4025], [2390.0944, 33.9194], [1017.0984, 32.0822]),
    percent: -1.8779823450567612,
  },
];

/**
 * Example data of the Python package bjontegaard (FAU-LMS), and two curves that exercise all of PCHIP's rules for flat and
 * steep parts. Expected values: scipy 1.10.1, PchipInterpolator over log10(rate) and its integrate().
 */
const SCIPY = [
  {
    anchor: curve([9487.76, 40.037], [4593.6, 38.615], [2486.44, 36.845], [1358.24, 34.851]),
    test: curve([9787.8, 40.121], [4469, 38.651], [2451.52, 36.97], [1356.24, 34.987]),
    rate: { value: -4.417485350589045, overlap: [34.987, 40.037] },
    quality: { value: 0.11969278542479489, overlap: [1358.24, 9487.76] },
  },
  {
    anchor: curve([1, 30], [2, 31], [4, 35], [8, 35.2], [16, 41]),
    test: curve([1.5, 29], [1.9, 30.5], [3, 36], [9, 36.5], [11, 38]),
    rate: { value: -25.111951219195404, overlap: [30, 38] },
    quality: { value: 1.0507775400235535, overlap: [1.5, 11] },
  },
];

describe('bdRate and bdQuality', () => {
  it('0.8 times the rate everywhere is -20 %, 0.5 dB more everywhere is 0.5 dB', () => {
    const [anchor] = JCT_VC.map((pair) => pair.anchor);
    const cheaper = anchor.map(({ rate, quality }) => ({ rate: 0.8 * rate, quality }));
    const better = anchor.map(({ rate, quality }) => ({ rate, quality: quality + 0.5 }));
    expect(bdRate(anchor, cheaper)).toEqual({ value: expect.closeTo(-20, 10), overlap: [34.2911, 43.6471] });
    expect(bdQuality(anchor, better).value).toBeCloseTo(0.5, 10);
  });

  it('straight lines: half the rate at 31 dB and a quarter at 34 dB are 2^-1.5 on average', () => {
    const anchor = curve([1, 31], [2, 32], [4, 33], [8, 34]);
    // Both are straight lines in log2(rate): one from 0 to 3, one from -1 to 1.
    const test = curve([2 ** -1, 31], [2 ** (-1 / 3), 32], [2 ** (1 / 3), 33], [2, 34]);
    expect(bdRate(anchor, test).value).toBeCloseTo(100 * (2 ** -1.5 - 1), 10);
  });

  it.each(JCT_VC)("is JCT-VC's $percent %", ({ anchor, test, percent }) => {
    expect(bdRate(anchor, test).value).toBeCloseTo(percent, 10);
  });

  it.each(SCIPY)("is scipy's $rate.value %", ({ anchor, test, rate, quality }) => {
    const near = ({ value, overlap }: { value: number; overlap: number[] }) => ({
      value: expect.closeTo(value, 10),
      overlap: overlap.map((end) => expect.closeTo(end, 8)),
    });
    expect(bdRate(anchor, test)).toEqual(near(rate));
    expect(bdQuality(anchor, test)).toEqual(near(quality));
  });

  it('do not depend on the order of points or the unit of rate', () => {
    fc.assert(
      fc.property(curves, curves, fc.double({ min: 1e-3, max: 1e3, noNaN: true }), (a, b, unit) => {
        const scaled = (points: RateQuality[]) => points.map(({ rate, quality }) => ({ rate: rate * unit, quality }));
        const { value } = bdRate(a, b);
        expect(bdRate(a.toReversed(), b.toReversed()).value).toBe(value);
        expect(1 + bdRate(scaled(a), scaled(b)).value / 100).toBeCloseTo(1 + value / 100, 6);
      }),
    );
  });

  it('exchanged curves: the inverse ratio of rates, the negative quality', () => {
    fc.assert(
      fc.property(curves, curves, (a, b) => {
        const ratio = (1 + bdRate(a, b).value / 100) * (1 + bdRate(b, a).value / 100);
        expect(ratio).toBeCloseTo(1, 9);
        expect(bdQuality(a, b).value).toBeCloseTo(-bdQuality(b, a).value, 9);
        expect(bdRate(a, a).value).toBeCloseTo(0, 12);
      }),
    );
  });

  it('a constant factor of the rate is what it is', () => {
    const factor = fc.double({ min: 0.2, max: 5, noNaN: true });
    fc.assert(
      fc.property(curves, factor, (a, by) => {
        const test = a.map(({ rate, quality }) => ({ rate: rate * by, quality }));
        expect(bdRate(a, test).value).toBeCloseTo(100 * (by - 1), 6);
      }),
    );
  });

  it('refuse what is no pair of curves', () => {
    const good = curve([1, 30], [2, 31], [3, 32], [4, 33]);
    const bad = (points: RateQuality[], message: RegExp) => {
      expect(() => bdRate(good, points)).toThrow(message);
      expect(() => bdRate(points, good)).toThrow(message);
      expect(() => bdQuality(good, points)).toThrow(message);
    };
    bad(good.slice(1), /curve: expected at least 4 points, got 3/);
    bad(curve([0, 30], [2, 31], [3, 32], [4, 33]), /rate: expected a number above 0, got 0/);
    bad(curve([1, 30], [2, 31], [3, 32], [4, Number.POSITIVE_INFINITY]), /quality: expected a finite number/);
    bad(curve([1, 30], [2, 31], [3, 30.5], [4, 33]), /quality to rise with the rate, got "31 at 2 and 30.5 at 3"/);
    bad(curve([1, 30], [2, 31], [2, 32], [4, 33]), /quality to rise with the rate/);
    expect(() => bdRate(good, curve([1, 33], [2, 34], [3, 35], [4, 36]))).toThrow(/some quality that both cover/);
    expect(() => bdQuality(good, curve([4, 33], [5, 34], [6, 35], [7, 36]))).toThrow(/some rate that both cover/);
  });
});

describe('relativeRates', () => {
  it('have the BD-rate as their mean, in logarithms, and go from end to end of the overlap', () => {
    for (const { anchor, test } of SCIPY) {
      const { value, overlap } = bdRate(anchor, test);
      const rates = relativeRates(anchor, test, 10_001);
      expect([rates[0].quality, rates.at(-1)!.quality]).toEqual(overlap.map((end) => expect.closeTo(end, 9)));
      const logs = rates.map(({ percent }) => Math.log1p(percent / 100));
      const mean = logs.reduce((sum, log) => sum + log, 0) / logs.length;
      expect(100 * Math.expm1(mean)).toBeCloseTo(value, 1);
    }
  });

  it('are those of the points themselves where both have one', () => {
    const anchor = curve([1, 31], [2, 32], [4, 33], [8, 34], [16, 35]);
    const test = curve([0.5, 31], [1.5, 32], [4, 33], [16, 34], [8 * 16, 35]);
    const percents = relativeRates(anchor, test, 5).map(({ percent }) => percent);
    expect(percents).toEqual([-50, -25, 0, 100, 700].map((percent) => expect.closeTo(percent, 9)));
  });
});

describe('improving', () => {
  it('keeps what is better than everything cheaper', () => {
    const points = curve([3, 31], [1, 30], [2, 32], [4, 32], [5, 33], [5, 34]);
    expect(improving(points)).toEqual(curve([1, 30], [2, 32], [5, 34]));
    expect(improving([])).toEqual([]);
  });

  it('always leaves a curve that rises', () => {
    const point = fc.record({ rate: fc.integer({ min: 1, max: 20 }), quality: fc.integer({ min: 1, max: 20 }) });
    fc.assert(
      fc.property(fc.array(point, { minLength: 1 }), (points) => {
        const kept = improving(points);
        kept.slice(1).forEach(({ rate, quality }, i) => {
          expect(rate).toBeGreaterThan(kept[i].rate);
          expect(quality).toBeGreaterThan(kept[i].quality);
        });
        const best = Math.max(...points.map(({ quality }) => quality));
        expect(kept[kept.length - 1].quality).toBe(best);
      }),
    );
  });
});
