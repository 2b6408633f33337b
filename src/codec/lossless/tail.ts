/**
 * The tail of residuals: the exact picture after the last step of the chain, "x_0 sent with p(x_0|x_1)" (Ho, Jain &
 * Abbeel 2020, section 3.3 and Algorithm 3). Here it starts from any x_t and uses the correlations between residuals.
 * It can also send the picture up to a few levels, with a quantiser step of several levels.
 *
 * Samples are coded one by one with a range coder, around centres that both ends agree on (`agreement.ts`), with a mean
 * and a variance from the residuals already known (`residuals.ts`). This file has what both ends share; the ends are
 * `tail-writer.ts` and `tail-reader.ts`. Every prefix decodes: samples that are certain are exact, the others are xhat0
 * plus the prediction from their known neighbours.
 */
import { CodecError } from '../../common/errors.js';
import type { Size } from '../../image/image.js';
import { exp2Fixed } from '../bits/exp2.js';
import { centresOf, GROUP_SIZE, greyLevel, shiftSeries } from './agreement.js';
import {
  type Covariances,
  type Expectation,
  type Predictor,
  ResidualModel,
  type Sample,
  sampleOrder,
  solvePredictors,
} from './residuals.js';
import { SampleDistribution } from './sample-distribution.js';

/** xhat0 at the end of the chain, and other data that both ends have. */
export interface TailContext extends Size {
  /** The picture's alpha plane, where it has one. */
  readonly alpha?: Uint8Array | undefined;
  readonly seed: number;
  /** In [-1, 1]: height * width * 3 values. */
  readonly xhat0: Float32Array;
  /** The model's covariances for this timestep. */
  readonly covariances: Covariances;
}

/** Codes samples, or only inspects them. */
export interface SampleCoder {
  /**
   * Index of a group's shift; undefined where the code ends.
   * @param series of the group's shifts, see `agreement.ts`
   */
  shift(series: Int32Array, values: Float64Array): number | undefined;
  /** A sample's value, or another value in its step; undefined where the code ends. */
  level(distribution: SampleDistribution, index: number): number | undefined;
}

/** Walks through the samples in the order in which they are sent. */
export class SampleWalk {
  readonly model: ResidualModel;
  /** Number of coded samples. */
  known = 0;
  /** Centres of the present group, once its shift is known. */
  private centres: Float64Array | undefined;
  /** Index of the sample that the distribution belongs to. It is not set up again when reading resumes after the code ended. */
  private prepared = -1;
  private readonly order: (k: number, into: Sample) => Sample;
  private readonly distribution: SampleDistribution;
  private readonly sample: Sample = { index: 0, lattice: 0, x: 0, y: 0, channel: 0 };
  private readonly expected: Expectation = { mean: 0, variance: 0 };

  /** @param scale see {@link ResidualModel} @param step see {@link SampleDistribution} */
  constructor(
    private readonly context: TailContext,
    predictors: readonly (readonly Predictor[])[],
    scale: number,
    step: number,
  ) {
    this.distribution = new SampleDistribution(step);
    const { width, height } = context;
    this.model = new ResidualModel(width, height, predictors, scale);
    this.order = sampleOrder(width, height);
  }

  get isDone(): boolean {
    return this.known === this.context.xhat0.length;
  }

  /**
   * Continues to the end of the group.
   * @returns false where the code ends first; the walk can continue when more of the code has arrived
   */
  codeGroup(coder: SampleCoder): boolean {
    const { context, model, order, distribution, sample, expected } = this;
    const group = Math.floor(this.known / GROUP_SIZE);
    const start = group * GROUP_SIZE;
    const end = Math.min(start + GROUP_SIZE, context.xhat0.length);
    if (this.centres === undefined) {
      const series = shiftSeries(context.seed, group, end - start);
      const values = Float64Array.from(series, (_, i) => greyLevel(context.xhat0[order(start + i, sample).index]));
      const shift = coder.shift(series, values);
      if (shift === undefined) return false;
      this.centres = centresOf(series, shift, values);
    }
    for (; this.known < end; this.known++) {
      const centre = this.centres[this.known - start];
      if (this.prepared !== this.known) {
        model.expect(order(this.known, sample), expected);
        distribution.set(centre + expected.mean, expected.variance);
        this.prepared = this.known;
      }
      const level = coder.level(distribution, sample.index);
      if (level === undefined) return false;
      model.learn(sample, distribution.represent(level) - centre, expected.mean);
    }
    this.centres = undefined;
    return true;
  }

  /**
   * Predicts the samples that are still unknown.
   * @param visit called with the index of each and its mean
   */
  expectRest(visit: (index: number, mean: number) => void): void {
    const { model, order, sample, expected } = this;
    // `sample` and `expected` are overwritten here.
    this.prepared = -1;
    for (let k = this.known; k < this.context.xhat0.length; k++) {
      model.expect(order(k, sample), expected);
      visit(sample.index, expected.mean);
    }
  }
}

/** @throws CodecError('format') for a table that cannot be one of covariances */
export function predictorsOf(covariances: Covariances): Predictor[][] {
  const predictors = solvePredictors(covariances);
  if (predictors === undefined)
    throw new CodecError('format', 'the table of covariances is damaged: it is of no residuals');
  return predictors;
}

/** The scale's exponent is (byte - SCALE_ZERO) / 8. */
export const SCALE_ZERO = 128;
const SCALE_STEP = 256 / 8;

/** The scale of the residuals that a byte stands for. */
export function scaleOf(byte: number): number {
  return exp2Fixed((byte - SCALE_ZERO) * SCALE_STEP);
}
