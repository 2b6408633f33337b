/**
 * Probabilities of an 8-bit sample of which a mean and a variance are expected: Student's t with 12 degrees of freedom,
 * discretised to the 256 values as the paper's p(x_0|x_1) (section 3.3), in integers. Errors of a denoiser have heavier
 * tails than a Gaussian, and with an even number of degrees of freedom the distribution function needs no more than
 * a square root, so that all machines agree.
 */
import { TOTAL } from '../bits/range-coder.js';

const DEGREES = 12;
/** cos^(2k) has the factor (1 3 5 ... 2k-1) / (2 4 6 ... 2k) in the distribution function (Abramowitz & Stegun 26.7.4). */
const FACTORS = [1, 1 / 2, 3 / 8, 5 / 16, 35 / 128, 63 / 256] as const;
/** Least probability of a value. */
const FLOOR = 4;
const LEVELS = 256;

/** A(t) / 2 with A(t) = P(|T| < t) for t >= 0, odd in t: the distribution function less 1/2. */
export function studentHalf(t: number): number {
  const square = DEGREES / (DEGREES + t * t);
  let sum = 0;
  for (let k = FACTORS.length - 1; k >= 0; k--) sum = sum * square + FACTORS[k];
  return ((t / Math.sqrt(DEGREES + t * t)) * sum) / 2;
}

/** The distribution of one sample after another. */
export class SampleDistribution {
  private mean = 0;
  /** The mean, rounded: the value in the middle of a step. */
  private middle = 0;
  private inverseScale = 1;
  private first = 0;
  private share = 1;

  /** @param step values are told apart by, an odd number: 1 where they are exact */
  constructor(private readonly step = 1) {}

  /** @param mean on the 0..255 scale @param variance more than 0 */
  set(mean: number, variance: number): void {
    this.mean = Math.max(0, Math.min(LEVELS - 1, mean));
    this.middle = Math.floor(this.mean + 0.5);
    this.inverseScale = 1 / Math.sqrt((variance * (DEGREES - 2)) / DEGREES);
    this.first = this.at(0);
    this.share = (TOTAL - LEVELS * FLOOR) / (this.at(LEVELS) - this.first);
  }

  /** The likeliest value; one in the middle of a step. */
  get likeliest(): number {
    return this.middle;
  }

  /** Sum of the probabilities of values below `level`, 0..256, in units of 1 / TOTAL. */
  cumulative(level: number): number {
    if (level === 0) return 0;
    if (level === LEVELS) return TOTAL;
    return FLOOR * level + Math.floor((this.at(level) - this.first) * this.share);
  }

  /** The value that a place of 0..TOTAL-1 falls into. */
  find(place: number): number {
    let level = this.middle;
    while (this.cumulative(level) > place) level--;
    while (this.cumulative(level + 1) <= place) level++;
    return level;
  }

  /** The first value that is not told from this one, and the one after the last. */
  stepOf(value: number): readonly [start: number, end: number] {
    if (this.step === 1) return [value, value + 1];
    const start = this.valueNear(value) - (this.step - 1) / 2;
    return [Math.max(0, start), Math.min(LEVELS, start + this.step)];
  }

  /** What stands for a value. */
  represent(value: number): number {
    return this.step === 1 ? value : Math.max(0, Math.min(LEVELS - 1, this.valueNear(value)));
  }

  /** The middle of the value's step, which may be outside of 0..255. */
  private valueNear(value: number): number {
    const half = (this.step - 1) / 2;
    return this.middle + Math.floor((value - this.middle + half) / this.step) * this.step;
  }

  private at(level: number): number {
    return studentHalf((level - 0.5 - this.mean) * this.inverseScale);
  }
}
