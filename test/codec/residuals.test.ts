import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  COVARIANCE_SIZE,
  COVARIANCE_UNIT,
  type Covariances,
  covarianceIndex,
  INDEPENDENT,
  measureCovariances,
  ResidualModel,
  type ResidualPicture,
  type Sample,
  sampleOrder,
  solvePredictors,
} from '../../src/codec/lossless/residuals.js';
import { integerStream } from '../../src/common/random.js';

const CHANNELS = [0, 1, 2];

/** All samples of a picture in the order of sending. */
function placesOf(width: number, height: number): Sample[] {
  const order = sampleOrder(width, height);
  return Array.from({ length: width * height * 3 }, (_, k) => ({
    ...order(k, { index: 0, lattice: 0, x: 0, y: 0, channel: 0 }),
  }));
}

/** Noise with similar neighbours: each residual adds the means of 3 x 3 numbers, one shared by all channels and one of its own. */
function correlatedNoise(name: string, width: number, height: number, deviation: number): ResidualPicture {
  const stream = integerStream(name);
  const uniform = () => stream() / 2 ** 32;
  const white = Float32Array.from({ length: (width + 2) * (height + 2) * 4 }, uniform);
  const residuals = new Float32Array(width * height * 3);
  for (let i = 0; i < residuals.length; i++) {
    const [pixel, channel] = [Math.floor(i / 3), i % 3];
    let sum = 0;
    for (let k = 0; k < 9; k++) {
      const at = (Math.floor(pixel / width) + Math.floor(k / 3)) * (width + 2) + (pixel % width) + (k % 3);
      sum += white[4 * at + channel] + white[4 * at + 3];
    }
    // A sum of 18 numbers with variance 1/12.
    residuals[i] = (deviation * sum) / Math.sqrt(1.5);
  }
  return { width, height, residuals };
}

const measured = (name: string) => measureCovariances([correlatedNoise(name, 48, 40, 5)]);

describe('the order of samples', () => {
  const sizes = Array.from({ length: 81 }, (_, i) => [1 + (i % 9), 1 + Math.floor(i / 9)] as const);

  test.each(sizes)('is a permutation at %d x %d', (width, height) => {
    const places = placesOf(width, height);
    expect(places.map(({ index }) => index).toSorted((a, b) => a - b)).toEqual(places.map((_, k) => k));
    for (const [k, { index, x, y, channel, lattice }] of places.entries()) {
      expect(index).toBe((y * width + x) * 3 + channel);
      // The channels of a pixel come together, and the lattices one after another.
      expect(channel).toBe(k % 3);
      expect(lattice).toBeGreaterThanOrEqual(places[Math.max(0, k - 1)].lattice);
      expect([y % 2, x % 2]).toEqual(
        [
          [0, 0],
          [1, 1],
          [0, 1],
          [1, 0],
        ][lattice],
      );
    }
  });
});

describe('a table of covariances', () => {
  const lag = fc.integer({ min: -4, max: 4 });
  const channel = fc.nat(2);

  test('has one entry for all signs and orders', () => {
    fc.assert(
      fc.property(lag, lag, channel, channel, (dy, dx, c, d) => {
        const index = covarianceIndex(dy, dx, c, d);
        expect(covarianceIndex(dx, dy, c, d)).toBe(index);
        expect(covarianceIndex(-dy, dx, c, d)).toBe(index);
        expect(covarianceIndex(dy, -dx, d, c)).toBe(index);
      }),
    );
  });

  test('has no entry that is not used, nor one used twice', () => {
    const indices: number[] = [];
    for (let a = 0; a <= 4; a++) {
      for (let b = 0; b <= a; b++) {
        for (const c of CHANNELS) for (const d of CHANNELS.slice(c)) indices.push(covarianceIndex(a, b, c, d));
      }
    }
    expect(indices).toEqual(Array.from({ length: COVARIANCE_SIZE }, (_, i) => i));
  });

  test('is measured with a mean variance of one unit, and the correlations that are there', () => {
    const table = measured('measured');
    const diagonal = CHANNELS.map((c) => table[covarianceIndex(0, 0, c, c)]);
    expect(diagonal.reduce((sum, value) => sum + value) / 3 / COVARIANCE_UNIT).toBeCloseTo(1, 2);
    // Neighbours share 6 of 9 numbers, diagonal ones 4. Channels share half of their numbers.
    const at = (dy: number, dx: number, d: number) => table[covarianceIndex(dy, dx, 0, d)] / COVARIANCE_UNIT;
    expect(at(0, 1, 0)).toBeCloseTo(6 / 9, 0.5);
    expect(at(1, 1, 0)).toBeCloseTo(4 / 9, 0.5);
    expect(at(0, 0, 1)).toBeCloseTo(1 / 2, 0.5);
    expect(at(0, 3, 0)).toBeCloseTo(0, 0.5);
  });

  test('of a picture without residuals says nothing', () => {
    expect(measureCovariances([{ width: 3, height: 2, residuals: new Float32Array(18) }])).toEqual(
      INDEPENDENT.map((value) => (value === 0 ? 0 : expect.any(Number))),
    );
  });
});

