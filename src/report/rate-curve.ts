/** Rate-distortion curves: rates at a quality, means over pictures, comparisons. */
import { CodecError, invalidArgument } from '../common/errors.js';
import { psnrOfRmse } from '../image/metrics.js';
import { msSsimDecibels } from '../image/ms-ssim.js';
import { type BdResult, bdQuality, bdRate, improving, type RateQuality, relativeRates } from './bd-rate.js';
import type { RatePoint } from './rate-point.js';

/** A point of a curve; rates in bits per pixel. */
export type CurvePoint = Pick<RatePoint, 'bpp' | 'rmse' | 'msSsim'>;

/** A quality that curves are compared by. */
export type Measure = 'psnr' | 'msSsim';

/**
 * A curve by one measure, in order of rate. Both measures are in dB: MS-SSIM x as -10 log10(1 - x). Left out are points
 * without the measure, points of equal pictures, and points that do not improve on a cheaper one.
 */
export function qualityCurve(points: readonly CurvePoint[], measure: Measure): RateQuality[] {
  const all = points.map((point) => ({ rate: point.bpp, quality: decibels(point, measure) }));
  return improving(all.filter(({ quality }) => Number.isFinite(quality)));
}

/**
 * Bits per dimension at an RMSE. log(rate) is linear in PSNR between the two neighbouring points. Where the better of
 * these is lossless, the result is its rate.
 * @param points of one picture, in any order
 * @param rmse grey levels, above 0
 * @returns null where no two points enclose that RMSE
 */
export function bitsPerDimAt(points: readonly CurvePoint[], rmse: number): number | null {
  const level = psnrOfRmse(rmse);
  const curve = improving(points.map(({ bpp, rmse }) => ({ rate: bpp, quality: psnrOfRmse(rmse) })));
  const after = curve.findIndex(({ quality }) => quality >= level);
  if (after < 0) return null;
  if (curve[after].quality === level) return curve[after].rate / 3;
  if (after === 0) return null;
  if (curve[after].quality === Number.POSITIVE_INFINITY) return curve[after].rate / 3;
  const [a, b] = [curve[after - 1], curve[after]];
  const share = (level - a.quality) / (b.quality - a.quality);
  return (a.rate ** (1 - share) * b.rate ** share) / 3;
}

/**
 * BD-rate of `test` against `anchor` by a measure, in percent; null with fewer than 4 points or without a common
 * quality.
 */
export function compareCurves(
  anchor: readonly CurvePoint[],
  test: readonly CurvePoint[],
  measure: Measure,
): BdResult | null {
  return compare(bdRate, anchor, test, measure);
}

/** BD-PSNR or BD-MS-SSIM of `test` against `anchor`, in dB; null with fewer than 4 points or without a common rate. */
export function compareQualities(
  anchor: readonly CurvePoint[],
  test: readonly CurvePoint[],
  measure: Measure,
): BdResult | null {
  return compare(bdQuality, anchor, test, measure);
}

/**
 * By how many percent the rate of `test` differs from the anchor's, along the qualities that both cover; empty where
 * {@link compareCurves} is null.
 */
export function relativeRateCurve(
  anchor: readonly CurvePoint[],
  test: readonly CurvePoint[],
  measure: Measure,
  count: number,
): { readonly quality: number; readonly percent: number }[] {
  return orNull(() => relativeRates(qualityCurve(anchor, measure), qualityCurve(test, measure), count)) ?? [];
}

function compare(
  method: typeof bdRate,
  anchor: readonly CurvePoint[],
  test: readonly CurvePoint[],
  measure: Measure,
): BdResult | null {
  return orNull(() => method(qualityCurve(anchor, measure), qualityCurve(test, measure)));
}

function orNull<T>(work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    // Curves too short or too far apart. Quality curves give no other reason for an error.
    if (error instanceof CodecError) return null;
    throw error;
  }
}

/** A point of a mean over pictures: a {@link CurvePoint} whose RMSE is that of the mean PSNR. */
export interface MeanPoint {
  /** The setting with which all pictures were coded here. */
  readonly setting: number;
  /** Arithmetic mean of the pictures' rates. */
  readonly bpp: number;
  /** The mean rate in bits per dimension. */
  readonly bitsPerDim: number;
  /** Arithmetic mean of the pictures' PSNR, in dB, as is usual for published curves. */
  readonly psnr: number;
  /** RMSE of the mean PSNR. */
  readonly rmse: number;
  /** Arithmetic mean of the pictures' RMSE. */
  readonly meanRmse: number;
  /**
   * Square root of the pictures' mean squared error: for pictures of one size, the RMSE over all samples of all
   * pictures.
   */
  readonly rootMeanMse: number;
  /** Arithmetic mean; null where a picture has none. */
  readonly msSsim: number | null;
}

/**
 * The mean of curves at equal settings of the encoder, such as a quality or a noise level, over the settings that all
 * curves cover. Between its points a curve is linear in log(rate) and in dB over the setting.
 * @param curves one for each picture, none empty
 * @param settingOf a number that rises with quality along each curve
 * @param grid settings at which the mean is taken; by default all settings that any curve has a point at
 * @param more other numbers to average; linear over the setting between points, null where a picture has none
 * @returns points in order of setting
 */
