/** `scheduler_config.json`, where diffusers keeps the noise schedule and what the network's output means. */
import { briefly, CodecError } from '../common/errors.js';
import type { Parameterization, Variance } from './parameterization.js';
import { BETA_SCHEDULES, createSchedule, type ScheduleConfig } from './schedule.js';

/** Schedulers that share these keys and know no others that would change what x_t is. */
const SCHEDULERS = ['DDPMScheduler', 'DDIMScheduler', 'PNDMScheduler'];

const PREDICTION_TYPES = { epsilon: 'eps', sample: 'x0', v_prediction: 'v' } as const;

const VARIANCE_TYPES: Readonly<Record<string, Variance>> = {
  fixed_small: 'beta-tilde',
  fixed_small_log: 'beta-tilde',
  fixed_large: 'beta',
  fixed_large_log: 'beta',
  learned_range: 'learned',
};

/** What a diffusion model is besides its network. */
export interface Diffusion {
  readonly schedule: ScheduleConfig;
  readonly parameterization: Parameterization;
}

/**
 * Checks a parsed `scheduler_config.json`; missing keys have diffusers' defaults.
 * @throws CodecError('model') naming the key, what was expected and what came
 */
export function parseSchedulerConfig(json: unknown): Diffusion {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new CodecError('model', 'scheduler_config.json: expected a JSON object');
  }
  const raw = json as Record<string, unknown>;
  const oneOf = <T extends string>(key: string, known: readonly T[], byDefault: T): T => {
    const value = raw[key] ?? byDefault;
    if (!known.includes(value as T)) throw unsupported(key, known.join(', '), value);
    return value as T;
  };
  oneOf('_class_name', SCHEDULERS, 'DDPMScheduler');
  if ((raw.trained_betas ?? null) !== null) throw unsupported('trained_betas', 'null', raw.trained_betas);
  if (raw.rescale_betas_zero_snr) throw unsupported('rescale_betas_zero_snr', 'false', raw.rescale_betas_zero_snr);
  const schedule = {
    betaSchedule: oneOf('beta_schedule', BETA_SCHEDULES, 'linear'),
    timesteps: number(raw, 'num_train_timesteps', 1000),
    betaStart: number(raw, 'beta_start', 1e-4),
    betaEnd: number(raw, 'beta_end', 0.02),
  };
  // Whether its numbers are in range.
  createSchedule(schedule);
  const names = Object.keys(PREDICTION_TYPES) as (keyof typeof PREDICTION_TYPES)[];
  // The key had another name until diffusers 0.9.
  const prediction = oneOf('prediction_type', names, raw.predict_epsilon === false ? 'sample' : 'epsilon');
  const variance = oneOf('variance_type', Object.keys(VARIANCE_TYPES), 'fixed_small');
  return {
    schedule,
    parameterization: { prediction: PREDICTION_TYPES[prediction], variance: VARIANCE_TYPES[variance] },
  };
}

/**
 * The same the other way, for diffusers' `DDPMScheduler`.
 * @throws CodecError('model') for what diffusers has no name for
 */
export function schedulerConfigJson({ schedule, parameterization }: Diffusion): Record<string, unknown> {
  const { prediction, variance } = parameterization;
  const found = Object.entries(PREDICTION_TYPES).find(([, ours]) => ours === prediction);
  if (!found) throw new CodecError('model', `diffusers has no prediction_type for networks that predict ${prediction}`);
  return {
    _class_name: 'DDPMScheduler',
    beta_end: schedule.betaEnd,
    beta_schedule: schedule.betaSchedule,
    beta_start: schedule.betaStart,
    clip_sample: true,
    num_train_timesteps: schedule.timesteps,
    prediction_type: found[0],
    trained_betas: null,
    variance_type: { beta: 'fixed_large', 'beta-tilde': 'fixed_small', learned: 'learned_range' }[variance],
  };
}

function number(raw: Record<string, unknown>, key: string, byDefault: number): number {
  const value = raw[key] ?? byDefault;
  if (typeof value !== 'number') throw unsupported(key, 'a number', value);
  return value;
}

function unsupported(key: string, expected: string, actual: unknown): CodecError {
  return new CodecError('model', `scheduler_config.json: ${key}: expected ${expected}, got ${briefly(actual)}`);
}
