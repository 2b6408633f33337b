/** Formats measured means. */
import type { Estimate } from '../model/likelihood.js';

/** A mean with its standard error, which is NaN (null in JSON) for a single image. */
export function describeEstimate({ value, standardError }: Estimate, digits: number): string {
  const error = Number.isFinite(standardError) ? ` ± ${standardError.toFixed(digits)}` : '';
  return `${value.toFixed(digits)}${error}`;
}
