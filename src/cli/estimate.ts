/** How a measured mean is said. */
import type { Estimate } from '../model/likelihood.js';

/** With its standard error, which one image does not have: NaN, and in JSON null. */
export function describeEstimate({ value, standardError }: Estimate, digits: number): string {
  const error = Number.isFinite(standardError) ? ` ± ${standardError.toFixed(digits)}` : '';
  return `${value.toFixed(digits)}${error}`;
}
