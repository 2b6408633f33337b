/**
 * Probabilities of an 8-bit sample with a predicted mean and variance: Student's t with 12 degrees of freedom,
 * discretised to the 256 values like the paper's p(x_0|x_1) (section 3.3), in integers. A denoiser's errors have
 * heavier tails than a Gaussian. With an even number of degrees of freedom the distribution function needs nothing
 * beyond a square root, so all machines agree.
 */
import { TOTAL } from '../bits/range-coder.js';

const DEGREES = 12;
/** Factors of cos^(2k) in the distribution function: (1 3 5 ... 2k-1) / (2 4 6 ... 2k) (Abramowitz & Stegun 26.7.4). */
const FACTORS = [1, 1 / 2, 3 / 8, 5 / 16, 35 / 128, 63 / 256] as const;
/** Least probability of a value, in units of 1 / TOTAL. */
const FLOOR = 4;
const LEVELS = 256;

/** A(t) / 2, where A(t) = P(|T| < t) for t >= 0, extended as an odd function: the distribution function minus 1/2. */
export function studentHalf(t: number): number {
  const square = DEGREES / (DEGREES + t * t);
  let sum = 0;
  for (let k = FACTORS.length - 1; k >= 0; k--) sum = sum * square + FACTORS[k];
  return ((t / Math.sqrt(DEGREES + t * t)) * sum) / 2;
}

/** The distribution of a sample, reused for one sample after another. */
export class SampleDistribution {
  private mean = 0;
  /** The rounded mean: the value in the middle of a step. */
  private middle = 0;
  private inverseScale = 1;
  private first = 0;
  private share = 1;

  /** @param step quantiser step, an odd number: 1 where values are exact */
  constructor(private readonly step = 1) {}

  /** @param mean on the 0..255 scale @param variance more than 0 */
  set(mean: number, variance: number): void {
    this.mean = Math.max(0, Math.min(LEVELS - 1, mean));
    this.middle = Math.floor(this.mean + 0.5);
    this.inverseScale = 1 / Math.sqrt((variance * (DEGREES - 2)) / DEGREES);
    this.first = this.at(0);
    this.share = (TOTAL - LEVELS * FLOOR) / (this.at(LEVELS) - this.first);
  }

  /** The most likely value; it is in the middle of a step. */
  get likeliest(): number {
    return this.middle;
  }

  /** Sum of the probabilities of values below `level`, 0..256, in units of 1 / TOTAL. */
  cumulative(level: number): number {
    if (level === 0) return 0;
    if (level === LEVELS) return TOTAL;
    return FLOOR * level + Math.floor((this.at(level) - this.first) * this.share);
  }

  /** The value whose share contains `place`, 0..TOTAL-1. */
  find(place: number): number {
    let level = this.middle;
    while (this.cumulative(level) > place) level--;
    while (this.cumulative(level + 1) <= place) level++;
    return level;
  }

  /** The quantiser step that contains a value: its first value, and the one after its last. */
  stepOf(value: number): readonly [start: number, end: number] {
    if (this.step === 1) return [value, value + 1];
    const start = this.valueNear(value) - (this.step - 1) / 2;
    return [Math.max(0, start), Math.min(LEVELS, start + this.step)];
  }

  /** The reconstructed value: the middle of the step, clipped to 0..255. */
  represent(value: number): number {
    return this.step === 1 ? value : Math.max(0, Math.min(LEVELS - 1, this.valueNear(value)));
  }

  /** The middle of the value's step, which may lie outside 0..255. */
  private valueNear(value: number): number {
    const half = (this.step - 1) / 2;
    return this.middle + Math.floor((value - this.middle + half) / this.step) * this.step;
  }

  private at(level: number): number {
    return studentHalf((level - 0.5 - this.mean) * this.inverseScale);
  }
}
