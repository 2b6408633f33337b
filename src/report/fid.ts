/**
 * Distances between sets of images from a network's output: the Fréchet inception distance (Heusel et al. 2017) and the
 * inception score (Salimans et al. 2016).
 */
import { EigenvalueDecomposition, Matrix, SingularValueDecomposition } from 'ml-matrix';
import { checkArgument, checkList, checkMade } from '../common/arguments.js';
import { invalidArgument } from '../common/errors.js';

/** Mean and covariance of feature vectors. */
export interface Gaussian {
  readonly mean: Float64Array;
  /** Symmetric, divided by count - 1. */
  readonly covariance: Matrix;
  /** Number of vectors. */
  readonly count: number;
}

/** Takes feature vectors one by one, so that a set need not fit in memory. */
export interface GaussianFit {
  add(features: Float32Array): void;
  /** @throws CodecError `usage` for fewer than two vectors, which have no covariance */
  gaussian(): Gaussian;
}

/** Most dimensions of a vector; such a covariance takes 2 GB. */
const MOST_DIMENSIONS = 2 ** 14;

/**
 * Begins to fit a Gaussian to vectors.
 * @param dimensions of every vector, 1..16384
 * @throws CodecError `usage` for any other number
 */
export function fitGaussian(dimensions: number): GaussianFit {
  checkArgument('dimensions', { type: 'number', integer: true, least: 1, most: MOST_DIMENSIONS }, dimensions);
  // We sum differences from the first vector, so that a large mean does not cost the covariance precision.
  let first: Float32Array | undefined;
  let count = 0;
  const sum = new Float64Array(dimensions);
  const products = Array.from({ length: dimensions }, (_, i) => new Float64Array(i + 1));
  const difference = new Float64Array(dimensions);
  return {
    add(features) {
      checkVector('features', features, dimensions);
      first ??= features.slice();
      count++;
      for (let i = 0; i < dimensions; i++) {
        const d = features[i] - first[i];
        difference[i] = d;
        sum[i] += d;
        const row = products[i];
        for (let j = 0; j <= i; j++) row[j] += d * difference[j];
      }
    },
    gaussian() {
      if (first === undefined || count < 2) throw invalidArgument('images for a covariance', 'at least 2', count);
      const covariance = Matrix.zeros(dimensions, dimensions);
      for (let i = 0; i < dimensions; i++) {
        for (let j = 0; j <= i; j++) {
          const value = (products[i][j] - (sum[i] * sum[j]) / count) / (count - 1);
          covariance.set(i, j, value);
          covariance.set(j, i, value);
        }
      }
      const offset = first;
      return { mean: sum.map((value, i) => offset[i] + value / count), covariance, count };
    },
  };
}

/**
 * Squared Fréchet (Wasserstein-2) distance of two Gaussians, |mu_a - mu_b|^2 + tr(A + B - 2 (A B)^(1/2)) (Dowson &
 * Landau 1982). For Gaussians fitted to features it is the FID. The trace of (A B)^(1/2) equals the trace of (A^(1/2) B
 * A^(1/2))^(1/2), which is symmetric, so there is no imaginary part to drop.
 * @throws CodecError `usage` for different numbers of dimensions, and values that are not Gaussians
 */
export function frechetDistance(a: Gaussian, b: Gaussian): number {
  for (const gaussian of [a, b]) checkGaussian(gaussian);
  const dimensions = a.mean.length;
  if (b.mean.length !== dimensions) throw invalidArgument('dimensions', `${dimensions} of both`, b.mean.length);
  const means = a.mean.reduce((sum, mean, i) => sum + (mean - b.mean[i]) ** 2, 0);
  const root = symmetricSquareRoot(a.covariance);
  const product = symmetric(root.mmul(b.covariance).mmul(root));
  const traceOfRoot = eigen(product).realEigenvalues.reduce((sum, value) => sum + Math.sqrt(Math.max(0, value)), 0);
  return Math.max(0, means + a.covariance.trace() + b.covariance.trace() - 2 * traceOfRoot);
}

/**
 * The {@link frechetDistance} of two sets of feature vectors. Where there are no more vectors than dimensions, no
 * covariance is computed: with the centred vectors as rows of X and Y, the trace of the root is the sum of the singular
 * values of X Y^T / sqrt((n - 1) (m - 1)).
 * @throws CodecError `usage` for fewer than two vectors in a set, and vectors of different lengths
 */
export function frechetDistanceOfSets(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  for (const set of [a, b]) {
    checkList('features', set);
    if (set.length < 2) throw invalidArgument('vectors for a covariance', 'at least 2 of each set', set.length);
  }
  checkVector('features', a[0]);
  const dimensions = a[0].length;
  for (const vector of [...a, ...b]) checkVector('features', vector, dimensions);
  if (Math.max(a.length, b.length) > dimensions) {
    const [one, other] = [a, b].map((set) => {
      const fit = fitGaussian(dimensions);
      for (const vector of set) fit.add(vector);
      return fit.gaussian();
    });
    return frechetDistance(one, other);
  }
  const [one, other] = [a, b].map(centred);
  const means = one.mean.reduce((sum, mean, i) => sum + (mean - other.mean[i]) ** 2, 0);
  const { diagonal } = new SingularValueDecomposition(one.rows.mmul(other.rows.transpose()), {
    computeLeftSingularVectors: false,
    computeRightSingularVectors: false,
    autoTranspose: true,
  });
  const trace = ({ rows }: Centred) => rows.norm() ** 2;
  return Math.max(0, means + trace(one) + trace(other) - 2 * diagonal.reduce((sum, value) => sum + value, 0));
}