/** Gaussian elimination with pivoting. */
function eliminate(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]]);
  const n = right.length;
  for (let k = 0; k < n; k++) {
    const pivot = rows.reduce((best, row, i) => (i >= k && Math.abs(row[k]) > Math.abs(rows[best][k]) ? i : best), k);
    [rows[k], rows[pivot]] = [rows[pivot], rows[k]];
    for (let i = 0; i < n; i++) {
      if (i === k) continue;
      const factor = rows[i][k] / rows[k][k];
      rows[i] = rows[i].map((value, j) => value - factor * rows[k][j]);
    }
  }
  return rows.map((row, i) => row[n] / row[i]);
}

/** What is known of a sample's neighbours when it is sent, from the order of samples alone. */
function knownBefore({ x, y, channel }: Sample, order: readonly Sample[]): Sample[] {
  const pixels = new Map(order.map((place, k) => [`${place.x} ${place.y}`, k - place.channel]));
  const now = pixels.get(`${x} ${y}`) ?? 0;
  const known: Sample[] = [];
  for (let dy = -2; dy <= 2; dy++) {
    for (let dx = -2; dx <= 2; dx++) {
      const first = pixels.get(`${x + dx} ${y + dy}`) ?? Number.POSITIVE_INFINITY;
      if (first < now) known.push(...order.slice(first, first + 3));
    }
  }
  return [...known, ...order.slice(now, now + channel)];
}

