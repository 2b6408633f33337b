/**
 * The loss of a network as a traceable function: L_simple (Eq. 14), the variational bound L_vlb (Eq. 5), or both
 * (Nichol & Dhariwal 2021, Eq. 16), for each parameterisation.
 *
 * The function knows no schedule: what depends on t reaches it as numbers per example, from {@link exampleCoefficients}.
 */
import * as tf from '@tensorflow/tfjs-core';
import { CodecError } from '../../common/errors.js';
import { logVariances, type Parameterization, targetCoefficients, x0Coefficients } from '../parameterization.js';
import { jumpCoefficients, type Schedule } from '../schedule.js';

/** `simple`: mean squared error of the output; `vlb`: the bound in bits/dim; `hybrid`: simple + vlb / 1000. */
export const LOSSES = ['simple', 'vlb', 'hybrid'] as const;
export type LossKind = (typeof LOSSES)[number];

export interface Objective extends Parameterization {
  readonly loss: LossKind;
}

/** Weight in the hybrid loss of the bound, summed over the steps. */
const HYBRID_WEIGHT = 0.001;

/** @throws CodecError('usage') when a learned variance would get no gradient, or L_simple would have to learn it */
export function checkObjective({ variance, loss }: Objective): void {
  if (variance === 'learned' && loss === 'simple') {
    throw new CodecError(
      'usage',
      'loss simple says nothing about the variance; learn it with `loss` hybrid or vlb, or use `variance` beta or beta-tilde',
    );
  }
}

/** Columns of the coefficients per example. */
const COLUMNS = [
  'signal',
  'noise',
  'targetX0',
  'targetNoise',
  'xhat0Xt',
  'xhat0Output',
  'meanX0',
  'meanXt',
  'posteriorLogVariance',
  'fixedLogVariance',
  'lowerLogVariance',
  'upperLogVariance',
  'isFirst',
] as const;
type Column = (typeof COLUMNS)[number];
export const COEFFICIENTS = COLUMNS.length;

/** The coefficients of an example's loss that depend on its timestep t = 1..T; `COEFFICIENTS` numbers. */
export function exampleCoefficients(
  schedule: Schedule,
  { prediction, variance }: Parameterization,
  t: number,
): number[] {
  const abar = schedule.alphasCumprod[t];
  const target = targetCoefficients(schedule, prediction, t);
  const xhat0 = x0Coefficients(schedule, prediction, t);
  const mean = jumpCoefficients(schedule, t, t - 1);
  const { beta, betaTilde } = logVariances(schedule, t);
  const values: Record<Column, number> = {
    signal: Math.sqrt(abar),
    noise: Math.sqrt(1 - abar),
    targetX0: target.x0,
    targetNoise: target.noise,
    xhat0Xt: xhat0.xt,
    xhat0Output: xhat0.output,
    meanX0: mean.x0,
    meanXt: mean.xt,
    posteriorLogVariance: betaTilde,
    fixedLogVariance: variance === 'beta-tilde' ? betaTilde : beta,
    lowerLogVariance: betaTilde,
    upperLogVariance: beta,
    isFirst: t === 1 ? 1 : 0,
  };
  return COLUMNS.map((column) => values[column]);
}

/** A network: sample [N, H, W, C], timestep [N] (0..T-1), further inputs -> [N, H, W, C], or 2 C with a learned variance. */
export type Network = (sample: tf.Tensor4D, timestep: tf.Tensor1D) => tf.Tensor4D;

/**
 * Losses per example, [N], for
 * @param x0 images in -1..1, [N, H, W, C] @param noise Gaussian, the same shape @param timestep [N], 0..T-1
 * @param coefficients [N, COEFFICIENTS]
 * @param timesteps T
 */
