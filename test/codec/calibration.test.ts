/** Fitting a profile: it recovers the components, and an image finds its place in it. */
import { describe, expect, test } from 'vitest';
import { calibratePyramid, calibrateSymmetry, fitProfile } from '../../src/codec/calibration.js';
import { nearestPlace } from '../../src/codec/encoder/plan-choice.js';
import { meanErrors } from '../../src/codec/mean-errors.js';
import { gaussians, integerStream } from '../../src/common/random.js';
import type { Denoiser } from '../../src/model/denoiser.js';
import { addDoubled, timestepOfHalf } from '../../src/model/pyramid.js';
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
    // One unit of the header: 8 deviations over 64 steps, and 4 over 8.
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

test('mean errors are means over the images, not of their logarithms', () => {
  const gaussian = gaussians(integerStream('errors'));
  const drawn = Array.from({ length: 4000 }, () => image(2 * gaussian(), gaussian()));
  const errors = meanErrors(fitProfile(schedule, KNOTS, drawn));
  expect([errors.length, errors[0]]).toEqual([1001, 0]);
  KNOTS.forEach((t, k) => {
    const mean = drawn.reduce((sum, row) => sum + 2 ** row[k], 0) / drawn.length;
    expect(errors[t] / mean).toBeCloseTo(1, 1);
    expect(errors[t]).toBeGreaterThan(1.05 * 2 ** MEAN[k]);
  });
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

describe('a pyramid', () => {
  const GREY = 1 / 255;
  const grey = (side: number) => ({ width: side, height: side, data: new Uint8Array(side * side * 3).fill(128) });
  /** A denoiser of grey pictures with a given error: in red at full size, in green at other sizes, so that the errors cannot cancel. */
  const offBy = (full: number, error: (side: number, t: number) => number): Denoiser => ({
    parallelism: 2,
    precision: 'fp32',
    predictX0: async ({ xt, width, t }, { into = new Float32Array(xt.length) } = {}) => {
      into.fill(GREY);
      const channel = width === full ? 0 : 1;
      for (let i = channel; i < into.length; i += 3) into[i] += error(width, t);
      return into;
    },
    dispose: async () => {},
  });
  const images = Array.from({ length: 40 }, () => grey(40));

  test('begins where half the size costs a twentieth more than the picture itself with its quarter', async () => {
    const error = (side: number, t: number) => (side === 40 ? 0.1 : 0.1 * Math.exp((150 - t) / 100));
    const pyramid = await calibratePyramid(images, { schedule, denoiser: offBy(40, error) }, 32);
    const lossAt = (t: number) => {
      const half = timestepOfHalf(schedule, t);
      const quarter = error(10, timestepOfHalf(schedule, half)) ** 2;
      const blended = (0.1 ** 2 * quarter) / (0.1 ** 2 + quarter);
      return error(20, half) ** 2 / blended - 1.05;
    };
    let expected = 70;
    while (lossAt(expected) > 0) expected++;
    expect(expected).toBeGreaterThan(110);
    expect(expected).toBeLessThan(400);
    expect(Math.abs(pyramid!.halfFrom - expected)).toBeLessThan(12);
  });

  test('begins at the lowest timestep that is looked at where half the size is always better', async () => {
    const denoiser = offBy(40, (side) => (side === 20 ? 0.01 : 0.1));
    const pyramid = await calibratePyramid(images, { schedule, denoiser }, 32);
    expect(pyramid).toMatchObject({ halfFrom: 70, leastSide: 32 });
    expect(pyramid!.shares!.timesteps[0]).toBe(70);
  });

  test('is none where half the size is never as good, or pictures are too small', async () => {
    const denoiser = offBy(40, (side) => 1 / side);
    expect(await calibratePyramid(images, { schedule, denoiser }, 32)).toBeUndefined();
    expect(await calibratePyramid([grey(31), grey(16)], { schedule, denoiser }, 32)).toBeUndefined();
  });

  test('halves smaller pictures, too, for a network that knows little of much noise', async () => {
    const ofHalf = (t: number) => (t > 200 ? 0.2 : 0.01);
    const denoiser = offBy(40, (side, t) => (side === 40 ? 0.1 : side === 20 ? ofHalf(t) : 0.03));
    expect(await calibratePyramid(images, { schedule, denoiser }, 32)).toMatchObject({ halfFrom: 70, leastSide: 16 });
  });

  test('takes from the quarter, in shapes of each size, what makes the error least', async () => {
    const side = 160;
    // Patterns of shapes of 4, 8, and 16 or more pixels, at a quarter of the size. The first two have means of zero.
    const checkers = (cell: number) => (x: number, y: number) =>
      1 - 2 * ((Math.floor(x / cell) + Math.floor(y / cell)) % 2);
    const pattern = (size: number, value: (x: number, y: number) => number) =>
      Float32Array.from({ length: size * size * 3 }, (_, i) =>
        value(Math.floor(i / 3) % size, Math.floor(i / 3 / size)),
      );
    const shapes = [
      pattern(40, checkers(1)),
      addDoubled(pattern(20, checkers(1)), 40, 40),
      addDoubled(
        addDoubled(
          pattern(10, (x) => Math.sin(x)),
          20,
          20,
        ),
        40,
        40,
      ),
    ];
    const sum = (weights: readonly number[]) =>
      shapes[0].map((_, i) => weights.reduce((value, weight, k) => value + weight * shapes[k][i], 0));
    // The errors have opposite signs, so a share of f / (f + q) cancels them.
    const [fine, quarter] = [
      [0.01, 0.02, 0.06],
      [0.09, 0.06, 0.02],
    ];
    const errors = new Map([
      [40, sum(quarter.map((weight) => -weight))],
      [160, addDoubled(addDoubled(sum(fine), 80, 80), 160, 160)],
    ]);
    const denoiser: Denoiser = {
      ...offBy(0, () => 0),
      predictX0: async ({ width }) => (errors.get(width) ?? new Float32Array(width * width * 3)).map((v) => GREY + v),
    };
    const { shares } = (await calibratePyramid([grey(side)], { schedule, denoiser }, side))!;
    for (const [none, four, eight, more] of shares!.parts) {
      expect(Math.abs(none)).toBeLessThanOrEqual(10);
      expect(Math.abs(four - 100)).toBeLessThanOrEqual(10);
      expect(Math.abs(four + eight - 250)).toBeLessThanOrEqual(10);
      expect(Math.abs(four + eight + more - 750)).toBeLessThanOrEqual(10);
    }
  });
});

describe('a symmetry', () => {
  const SIDE = 8;
  const grey = { width: SIDE, height: SIDE, data: new Uint8Array(SIDE * SIDE * 3).fill(128) };
  const GREY = 1 / 255;
  /** A denoiser that gives a picture as a function of the pixel's place. */
  const giving = (value: (x: number, y: number) => number): Denoiser => ({
    parallelism: 1,
    precision: 'fp32',
    predictX0: async ({ xt }) => xt.map((_, i) => value(Math.floor(i / 3) % SIDE, Math.floor(i / 3 / SIDE))),
    async dispose() {},
  });
  const isLeft = (x: number) => x < SIDE / 2;

  test('is the one under which errors cancel', async () => {
    // Errors in quarters of the picture, like a chessboard: a mirror image has the opposite ones, a turned picture the same.
    const quarters = giving((x, y) => GREY + (isLeft(x) === isLeft(y) ? 0.1 : -0.1));
    expect(await calibrateSymmetry([grey], { schedule, denoiser: quarters })).toBe('mirror');
    const halves = giving((_, y) => GREY + (isLeft(y) ? 0.1 : -0.1));
    expect(await calibrateSymmetry([grey], { schedule, denoiser: halves })).toBe('turn');
  });

  test('is none where the second estimate saves nothing, or less than its time is worth', async () => {
    const same = giving(() => GREY + 0.1);
    expect(await calibrateSymmetry([grey], { schedule, denoiser: same })).toBeUndefined();
    const hardly = giving((x, y) => GREY + 0.1 + (isLeft(x) === isLeft(y) ? 0.004 : -0.004));
    expect(await calibrateSymmetry([grey], { schedule, denoiser: hardly })).toBeUndefined();
  });

  test('is none where both estimates have the same error, seen from either side', async () => {
    const { alphasCumprod } = schedule;
    const state: Denoiser = {
      ...giving(() => GREY),
      predictX0: async ({ xt, t }) => xt.map((value) => value / Math.sqrt(alphasCumprod[t])),
    };
    expect(await calibrateSymmetry([grey], { schedule, denoiser: state })).toBeUndefined();
  });

  test('is none for a network that knows pictures of one side only', async () => {
    // Light at the top left, which a mirrored or turned picture has elsewhere.
    const corner = { ...grey, data: grey.data.slice() };
    const isCorner = (x: number, y: number) => isLeft(x) && isLeft(y);
    for (let y = 0; y < SIDE; y++) {
      for (let x = 0; x < SIDE; x++)
        if (isCorner(x, y)) corner.data.fill(255, 3 * (SIDE * y + x), 3 * (SIDE * y + x) + 3);
    }
    const knowing = giving((x, y) => (isCorner(x, y) ? 0.9 : GREY));
    expect(await calibrateSymmetry([corner], { schedule, denoiser: knowing })).toBeUndefined();
  });
});
