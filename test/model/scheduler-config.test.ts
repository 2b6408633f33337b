/** `scheduler_config.json` of diffusers: what is understood, and what is refused by name. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CodecError } from '../../src/common/errors.js';
import { parseJson } from '../../src/common/foreign.js';
import { PREDICTIONS, VARIANCES } from '../../src/model/parameterization.js';
import { BETA_SCHEDULES } from '../../src/model/schedule.js';
import { parseSchedulerConfig, schedulerConfigJson } from '../../src/model/scheduler-config.js';

/** As shipped with google/ddpm-cifar10-32. */
const AUTHORS = {
  _class_name: 'DDPMScheduler',
  _diffusers_version: '0.1.1',
  beta_end: 0.02,
  beta_schedule: 'linear',
  beta_start: 0.0001,
  clip_sample: true,
  num_train_timesteps: 1000,
  trained_betas: null,
  variance_type: 'fixed_large',
};

test("reads the authors', which is the paper's", () => {
  expect(parseSchedulerConfig(AUTHORS)).toEqual({
    schedule: { betaSchedule: 'linear', timesteps: 1000, betaStart: 1e-4, betaEnd: 0.02 },
    parameterization: { prediction: 'eps', variance: 'beta' },
  });
});

test('takes diffusers’ defaults for what is missing, and the old name of prediction_type', () => {
  expect(parseSchedulerConfig({})).toEqual({
    schedule: { betaSchedule: 'linear', timesteps: 1000, betaStart: 1e-4, betaEnd: 0.02 },
    parameterization: { prediction: 'eps', variance: 'beta-tilde' },
  });
  expect(parseSchedulerConfig({ predict_epsilon: false }).parameterization.prediction).toBe('x0');
});

describe('refuses', () => {
  test.each<[string, unknown, RegExp]>([
    ['_class_name', 'ScoreSdeVeScheduler', /_class_name: expected DDPMScheduler, .*, got "ScoreSdeVeScheduler"/],
    ['beta_schedule', 'sigmoid', /beta_schedule: expected linear, scaled_linear, squaredcos_cap_v2, got "sigmoid"/],
    [
      'prediction_type',
      'flow_prediction',
      /prediction_type: expected epsilon, sample, v_prediction, got "flow_prediction"/,
    ],
    ['variance_type', 'learned', /variance_type: expected .*learned_range, got "learned"/],
    ['trained_betas', [0.1, 0.2], /trained_betas: expected null, got \[0.1,0.2\]/],
    ['trained_betas', Array.from({ length: 1000 }, () => 0.01), /trained_betas: expected null, got a list of 1000$/],
    ['rescale_betas_zero_snr', true, /rescale_betas_zero_snr: expected false, got true/],
    ['num_train_timesteps', 1, /timesteps: expected an integer from 2/],
    ['beta_end', '0.02', /beta_end: expected a number, got "0.02"/],
    ['beta_start', 0.5, /betas: expected/],
  ])('%s = %j', (key, value, message) => {
    expect(() => parseSchedulerConfig({ ...AUTHORS, [key]: value })).toThrow(message);
    expect(() => parseSchedulerConfig({ ...AUTHORS, [key]: value })).toThrow(CodecError);
  });

  test('other classes by name, though Python writes numbers that are no JSON; such a number where it is read', () => {
    // As DPMSolverMultistepScheduler().save_pretrained writes it.
    const json = '{ "_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity, "x": "\\"NaN" }';
    const parsed = parseJson('scheduler_config.json', Buffer.from(json));
    expect(parsed).toMatchObject({ lambda_min_clipped: '-Infinity', x: '"NaN' });
    expect(() => parseSchedulerConfig(parsed)).toThrow(/_class_name: .*, got "DPMSolverMultistepScheduler"/);
    const betas = parseJson('scheduler_config.json', Buffer.from('{ "beta_start": NaN }'));
    expect(() => parseSchedulerConfig(betas)).toThrow(/beta_start: expected a number, got "NaN"/);
    expect(() => parseJson('x.json', Buffer.from('{ "a": Infinit }'))).toThrow(/^x.json is not JSON$/);
  });

  test('what is not an object', () => {
    for (const json of [null, [], 'DDPMScheduler', 3])
      expect(() => parseSchedulerConfig(json)).toThrow(/expected an object, got/);
  });
});

test('writing and reading gives the same, but for predictions that diffusers does not know', () => {
  const diffusion = fc.record({
    schedule: fc.record({
      betaSchedule: fc.constantFrom(...BETA_SCHEDULES),
      timesteps: fc.integer({ min: 2, max: 4000 }),
      betaStart: fc.constant(1e-4),
      // With larger betas over 4000 timesteps, the remaining signal would be too small for doubles.
      betaEnd: fc.double({ min: 1e-4, max: 0.2, noNaN: true }),
    }),
    parameterization: fc.record({
      prediction: fc.constantFrom(...PREDICTIONS),
      variance: fc.constantFrom(...VARIANCES),
    }),
  });
  fc.assert(
    fc.property(diffusion, (given) => {
      if (given.parameterization.prediction === 'mu') {
        expect(() => schedulerConfigJson(given)).toThrow(/no prediction_type for networks that predict mu/);
      } else expect(parseSchedulerConfig(JSON.parse(JSON.stringify(schedulerConfigJson(given))))).toEqual(given);
    }),
  );
});
