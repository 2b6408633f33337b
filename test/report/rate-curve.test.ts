import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { psnrOfRmse } from '../../src/image/metrics.js';
import {
  average,
  bitsPerDimAt,
  type CurvePoint,
  compareCurves,
  meanCurve,
  meansOfSome,
  qualityCurve,
} from '../../src/report/rate-curve.js';

const point = (bpp: number, rmse: number, msSsim: number | null = null): CurvePoint => ({ bpp, rmse, msSsim });

/** bpp 2^i at RMSE 32 / 2^i: a straight line in log(rate) over PSNR. */
const straight = (from: number, to: number, factor = 1) =>
  Array.from({ length: to - from + 1 }, (_, i) => point(factor * 2 ** (from + i), 32 / 2 ** (from + i)));

describe('qualityCurve', () => {
  it('is in dB and in order, without points that lack the measure or do not improve', () => {
    const points = [point(3, 0, 1), point(2, 25.5, 0.99), point(1, 255, 0.9), point(4, 30, 0.9999), point(0.5, 300)];
    expect(qualityCurve(points, 'psnr')).toEqual([
      { rate: 0.5, quality: psnrOfRmse(300) },
      { rate: 1, quality: 0 },
      { rate: 2, quality: expect.closeTo(20, 9) },
    ]);
    expect(qualityCurve(points, 'msSsim').map(({ quality }) => quality)).toEqual(
      [10, 20, 40].map((decibels) => expect.closeTo(decibels, 9)),
    );
  });
});

describe('bitsPerDimAt', () => {
  it('is that of a point at its RMSE, and the geometric mean of two rates half way in dB', () => {
    const curve = straight(0, 4);
    expect(bitsPerDimAt(curve, 8)).toBeCloseTo(4 / 3, 12);
    expect(bitsPerDimAt(curve, 32)).toBeCloseTo(1 / 3, 12);
    expect(bitsPerDimAt(curve, 8 * Math.SQRT2)).toBeCloseTo((2 * Math.SQRT2) / 3, 12);
  });

  it('is null where the curve does not go', () => {
    expect(bitsPerDimAt(straight(1, 3), 32)).toBe(null);
    expect(bitsPerDimAt(straight(1, 3), 2)).toBe(null);
    expect(bitsPerDimAt([], 5)).toBe(null);
  });

  it('is the rate of an equal picture where only that comes to it', () => {
    const equal = { bpp: 30, rmse: 0, msSsim: null };
    expect(bitsPerDimAt([...straight(1, 3), equal], 2)).toBe(10);
    expect(bitsPerDimAt([equal], 2)).toBe(null);
  });

  it('does not depend on the order and rises as the RMSE falls', () => {
    const levels = fc.tuple(fc.double({ min: 2, max: 32, noNaN: true }), fc.double({ min: 2, max: 32, noNaN: true }));
    fc.assert(
      fc.property(fc.shuffledSubarray(straight(0, 4), { minLength: 5 }), levels, (points, [a, b]) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)].map((level) => bitsPerDimAt(points, level)!);
        expect(low).toBeGreaterThanOrEqual(high * (1 - 1e-12));
        expect(low).toBeCloseTo(32 / Math.min(a, b) / 3, 9);
      }),
    );
  });
});

describe('compareCurves', () => {
  it('is the BD-rate, null where there is none', () => {
    expect(compareCurves(straight(0, 4), straight(0, 4, 0.8), 'psnr')!.value).toBeCloseTo(-20, 9);
    expect(compareCurves(straight(0, 4), straight(0, 2), 'psnr')).toBe(null);
    expect(compareCurves(straight(0, 4), straight(5, 9), 'psnr')).toBe(null);
    expect(compareCurves(straight(0, 4), straight(0, 4), 'msSsim')).toBe(null);
  });
});

