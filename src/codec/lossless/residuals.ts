/**
 * The model of a picture's residuals x - xhat0. The denoiser's errors are correlated between neighbouring samples, so
 * the known residuals predict the next one, and how certain the prediction is.
 *
 * The mean is the best linear prediction from the neighbours under a table of covariances (kriging). The variance is
 * the prediction's remaining variance, scaled by the size of the actual errors nearby. Samples are sent in the order of
 * four lattices, the channels of a pixel together, so that errors shrink evenly over the picture. Only + - * / and sqrt
 * in doubles, in a fixed order.
 */

/** (row, column) parities of the four lattices, in the order in which they are sent. */
const LATTICES = [
  [0, 0],
  [1, 1],
  [0, 1],
  [1, 0],
] as const;

/** Neighbours are the pixels up to this distance in both directions. */
const REACH = 2;
/** A table of covariances has the lags between any two neighbours: both coordinates are below this. */
const LAGS = 2 * REACH + 1;
const CHANNELS = 3;
const CHANNEL_PAIRS = 6;
/** Entries of a table of covariances: 15 pairs of lags, regardless of sign and order, times 6 pairs of channels. */
export const COVARIANCE_SIZE = ((LAGS * (LAGS + 1)) / 2) * CHANNEL_PAIRS;
/** Entries are integers in units of 1/4096 of the mean variance. */
export const COVARIANCE_UNIT = 4096;
/** Added to every variance, so that the equations are well conditioned. */
const RIDGE = 4;

/** Weight of the picture's own scale relative to the errors of known neighbours, in the units of WEIGHT_SAME. */
const PRIOR_WEIGHT = 4;
/** Weight of a neighbour's squared error at distance 1 in the same channel; it falls with the square of the distance. */
const WEIGHT_SAME = 2;
/** Weight of another channel of a neighbour, and of the pixel's own earlier channels. */
const WEIGHT_OTHER = 1;
/** Residuals are sent on a grid of step 1, so no variance is smaller. */
const LEAST_VARIANCE = 1 / 16;

/**
 * Covariances of residuals, as integers in units of 1/4096 of their mean variance: for lags a = 0..4, b = 0..a (|dy|
 * and |dx|, the larger first) and channel pairs RR, RG, RB, GG, GB, BB.
 */
export type Covariances = readonly number[];

/** Covariances of uncorrelated residuals. */
export const INDEPENDENT: Covariances = Array.from({ length: COVARIANCE_SIZE }, (_, i) =>
  [0, 1, 2].some((channel) => i === covarianceIndex(0, 0, channel, channel)) ? COVARIANCE_UNIT : 0,
);

/** The covariances of a model's residuals, at one or more timesteps. */
export interface ResidualStatistics {
  readonly timesteps: readonly number[];
  /** One table for each. */
  readonly covariances: readonly Covariances[];
}

/**
 * The table of the timestep nearest to t. Distance is the ratio of the two timesteps, whichever way round; the smaller
 * timestep wins a tie.
 */
export function covariancesAt(statistics: ResidualStatistics | undefined, t: number): Covariances {
  let best = INDEPENDENT;
  let least = Number.POSITIVE_INFINITY;
  statistics?.timesteps.forEach((timestep, i) => {
    const ratio = Math.max(t / timestep, timestep / t);
    if (ratio < least) {
      least = ratio;
      best = statistics.covariances[i];
    }
  });
  return best;
}

/** The predicted distribution of one sample. */
export interface Expectation {
  mean: number;
  variance: number;
}

/** One neighbour of the samples of a lattice. */
interface Neighbour {
  readonly dy: number;
  readonly dx: number;
  /** 1 / squared distance. */
  readonly nearness: number;
}

/** Index of a pair of lags and channels in a table of covariances. */
export function covarianceIndex(dy: number, dx: number, channel: number, other: number): number {
  const a = Math.max(Math.abs(dy), Math.abs(dx));
  const b = Math.min(Math.abs(dy), Math.abs(dx));
  const c = Math.min(channel, other);
  const d = Math.max(channel, other);
  return ((a * (a + 1)) / 2 + b) * CHANNEL_PAIRS + (c * (2 * CHANNELS - 1 - c)) / 2 + d;
}

/** Neighbours of a lattice that are known before its samples: earlier lattices, and earlier rows and columns of the same one. */
function neighboursOf(lattice: number): Neighbour[] {
  const [row, column] = LATTICES[lattice];
  const neighbours: Neighbour[] = [];
  for (let dy = -REACH; dy <= REACH; dy++) {
    for (let dx = -REACH; dx <= REACH; dx++) {
      const other = LATTICES.findIndex(([y, x]) => y === ((row + dy) & 1) && x === ((column + dx) & 1));
      const earlier = dy < 0 || (dy === 0 && dx < 0);
      if (other < lattice || (other === lattice && earlier)) {
        neighbours.push({ dy, dx, nearness: 1 / (dy * dy + dx * dx) });
      }
    }
  }
  return neighbours;
}

const NEIGHBOURS = LATTICES.map((_, lattice) => neighboursOf(lattice));

