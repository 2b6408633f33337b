import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseShard, imagesOfShard, parseShard } from '../../../src/report/rd/shard.js';

describe('chooseShard', () => {
  it('takes --shard before anything else, counted from 1', () => {
    const environment = { SLURM_ARRAY_TASK_ID: '7', SLURM_ARRAY_TASK_COUNT: '8' };
    expect(chooseShard('2/3', environment)).toEqual({ index: 1, count: 3, from: '--shard' });
    for (const bad of ['0/4', '5/4', '1', 'a/b', '-1/2', '1/0', '1/2/3']) {
      expect(() => parseShard(bad)).toThrow(/I\/N with I from 1 to N/);
    }
  });

  it('takes the task of a SLURM array, from whichever number it starts', () => {
    const task = (id: string, more = {}) =>
      chooseShard(undefined, { SLURM_ARRAY_TASK_ID: id, SLURM_ARRAY_TASK_COUNT: '4', ...more });
    expect(task('3')).toEqual({ index: 3, count: 4, from: 'SLURM_ARRAY_TASK_ID' });
    expect(task('1', { SLURM_ARRAY_TASK_MIN: '1' })).toMatchObject({ index: 0 });
    expect(() => task('4')).toThrow(/SLURM_ARRAY_TASK_ID=4: expected one of 4 numbers without gaps, from 0 to 3/);
    expect(() => task('9', { SLURM_ARRAY_TASK_MIN: '1' })).toThrow(/from 1 to 4/);
    expect(() => chooseShard(undefined, { SLURM_ARRAY_TASK_ID: '1' })).toThrow(/SLURM_ARRAY_TASK_COUNT: .* not set/);
  });

  it('takes the index of a Kubernetes Job with the count that its author sets', () => {
    const pod = { JOB_COMPLETION_INDEX: '0', JOB_COMPLETION_COUNT: '16' };
    expect(chooseShard(undefined, pod)).toEqual({ index: 0, count: 16, from: 'JOB_COMPLETION_INDEX' });
    expect(() => chooseShard(undefined, { JOB_COMPLETION_INDEX: '0' })).toThrow(/JOB_COMPLETION_COUNT/);
    expect(() => chooseShard(undefined, { ...pod, JOB_COMPLETION_COUNT: 'x' })).toThrow(/got "x"/);
  });

  it('is undefined where nobody says anything', () => {
    expect(chooseShard(undefined, {})).toBe(undefined);
  });
});

it('parts are disjoint, of about equal size, and all of it together', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 1, max: 20 }), (total, count) => {
      const parts = Array.from({ length: count }, (_, index) => imagesOfShard(total, { index, count }));
      const sizes = parts.map((part) => part.length);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      expect(parts.flat().sort((a, b) => a - b)).toEqual(imagesOfShard(total, undefined));
    }),
  );
});