interface Centred {
  readonly mean: Float64Array;
  /** Centred vectors, scaled so that their products add up to the covariance. */
  readonly rows: Matrix;
}

function centred(set: readonly Float32Array[]): Centred {
  const mean = new Float64Array(set[0].length);
  for (const vector of set) for (const [i, value] of vector.entries()) mean[i] += value / set.length;
  const scale = 1 / Math.sqrt(set.length - 1);
  return { mean, rows: new Matrix(set.map((vector) => Array.from(vector, (value, i) => scale * (value - mean[i])))) };
}

function checkGaussian(gaussian: unknown): void {
  checkMade('gaussian', gaussian, 'a Gaussian, as from `fitGaussian`', { mean: 'object', covariance: 'object' });
  const { mean, covariance } = gaussian as { readonly mean: unknown; readonly covariance: unknown };
  const isWhole =
    mean instanceof Float64Array &&
    covariance instanceof Matrix &&
    covariance.rows === mean.length &&
    covariance.columns === mean.length &&
    [mean, covariance.to1DArray()].every((values) => values.every(Number.isFinite));
  if (!isWhole) throw invalidArgument('gaussian', 'finite means and as many rows and columns of covariances', gaussian);
}

/** @param length where it is known */
function checkVector(name: string, vector: unknown, length?: number): asserts vector is Float32Array {
  const isVector = vector instanceof Float32Array && vector.length === (length ?? vector.length);
  if (!isVector || !vector.every(Number.isFinite)) {
    throw invalidArgument(name, `a Float32Array of ${length ?? 'finite'} values`, vector);
  }
}

/**
 * The positive semidefinite square root of a positive semidefinite matrix; eigenvalues below 0 count as rounding
 * errors.
 */
export function symmetricSquareRoot(matrix: Matrix): Matrix {
  const { eigenvectorMatrix: vectors, realEigenvalues: values } = eigen(matrix);
  const roots = Matrix.diag(values.map((value) => Math.sqrt(Math.max(0, value))));
  return vectors.mmul(roots).mmul(vectors.transpose());
}

function eigen(matrix: Matrix): EigenvalueDecomposition {
  return new EigenvalueDecomposition(matrix, { assumeSymmetric: true });
}

/** Removes the asymmetry that rounding causes. */
function symmetric(matrix: Matrix): Matrix {
  return Matrix.add(matrix, matrix.transpose()).mul(0.5);
}

/** An inception score as it is published: mean and standard deviation over parts of the set. */
export interface InceptionScore {
  readonly value: number;
  /** Over the parts, divided by their number; NaN for a single part. */
  readonly standardDeviation: number;
  readonly parts: number;
}

/** Conventional number of parts of a set. */
const PARTS = 10;

/**
 * exp of the mean KL(p(y|x) || p(y)), from 1 to the number of classes; p(y) is the mean over the part. A set is cut
 * into ten parts by convention; sets of fewer than 100 images stay whole.
 * @param probabilities of the classes, one array for each image
 * @throws CodecError `usage` for no images, and rows of different lengths
 */
export function inceptionScore(
  probabilities: readonly Float32Array[],
  parts = probabilities?.length < 10 * PARTS ? 1 : PARTS,
): InceptionScore {
  checkList('probabilities', probabilities);
  for (const row of probabilities) checkVector('probabilities', row, probabilities[0]?.length);
  checkArgument('parts', { type: 'number', integer: true, least: 1 }, parts);
  const count = probabilities.length;
  if (count < parts) throw invalidArgument('images', `at least ${parts}`, count);
  const scores = Array.from({ length: parts }, (_, part) =>
    scoreOf(probabilities.slice(Math.floor((part * count) / parts), Math.floor(((part + 1) * count) / parts))),
  );
  const value = scores.reduce((sum, score) => sum + score, 0) / parts;
  const variance = scores.reduce((sum, score) => sum + (score - value) ** 2, 0) / parts;
  return { value, standardDeviation: parts > 1 ? Math.sqrt(variance) : Number.NaN, parts };
}

function scoreOf(probabilities: readonly Float32Array[]): number {
  const classes = probabilities[0].length;
  const marginal = new Float64Array(classes);
  for (const row of probabilities) for (let c = 0; c < classes; c++) marginal[c] += row[c] / probabilities.length;
  let nats = 0;
  for (const row of probabilities) {
    for (let c = 0; c < classes; c++) if (row[c] > 0) nats += row[c] * Math.log(row[c] / marginal[c]);
  }
  return Math.exp(nats / probabilities.length);
}