export function meanCurve<T extends CurvePoint, K extends string = never>(
  curves: readonly (readonly T[])[],
  settingOf: (point: T) => number,
  grid?: readonly number[],
  more = {} as Readonly<Record<K, (point: T) => number | null>>,
): (MeanPoint & Record<K, number | null>)[] {
  const names = Object.keys(more) as K[];
  return alignCurves(curves, settingOf, grid).map(({ setting, places }) => {
    const here = places.map(interpolate);
    const errors = here.map((point) => rmseOfPsnr(point.psnr));
    const extra = names.map((name) => [name, meanOrNull(places.map((place) => linear(place, more[name])))]);
    const { bpp, psnr, rmse, msSsim } = meanPoint(here);
    return {
      setting,
      bpp,
      bitsPerDim: bpp / 3,
      psnr,
      rmse,
      meanRmse: mean(errors),
      rootMeanMse: Math.sqrt(mean(errors.map((error) => error * error))),
      msSsim,
      ...(Object.fromEntries(extra) as Record<K, number | null>),
    };
  });
}

/**
 * Mean curves of subsets of the pictures. All use the settings that the curves of all pictures cover.
 * @returns a function from indices into `curves`, repeated or not, to the mean of these curves
 */
export function meansOfSome<T extends CurvePoint>(
  curves: readonly (readonly T[])[],
  settingOf: (point: T) => number,
  grid?: readonly number[],
): (picked: readonly number[]) => CurvePoint[] {
  const aligned = alignCurves(curves, settingOf, grid).map(({ places }) => places.map(interpolate));
  return (picked) => aligned.map((here) => meanPoint(picked.map((i) => here[i])));
}

/** Aligns curves at equal settings: for each setting, in order, the place on every curve. */
function alignCurves<T extends CurvePoint>(
  curves: readonly (readonly T[])[],
  settingOf: (point: T) => number,
  grid: readonly number[] = curves.flatMap((points) => points.map(settingOf)),
): { readonly setting: number; readonly places: readonly Place<T>[] }[] {
  if (curves.some((points) => points.length === 0)) throw invalidArgument('curve', 'at least one point', 0);
  const sorted = curves.map((points) =>
    points.map((point) => ({ setting: settingOf(point), point })).sort((a, b) => a.setting - b.setting),
  );
  const low = Math.max(...sorted.map((points) => points[0].setting));
  const high = Math.min(...sorted.map((points) => points[points.length - 1].setting));
  const settings = [...new Set(grid)].filter((setting) => setting >= low && setting <= high).sort((a, b) => a - b);
  return settings.map((setting) => ({ setting, places: sorted.map((points) => placeOf(points, setting)) }));
}

/** The values of one curve at a setting. */
interface PicturePoint {
  readonly bpp: number;
  readonly psnr: number;
  readonly msSsim: number | null;
}

function meanPoint(points: readonly PicturePoint[]): PicturePoint & CurvePoint {
  const psnr = mean(points.map((point) => point.psnr));
  return {
    bpp: mean(points.map(({ bpp }) => bpp)),
    psnr,
    rmse: rmseOfPsnr(psnr),
    msSsim: meanOrNull(points.map(({ msSsim }) => msSsim)),
  };
}

/** Where a setting lies on a curve: between two of its points, or twice the same one. */
interface Place<T> {
  readonly a: T;
  readonly b: T;
  /** Interpolation weight: 0 at a, 1 at b. */
  readonly share: number;
}

function placeOf<T>(points: readonly { readonly setting: number; readonly point: T }[], setting: number): Place<T> {
  const after = points.findIndex((placed) => placed.setting >= setting);
  const b = points[after];
  if (b.setting === setting) return { a: b.point, b: b.point, share: 1 };
  const a = points[after - 1];
  return { a: a.point, b: b.point, share: (setting - a.setting) / (b.setting - a.setting) };
}

function interpolate(place: Place<CurvePoint>): PicturePoint {
  const { a, b } = place;
  if (a === b) return { bpp: b.bpp, psnr: decibels(b, 'psnr'), msSsim: b.msSsim };
  const similarity = linear(place, (point) => (point.msSsim === null ? null : decibels(point, 'msSsim')));
  return {
    bpp: Math.exp(linear(place, ({ bpp }) => Math.log(bpp))!),
    psnr: linear(place, (point) => decibels(point, 'psnr'))!,
    msSsim: similarity === null ? null : 1 - 10 ** (-similarity / 10),
  };
}

function linear<T>({ a, b, share }: Place<T>, value: (point: T) => number | null): number | null {
  const [from, to] = [value(a), value(b)];
  // At a point itself, and between equal values, return that value: infinite values have no difference.
  if (share === 1 || from === to) return to;
  return from === null || to === null ? null : from + share * (to - from);
}

function decibels(point: CurvePoint, measure: Measure): number {
  if (measure === 'psnr') return psnrOfRmse(point.rmse);
  return point.msSsim === null ? Number.NaN : msSsimDecibels(point.msSsim);
}

/** A mean with its standard error. */
export interface Average {
  readonly mean: number;
  /** null for a single value. */
  readonly standardError: number | null;
  readonly count: number;
}

/** The average of the numbers that are present; null when none is. */
export function average(values: readonly (number | null)[]): Average | null {
  const numbers = values.filter((value) => value !== null);
  const count = numbers.length;
  if (count === 0) return null;
  const center = mean(numbers);
  const squares = numbers.reduce((sum, x) => sum + (x - center) ** 2, 0);
  return { mean: center, standardError: count === 1 ? null : Math.sqrt(squares / (count - 1) / count), count };
}

function meanOrNull(values: readonly (number | null)[]): number | null {
  return values.some((value) => value === null) ? null : mean(values as number[]);
}

function rmseOfPsnr(psnr: number): number {
  return 255 / 10 ** (psnr / 20);
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
}
