/** Fitting a profile: the components are found again, and an image finds its place in it. */
import { describe, expect, test } from 'vitest';
import { calibratePyramid, fitProfile } from '../../src/codec/calibration.js';
import { nearestPlace } from '../../src/codec/encoder/plan-choice.js';
import type { Denoiser } from '../../src/model/denoiser.js';
import { timestepOfHalf } from '../../src/model/pyramid.js';
import { createSchedule, paperSchedule } from '../../src/model/schedule.js';

const schedule = createSchedule(paperSchedule);
const KNOTS = [1000, 700, 400, 200, 100, 50, 20, 8, 3, 1];
const MEAN = KNOTS.map((_, k) => -k);
const LEVEL = KNOTS.map(() => 1 / Math.sqrt(KNOTS.length));
const SLOPE = KNOTS.map((_, k) => (k - 4.5) / Math.sqrt(82.5));

/** log2 errors of an image that lies `a` along LEVEL and `b` along SLOPE. */
const image = (a: number, b: number) => Float64Array.from(MEAN, (m, k) => m + a * LEVEL[k] + b * SLOPE[k]);

/** 81 images: a with standard deviation 6, b with 1. */
const rows = Array.from({ length: 81 }, (_, i) => {
  const [a, b] = [(i % 9) - 4, Math.floor(i / 9) - 4];
  return image((a * 6) / Math.sqrt(20 / 3), b / Math.sqrt(20 / 3));
});

test('mean and principal components are those the images were made with', () => {
  const { mean, components } = fitProfile(schedule, KNOTS, rows);
  KNOTS.forEach((t, k) => {
    expect(mean[t - 1] / 256).toBeCloseTo(MEAN[k], 2);
    // A unit of the header: 8 deviations over 64 steps, 4 over 8.
    expect(Math.abs(components[0][t - 1]) / 256).toBeCloseTo(Math.abs((LEVEL[k] * 6 * 8) / 64), 2);
    expect(Math.abs(components[1][t - 1]) / 256).toBeCloseTo(Math.abs((SLOPE[k] * 4) / 8), 2);
  });
});

test('an image finds its place to the nearest unit; one beyond the range the end of it', () => {
  const profile = fitProfile(schedule, KNOTS, rows);
  const place = (row: Float64Array) => nearestPlace(profile, KNOTS, [...row]);
  expect(place(image(0, 0))).toEqual({ first: 0, second: 0 });
  const { first, second } = place(image(7.5, -1.5));
  expect(first).toBe(10);
  expect(Math.abs(second)).toBe(3);
  expect(place(image(1000, 0)).first).toBe(63);
});

test('few images say how hard they are; how images differ is then assumed', () => {
  for (const count of [1, 7]) {
    const profile = fitProfile(schedule, KNOTS, rows.slice(40, 41).concat(rows.slice(40, 40 + count - 1)));
    const place = (row: Float64Array) => nearestPlace(profile, KNOTS, [...row]);
    const mean = KNOTS.map((t) => profile.mean[t - 1] / 256);
    expect(place(Float64Array.from(mean))).toEqual({ first: 0, second: 0 });
    const harder = place(Float64Array.from(mean, (m) => m + 2));
    expect(harder.first).toBeGreaterThan(4);
    expect(harder.first).toBeLessThan(32);
  }
});

describe('from which timestep on pictures are denoised at half their size', () => {
  const grey = (side: number) => ({ width: side, height: side, data: new Uint8Array(side * side * 3).fill(128) });
  /** A denoiser of grey pictures that is off by so much. */
  const offBy = (error: (side: number, t: number) => number): Denoiser => ({
    parallelism: 2,
    precision: 'fp32',
    predictX0: async ({ xt, width, t }, { into = new Float32Array(xt.length) } = {}) =>
      into.fill(1 / 255 + error(width, t)),
    dispose: async () => {},
  });
  const images = Array.from({ length: 40 }, () => grey(40));

  test('is where half the size becomes as good', async () => {
    // At half the size it is better than at full size where it is asked for t > 150.
    const denoiser = offBy((side, t) => (side === 40 ? 0.1 : 0.1 * Math.exp((150 - t) / 100)));
    const pyramid = await calibratePyramid(images, { schedule, denoiser }, 32);
    expect(Math.abs(timestepOfHalf(schedule, pyramid!.halfFrom) - 148)).toBeLessThan(5);
  });

  test('does not ask for smaller pictures than half the size where those have less noise', async () => {
    const error = new Map([
      [160, 0.1],
      [80, 0.02],
    ]);
    const denoiser = offBy((side) => error.get(side) ?? 0.13);
    expect(await calibratePyramid([grey(160), grey(160)], { schedule, denoiser }, 32)).toEqual({
      halfFrom: 145,
      leastSide: 32,
    });
  });

  test('is the lowest that is looked at where half the size is always better', async () => {
    const pyramid = await calibratePyramid(images, { schedule, denoiser: offBy((side) => side / 400) }, 32);
    expect(pyramid).toEqual({ halfFrom: 145, leastSide: 32 });
  });

  test('is nowhere where it is never as good, or pictures are too small', async () => {
    const denoiser = offBy((side) => 1 / side);
    expect(await calibratePyramid(images, { schedule, denoiser }, 32)).toBeUndefined();
    expect(await calibratePyramid([grey(31), grey(16)], { schedule, denoiser }, 32)).toBeUndefined();
  });
});
