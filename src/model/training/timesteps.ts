/** Which timesteps a batch is trained on, and how much each example then counts. */
import type { IntegerStream } from '../../random.js';
import type { Schedule } from '../schedule.js';

/**
 * `uniform`: all alike (Algorithm 1). `importance`: in proportion to the root of the mean squared loss seen at t, examples
 * weighted by the inverse, so that the loss stays the same on average (Nichol & Dhariwal 2021, section 3.3).
 * `low-bias`: half uniform, half uniform in log snr, unweighted: more of the small t, where an image's bits are.
 */
export const TIMESTEP_SAMPLINGS = ['uniform', 'importance', 'low-bias'] as const;
export type TimestepSampling = (typeof TIMESTEP_SAMPLINGS)[number];

export interface TimestepSampler {
  /** `count` timesteps 1..T with the weights of their losses (1 on average over the timesteps drawn). */
  sample(stream: IntegerStream, count: number): { timesteps: number[]; weights: number[] };
  /** Tells what losses came of them. */
  update(timesteps: readonly number[], losses: readonly number[]): void;
  /** What it has learnt, for a checkpoint. */
  readonly state: Float32Array;
}

/** @param state of a sampler of the same kind and schedule, from a checkpoint */
export function createTimestepSampler(
  kind: TimestepSampling,
  schedule: Schedule,
  state?: Float32Array,
): TimestepSampler {
  if (kind === 'importance') return createImportanceSampler(schedule.timesteps, state);
  return createFixedSampler(kind === 'uniform' ? uniform(schedule) : lowBias(schedule));
}

function createFixedSampler(probabilities: Float64Array): TimestepSampler {
  return {
    sample(stream, count) {
      const timesteps = drawStratified(stream, probabilities, count);
      return { timesteps, weights: timesteps.map(() => 1) };
    },
    update() {},
    state: new Float32Array(0),
  };
}

/** Losses of each timestep that are remembered. */
const HISTORY = 10;
/** Share of uniform sampling once the history is full. */
const UNIFORM_SHARE = 0.001;

/** The state holds for each timestep how many losses were seen, up to HISTORY, and the last ones, newest first. */
function createImportanceSampler(timesteps: number, from?: Float32Array): TimestepSampler {
  const width = HISTORY + 1;
  const state = from ?? new Float32Array(timesteps * width);
  const isWarm = () => {
    for (let t = 0; t < timesteps; t++) if (state[t * width] < HISTORY) return false;
    return true;
  };
  const probabilities = () => {
    const p = new Float64Array(timesteps).fill(1 / timesteps);
    if (!isWarm()) return p;
    for (let t = 0; t < timesteps; t++) {
      let squares = 0;
      for (let i = 1; i < width; i++) squares += state[t * width + i] ** 2;
      p[t] = Math.sqrt(squares / HISTORY);
    }
    const total = p.reduce((sum, value) => sum + value, 0);
    return p.map((value) => ((1 - UNIFORM_SHARE) * value) / total + UNIFORM_SHARE / timesteps);
  };
  return {
    state,
    sample(stream, count) {
      const p = probabilities();
      const drawn = drawStratified(stream, p, count);
      return { timesteps: drawn, weights: drawn.map((t) => 1 / (timesteps * p[t - 1])) };
    },
    update(drawn, losses) {
      drawn.forEach((t, i) => {
        const row = state.subarray((t - 1) * width, t * width);
        row.copyWithin(2, 1, HISTORY);
        row[1] = losses[i];
        row[0] = Math.min(HISTORY, row[0] + 1);
      });
    },
  };
}

function uniform({ timesteps }: Schedule): Float64Array {
  return new Float64Array(timesteps).fill(1 / timesteps);
}

function lowBias({ timesteps, snr }: Schedule): Float64Array {
  // The step from x_1 to x_0 is infinitely long in log snr; it gets what the step before it has.
  const length = (t: number) => Math.log(snr[Math.max(t, 2) - 1] / snr[Math.max(t, 2)]);
  const lengths = Float64Array.from({ length: timesteps }, (_, i) => length(i + 1));
  const total = lengths.reduce((sum, value) => sum + value, 0);
  return lengths.map((value) => (0.5 * value) / total + 0.5 / timesteps);
}

/** One draw from each of `count` equal parts of the distribution: less variance than independent draws, the same mean. */
function drawStratified(stream: IntegerStream, probabilities: Float64Array, count: number): number[] {
  const drawn: number[] = [];
  let t = 0;
  let below = 0;
  for (let i = 0; i < count; i++) {
    const at = (i + (stream() >>> 0) / 0x100000000) / count;
    while (t < probabilities.length - 1 && below + probabilities[t] <= at) below += probabilities[t++];
    drawn.push(t + 1);
  }
  return drawn;
}
