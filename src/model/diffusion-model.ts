/** A diffusion model: a network, and the meaning of its output. */
import { checkMade } from '../common/arguments.js';
import { checkEngine, type Engine } from '../engine/engine.js';
import type { Denoiser } from './denoiser.js';
import type { NoisePredictor } from './network.js';
import type { Parameterization } from './parameterization.js';
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
  const { engine, network, schedule, pyramid, denoiser } = model as DiffusionModel;
  checkEngine(engine);
  checkMade('model', network, WHERE_FROM, { fn: 'function', stride: 'number' });
  checkMade('model', schedule, WHERE_FROM, { timesteps: 'number', alphasCumprod: 'object' });
  if (pyramid && denoiser) checkMade('model', denoiser, WHERE_FROM, { predictX0: 'function', parallelism: 'number' });
}