/** Best linear predictor of a channel on a lattice. */
export interface Predictor {
  /** One weight per neighbour and channel, then one per earlier channel of the pixel itself. */
  readonly weights: Float64Array;
  /** Remaining variance, in units of the mean variance. */
  readonly variance: number;
}

/** Cache of solutions: a lossless encoder uses the same table at every step. */
const solved = new WeakMap<Covariances, Predictor[][] | null>();

/**
 * Solves the normal equations of every lattice and channel, once per table; the table must not change.
 * @returns one predictor for each lattice and channel, or undefined when the table is not one of covariances: no
 *   residuals have it
 */
export function solvePredictors(covariances: Covariances): Predictor[][] | undefined {
  const known = solved.get(covariances);
  if (known !== undefined) return known ?? undefined;
  const predictors = solveEquations(covariances);
  solved.set(covariances, predictors ?? null);
  return predictors;
}

function solveEquations(covariances: Covariances): Predictor[][] | undefined {
  const predictors: Predictor[][] = [];
  for (const neighbours of NEIGHBOURS) {
    const places = neighbours.flatMap(({ dy, dx }) => [0, 1, 2].map((channel) => ({ dy, dx, channel })));
    const row: Predictor[] = [];
    for (let channel = 0; channel < CHANNELS; channel++) {
      const known = [...places, ...[0, 1, 2].slice(0, channel).map((c) => ({ dy: 0, dx: 0, channel: c }))];
      const covariance = (a: (typeof known)[number], b: (typeof known)[number]) =>
        covariances[covarianceIndex(a.dy - b.dy, a.dx - b.dx, a.channel, b.channel)];
      const here = { dy: 0, dx: 0, channel };
      const matrix = known.map((a, i) => Float64Array.from(known, (b, j) => covariance(a, b) + (i === j ? RIDGE : 0)));
      const right = Float64Array.from(known, (a) => covariance(a, here));
      const weights = solve(matrix, right);
      if (weights === undefined) return undefined;
      let variance = covariance(here, here) + RIDGE;
      for (let i = 0; i < known.length; i++) variance -= weights[i] * right[i];
      if (!(variance >= 1)) return undefined;
      row.push({ weights, variance: variance / COVARIANCE_UNIT });
    }
    predictors.push(row);
  }
  return predictors;
}

/** Solves A w = b by Cholesky factorisation, in place of A; undefined when A is not positive definite. */
export function solve(a: Float64Array[], b: Float64Array): Float64Array | undefined {
  const n = b.length;
  const w = Float64Array.from(b);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i][j];
      for (let k = 0; k < j; k++) sum -= a[i][k] * a[j][k];
      if (i !== j) a[i][j] = sum / a[j][j];
      else if (!(sum > 0)) return undefined;
      else a[i][i] = Math.sqrt(sum);
    }
  }
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) w[i] -= a[i][k] * w[k];
    w[i] /= a[i][i];
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) w[i] -= a[k][i] * w[k];
    w[i] /= a[i][i];
  }
  return w;
}

/** A sample: its position and when it is sent. */
export interface Sample {
  /** Index into an array of height * width * 3 values. */
  index: number;
  lattice: number;
  x: number;
  y: number;
  channel: number;
}

/** Gives the k-th sample in sending order, k = 0 .. height * width * 3 - 1. */
export function sampleOrder(width: number, height: number): (k: number, into: Sample) => Sample {
  const columns = LATTICES.map(([, column]) => Math.ceil((width - column) / 2));
  const sizes = LATTICES.map(([row], lattice) => Math.ceil((height - row) / 2) * columns[lattice] * CHANNELS);
  return (k, into) => {
    let lattice = 0;
    let rest = k;
    while (rest >= sizes[lattice]) rest -= sizes[lattice++];
    const channel = rest % CHANNELS;
    const pixel = (rest - channel) / CHANNELS;
    const column = pixel % columns[lattice];
    into.lattice = lattice;
    into.channel = channel;
    into.y = LATTICES[lattice][0] + 2 * ((pixel - column) / columns[lattice]);
    into.x = LATTICES[lattice][1] + 2 * column;
    into.index = (into.y * width + into.x) * CHANNELS + channel;
    return into;
  };
}

/** Residuals of a picture: height * width * 3 values. */
export interface ResidualPicture {
  readonly width: number;
  readonly height: number;
  readonly residuals: Float32Array;
}

/**
 * Measures a table of covariances, shrunk towards independence until it is valid.
 * @param pictures all have equal weight, whatever their variance
 */
