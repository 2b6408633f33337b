/** A diffusion model: a network, and the meaning of its output. */
import { checkMade } from '../common/arguments.js';
import { invalidArgument } from '../common/errors.js';
import { checkEngine, type Engine } from '../engine/engine.js';
import type { Denoiser } from './denoiser.js';
import type { NoisePredictor } from './network.js';
import { type Parameterization, REVERSE_VARIANCES, type ReverseVariance } from './parameterization.js';
import type { Pyramid } from './pyramid.js';
import type { Schedule } from './schedule.js';

/** A network on an engine, and the meaning of its output. */
export interface DiffusionModel {
  readonly engine: Engine;
  readonly network: NoisePredictor;
  readonly schedule: Schedule;
  readonly parameterization: Parameterization;
  /** Sizes at which pictures are denoised in much noise. Not used with a learned variance. */
  readonly pyramid?: Pyramid;
  /** Expected squared error of xhat0 per value at t = 0..T, images in [-1, 1]. For the variance `optimal`. */
  readonly expectedErrors?: ArrayLike<number>;
  /** Denoises at these sizes. The sampler then asks it, and not `network` on `engine`. */
  readonly denoiser?: Denoiser;
}

/** Where a caller gets a model. */
export const WHERE_FROM = 'a model, as from `openModel` or `createModel`';

/** @throws CodecError('usage') for an object that is not a diffusion model */
export function checkDiffusionModel(model: unknown): asserts model is DiffusionModel {
  checkMade('model', model, WHERE_FROM, {
    engine: 'object',
    network: 'object',
    schedule: 'object',
    parameterization: 'object',
  });
  const { engine, network, schedule, pyramid, denoiser, expectedErrors } = model as DiffusionModel;
  checkEngine(engine);
  checkMade('model', network, WHERE_FROM, { fn: 'function', stride: 'number' });
  checkMade('model', schedule, WHERE_FROM, { timesteps: 'number', alphasCumprod: 'object' });
  if (expectedErrors && expectedErrors.length !== schedule.timesteps + 1) {
    throw invalidArgument('expectedErrors', `a number for each t = 0..${schedule.timesteps}`, expectedErrors.length);
  }
  if (pyramid && denoiser) checkMade('model', denoiser, WHERE_FROM, { predictX0: 'function', parallelism: 'number' });
}

/** @throws CodecError('usage') for an unknown variance, and for one that the model does not have */
export function checkVariance({ parameterization, expectedErrors }: DiffusionModel, variance: ReverseVariance): void {
  const refused = (expected: string) => invalidArgument('`variance`', expected, variance);
  if (!REVERSE_VARIANCES.includes(variance)) throw refused(REVERSE_VARIANCES.join(', '));
  if (variance === 'learned' && parameterization.variance !== 'learned') {
    throw refused('beta or beta-tilde for a network that gives no variance');
  }
  if (variance === 'optimal' && !expectedErrors) {
    throw refused('beta or beta-tilde for a model whose errors are not known');
  }
}
