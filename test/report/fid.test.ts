/** The Fréchet distance where it has a closed form, and the inception score at its extremes. */
import fc from 'fast-check';
import { Matrix } from 'ml-matrix';
import { describe, expect, test } from 'vitest';
import { gaussians, integerStream } from '../../src/common/random.js';
import {
  fitGaussian,
  frechetDistance,
  frechetDistanceOfSets,
  type Gaussian,
  inceptionScore,
  symmetricSquareRoot,
} from '../../src/report/fid.js';

function gaussian(mean: number[], covariance: number[][] | Matrix): Gaussian {
  return { mean: Float64Array.from(mean), covariance: new Matrix(covariance as number[][]), count: 100 };
}

/** A random orthogonal matrix, by Gram-Schmidt, and a positive semidefinite one of the given rank. */
function randomMatrices(name: string, size: number, rank = size) {
  const normal = gaussians(integerStream(name));
  const rows: number[][] = [];
  for (let i = 0; i < size; i++) {
    const row = Array.from({ length: size }, normal);
    for (const other of rows) {
      const along = row.reduce((sum, x, k) => sum + x * other[k], 0);
      for (let k = 0; k < size; k++) row[k] -= along * other[k];
    }
    const length = Math.hypot(...row);
    rows.push(row.map((x) => x / length));
  }
  const factor = new Matrix(Array.from({ length: size }, () => Array.from({ length: rank }, normal)));
  return { orthogonal: new Matrix(rows), covariance: factor.mmul(factor.transpose()) };
}

describe('Fréchet distance', () => {
  const spread = fc.double({ min: 0, max: 30, noNaN: true });
  const place = fc.double({ min: -30, max: 30, noNaN: true });

  test('in one dimension: (mu_a - mu_b)^2 + (sigma_a - sigma_b)^2', () => {
    fc.assert(
      fc.property(place, place, spread, spread, (muA, muB, sigmaA, sigmaB) => {
        const distance = frechetDistance(gaussian([muA], [[sigmaA ** 2]]), gaussian([muB], [[sigmaB ** 2]]));
        expect(distance).toBeCloseTo((muA - muB) ** 2 + (sigmaA - sigmaB) ** 2, 8);
      }),
    );
  });

  test('of equal covariances it is that of the means', () => {
    const { covariance } = randomMatrices('equal', 8);
    const a = Array.from({ length: 8 }, (_, i) => i);
    const b = Array.from({ length: 8 }, (_, i) => (i * 5) % 3);
    const squares = a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0);
    expect(frechetDistance(gaussian(a, covariance), gaussian(b, covariance))).toBeCloseTo(squares, 8);
  });

  test('of covariances that commute it is the distance of the roots of their eigenvalues', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(spread, spread), { minLength: 1, maxLength: 6 }), fc.nat(), (spreads, seed) => {
        const { orthogonal } = randomMatrices(`commute/${seed}`, spreads.length);
        const covariance = (side: 0 | 1) =>
          orthogonal.mmul(Matrix.diag(spreads.map((pair) => pair[side] ** 2))).mmul(orthogonal.transpose());
        const zero = spreads.map(() => 0);
        const distance = frechetDistance(gaussian(zero, covariance(0)), gaussian(zero, covariance(1)));
        const expected = spreads.reduce((sum, [a, b]) => sum + (a - b) ** 2, 0);
        expect(Math.abs(distance - expected)).toBeLessThan(1e-4 + 1e-9 * expected);
      }),
      { numRuns: 50 },
    );
  });

  test('is symmetric, and 0 of a Gaussian to itself, of full rank or not', () => {
    for (const rank of [12, 5]) {
      const a = gaussian(Array(12).fill(1), randomMatrices('a', 12, rank).covariance);
      const b = gaussian(Array(12).fill(2), randomMatrices('b', 12, rank).covariance);
      expect(frechetDistance(a, b) / frechetDistance(b, a)).toBeCloseTo(1, 6);
      expect(frechetDistance(a, a)).toBeLessThan(1e-5);
    }
  });

  test('of covariances that do not commute, in two dimensions: tr sqrt(M) = sqrt(tr M + 2 sqrt(det M))', () => {
    const [a, b] = [
      [
        [2, 0.5],
        [0.5, 1],
      ],
      [
        [1, -0.3],
        [-0.3, 3],
      ],
    ];
    const trace = 2 * 1 + 2 * 0.5 * -0.3 + 1 * 3;
    const determinant = (2 * 1 - 0.25) * (1 * 3 - 0.09);
    const expected = 2 + 1 + 1 + 3 - 2 * Math.sqrt(trace + 2 * Math.sqrt(determinant));
    expect(frechetDistance(gaussian([0, 0], a), gaussian([0, 0], b))).toBeCloseTo(expected, 10);
  });

  // Python: F = sin(7 i + 3 j + 1), G = cos(5 i - 2 j^2), i, j = 0..5; A = F F' + I, B = G G' + ridge I, means i / 3 and sin i;
  // |a - b|^2 + tr A + tr B - 2 Re tr scipy.linalg.sqrtm(A @ B), scipy 1.17.1. Without the ridge B has rank 2.
  test.each([
    [0, 33.6999091],
    [0.5, 28.652245065195807],
  ])('agrees with scipy, ridge %d', (ridge, expected) => {
    const square = (entry: (i: number, j: number) => number) =>
      new Matrix(Array.from({ length: 6 }, (_, i) => Array.from({ length: 6 }, (_, j) => entry(i, j))));
    const f = square((i, j) => Math.sin(7 * i + 3 * j + 1));
    const g = square((i, j) => Math.cos(5 * i - 2 * j * j));
    const a = Matrix.add(f.mmul(f.transpose()), Matrix.eye(6));
    const b = Matrix.add(g.mmul(g.transpose()), Matrix.mul(Matrix.eye(6), ridge));
    const means = [0, 1, 2, 3, 4, 5];
    const distance = frechetDistance(
      gaussian(
        means.map((i) => i / 3),
        a,
      ),
      gaussian(means.map(Math.sin), b),
    );
    expect(distance).toBeCloseTo(expected, 5);
  });

  test('refuses Gaussians of different dimensions', () => {
    expect(() => frechetDistance(gaussian([0], [[1]]), gaussian([0, 0], Matrix.eye(2)))).toThrow(/dimensions/);
  });
});

