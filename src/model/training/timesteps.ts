/** Chooses the timesteps of a batch and the weight of each example. */
import { CodecError, invalidArgument } from '../../common/errors.js';
import { type IntegerStream, uniforms } from '../../common/random.js';
import { type Band, checkBand, wholeRange } from '../bands.js';
import type { Schedule } from '../schedule.js';

/**
 * `uniform`: all alike (Algorithm 1). `importance`: in proportion to the root of the mean squared loss seen at t, with
 * examples weighted by the inverse, so that the loss stays the same on average (Nichol & Dhariwal 2021, section 3.3).
 * `low-bias`: half uniform, half uniform in log snr, unweighted. It draws more of the small t, where an image's bits
 * are.
 * `low-noise`: seven eighths like that but only where snr >= 1/4, and one eighth uniform. A photograph has almost no
 * bits beyond.
 * `log-snr`: uniform in log snr. The loss of a network that predicts noise is then the rate, up to scale.
 * `balanced`: seven eighths uniform in log snr where snr >= 1/4, and one eighth uniform, with losses weighted by
 * snr^-1/2 down to that snr. The squared error of predicted noise rises about as snr^1/2, so each noise level has about
 * the same share of the loss.
 */
export const TIMESTEP_SAMPLINGS = ['uniform', 'importance', 'low-bias', 'low-noise', 'log-snr', 'balanced'] as const;
export type TimestepSampling = (typeof TIMESTEP_SAMPLINGS)[number];

export interface TimestepSampler {
  /** `count` timesteps 1..T with the weights of their losses (1 on average over the timesteps drawn). */
  sample(stream: IntegerStream, count: number): { timesteps: number[]; weights: number[] };
  /** Reports the losses at the drawn timesteps. */
  update(timesteps: readonly number[], losses: readonly number[]): void;
  /** The learnt state, for a checkpoint. */
  readonly state: Float32Array;
}

/** How timesteps are drawn. */
export interface TimestepOptions {
  readonly timestepsSampling: TimestepSampling;
  /** Restricts the timesteps to a band; only for `log-snr`. */
  readonly band?: Band;
}

/**
 * @param state of a sampler of the same kind and schedule, from a checkpoint
 * @throws CodecError('model') where the state belongs to another sampler; 'usage' for a band with another sampling than
 *   `log-snr`, or outside the schedule
 */
export function createTimestepSampler(
  { timestepsSampling: kind, band }: TimestepOptions,
  schedule: Schedule,
  state?: Float32Array,
): TimestepSampler {
  if (band) {
    if (kind !== 'log-snr') throw invalidArgument('`timestepsSampling` of a band', 'log-snr', kind);
    checkBand(band, schedule);
    return createFixedSampler(uniformInLogSnr(schedule, band));
  }
  if (kind === 'importance') return createImportanceSampler(schedule.timesteps, state);
  return createFixedSampler(FIXED[kind](schedule), kind === 'balanced' ? balancedWeights(schedule) : undefined);
}

const FIXED: Readonly<Record<Exclude<TimestepSampling, 'importance'>, (schedule: Schedule) => Float64Array>> = {
  uniform: ({ timesteps }) => uniform(timesteps, timesteps),
  'low-bias': (schedule) => lowBias(schedule, schedule.timesteps),
  'low-noise': (schedule) => mixture(0.125, FIXED.uniform(schedule), lowBias(schedule, lastBelow(schedule))),
  'log-snr': (schedule) => uniformInLogSnr(schedule, wholeRange(schedule)),
  balanced: (schedule) =>
    mixture(0.125, FIXED.uniform(schedule), uniformInLogSnr(schedule, { least: 1, most: lastBelow(schedule) })),
};

/** Weights of the losses at t = 1..T, up to a factor. */
function balancedWeights({ snr }: Schedule): Float64Array {
  return Float64Array.from(snr.slice(1), (value) => 1 / Math.sqrt(Math.max(value, LEAST_SNR)));
}

/** @param relativeWeights of the losses at t = 1..T, up to a factor; all alike if missing */
function createFixedSampler(probabilities: Float64Array, relativeWeights?: Float64Array): TimestepSampler {
  const mean = relativeWeights?.reduce((sum, weight, i) => sum + weight * probabilities[i], 0) ?? 1;
  return {
    sample(stream, count) {
      const timesteps = drawStratified(stream, probabilities, count);
      return { timesteps, weights: timesteps.map((t) => (relativeWeights?.[t - 1] ?? 1) / mean) };
    },
    update() {},
    state: new Float32Array(0),
  };
}

/** Limit of `low-noise` and `balanced`: the noise is twice as strong as the picture's scale. */
const LEAST_SNR = 0.25;

/** Number of recent losses kept for each timestep. */
const HISTORY = 10;
/** Share of uniform sampling once the history is full. */
const UNIFORM_SHARE = 0.001;

/** For each timestep the state holds the number of losses seen, up to HISTORY, and the most recent losses, newest first. */
function createImportanceSampler(timesteps: number, from?: Float32Array): TimestepSampler {
  const width = HISTORY + 1;
  const state = from ?? new Float32Array(timesteps * width);
  if (state.length !== timesteps * width) {
    throw new CodecError(
      'model',
      `sampler: expected ${timesteps * width} numbers for ${timesteps} timesteps, got ${state.length}`,
    );
  }
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

/** Uniform over 1..last. */
function uniform(timesteps: number, last: number): Float64Array {
  return new Float64Array(timesteps).fill(1 / last, 0, last);
}

/** Half uniform and half uniform in log snr, over 1..last. */
function lowBias(schedule: Schedule, last: number): Float64Array {
  return mixture(0.5, uniform(schedule.timesteps, last), uniformInLogSnr(schedule, { least: 1, most: last }));
}

/** Uniform in log snr over a band. */
export function uniformInLogSnr({ timesteps, snr }: Schedule, { least, most }: Band): Float64Array {
  // The step from x_1 to x_0 is infinitely long in log snr; it gets the length of the step before it.
  const length = (t: number) => Math.log(snr[Math.max(t, 2) - 1] / snr[Math.max(t, 2)]);
  const lengths = Float64Array.from({ length: timesteps }, (_, i) => (i + 1 >= least && i < most ? length(i + 1) : 0));
  const total = lengths.reduce((sum, value) => sum + value, 0);
  return lengths.map((value) => value / total);
}

/** The last timestep within that limit. */
function lastBelow({ timesteps, snr }: Schedule): number {
  let last = 1;
  while (last < timesteps && snr[last + 1] >= LEAST_SNR) last++;
  return last;
}

function mixture(share: number, first: Float64Array, second: Float64Array): Float64Array {
  return first.map((value, i) => share * value + (1 - share) * second[i]);
}

/** One draw from each of `count` equal parts of the distribution: less variance than independent draws, the same mean. */
export function drawStratified(stream: IntegerStream, probabilities: Float64Array, count: number): number[] {
  const uniform = uniforms(stream);
  const drawn: number[] = [];
  let t = 0;
  let below = 0;
  for (let i = 0; i < count; i++) {
    const at = (i + uniform()) / count;
    while (t < probabilities.length - 1 && below + probabilities[t] <= at) below += probabilities[t++];
    drawn.push(t + 1);
  }
  return drawn;
}
