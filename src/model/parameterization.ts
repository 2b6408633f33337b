/**
 * The meaning of a network's output: the paper's ablation (Ho, Jain & Abbeel 2020, section 3.2 and Table 2) as linear
 * coefficients per timestep. Only this file knows it; losses, denoiser, sampler and bound all use it.
 */
import { CodecError, invalidArgument } from '../common/errors.js';
import type { UNetConfig } from './config.js';
import { jumpCoefficients, type Schedule } from './schedule.js';

/** All predictions that a network may make. */
export const PREDICTIONS = ['eps', 'mu', 'x0', 'v'] as const;
/**
 * The network predicts the noise eps, the posterior mean mu-tilde_t (Eq. 7), x_0, or v = sqrt(abar_t) eps - sqrt(1 -
 * abar_t) x_0 (Salimans & Ho 2022, section 4). v is the noise where there is little of it, and the picture where there
 * is nothing but noise, so that the network's errors are never amplified.
 */
export type Prediction = (typeof PREDICTIONS)[number];

/** All variances. */
export const VARIANCES = ['beta', 'beta-tilde', 'learned'] as const;
/**
 * The variance of p(x_{t-1}|x_t): beta_t, beta-tilde_t (Eq. 7), or learned. A learned variance is interpolated between
 * the two in the log domain by further output channels (Nichol & Dhariwal 2021, Eq. 15; the paper's own learned
 * diagonal is unstable).
 */
export type Variance = (typeof VARIANCES)[number];

/** All variances of a reverse process: those that models are made for, and `optimal`. */
export const REVERSE_VARIANCES = [...VARIANCES, 'optimal'] as const;
/**
 * A variance of p(x_s|x_t). `optimal` is the best of all that are the same for every picture and pixel: that of q plus the
 * expected error of the mean, beta-tilde + (coefficient of x_0)^2 E(x_0 - xhat0)^2 (Bao et al. 2022, Theorem 1). It needs
 * a model that knows its errors.
 */
export type ReverseVariance = (typeof REVERSE_VARIANCES)[number];

/** The meaning of a network's output. */
export interface Parameterization {
  readonly prediction: Prediction;
  readonly variance: Variance;
}

/** The paper's choice for the rate-distortion results. */
export const paperParameterization: Parameterization = { prediction: 'eps', variance: 'beta' };

/** The network's target for x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps: `x0` * x_0 + `noise` * eps. */
export function targetCoefficients(schedule: Schedule, prediction: Prediction, t: number) {
  checkTimestep(schedule, t);
  if (prediction === 'eps') return { x0: 0, noise: 1 };
  if (prediction === 'x0') return { x0: 1, noise: 0 };
  const abar = schedule.alphasCumprod[t];
  if (prediction === 'v') return { x0: -Math.sqrt(1 - abar), noise: Math.sqrt(abar) };
  const { x0, xt } = jumpCoefficients(schedule, t, t - 1);
  return { x0: x0 + xt * Math.sqrt(abar), noise: xt * Math.sqrt(1 - abar) };
}

/** xhat0 = `xt` * x_t + `output` * output, before clipping (Eq. 15 for `eps`). */
export function x0Coefficients(schedule: Schedule, prediction: Prediction, t: number) {
  checkTimestep(schedule, t);
  if (prediction === 'x0') return { xt: 0, output: 1 };
  if (prediction === 'mu') {
    const { x0, xt } = jumpCoefficients(schedule, t, t - 1);
    return { xt: -xt / x0, output: 1 / x0 };
  }
  const abar = schedule.alphasCumprod[t];
  if (prediction === 'v') return { xt: Math.sqrt(abar), output: -Math.sqrt(1 - abar) };
  const scale = 1 / Math.sqrt(abar);
  return { xt: scale, output: -Math.sqrt(1 - abar) * scale };
}

/**
 * Logarithms of the two variances of step t -> t - 1 between which a learned one lies. beta-tilde_1 is 0; as in the
 * authors' code, that of t = 2 stands in for it.
 */
export function logVariances(schedule: Schedule, t: number) {
  checkTimestep(schedule, t);
  const { alphasCumprod } = schedule;
  const { sigma } = jumpCoefficients(schedule, Math.max(t, 2), Math.max(t, 2) - 1);
  return { betaTilde: 2 * Math.log(sigma), beta: Math.log(1 - alphasCumprod[t] / alphasCumprod[t - 1]) };
}

/**
 * The `optimal` variance of p(x_s|x_t) for a jump t -> s, T >= t > s >= 0.
 * @param expectedErrors of the model: expected squared error of xhat0 per value at t = 0..T
 */
export function optimalVariance(schedule: Schedule, expectedErrors: ArrayLike<number>, t: number, s: number): number {
  const { x0, sigma } = jumpCoefficients(schedule, t, s);
  return sigma ** 2 + x0 ** 2 * expectedErrors[t];
}

/** Number of output channels that the network needs for images of `channels`. */
export function outputChannels(variance: Variance, channels: number): number {
  return variance === 'learned' ? 2 * channels : channels;
}

function checkTimestep(schedule: Schedule, t: number): void {
  if (!(Number.isInteger(t) && t >= 1 && t <= schedule.timesteps)) {
    throw invalidArgument('t', `an integer from 1 to ${schedule.timesteps}`, t);
  }
}

/**
 * Refuses networks for anything but colour images.
 * @throws CodecError('model')
 */
export function checkChannels(
  { inChannels, outChannels }: Pick<UNetConfig, 'inChannels' | 'outChannels'>,
  { variance }: Parameterization,
): void {
  const out = outputChannels(variance, 3);
  if (inChannels !== 3 || outChannels !== out) {
    throw new CodecError(
      'model',
      `config.json: expected 3 channels in and, for variance ${variance}, ${out} out, got ${inChannels} and ${outChannels}`,
    );
  }
}
