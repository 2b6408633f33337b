/** Confidence intervals by the bootstrap (Efron 1979): what a number would be for other pictures of the same kind. */
import { integerStream, uniforms } from '../common/random.js';

/** The middle 95 % of what resamples give. */
const CONFIDENCE = 0.95;
/** Samples that are drawn. */
export const RESAMPLES = 2000;
/** Of resamples without a number, at most; otherwise there is no interval. */
const MOST_MISSING = 0.05;

/**
 * Samples with replacement of `count` pictures, each of as many: the same ones each time, so that what is compared is compared on the
 * same pictures, and a report is the same when it is made again.
 * @returns places of pictures, from 0
 */
export function resamplesOf(count: number): number[][] {
  const uniform = uniforms(integerStream(`ddpm-codec bootstrap/${count}`));
  return Array.from({ length: RESAMPLES }, () => Array.from({ length: count }, () => Math.floor(uniform() * count)));
}

/**
 * Percentile interval of 95 %.
 * @param values of the resamples; null where there is none
 * @returns lower end first; null where too many resamples have no value
 */
export function percentileInterval(values: readonly (number | null)[]): [number, number] | null {
  const found = values.filter((value) => value !== null).sort((a, b) => a - b);
  if (found.length === 0 || found.length < (1 - MOST_MISSING) * values.length) return null;
  const tail = (1 - CONFIDENCE) / 2;
  return [quantile(found, tail), quantile(found, 1 - tail)];
}

/** Linear between neighbours. @param sorted ascending */
function quantile(sorted: readonly number[], share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}