describe('meanCurve', () => {
  const at = (setting: number, bpp: number, rmse: number, msSsim: number | null) => ({
    ...point(bpp, rmse, msSsim),
    setting,
  });
  const settingOf = ({ setting }: { setting: number }) => setting;

  it('averages bpp, PSNR and MS-SSIM at equal settings', () => {
    const a = [at(1, 1, 25.5, 0.9), at(2, 2, 2.55, 0.99)];
    const b = [at(2, 4, 0.255, 0.97), at(1, 3, 2.55, 0.8)];
    expect(meanCurve([a, b], settingOf)).toEqual([
      {
        setting: 1,
        bpp: 2,
        bitsPerDim: expect.closeTo(2 / 3, 12),
        psnr: expect.closeTo(30, 9),
        rmse: expect.closeTo(8.0638, 4),
        meanRmse: expect.closeTo((25.5 + 2.55) / 2, 9),
        rootMeanMse: expect.closeTo(Math.sqrt((25.5 ** 2 + 2.55 ** 2) / 2), 9),
        msSsim: expect.closeTo(0.85),
      },
      {
        setting: 2,
        bpp: 3,
        bitsPerDim: 1,
        psnr: expect.closeTo(50, 9),
        rmse: expect.closeTo(0.80638, 5),
        meanRmse: expect.closeTo((2.55 + 0.255) / 2, 9),
        rootMeanMse: expect.closeTo(Math.sqrt((2.55 ** 2 + 0.255 ** 2) / 2), 9),
        msSsim: expect.closeTo(0.98),
      },
    ]);
  });

  it('averages other numbers, linear between points, and takes equal pictures as they are', () => {
    const a = [
      { ...at(1, 1, 25.5, null), seconds: 1 },
      { ...at(3, 2, 2.55, null), seconds: 3 },
    ];
    const [point] = meanCurve([a, a], settingOf, [2], { seconds: (p) => p.seconds, none: () => null });
    expect(point).toMatchObject({ seconds: 2, none: null });
    const lossless = [at(1, 8, 0, null)];
    expect(meanCurve([lossless, lossless], settingOf)).toMatchObject([{ bpp: 8, psnr: Infinity, meanRmse: 0 }]);
  });

  it('interpolates where a curve has no point, within what all curves cover', () => {
    const a = [at(0, 1, 255, 0), at(4, 16, 2.55, 0.99)];
    const b = [at(1, 1, 25.5, null), at(3, 1, 25.5, null), at(9, 1, 25.5, null)];
    expect(meanCurve([a, a], settingOf, [1, 2, 5])).toMatchObject([
      {
        setting: 1,
        bpp: 2,
        psnr: expect.closeTo(10, 9),
        rmse: expect.closeTo(80.6, 1),
        msSsim: expect.closeTo(0.6838, 4),
      },
      {
        setting: 2,
        bpp: 4,
        psnr: expect.closeTo(20, 9),
        rmse: expect.closeTo(25.5, 9),
        msSsim: expect.closeTo(0.9, 9),
      },
    ]);
    const both = meanCurve([a, b], settingOf);
    expect(both.map(({ setting, msSsim }) => [setting, msSsim])).toEqual([1, 3, 4].map((setting) => [setting, null]));
    expect(both[2]).toMatchObject({ bpp: expect.closeTo(8.5, 9), psnr: expect.closeTo(30, 9) });
  });

  it('of one curve is that curve; of none that meet, nothing', () => {
    const curve = straight(0, 4);
    const alone = meanCurve([curve], ({ rmse }) => psnrOfRmse(rmse));
    expect(alone.map(({ bpp }) => bpp)).toEqual(curve.map(({ bpp }) => bpp));
    expect(alone.map(({ rmse }) => rmse)).toEqual(curve.map(({ rmse }) => expect.closeTo(rmse, 9)));
    expect(meanCurve([straight(0, 1), straight(2, 3)], ({ rmse }) => -rmse)).toEqual([]);
    expect(() => meanCurve([[]], () => 0)).toThrow(/at least one point/);
  });
});

describe('average', () => {
  it('leaves out what is not there', () => {
    expect(average([1, null, 3])).toEqual({ mean: 2, standardError: 1, count: 2 });
    expect(average([5])).toEqual({ mean: 5, standardError: null, count: 1 });
    expect(average([null])).toBe(null);
  });
});

it('meansOfSome of all pictures is their mean curve, of one its own, and of any of them at the settings that all cover', () => {
  const curves = [straight(0, 4), straight(1, 5, 3), straight(0, 5, 7)];
  const settingOf = ({ rmse }: CurvePoint) => -rmse;
  const of = meansOfSome(curves, settingOf);
  const all = meanCurve(curves, settingOf);
  expect(of([0, 1, 2])).toMatchObject(all.map(({ bpp, rmse }) => ({ bpp, rmse })));
  expect(of([2, 0, 1, 1, 2, 0]).map(({ bpp }) => bpp)).toEqual(all.map(({ bpp }) => expect.closeTo(bpp, 9)));
  expect(of([1]).map(({ bpp }) => bpp)).toEqual([6, 12, 24, 48].map((bpp) => expect.closeTo(bpp, 9)));
});
