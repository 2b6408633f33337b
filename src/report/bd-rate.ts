/**
 * Bjontegaard's averages over a pair of rate-distortion curves (VCEG-M33, 2001), with the piecewise cubic interpolation
 * that JCT-VC and JVET have used since JCTVC-L1100 (2013): monotone Hermite cubics with Fritsch & Butland's slopes,
 * known as PCHIP. The single cubic polynomial of 2001 swings between points that are far apart.
 *
 * Herglotz et al., "The Bjøntegaard Bible" (IEEE TIP 2024), compare the methods; their Python package `bjontegaard`
 * gives the same numbers with `method='pchip'`.
 */
import { checkList, checkObject } from '../common/arguments.js';
import { CodecError, invalidArgument } from '../common/errors.js';

/** A point of a rate-distortion curve. */
export interface RateQuality {
  /** Any unit that both curves share: bytes, bits per pixel, bits per dimension. Above 0. */
  readonly rate: number;
  /** Higher is better: PSNR or MS-SSIM in dB. */
  readonly quality: number;
}

/** An average difference of two curves and the interval that it covers. */
export interface BdResult {
  /** {@link bdRate}: percent; {@link bdQuality}: the unit of quality. */
  readonly value: number;
  /** Interval that both curves cover, lower end first: of quality for {@link bdRate}, of rate for {@link bdQuality}. */
  readonly overlap: readonly [number, number];
}

/** The minimum in VCEG-M33. */
const FEWEST_POINTS = 4;

/** Nodes of one curve: x rises strictly. */
interface Nodes {
  readonly x: readonly number[];
  readonly y: readonly number[];
}

/**
 * BD-rate: by how many percent the test codec's rate differs from the anchor's at equal quality. Negative is better. It
 * is the geometric mean of the ratio of rates over the qualities that both curves cover: log(rate) is interpolated by
 * PCHIP as a function of quality.
 * @param anchor at least 4 points in any order; rate and quality must rise together
 * @throws CodecError `usage` for fewer points, values that are not finite, rate and quality that do not rise together,
 *   and curves whose qualities do not overlap
 */
export function bdRate(anchor: readonly RateQuality[], test: readonly RateQuality[]): BdResult {
  const [a, b] = [nodes('anchor curve', anchor), nodes('test curve', test)];
  const { value, overlap } = meanDifference(byQuality(a), byQuality(b), 'quality');
  return { value: 100 * Math.expm1(value), overlap };
}

/**
 * BD-PSNR, or the same for another quality: by how much the test codec's quality exceeds the anchor's at equal rate, in
 * the unit of quality. Positive is better. It is the mean difference of the PCHIP interpolations over log(rate).
 * @param anchor at least 4 points in any order; rate and quality must rise together
 * @throws CodecError `usage`, as {@link bdRate}; here the rates must overlap
 */
export function bdQuality(anchor: readonly RateQuality[], test: readonly RateQuality[]): BdResult {
  const [a, b] = [nodes('anchor curve', anchor), nodes('test curve', test)];
  const byRate = ({ rates, qualities }: Curve): Nodes => ({ x: rates.map(Math.log), y: qualities });
  const { value, overlap } = meanDifference(byRate(a), byRate(b), 'rate');
  return { value, overlap: [Math.exp(overlap[0]), Math.exp(overlap[1])] };
}

/**
 * The curve that a BD-rate is the mean of: the test codec's rate against the anchor's along the qualities that both
 * cover.
 * @param anchor as for {@link bdRate}
 * @param count number of qualities, evenly spaced, both ends included
 * @returns percent by which the rate differs at each quality
 * @throws CodecError `usage`, as {@link bdRate}
 */
export function relativeRates(
  anchor: readonly RateQuality[],
  test: readonly RateQuality[],
  count: number,
): { readonly quality: number; readonly percent: number }[] {
  const [a, b] = [nodes('anchor curve', anchor), nodes('test curve', test)].map(byQuality);
  const [low, high] = overlapOf(a, b, 'quality');
  return Array.from({ length: count }, (_, i) => {
    const quality = low + (i * (high - low)) / (count - 1);
    return { quality, percent: 100 * Math.expm1(valueAt(b, quality) - valueAt(a, quality)) };
  });
}

/**
 * The points of a curve that improve on every cheaper one. A measured curve may have points where the rate rises and
 * the quality does not.
 * @returns points in order of rate, in which rate and quality rise strictly
 */
export function improving<T extends RateQuality>(points: readonly T[]): T[] {
  const kept: T[] = [];
  // Among points of equal rate the best comes first, and the others do not improve on it.
  for (const point of points.toSorted((a, b) => a.rate - b.rate || b.quality - a.quality)) {
    if (kept.length === 0 || point.quality > kept[kept.length - 1].quality) kept.push(point);
  }
  return kept;
}

interface Curve {
  readonly rates: readonly number[];
  readonly qualities: readonly number[];
}

function byQuality({ rates, qualities }: Curve): Nodes {
  return { x: qualities, y: rates.map(Math.log) };
}

