/**
 * Adaptive probabilities of binary decisions by logistic mixing (Mahoney 2005, "Adaptive weighing of context models for
 * lossless data compression"). Each context of a decision has its own adaptive probability, and a small network learns
 * how far to trust each of them. It uses only + - * / in doubles and integers, in a fixed order, so both ends compute
 * the same.
 */
import { exp2Fixed } from './exp2.js';
import { TOTAL } from './range-coder.js';

/** Logits have base 2. They are clipped at this magnitude and rounded to 1/256 for table look-ups. */
const MOST_LOGIT = 12;
const LOGIT_STEPS = 256;
/** Context probabilities have 16 bits; the upper 12 index the table of logits. */
const PROBABILITY_BITS = 16;
const LOGIT_BITS = 12;
/** Number of observations after which a context's adaptation rate stays constant. */
const MOST_OBSERVATIONS = 160;
/** Initial weight of all contexts; larger than an average would have, because averages are too cautious. */
const FIRST_WEIGHT = 0.35;
/** Learning rate of the weights. */
const RATE = 0.015;
/** Least probability of either outcome, in units of 1 / TOTAL. */
const LEAST_SHARE = TOTAL / 2 ** 16;

/** 1 / (1 + 2^-x) at x = -MOST_LOGIT .. MOST_LOGIT. */
const SQUASHED = Float64Array.from(
  { length: 2 * MOST_LOGIT * LOGIT_STEPS + 1 },
  (_, i) => 1 / (1 + exp2Fixed(MOST_LOGIT * LOGIT_STEPS - i)),
);

/** The inverse table: the largest logit on the grid whose probability is not above the middle of each of 2^12 intervals. */
const LOGITS = (() => {
  const logits = new Float64Array(2 ** LOGIT_BITS);
  let at = 0;
  for (let i = 0; i < logits.length; i++) {
    const probability = (i + 0.5) / logits.length;
    while (at + 1 < SQUASHED.length && SQUASHED[at + 1] <= probability) at++;
    logits[i] = at / LOGIT_STEPS - MOST_LOGIT;
  }
  return logits;
})();

/**
 * Adaptive models of decisions. Several decisions may be predicted before any of them is learnt. So the reader of an
 * incomplete code can return to the state after the last learnt decision.
 */
export class MixedBits {
  private readonly probabilities: Uint16Array;
  private readonly observations: Uint8Array;
  private readonly weights: Float64Array;
  private readonly mask: number;
  /** For predicted decisions that are not yet learnt: slots and logits of their contexts, weight set, probability, outcome. */
  private slots = new Int32Array(0);
  private logits = new Float64Array(0);
  private readonly pending: { set: number; probability: number; bit: number }[] = [];
  private count = 0;

  /**
   * @param contexts number of contexts per decision
   * @param sets number of weight sets
   * @param slotBits log2 of the number of probabilities, which contexts share by their hash
   */
  constructor(
    private readonly contexts: number,
    sets: number,
    slotBits: number,
  ) {
    this.probabilities = new Uint16Array(2 ** slotBits).fill(2 ** (PROBABILITY_BITS - 1));
    this.observations = new Uint8Array(2 ** slotBits);
    this.weights = new Float64Array(sets * contexts).fill(FIRST_WEIGHT);
    this.mask = 2 ** slotBits - 1;
  }

  /**
   * Predicts a decision.
   * @param hashes of its contexts, 32-bit integers
   * @param set index of the weight set
   * @returns the probability of a 1, in units of 1 / TOTAL, at least LEAST_SHARE and at most TOTAL - LEAST_SHARE
   */
  predict(hashes: Int32Array, set: number): number {
    const { contexts, count, weights } = this;
    const start = count * contexts;
    this.reserve(count);
    let sum = 0;
    for (let i = 0; i < contexts; i++) {
      const slot = spread(hashes[i] + i * 0x3c6ef372) & this.mask;
      const logit = LOGITS[this.probabilities[slot] >>> (PROBABILITY_BITS - LOGIT_BITS)];
      this.slots[start + i] = slot;
      this.logits[start + i] = logit;
      sum += weights[set * contexts + i] * logit;
    }
    const limited = Math.max(-MOST_LOGIT, Math.min(MOST_LOGIT, sum));
    const probability = SQUASHED[Math.floor((limited + MOST_LOGIT) * LOGIT_STEPS + 0.5)];
    this.pending[count].set = set;
    this.pending[count].probability = probability;
    this.count++;
    return Math.max(LEAST_SHARE, Math.min(TOTAL - LEAST_SHARE, Math.floor(probability * TOTAL)));
  }

  /** Sets the outcome of the decision predicted last. */
  decide(bit: number): void {
    this.pending[this.count - 1].bit = bit;
  }

  /** Learns all decisions made since the last call. */
  learn(): void {
    const { contexts, weights, probabilities, observations } = this;
    for (let n = 0; n < this.count; n++) {
      const { set, probability, bit } = this.pending[n];
      const error = RATE * (bit - probability);
      for (let i = 0; i < contexts; i++) {
        const slot = this.slots[n * contexts + i];
        weights[set * contexts + i] += error * this.logits[n * contexts + i];
        const aim = bit === 1 ? 65535 : 0;
        probabilities[slot] += Math.trunc((aim - probabilities[slot]) / (observations[slot] + 1.5));
        if (observations[slot] < MOST_OBSERVATIONS) observations[slot]++;
      }
    }
    this.count = 0;
  }

  /** Discards the decisions that are not yet learnt. */
  forget(): void {
    this.count = 0;
  }

  private reserve(count: number): void {
    if (count < this.pending.length) return;
    this.pending.push({ set: 0, probability: 0, bit: 0 });
    if ((count + 1) * this.contexts <= this.slots.length) return;
    const slots = new Int32Array(2 * (count + 1) * this.contexts);
    const logits = new Float64Array(slots.length);
    slots.set(this.slots);
    logits.set(this.logits);
    this.slots = slots;
    this.logits = logits;
  }
}

/** Spreads a 32-bit integer over all 32 bits (the finaliser of MurmurHash3, Appleby 2011). */
export function spread(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