describe('predictors', () => {
  const order = placesOf(9, 9);
  const inside = CHANNELS.flatMap((channel) =>
    [
      [4, 4],
      [5, 5],
      [5, 4],
      [4, 5],
    ].map(([x, y]) => order.find((place) => place.x === x && place.y === y && place.channel === channel) as Sample),
  );

  test.each([1, 2, 3])('solve the equations of measured covariances (%d)', (picture) => {
    const table = measured(`picture ${picture}`);
    const predictors = solvePredictors(table);
    for (const sample of inside) {
      const known = knownBefore(sample, order);
      const covariance = (a: Sample, b: Sample) => table[covarianceIndex(a.y - b.y, a.x - b.x, a.channel, b.channel)];
      const right = known.map((place) => covariance(place, sample));
      const weights = eliminate(
        known.map((a, i) => known.map((b, j) => covariance(a, b) + (i === j ? 4 : 0))),
        right,
      );
      const left = weights.reduce((sum, weight, i) => sum - weight * right[i], covariance(sample, sample) + 4);
      const solved = predictors?.[sample.lattice][sample.channel];
      expect(solved?.weights).toHaveLength(weights.length);
      for (const [i, weight] of weights.entries()) expect(solved?.weights[i]).toBeCloseTo(weight, 8);
      expect(solved?.variance).toBeCloseTo(left / COVARIANCE_UNIT, 10);
    }
  });

  test('of independent residuals expect nothing', () => {
    for (const { weights, variance } of solvePredictors(INDEPENDENT)?.flat() ?? []) {
      expect(weights.every((weight) => weight === 0)).toBe(true);
      expect(variance).toBe((COVARIANCE_UNIT + 4) / COVARIANCE_UNIT);
    }
  });

  const changed = (...entries: (readonly [index: number, value: number])[]): Covariances => {
    const table = [...INDEPENDENT];
    for (const [index, value] of entries) table[index] = value;
    return table;
  };

  test('are refused to what no residuals have', () => {
    expect(solvePredictors(changed([covarianceIndex(0, 0, 1, 1), -100]))).toBeUndefined();
    expect(solvePredictors(changed([covarianceIndex(0, 0, 0, 1), 5000]))).toBeUndefined();
    expect(solvePredictors(changed([covarianceIndex(0, 1, 0, 0), -4000]))).toBeUndefined();
    expect(solvePredictors(changed([covarianceIndex(0, 2, 2, 2), 32767]))).toBeUndefined();
  });

  test('are refused or finite, whatever the table', () => {
    const entry = fc.integer({ min: -32768, max: 32767 });
    // Channels that are equal except for rounding: the equations are singular, or nearly so.
    const singular = fc
      .record({ variance: fc.integer({ min: 0, max: 32763 }), others: entry })
      .map(({ variance, others }) =>
        changed(
          ...CHANNELS.map((c) => [covarianceIndex(0, 0, c, c), variance] as const),
          [covarianceIndex(0, 0, 0, 1), variance + 4],
          [covarianceIndex(0, 1, 0, 2), others % 2],
        ),
      );
    const any = fc.array(entry, { minLength: COVARIANCE_SIZE, maxLength: COVARIANCE_SIZE });
    fc.assert(
      fc.property(fc.oneof(singular, any), (table) => {
        for (const { weights, variance } of solvePredictors(table)?.flat() ?? []) {
          expect(weights.every(Number.isFinite)).toBe(true);
          expect(variance).toBeGreaterThanOrEqual(1 / COVARIANCE_UNIT);
          expect(variance).toBeLessThan(Number.POSITIVE_INFINITY);
        }
      }),
    );
  });
});

/** Mean squared error of the expected means, and its mean in units of the expected variances. */
function predict({ width, height, residuals }: ResidualPicture, covariances: Covariances, scale: number) {
  const predictors = solvePredictors(covariances);
  if (!predictors) throw new Error('expected covariances');
  const model = new ResidualModel(width, height, predictors, scale);
  const expected = { mean: 0, variance: 0 };
  let errors = 0;
  let ratios = 0;
  for (const place of placesOf(width, height)) {
    model.expect(place, expected);
    const error = residuals[place.index] - expected.mean;
    errors += error * error;
    ratios += (error * error) / expected.variance;
    model.learn(place, residuals[place.index], expected.mean);
  }
  return { squared: errors / residuals.length, ratio: ratios / residuals.length };
}

describe('what is expected of correlated noise', () => {
  const deviation = 6;
  const picture = correlatedNoise('expected', 40, 30, deviation);
  const alone = predict(picture, INDEPENDENT, deviation ** 2);

  test('without covariances is its variance', () => {
    const variance = picture.residuals.reduce((sum, value) => sum + value * value, 0) / picture.residuals.length;
    expect(alone.squared).toBeCloseTo(variance, 6);
  });

  test('with those of another picture of its kind is much nearer to it', () => {
    const { squared, ratio } = predict(picture, measured('another'), deviation ** 2);
    expect(squared).toBeLessThan(0.4 * alone.squared);
    // The expected variance matches the actual one.
    expect(ratio).toBeGreaterThan(0.7);
    expect(ratio).toBeLessThan(1.4);
  });

  test('follows the variance that there is, whatever it started from', () => {
    // Without adaptation the ratios would be 16 and 1/16.
    expect(predict(picture, measured('another'), deviation ** 2 / 16).ratio).toBeLessThan(2);
    expect(predict(picture, measured('another'), deviation ** 2 * 16).ratio).toBeGreaterThan(3 / 16);
  });
});