/** Checks the points and puts them in order of rate. */
function nodes(name: string, points: readonly RateQuality[]): Curve {
  checkList(name, points);
  if (points.length < FEWEST_POINTS) throw invalidArgument(name, `at least ${FEWEST_POINTS} points`, points.length);
  for (const point of points) {
    checkObject(`${name}, point`, point);
    const { rate, quality } = point;
    if (!(Number.isFinite(rate) && rate > 0)) throw invalidArgument(`${name}, rate`, 'a number above 0', rate);
    if (!Number.isFinite(quality)) throw invalidArgument(`${name}, quality`, 'a finite number', quality);
  }
  const sorted = points.toSorted((a, b) => a.rate - b.rate);
  for (let i = 1; i < sorted.length; i++) {
    const [before, here] = [sorted[i - 1], sorted[i]];
    if (here.rate === before.rate || here.quality <= before.quality) {
      const found = `${before.quality} at ${before.rate} and ${here.quality} at ${here.rate}`;
      throw invalidArgument(name, 'quality to rise with the rate', found);
    }
  }
  return { rates: sorted.map(({ rate }) => rate), qualities: sorted.map(({ quality }) => quality) };
}

/** Mean of b - a over the x that both curves cover. */
function meanDifference(a: Nodes, b: Nodes, name: string): { value: number; overlap: [number, number] } {
  const [low, high] = overlapOf(a, b, name);
  return { value: (integral(b, low, high) - integral(a, low, high)) / (high - low), overlap: [low, high] };
}

/** The interval of x that both curves cover. */
function overlapOf(a: Nodes, b: Nodes, name: string): [number, number] {
  const low = Math.max(a.x[0], b.x[0]);
  const high = Math.min(a.x[a.x.length - 1], b.x[b.x.length - 1]);
  if (high > low) return [low, high];
  throw new CodecError(
    'usage',
    `curves: expected some ${name} that both cover, but where one begins the other has ended`,
  );
}

/** Integral of the PCHIP interpolation from `low` to `high`, which lie within the nodes. */
function integral({ x, y }: Nodes, low: number, high: number): number {
  let sum = 0;
  for (const { start, end, y: at, slope, c2, c3 } of pieces({ x, y })) {
    const from = Math.max(low, start);
    const to = Math.min(high, end);
    if (from >= to) continue;
    const antiderivative = (u: number) => u * (at + u * (slope / 2 + u * (c2 / 3 + (u * c3) / 4)));
    sum += antiderivative(to - start) - antiderivative(from - start);
  }
  return sum;
}

/** The interpolation at x, which lies within the nodes. */
function valueAt(curve: Nodes, x: number): number {
  const all = pieces(curve);
  const { start, y, slope, c2, c3 } = all.find(({ end }) => x <= end) ?? all[all.length - 1];
  const u = x - start;
  return y + u * (slope + u * (c2 + u * c3));
}

/** The PCHIP interpolation between two nodes: y + slope u + c2 u^2 + c3 u^3, u counted from the first node. */
interface Piece {
  readonly start: number;
  readonly end: number;
  readonly y: number;
  readonly slope: number;
  readonly c2: number;
  readonly c3: number;
}

function pieces({ x, y }: Nodes): Piece[] {
  const slopes = pchipSlopes(x, y);
  return x.slice(1).map((end, i) => {
    const h = end - x[i];
    const secant = (y[i + 1] - y[i]) / h;
    return {
      start: x[i],
      end,
      y: y[i],
      slope: slopes[i],
      c2: (3 * secant - 2 * slopes[i] - slopes[i + 1]) / h,
      c3: (slopes[i] + slopes[i + 1] - 2 * secant) / (h * h),
    };
  });
}

/**
 * Slopes at the nodes: Fritsch & Butland's weighted harmonic means inside; at the ends, three-point differences limited
 * so that they do not overshoot (Moler, "Numerical Computing with MATLAB", chapter 3, `pchip`).
 */
function pchipSlopes(x: readonly number[], y: readonly number[]): number[] {
  const steps = x.slice(1).map((value, i) => value - x[i]);
  const secants = steps.map((h, i) => (y[i + 1] - y[i]) / h);
  const last = steps.length - 1;
  return x.map((_, i) => {
    if (i === 0) return endSlope(steps[0], steps[1], secants[0], secants[1]);
    if (i > last) return endSlope(steps[last], steps[last - 1], secants[last], secants[last - 1]);
    const [before, after] = [secants[i - 1], secants[i]];
    if (before * after <= 0) return 0;
    const w1 = 2 * steps[i] + steps[i - 1];
    const w2 = steps[i] + 2 * steps[i - 1];
    return (w1 + w2) / (w1 / before + w2 / after);
  });
}

/** Slope at an end, from the adjacent interval and the one after it. */
function endSlope(near: number, far: number, secant: number, farSecant: number): number {
  const slope = ((2 * near + far) * secant - near * farSecant) / (near + far);
  if (slope * secant <= 0) return 0;
  return secant * farSecant < 0 && Math.abs(slope) > 3 * Math.abs(secant) ? 3 * secant : slope;
}