export function exampleLosses(
  objective: Objective,
  timesteps: number,
  network: Network,
  x0: tf.Tensor4D,
  noise: tf.Tensor4D,
  timestep: tf.Tensor1D,
  coefficients: tf.Tensor2D,
): tf.Tensor1D {
  const columns = tf.split(coefficients, COEFFICIENTS, 1).map((column) => tf.reshape(column, [-1, 1, 1, 1]));
  const of = (column: Column) => columns[COLUMNS.indexOf(column)];
  const combine = (a: Column, x: tf.Tensor, b: Column, y: tf.Tensor) =>
    tf.add(tf.mul(of(a), x), tf.mul(of(b), y)) as tf.Tensor4D;

  const xt = combine('signal', x0, 'noise', noise);
  const channels = x0.shape[3];
  const [output, spread] =
    objective.variance === 'learned' ? tf.split(network(xt, timestep), 2, 3) : [network(xt, timestep)];
  const target = combine('targetX0', x0, 'targetNoise', noise);
  const simple = () => meanOverDims(tf.squaredDifference(output, target));
  if (objective.loss === 'simple') return simple();

  /** In the hybrid loss the bound trains only the variance. */
  const meanOutput = objective.loss === 'hybrid' ? stopGradient(output) : output;
  const xhat0 = combine('xhat0Xt', xt, 'xhat0Output', meanOutput);
  const mean = combine('meanX0', xhat0, 'meanXt', xt);
  const trueMean = combine('meanX0', x0, 'meanXt', xt);
  const logVariance = spread
    ? tf.add(
        of('lowerLogVariance'),
        tf.mul(tf.mul(tf.add(spread, 1), 0.5), tf.sub(of('upperLogVariance'), of('lowerLogVariance'))),
      )
    : tf.broadcastTo(of('fixedLogVariance'), [x0.shape[0], 1, 1, channels]);
  const kl = gaussianKl(trueMean, of('posteriorLogVariance'), mean, logVariance);
  const decoder = discretizedNegativeLogLikelihood(x0, mean, logVariance);
  const isFirst = of('isFirst');
  const nats = tf.add(tf.mul(tf.sub(1, isFirst), kl), tf.mul(isFirst, decoder));
  // Scaled to all T terms of the bound, as if each were like this one.
  const bound = tf.mul(meanOverDims(nats), timesteps / Math.LN2) as tf.Tensor1D;
  return objective.loss === 'vlb' ? bound : (tf.add(simple(), tf.mul(bound, HYBRID_WEIGHT)) as tf.Tensor1D);
}

function meanOverDims(x: tf.Tensor): tf.Tensor1D {
  return tf.mean(x, [1, 2, 3]);
}

function stopGradient(x: tf.Tensor): tf.Tensor {
  return tf.customGrad((input) => ({ value: tf.mul(input as tf.Tensor, 1), gradFunc: (dy) => tf.zerosLike(dy) }))(x);
}

/** KL(N(m1, v1) || N(m2, v2)) in nats, per element. */
function gaussianKl(mean1: tf.Tensor, logVariance1: tf.Tensor, mean2: tf.Tensor, logVariance2: tf.Tensor): tf.Tensor {
  const precision = tf.exp(tf.neg(logVariance2));
  const distance = tf.mul(tf.squaredDifference(mean1, mean2), precision);
  const logRatio = tf.sub(logVariance2, logVariance1);
  return tf.mul(tf.add(tf.sub(tf.add(logRatio, tf.exp(tf.neg(logRatio))), 1), distance), 0.5);
}

/** Half a grey level of images in -1..1. */
const HALF_BIN = 1 / 255;
const LEAST_PROBABILITY = 1e-12;

/** -log p(x_0|x_1) in nats, per element: the Gaussian's mass in the grey level's bin, the outer ones open (Eq. 13). */
function discretizedNegativeLogLikelihood(x0: tf.Tensor, mean: tf.Tensor, logVariance: tf.Tensor): tf.Tensor {
  const inverse = tf.exp(tf.mul(logVariance, -0.5));
  const centred = tf.sub(x0, mean);
  const upper = normalCdf(tf.mul(tf.add(centred, HALF_BIN), inverse));
  const lower = normalCdf(tf.mul(tf.sub(centred, HALF_BIN), inverse));
  const isWhite = tf.cast(tf.greater(x0, 0.999), 'float32');
  const isBlack = tf.cast(tf.less(x0, -0.999), 'float32');
  const above = tf.add(tf.mul(upper, tf.sub(1, isWhite)), isWhite);
  const below = tf.mul(lower, tf.sub(1, isBlack));
  return tf.neg(tf.log(tf.maximum(tf.sub(above, below), LEAST_PROBABILITY)));
}

function normalCdf(x: tf.Tensor): tf.Tensor {
  return tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);
}
