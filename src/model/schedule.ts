/**
 * The noise schedule of a diffusion model and everything computed from it. The only file that knows abar.
 *
 * Notation (Ho, Jain & Abbeel 2020): beta_t for t = 1..T, alpha_t = 1 - beta_t, abar_t = prod_{s<=t} alpha_s, abar_0 =
 * 1. q(x_t|x_0) = N(sqrt(abar_t) x_0, (1 - abar_t) I).
 *
 * Encoder and decoder must agree on these numbers to the last bit, so they are computed only with + - * / and sqrt in
 * doubles.
 */
import { CodecError, invalidArgument } from '../common/errors.js';

/** Coefficients of the Gaussian q(x_s|x_t, x_0) for a jump t -> s: mean = x0 * x_0 + xt * x_t, standard deviation `sigma`. */
export interface JumpCoefficients {
  readonly x0: number;
  readonly xt: number;
  readonly sigma: number;
}

/** The tables of a noise schedule. */
export interface Schedule {
  /** T. */
  readonly timesteps: number;
  /** abar_t for t = 0..T. */
  readonly alphasCumprod: Float64Array;
  /** Signal-to-noise ratio abar_t / (1 - abar_t) for t = 0..T; Infinity at t = 0. */
  readonly snr: Float64Array;
}

/** diffusers' names: beta linear in t; sqrt(beta) linear in t; abar a squared cosine (Nichol & Dhariwal 2021, Eq. 17). */
export const BETA_SCHEDULES = ['linear', 'scaled_linear', 'squaredcos_cap_v2'] as const;

/** Most timesteps of a schedule. */
export const MAX_TIMESTEPS = 10_000;

/** Parameters of a schedule. */
export interface ScheduleConfig {
  readonly betaSchedule: (typeof BETA_SCHEDULES)[number];
  readonly timesteps: number;
  /** beta_1 and beta_T; ignored by the cosine schedule, which has no such parameters. */
  readonly betaStart: number;
  readonly betaEnd: number;
}

/** The paper's schedule (section 4): T = 1000, beta linear from 1e-4 to 0.02. */
export const paperSchedule: ScheduleConfig = {
  betaSchedule: 'linear',
  timesteps: 1000,
  betaStart: 1e-4,
  betaEnd: 0.02,
};

/**
 * Builds the tables of a schedule. Throws CodecError('model') for values outside 0 < betaStart <= betaEnd < 1, and
 * where two timesteps are equal in double precision.
 */
export function createSchedule(config: ScheduleConfig): Schedule {
  const { betaSchedule, timesteps, betaStart, betaEnd } = config;
  if (!BETA_SCHEDULES.includes(betaSchedule)) {
    throw new CodecError(
      'model',
      `beta schedule: expected ${BETA_SCHEDULES.join(', ')}, got ${JSON.stringify(betaSchedule)}`,
    );
  }
  if (!Number.isInteger(timesteps) || timesteps < 2 || timesteps > MAX_TIMESTEPS) {
    throw new CodecError('model', `timesteps: expected an integer from 2 to ${MAX_TIMESTEPS}, got ${timesteps}`);
  }
  if (!(betaStart > 0 && betaStart <= betaEnd && betaEnd < 1)) {
    throw new CodecError('model', `betas: expected 0 < betaStart <= betaEnd < 1, got ${betaStart} and ${betaEnd}`);
  }
  const alphasCumprod = new Float64Array(timesteps + 1);
  const snr = new Float64Array(timesteps + 1);
  alphasCumprod[0] = 1;
  snr[0] = Number.POSITIVE_INFINITY;
  for (let t = 1; t <= timesteps; t++) {
    alphasCumprod[t] = alphasCumprod[t - 1] * (1 - betaAt(config, t));
    snr[t] = alphasCumprod[t] / (1 - alphasCumprod[t]);
    if (!(snr[t] < snr[t - 1] && snr[t] > 0)) {
      throw new CodecError(
        'model',
        `betas: expected noise that grows at every timestep and drowns the picture at none, got ${betaStart} to ${betaEnd} in ${timesteps} timesteps`,
      );
    }
  }
  return { timesteps, alphasCumprod, snr };
}

