/** `scheduler_config.json`, where diffusers stores the noise schedule and the meaning of the network's output. */
import { custom, null_, nullish, number, optional, unknown } from 'valibot';
import { CodecError } from '../common/errors.js';
import { checked, objectOf, oneOf } from '../common/foreign.js';
import type { Parameterization, Variance } from './parameterization.js';
import { BETA_SCHEDULES, createSchedule, type ScheduleConfig } from './schedule.js';

/** Schedulers that share these keys and have no others that would change x_t. */
const SCHEDULERS = ['DDPMScheduler', 'DDIMScheduler', 'PNDMScheduler'] as const;

const PREDICTION_TYPES = { epsilon: 'eps', sample: 'x0', v_prediction: 'v' } as const;

const VARIANCE_TYPES: Readonly<Record<string, Variance>> = {
  fixed_small: 'beta-tilde',
  fixed_small_log: 'beta-tilde',
  fixed_large: 'beta',
  fixed_large_log: 'beta',
  learned_range: 'learned',
};

/** A diffusion model without its network. */
export interface Diffusion {
  readonly schedule: ScheduleConfig;
  readonly parameterization: Parameterization;
}

/**
 * Checks a parsed `scheduler_config.json`; missing keys have diffusers' defaults.
 * @throws CodecError('model') naming the key, what was expected and what came
 */
export function parseSchedulerConfig(json: unknown): Diffusion {
  const raw = checked(SCHEDULER_CONFIG, json, 'scheduler_config.json');
  const schedule = {
    betaSchedule: raw.beta_schedule,
    timesteps: raw.num_train_timesteps,
    betaStart: raw.beta_start,
    betaEnd: raw.beta_end,
  };
  // Checks the ranges of its numbers.
  createSchedule(schedule);
  // Until diffusers 0.9 the key had another name.
  const prediction = raw.prediction_type ?? (raw.predict_epsilon === false ? 'sample' : 'epsilon');
  return {
    schedule,
    parameterization: { prediction: PREDICTION_TYPES[prediction], variance: VARIANCE_TYPES[raw.variance_type] },
  };
}

/** Keys that are missing or null have diffusers' default. */
const SCHEDULER_CONFIG = objectOf({
  _class_name: nullish(oneOf(SCHEDULERS)),
  beta_schedule: nullish(oneOf(BETA_SCHEDULES), 'linear'),
  num_train_timesteps: nullish(number(), 1000),
  beta_start: nullish(number(), 1e-4),
  beta_end: nullish(number(), 0.02),
  trained_betas: nullish(null_('null')),
  rescale_betas_zero_snr: optional(custom((value) => !value, 'false')),
  prediction_type: nullish(oneOf(Object.keys(PREDICTION_TYPES) as (keyof typeof PREDICTION_TYPES)[])),
  predict_epsilon: optional(unknown()),
  variance_type: nullish(oneOf(Object.keys(VARIANCE_TYPES)), 'fixed_small'),
});

/**
 * The inverse, for diffusers' `DDPMScheduler`.
 * @throws CodecError('model') for parameters that diffusers cannot express
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
