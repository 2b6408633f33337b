/** A diffusion model: a network and what it means. */
import type { Engine } from '../engine/engine.js';
import type { NoisePredictor } from './network.js';
import type { Parameterization } from './parameterization.js';
import type { Schedule } from './schedule.js';

/** A network on an engine, and what it means. */
export interface DiffusionModel {
  readonly engine: Engine;
  readonly network: NoisePredictor;
  readonly schedule: Schedule;
  readonly parameterization: Parameterization;
}
