/** Optimisers, which update flat vectors of parameters and their moving average: Adam (Kingma & Ba 2015) or Muon. */
import type { Engine } from '../../engine/engine.js';
import type { ParameterSpec } from '../unet-parameters.js';
import { createMuon, isHiddenMatrix } from './muon.js';
import type { OptimizerName } from './optimizer-name.js';
import { cut, type StepOptions, type TrainerState } from './state.js';

export interface Optimizer {
  /**
   * One step, in place: updates the parameters, their average and the moments of the state. The state's `step` is 1 for
   * the first step.
   */
  step(state: TrainerState, gradient: Float32Array, options: StepOptions): Promise<void>;
  dispose(): Promise<void>;
}

export async function createOptimizer(
  engine: Engine,
  name: OptimizerName,
  parameters: readonly ParameterSpec[],
): Promise<Optimizer> {
  const hidden = parameters.map((spec) => name === 'muon' && isHiddenMatrix(spec));
  const muon = hidden.includes(true)
    ? await createMuon(
        engine,
        parameters.filter((_, i) => hidden[i]),
      )
    : undefined;
  return {
    async step(state, gradient, options) {
      const vectors = [state.parameters, state.ema, state.m, gradient, state.v].map((vector) =>
        cut(vector, parameters),
      );
      const partsOf = (which: boolean) => vectors.map((parts) => parts.filter((_, i) => hidden[i] === which));
      const [weights, ema, m, gradients, v] = partsOf(false);
      weights.forEach((part, i) => {
        adamStep(part, ema[i], { m: m[i], v: v[i] }, gradients[i], { ...options, step: state.step });
      });
      if (!muon) return;
      const [matrices, averages, momenta, slopes] = partsOf(true);
      await muon.step(matrices, averages, momenta, slopes, options);
    },
    async dispose() {
      await muon?.dispose();
    },
  };
}

export interface AdamState {
  /** First and second moments of the gradient. */
  readonly m: Float32Array;
  readonly v: Float32Array;
}

const BETA1 = 0.9;
const EPSILON = 1e-8;

/**
 * One step of Adam, in place. The average is taken in the same pass over memory: ema = decay ema + (1 - decay) p.
 * @param step 1 for the first
 */
export function adamStep(
  parameters: Float32Array,
  ema: Float32Array,
  { m, v }: AdamState,
  gradient: Float32Array,
  { step, learningRate, scale, emaDecay, beta2 = 0.999 }: StepOptions & { readonly step: number },
): void {
  const rate = (learningRate * Math.sqrt(1 - beta2 ** step)) / (1 - BETA1 ** step);
  // The epsilon for the unscaled formula.
  const epsilon = EPSILON * Math.sqrt(1 - beta2 ** step);
  for (let i = 0; i < parameters.length; i++) {
    const g = gradient[i] * scale;
    const mean = BETA1 * m[i] + (1 - BETA1) * g;
    const square = beta2 * v[i] + (1 - beta2) * g * g;
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

/** Rises from a small value so that the average forgets the random start: min(decay, (1 + step) / (10 + step)). */
export function emaDecayAt(step: number, decay: number): number {
  return Math.min(decay, (1 + step) / (10 + step));
}

/**
 * Linear from 0 over the first `warmup` steps, then constant, then down to 0 as 1 - sqrt over the last `cooldown` of
 * the run. Hägele et al. (2024, arXiv 2405.18392) found that this ends as low as a cosine over the whole run.
 * @param step 1 for the first
 * @param cooldown share of the run, 0..1
 * @param fraction of the run that is done, 0..1
 */
export function learningRateAt(
  step: number,
  { learningRate, warmup, cooldown }: { learningRate: number; warmup: number; cooldown: number },
  fraction: number,
): number {
  const up = warmup > 0 ? Math.min(1, step / warmup) : 1;
  const left = Math.max(0, 1 - fraction);
  const down = left < cooldown ? 1 - Math.sqrt(1 - left / cooldown) : 1;
  return learningRate * Math.min(up, down);
}
