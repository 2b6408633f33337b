/** Rate-distortion curves: rates at a quality, means over pictures, comparisons. */
import { CodecError, invalidArgument } from '../errors.js';
import { psnrOfRmse } from '../image/metrics.js';
import { msSsimDecibels } from '../image/ms-ssim.js';
import { type BdResult, bdRate, improving, type RateQuality } from './bd-rate.js';
import type { RatePoint } from './rate-point.js';

/** What a curve is made of; rates in bits per pixel. */
export type CurvePoint = Pick<RatePoint, 'bpp' | 'rmse' | 'msSsim'>;

/** A quality that curves are compared by. */
export type Measure = 'psnr' | 'msSsim';

/**
 * A curve by one measure, in dB both (MS-SSIM x as -10 log10(1 - x)), in order of rate. Left out: points without the
 * measure, equal pictures, and points that do not improve on a cheaper one.
 */
export function qualityCurve(points: readonly CurvePoint[], measure: Measure): RateQuality[] {
  const all = points.map((point) => ({ rate: point.bpp, quality: decibels(point, measure) }));
  return improving(all.filter(({ quality }) => Number.isFinite(quality)));
}

/**
 * Bits per dimension at an RMSE: log(rate) is linear in PSNR between the two points next to it.
 * @param points of one picture, in any order
 * @param rmse grey levels, above 0
 * @returns null where no two points enclose that RMSE
 */
export function bitsPerDimAt(points: readonly CurvePoint[], rmse: number): number | null {
  const level = psnrOfRmse(rmse);
  const curve = qualityCurve(points, 'psnr');
  const after = curve.findIndex(({ quality }) => quality >= level);
  if (after < 0) return null;
  if (curve[after].quality === level) return curve[after].rate / 3;
  if (after === 0) return null;
  const [a, b] = [curve[after - 1], curve[after]];
  const share = (level - a.quality) / (b.quality - a.quality);
  return (a.rate ** (1 - share) * b.rate ** share) / 3;
}

/** BD-rate of `test` against `anchor` by a measure, in percent; null where fewer than 4 points or no quality are in common. */
export function compareCurves(
  anchor: readonly CurvePoint[],
  test: readonly CurvePoint[],
  measure: Measure,
): BdResult | null {
  try {
    return bdRate(qualityCurve(anchor, measure), qualityCurve(test, measure));
  } catch (error) {
    // Too short or too far apart; what else it refuses, a quality curve does not have.
    if (error instanceof CodecError) return null;
    throw error;
  }
}

/** A point of a mean over pictures. */
export interface MeanPoint {
  /** The setting that all pictures were coded with here. */
  readonly setting: number;
  /** Arithmetic mean. */
  readonly bpp: number;
  /** Arithmetic mean of the pictures' PSNR, in dB, as is usual in published curves. */
  readonly psnr: number;
  /** Of that mean PSNR, not a mean of RMSEs. */
  readonly rmse: number;
  /** Arithmetic mean; null where a picture has none. */
  readonly msSsim: number | null;
}

/**
 * The mean of curves at equal settings of the encoder, such as a quality or a noise level, over the settings that all
 * curves cover. Between its points a curve is linear in log(rate) and in dB over the setting.
 * @param curves one for each picture, none empty
 * @param settingOf a number that rises with quality along each curve
 * @param grid settings at which the mean is taken; by default all that any curve has a point at
 * @returns points in order of setting
 */
export function meanCurve<T extends CurvePoint>(
  curves: readonly (readonly T[])[],
  settingOf: (point: T) => number,
  grid: readonly number[] = curves.flatMap((points) => points.map(settingOf)),
): MeanPoint[] {
  if (curves.some((points) => points.length === 0)) throw invalidArgument('curve', 'at least one point', 0);
  const sorted = curves.map((points) =>
    points.map((point) => ({ setting: settingOf(point), point })).sort((a, b) => a.setting - b.setting),
  );
  const low = Math.max(...sorted.map((points) => points[0].setting));
  const high = Math.min(...sorted.map((points) => points[points.length - 1].setting));
  const settings = [...new Set(grid)].filter((setting) => setting >= low && setting <= high).sort((a, b) => a - b);
  return settings.map((setting) => {
    const here = sorted.map((points) => interpolate(points, setting));
    const psnr = mean(here.map((point) => point.psnr));
    const values = here.map((point) => point.msSsim);
    return {
      setting,
      bpp: mean(here.map((point) => point.bpp)),
      psnr,
      rmse: 255 / 10 ** (psnr / 20),
      msSsim: values.some((value) => value === null) ? null : mean(values as number[]),
    };
  });
}

interface Placed {
  readonly setting: number;
  readonly point: CurvePoint;
}

function interpolate(points: readonly Placed[], setting: number): { bpp: number; psnr: number; msSsim: number | null } {
  const after = points.findIndex((placed) => placed.setting >= setting);
  const b = points[after];
  const exact = { bpp: b.point.bpp, psnr: decibels(b.point, 'psnr'), msSsim: b.point.msSsim };
  if (b.setting === setting) return exact;
  const a = points[after - 1];
  const share = (setting - a.setting) / (b.setting - a.setting);
  const between = (from: number, to: number) => from + share * (to - from);
  const similarity = between(decibels(a.point, 'msSsim'), decibels(b.point, 'msSsim'));
  return {
    bpp: Math.exp(between(Math.log(a.point.bpp), Math.log(b.point.bpp))),
    psnr: between(decibels(a.point, 'psnr'), decibels(b.point, 'psnr')),
    msSsim: a.point.msSsim === null || b.point.msSsim === null ? null : 1 - 10 ** (-similarity / 10),
  };
}

function decibels(point: CurvePoint, measure: Measure): number {
  if (measure === 'psnr') return psnrOfRmse(point.rmse);
  return point.msSsim === null ? Number.NaN : msSsimDecibels(point.msSsim);
}

/** A mean with its standard error, 0 of a single value. */
export interface Average {
  readonly mean: number;
  readonly standardError: number;
  readonly count: number;
}

/** Of the numbers that are there; null when none is. */
export function average(values: readonly (number | null)[]): Average | null {
  const numbers = values.filter((value) => value !== null);
  const count = numbers.length;
  if (count === 0) return null;
  const center = mean(numbers);
  const squares = numbers.reduce((sum, x) => sum + (x - center) ** 2, 0);
  return { mean: center, standardError: count === 1 ? 0 : Math.sqrt(squares / (count - 1) / count), count };
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
}
