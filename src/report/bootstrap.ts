/**
 * Confidence intervals by the bootstrap (Efron 1979): how much a number would vary for other pictures of the same kind.
 */
import { integerStream, uniforms } from '../common/random.js';

/** Share of the resamples inside the interval: the middle 95 %. */
const CONFIDENCE = 0.95;
/** Number of resamples. */
export const RESAMPLES = 2000;
/** Highest share of resamples without a value; above it there is no interval. */
const MOST_MISSING = 0.05;

/**
 * Samples `count` of `count` pictures with replacement, many times. Every call draws the same resamples, so comparisons
 * use the same pictures and a report can be reproduced.
 * @returns indices of pictures, from 0
 */
export function resamplesOf(count: number): number[][] {
  const uniform = uniforms(integerStream(`ddpm-codec bootstrap/${count}`));
  return Array.from({ length: RESAMPLES }, () => Array.from({ length: count }, () => Math.floor(uniform() * count)));
}

/**
 * 95 % percentile interval.
 * @param values one for each resample; null where there is none
 * @returns lower end first; null where too many resamples have no value
 */
export function percentileInterval(values: readonly (number | null)[]): [number, number] | null {
  const found = values.filter((value) => value !== null).sort((a, b) => a - b);
  if (found.length === 0 || found.length < (1 - MOST_MISSING) * values.length) return null;
  const tail = (1 - CONFIDENCE) / 2;
  return [quantile(found, tail), quantile(found, 1 - tail)];
}

/** Interpolates linearly between neighbours. @param sorted ascending */
function quantile(sorted: readonly number[], share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}