test('the square root of a matrix times itself is the matrix', () => {
  for (const rank of [10, 4]) {
    const { covariance } = randomMatrices(`root/${rank}`, 10, rank);
    const root = symmetricSquareRoot(covariance);
    expect(Matrix.sub(root.mmul(root), covariance).norm()).toBeLessThan(1e-9 * covariance.norm());
    expect(Matrix.sub(root, root.transpose()).norm()).toBeLessThan(1e-9);
  }
});

describe('fitted Gaussians', () => {
  test('have the mean and covariance of the vectors, far from 0, too', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 3, maxLength: 3 }), { minLength: 2 }),
        (rows) => {
          const fit = fitGaussian(3);
          for (const row of rows) fit.add(Float32Array.from(row, (x) => 100_000 + x));
          const { mean, covariance, count } = fit.gaussian();
          expect(count).toBe(rows.length);
          const expected = [0, 1, 2].map((i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length);
          for (let i = 0; i < 3; i++) {
            expect(mean[i]).toBeCloseTo(100_000 + expected[i], 8);
            for (let j = 0; j < 3; j++) {
              const products = rows.reduce((sum, row) => sum + (row[i] - expected[i]) * (row[j] - expected[j]), 0);
              expect(covariance.get(i, j)).toBeCloseTo(products / (rows.length - 1), 8);
            }
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test('need two vectors, all of one length', () => {
    const fit = fitGaussian(2);
    fit.add(Float32Array.of(1, 2));
    expect(() => fit.gaussian()).toThrow(/at least 2, got 1/);
    expect(() => fit.add(Float32Array.of(1))).toThrow(/2 values, got Float32Array of 1 values/);
  });
});

describe('inception score', () => {
  const oneHot = (at: number) => Float32Array.from({ length: 4 }, (_, i) => (i === at ? 1 : 0));
  test('is the number of classes for certain and varied images, 1 for equal ones', () => {
    expect(inceptionScore(Array.from({ length: 8 }, (_, i) => oneHot(i % 4)))).toMatchObject({ value: 4, parts: 1 });
    expect(inceptionScore(Array(8).fill(Float32Array.of(0.1, 0.2, 0.3, 0.4))).value).toBeCloseTo(1, 6);
    expect(inceptionScore(Array(8).fill(oneHot(2))).value).toBe(1);
  });

  test('in ten parts: the mean and deviation of their scores', () => {
    // Nine parts with one class, and one with two classes in equal shares.
    const rows = Array.from({ length: 100 }, (_, i) => oneHot(i < 90 ? 0 : i % 2));
    const { value, standardDeviation, parts } = inceptionScore(rows);
    expect(parts).toBe(10);
    expect(value).toBeCloseTo(1.1, 9);
    expect(standardDeviation).toBeCloseTo(0.3, 9);
  });

  test('refuses no images', () => {
    expect(() => inceptionScore([])).toThrow(/at least 1, got 0/);
  });
});

test.each([
  ['fewer than dimensions', 7, 5, 24],
  ['as many', 24, 24, 24],
  ['more', 40, 30, 24],
])('of sets of vectors, %s: the distance of the Gaussians fitted to them', (_, countA, countB, dimensions) => {
  const normal = gaussians(integerStream(`sets/${countA}`));
  const set = (count: number, scale: number) =>
    Array.from({ length: count }, () => Float32Array.from({ length: dimensions }, (_, i) => 5 + scale * i * normal()));
  const sets = [set(countA, 1), set(countB, 1.3)];
  const [a, b] = sets.map((vectors) => {
    const fit = fitGaussian(dimensions);
    for (const vector of vectors) fit.add(vector);
    return fit.gaussian();
  });
  const distance = frechetDistanceOfSets(sets[0], sets[1]);
  // Tolerances allow for the roots of eigenvalues that are 0 except for rounding.
  expect(Math.abs(distance / frechetDistance(a, b) - 1)).toBeLessThan(1e-5);
  expect(frechetDistanceOfSets(sets[0], sets[0])).toBeLessThan(1e-6 * distance);
});