/** beta_t. */
function betaAt({ betaSchedule, timesteps, betaStart, betaEnd }: ScheduleConfig, t: number): number {
  const between = (from: number, to: number) => from + ((to - from) * (t - 1)) / (timesteps - 1);
  if (betaSchedule === 'linear') return between(betaStart, betaEnd);
  if (betaSchedule === 'scaled_linear') return squareOf(between(Math.sqrt(betaStart), Math.sqrt(betaEnd)));
  const abar = (at: number) => squareOf(cosine((((at / timesteps + 0.008) / 1.008) * Math.PI) / 2));
  return Math.min(1 - abar(t) / abar(t - 1), 0.999);
}

/** A product, because a product is the same everywhere and a power need not be. */
function squareOf(x: number): number {
  return x * x;
}

/** cos x for 0 <= x <= pi / 2 to 1e-15, by its series, because Math.cos need not be the same everywhere. */
export function cosine(x: number): number {
  const square = x * x;
  let sum = 1;
  for (let n = 24; n > 0; n -= 2) sum = 1 - (sum * square) / (n * (n - 1));
  return sum;
}

/**
 * Coefficients of a jump t -> s, T >= t > s >= 0 (the paper's step, Eq. 6-7, is s = t - 1): with v = 1 - abar_t / abar_s,
 * mean = sqrt(abar_s) v / (1 - abar_t) x_0 + sqrt(abar_t / abar_s) (1 - abar_s) / (1 - abar_t) x_t,
 * variance = v (1 - abar_s) / (1 - abar_t).
 */
export function jumpCoefficients(schedule: Schedule, t: number, s: number): JumpCoefficients {
  checkJump(schedule, t, s);
  const at = schedule.alphasCumprod[t];
  const as = schedule.alphasCumprod[s];
  const v = 1 - at / as;
  return {
    x0: (Math.sqrt(as) * v) / (1 - at),
    xt: (Math.sqrt(at / as) * (1 - as)) / (1 - at),
    sigma: Math.sqrt((v * (1 - as)) / (1 - at)),
  };
}

/**
 * Coefficients of the deterministic step t -> s of DDIM (Song, Meng & Ermon 2021, Eq. 12 with sigma = 0), which follows
 * the probability-flow ODE. It keeps the noise that xhat0 implies in x_t, scaled to the level of s. mean = x0 * xhat0 +
 * xt * x_t.
 */
export function flowCoefficients(schedule: Schedule, t: number, s: number): JumpCoefficients {
  checkJump(schedule, t, s);
  const { alphasCumprod } = schedule;
  const xt = Math.sqrt((1 - alphasCumprod[s]) / (1 - alphasCumprod[t]));
  return { x0: Math.sqrt(alphasCumprod[s]) - xt * Math.sqrt(alphasCumprod[t]), xt, sigma: 0 };
}

/**
 * How far xhat0 is extrapolated in a step t -> s of the flow, as a multiple of its change since the step before, from
 * `before` to t: half the ratio of the two steps in log snr (1 / (2 r) of DPM-Solver++(2M), Lu et al. 2022).
 */
export function flowAhead({ snr }: Schedule, [before, t, s]: readonly [number, number, number]): number {
  return Math.log(snr[s] / snr[t]) / (2 * Math.log(snr[t] / snr[before]));
}

function checkJump({ timesteps }: Schedule, t: number, s: number): void {
  if (!(s >= 0 && s < t && t <= timesteps))
    throw invalidArgument('jump', `${timesteps} >= t > s >= 0`, `t = ${t}, s = ${s}`);
}

/**
 * The factor that turns x_0 - xhat0 into delta, the difference of the means of q(x_s|x_t, x_0) and p(x_s|x_t) in
 * standard deviations: |delta|^2 = (snr_s - snr_t) |x_0 - xhat0|^2.
 */
export function deltaScale({ snr }: Schedule, t: number, s: number): number {
  return Math.sqrt(snr[s] - snr[t]);
}

/** 1 / (2 ln 2): half a nat in bits. */
const HALF_NAT_IN_BITS = 0.7213475204444817;

/**
 * KL(q||p) of a jump t -> s in bits, for p with xhat0 instead of x_0 and the same variance: |delta|^2 / 2 nats = (snr_s
 * - snr_t) |x_0 - xhat0|^2 / 2 nats.
 * @param squaredError |x_0 - xhat0|^2, images scaled to [-1, 1]
 */
export function jumpKlBits(schedule: Schedule, t: number, s: number, squaredError: number): number {
  return HALF_NAT_IN_BITS * (schedule.snr[s] - schedule.snr[t]) * squaredError;
}
