import { describe, expect, test } from 'vitest';
import { integerStream } from '../../../src/common/random.js';
import { createSchedule, paperSchedule } from '../../../src/model/schedule.js';
import { createTimestepSampler, TIMESTEP_SAMPLINGS } from '../../../src/model/training/timesteps.js';

const schedule = createSchedule(paperSchedule);

/** Means over many draws. */
function average(value: (t: number, weight: number) => number, sampler: ReturnType<typeof createTimestepSampler>) {
  const stream = integerStream('test');
  let sum = 0;
  for (let i = 0; i < 400; i++) {
    const { timesteps, weights } = sampler.sample(stream, 64);
    timesteps.forEach((t, k) => {
      sum += value(t, weights[k]);
    });
  }
  return sum / (400 * 64);
}

describe.each(TIMESTEP_SAMPLINGS)('%s', (kind) => {
  test('gives timesteps 1..T in good order, the same for the same stream', () => {
    const sampler = createTimestepSampler({ timestepsSampling: kind }, schedule);
    const drawn = sampler.sample(integerStream('a'), 64);
    expect(drawn.timesteps.every((t) => Number.isInteger(t) && t >= 1 && t <= 1000)).toBe(true);
    expect(sampler.sample(integerStream('a'), 64)).toEqual(drawn);
    expect(sampler.sample(integerStream('b'), 64)).not.toEqual(drawn);
  });

  test('has mean weight 1', () => {
    expect(average((_, weight) => weight, createTimestepSampler({ timestepsSampling: kind }, schedule))).toBeCloseTo(
      1,
      kind === 'balanced' ? 3 : 6,
    );
  });
});

test('uniform is uniform', () => {
  const sampler = createTimestepSampler({ timestepsSampling: 'uniform' }, schedule);
  expect(average((t) => t, sampler)).toBeCloseTo(500.5, 0);
  expect(average((t) => (t <= 100 ? 1 : 0), sampler)).toBeCloseTo(0.1, 2);
});

test('low-bias is half uniform, half uniform in log snr', () => {
  const sampler = createTimestepSampler({ timestepsSampling: 'low-bias' }, schedule);
  const { snr } = schedule;
  // In log snr, t = 1 is given the same length as t = 2.
  const first = Math.log(snr[1] / snr[2]);
  const share = (first + Math.log(snr[1] / snr[100])) / (first + Math.log(snr[1] / snr[1000]));
  expect(average((t) => (t <= 100 ? 1 : 0), sampler)).toBeCloseTo(0.5 * 0.1 + 0.5 * share, 2);
});

test('low-noise is low-bias where snr >= 1/4, but for an eighth', () => {
  const sampler = createTimestepSampler({ timestepsSampling: 'low-noise' }, schedule);
  const { snr } = schedule;
  let last = 1;
  while (snr[last + 1] >= 0.25) last++;
  const first = Math.log(snr[1] / snr[2]);
  const share = (first + Math.log(snr[1] / snr[100])) / (first + Math.log(snr[1] / snr[last]));
  expect(average((t) => (t <= 100 ? 1 : 0), sampler)).toBeCloseTo(0.125 * 0.1 + 0.4375 * (100 / last + share), 2);
  expect(average((t) => (t > last ? 1 : 0), sampler)).toBeCloseTo(0.125 * (1 - last / 1000), 2);
});

test('balanced weights the losses so that each noise level has the same share where they rise as the root of snr', () => {
  const sampler = createTimestepSampler({ timestepsSampling: 'balanced' }, schedule);
  const { snr } = schedule;
  const { timesteps, weights } = sampler.sample(integerStream('balanced'), 40000);
  expect(weights.reduce((sum, weight) => sum + weight) / 40000).toBeCloseTo(1, 2);
  // Octaves of snr from 1/4 to 512. The eighth that is uniform in t adds something where noise is strong.
  const losses = Array.from({ length: 11 }, () => 0);
  for (const [i, t] of timesteps.entries()) {
    const octave = Math.floor(Math.log2(snr[t])) + 2;
    if (octave in losses) losses[octave] += weights[i] * Math.sqrt(snr[t]);
  }
  for (const loss of losses) expect(Math.abs(loss / Math.min(...losses) - 1)).toBeLessThan(0.3);
  const beyond = timesteps.flatMap((t, i) => (snr[t] < 0.25 ? [weights[i]] : []));
  expect(new Set(beyond).size).toBe(1);
  expect(beyond.length / 40000).toBeCloseTo((0.125 * snr.filter((value) => value < 0.25).length) / 1000, 2);
});

describe('importance', () => {
  const lossAt = (t: number) => (t <= 10 ? 5 : 0.1);
  function trained() {
    const sampler = createTimestepSampler({ timestepsSampling: 'importance' }, schedule);
    const all = Array.from({ length: 1000 }, (_, i) => i + 1);
    for (let i = 0; i < 10; i++) sampler.update(all, all.map(lossAt));
    return sampler;
  }

  test('is uniform until it has seen ten losses of every timestep', () => {
    const sampler = createTimestepSampler({ timestepsSampling: 'importance' }, schedule);
    for (let i = 0; i < 10; i++) sampler.update([5, 6], [100, 100]);
    const { weights } = sampler.sample(integerStream('x'), 100);
    expect(weights.every((weight) => Math.abs(weight - 1) < 1e-9)).toBe(true);
  });

  test('draws large losses more often, and weighs them so that the mean loss stays', () => {
    const sampler = trained();
    const expected = (10 * 5 + 990 * 0.1) / 1000;
    expect(average((t) => (t <= 10 ? 1 : 0), sampler)).toBeCloseTo(50 / (50 + 99), 1);
    expect(average((t, weight) => weight * lossAt(t), sampler)).toBeCloseTo(expected, 2);
  });

  test('goes on from its state', () => {
    const sampler = trained();
    const resumed = createTimestepSampler(
      { timestepsSampling: 'importance' },
      schedule,
      Float32Array.from(sampler.state),
    );
    for (const one of [sampler, resumed]) one.update([3, 700, 3], [9, 8, 7]);
    expect(resumed.state).toEqual(sampler.state);
    expect(resumed.sample(integerStream('y'), 64)).toEqual(sampler.sample(integerStream('y'), 64));
  });
});
