/**
 * The terms of the variational bound (Ho, Jain & Abbeel 2020, Eq. 5) of one image, in nats: L_T, L_{t-1} for t = 2..T, L_0.
 */
import { logNormalMass } from './normal.js';
import {
  logVariances,
  optimalVariance,
  outputChannels,
  type Parameterization,
  type ReverseVariance,
  x0Coefficients,
} from './parameterization.js';
import { jumpCoefficients, type Schedule } from './schedule.js';

const CHANNELS = 3;

/** How p(x_{t-1}|x_t) follows from a network's output. */
export interface ReverseProcess {
  readonly schedule: Schedule;
  /** The parameterisation that the network was trained with. */
  readonly parameterization: Parameterization;
  /** Variance of p; `learned` only where the network gives one. */
  readonly variance: ReverseVariance;
  /** The model's, for the variance `optimal`. */
  readonly expectedErrors?: ArrayLike<number> | undefined;
  /** Whether xhat0 is clipped to [-1, 1]. */
  readonly clip: boolean;
}

/** One term of the bound, from one evaluation of the network at t. */
export interface TermValue {
  /** L_{t-1} in nats, summed over the image. */
  readonly nats: number;
  /** |x_0 - xhat0|^2, images scaled to [-1, 1]. */
  readonly squaredError: number;
}

/**
 * L_{t-1}. For t >= 2 it is KL(q(x_{t-1}|x_t, x_0) || p(x_{t-1}|x_t)); the two means differ by their coefficient times
 * x_0 - xhat0. For t = 1 it is -log p(x_0|x_1), a discretised Gaussian with mean xhat0 (Eq. 13).
 * @param xt drawn from q(x_t|x_0)
 * @param output of the network for x_t and t
 */
export function boundTerm(
  { schedule, parameterization, variance, expectedErrors, clip }: ReverseProcess,
  t: number,
  x0: Float32Array,
  xt: Float32Array,
  output: Float32Array,
): TermValue {
  const channels = outputChannels(parameterization.variance, CHANNELS);
  const coefficients = x0Coefficients(schedule, parameterization.prediction, t);
  const { beta, betaTilde } = logVariances(schedule, t);
  const slope = t === 1 ? 1 : jumpCoefficients(schedule, t, t - 1).x0;
  const fixed =
    variance === 'optimal'
      ? Math.log(optimalVariance(schedule, expectedErrors!, t, t - 1))
      : variance === 'beta'
        ? beta
        : betaTilde;
  let nats = 0;
  let squaredError = 0;
  for (let i = 0, at = 0; i < xt.length; at += channels) {
    for (let c = 0; c < CHANNELS; c++, i++) {
      const predicted = coefficients.xt * xt[i] + coefficients.output * output[at + c];
      const xhat0 = clip ? Math.max(-1, Math.min(1, predicted)) : predicted;
      const logVariance =
        variance === 'learned' ? betaTilde + ((output[at + c + CHANNELS] + 1) / 2) * (beta - betaTilde) : fixed;
      squaredError += (x0[i] - xhat0) ** 2;
      if (t === 1) nats -= logDiscretizedGaussian(x0[i], xhat0, Math.exp(0.5 * logVariance));
      else {
        const ratio = betaTilde - logVariance;
        nats += 0.5 * (Math.expm1(ratio) - ratio + (slope * (x0[i] - xhat0)) ** 2 * Math.exp(-logVariance));
      }
    }
  }
  return { nats, squaredError };
}

const BIN = 2 / 255;

/**
 * Log probability of a grey level under a Gaussian integrated over the level's bin; the two outer of the 256 bins are
 * open (section 3.3).
 * @param x a level as -1 + 2 k / 255
 */
export function logDiscretizedGaussian(x: number, mean: number, sigma: number): number {
  const lower = x < -1 + BIN / 2 ? Number.NEGATIVE_INFINITY : (x - BIN / 2 - mean) / sigma;
  const upper = x > 1 - BIN / 2 ? Number.POSITIVE_INFINITY : (x + BIN / 2 - mean) / sigma;
  return logNormalMass(lower, upper);
}

/** L_T: KL(q(x_T|x_0) || N(0, I)) in nats. */
export function priorNats({ alphasCumprod, timesteps }: Schedule, x0: Float32Array): number {
  const abar = alphasCumprod[timesteps];
  let sum = 0;
  for (const value of x0) sum += 0.5 * (abar * value * value - abar - Math.log1p(-abar));
  return sum;
}
