/** The error that a model's profile predicts for pictures of which nothing is known. */
import { DEVIATIONS_PER_UNIT, type Profile } from './format/plan.js';

/**
 * Mean squared error of xhat0 per value at t = 0..T over the training images, in [-1, 1]. Profiles store means of
 * logarithms, so this is the mean of a log-normal distribution with their spread.
 */
export function meanErrors({ mean, components }: Profile): Float64Array {
  return Float64Array.from({ length: mean.length + 1 }, (_, t) => {
    if (t === 0) return 0;
    const variance = components.reduce((sum, of, i) => sum + (of[t - 1] / 256 / DEVIATIONS_PER_UNIT[i]) ** 2, 0);
    return 2 ** (mean[t - 1] / 256 + 0.5 * Math.LN2 * variance);
  });
}