export function measureCovariances(pictures: Iterable<ResidualPicture>): Covariances {
  const sums = new Float64Array(COVARIANCE_SIZE);
  const counts = new Float64Array(COVARIANCE_SIZE);
  for (const picture of pictures) {
    const { width, height, residuals } = picture;
    let variance = 0;
    for (let i = 0; i < residuals.length; i++) variance += residuals[i] * residuals[i];
    variance /= residuals.length;
    if (variance === 0) continue;
    for (let dy = 0; dy < LAGS && dy < height; dy++) {
      for (let dx = dy === 0 ? 0 : 1 - LAGS; dx < LAGS; dx++) {
        if (Math.abs(dx) >= width) continue;
        addProducts(picture, dy, dx, 1 / variance, { sums, counts });
      }
    }
  }
  const measured = Array.from(sums, (sum, i) => (counts[i] === 0 ? 0 : sum / counts[i]));
  const diagonal = [0, 1, 2].map((channel) => covarianceIndex(0, 0, channel, channel));
  const mean = diagonal.reduce((total, i) => total + measured[i], 0) / CHANNELS || 1;
  for (let shrink = 1; shrink > 0.01; shrink *= 0.9) {
    const table = measured.map((value, i) => {
      if (diagonal.includes(i)) return Math.round(Math.max(0.01, value / mean) * COVARIANCE_UNIT);
      return Math.round((shrink * value * COVARIANCE_UNIT) / mean);
    });
    if (solvePredictors(table) !== undefined) return table;
  }
  return INDEPENDENT;
}

/** For each entry of a table, the sum of products and the number of pairs. */
interface ProductSums {
  readonly sums: Float64Array;
  readonly counts: Float64Array;
}

/** Adds the products of all pairs of samples at a given distance, each times `factor`. */
function addProducts(
  { residuals, width, height }: ResidualPicture,
  dy: number,
  dx: number,
  factor: number,
  { sums, counts }: ProductSums,
): void {
  const products = new Float64Array(CHANNELS * CHANNELS);
  const from = Math.max(0, -dx);
  const to = width - Math.max(0, dx);
  for (let y = 0; y + dy < height; y++) {
    for (let x = from; x < to; x++) {
      const a = (y * width + x) * CHANNELS;
      const b = ((y + dy) * width + x + dx) * CHANNELS;
      for (let c = 0; c < CHANNELS; c++) {
        for (let d = 0; d < CHANNELS; d++) products[c * CHANNELS + d] += residuals[a + c] * residuals[b + d];
      }
    }
  }
  const pairs = (height - dy) * (to - from);
  for (let c = 0; c < CHANNELS; c++) {
    for (let d = 0; d < CHANNELS; d++) {
      const at = covarianceIndex(dy, dx, c, d);
      sums[at] += products[c * CHANNELS + d] * factor;
      counts[at] += pairs;
    }
  }
}

/** Tracks the residuals of a picture as they become known. */
export class ResidualModel {
  /** Known residuals; 0 elsewhere. */
  private readonly residuals: Float32Array;
  /** Squared prediction errors, in units of the remaining variance; -1 where unknown. */
  private readonly energies: Float32Array;
  private energySum = 0;

  /**
   * @param predictors of {@link solvePredictors}
   * @param scale the picture's own mean of the squared errors, in units of the remaining variance
   */
  constructor(
    private readonly width: number,
    private readonly height: number,
    private readonly predictors: readonly (readonly Predictor[])[],
    private readonly scale: number,
  ) {
    this.residuals = new Float32Array(width * height * CHANNELS);
    this.energies = new Float32Array(width * height * CHANNELS).fill(-1);
  }

  /**
   * Predicts the next sample.
   * @param into where the prediction is written
   */
  expect({ lattice, x, y, channel }: Sample, into: Expectation): void {
    const { width, height, residuals, energies } = this;
    const { weights, variance } = this.predictors[lattice][channel];
    const neighbours = NEIGHBOURS[lattice];
    let mean = 0;
    let energy = PRIOR_WEIGHT * this.scale;
    let weight = PRIOR_WEIGHT;
    for (let n = 0; n < neighbours.length; n++) {
      const { dy, dx, nearness } = neighbours[n];
      if (y + dy < 0 || y + dy >= height || x + dx < 0 || x + dx >= width) continue;
      const at = ((y + dy) * width + x + dx) * CHANNELS;
      for (let c = 0; c < CHANNELS; c++) {
        const share = nearness * (c === channel ? WEIGHT_SAME : WEIGHT_OTHER);
        mean += weights[n * CHANNELS + c] * residuals[at + c];
        energy += share * energies[at + c];
        weight += share;
      }
    }
    const here = (y * width + x) * CHANNELS;
    for (let c = 0; c < channel; c++) {
      mean += weights[neighbours.length * CHANNELS + c] * residuals[here + c];
      energy += WEIGHT_OTHER * energies[here + c];
      weight += WEIGHT_OTHER;
    }
    into.mean = mean;
    into.variance = Math.max(LEAST_VARIANCE, (variance * energy) / weight);
  }

  /** Makes a sample's residual known; `mean` was its prediction. */
  learn({ index, lattice, channel }: Sample, residual: number, mean: number): void {
    const error = residual - mean;
    const energy = (error * error) / this.predictors[lattice][channel].variance;
    this.residuals[index] = residual;
    this.energies[index] = energy;
    this.energySum += energy;
  }

  /** Sum of the squared errors so far, in units of the remaining variance. */
  get totalEnergy(): number {
    return this.energySum;
  }
}
