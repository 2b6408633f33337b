/** Adam (Kingma & Ba 2015), gradient clipping and the exponential moving average, on flat vectors of parameters. */

export interface AdamState {
  /** First and second moments of the gradient. */
  readonly m: Float32Array;
  readonly v: Float32Array;
}

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

/**
 * One step of Adam, in place. The average is taken in the same pass over memory: ema = decay ema + (1 - decay) p.
 * @param step 1 for the first
 * @param scale of the gradient, for clipping
 */
export function adamStep(
  parameters: Float32Array,
  ema: Float32Array,
  { m, v }: AdamState,
  gradient: Float32Array,
  { step, learningRate, scale, emaDecay }: { step: number; learningRate: number; scale: number; emaDecay: number },
): void {
  const rate = (learningRate * Math.sqrt(1 - BETA2 ** step)) / (1 - BETA1 ** step);
  // The epsilon of the unscaled formula.
  const epsilon = EPSILON * Math.sqrt(1 - BETA2 ** step);
  for (let i = 0; i < parameters.length; i++) {
    const g = gradient[i] * scale;
    const mean = BETA1 * m[i] + (1 - BETA1) * g;
    const square = BETA2 * v[i] + (1 - BETA2) * g * g;
    m[i] = mean;
    v[i] = square;
    const p = parameters[i] - (rate * mean) / (Math.sqrt(square) + epsilon);
    parameters[i] = p;
    ema[i] = emaDecay * ema[i] + (1 - emaDecay) * p;
  }
}

/** Euclidean norm. */
export function norm(vector: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += vector[i] * vector[i];
  return Math.sqrt(sum);
}

/** Rises from 0 so that the average does not remember the random start: min(decay, (1 + step) / (10 + step)). */
export function emaDecayAt(step: number, decay: number): number {
  return Math.min(decay, (1 + step) / (10 + step));
}

/** Linear from 0 over the first `warmup` steps; `step` is 1 for the first. */
export function learningRateAt(step: number, learningRate: number, warmup: number): number {
  return warmup > 0 ? learningRate * Math.min(1, step / warmup) : learningRate;
}
