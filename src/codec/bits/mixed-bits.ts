/**
 * Probabilities of binary decisions from what came before, by mixing in the logistic domain (Mahoney 2005, "Adaptive weighing of context
 * models for lossless data compression"): every context of a decision has its own adaptive probability, and a small network learns how
 * far to trust each. Only + - * / in doubles and integers, in a fixed order: both ends compute the same.
 */
import { exp2Fixed } from './exp2.js';
import { TOTAL } from './range-coder.js';

/** Logits have base 2 and are rounded to 1/256 where they are looked up; past this they are cut off. */
const MOST_LOGIT = 12;
const LOGIT_STEPS = 256;
/** Probabilities of contexts have 16 bits; their logits are looked up by the upper 12. */
const PROBABILITY_BITS = 16;
const LOGIT_BITS = 12;
/** Observations after which a context's probability no longer slows down. */
const MOST_OBSERVATIONS = 160;
/** Of all contexts; more than an average, which is too careful. */
const FIRST_WEIGHT = 0.35;
/** How fast weights learn. */
const RATE = 0.015;
/** Least share of a decision's less likely side. */
const LEAST_SHARE = TOTAL / 2 ** 16;

/** 1 / (1 + 2^-x) at x = -MOST_LOGIT .. MOST_LOGIT. */
const SQUASHED = Float64Array.from(
  { length: 2 * MOST_LOGIT * LOGIT_STEPS + 1 },
  (_, i) => 1 / (1 + exp2Fixed(MOST_LOGIT * LOGIT_STEPS - i)),
);

/** The inverse: the largest logit on the grid whose probability is not above the middle of each of 2^12 intervals. */
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
 * Decisions, several of which may be predicted before any of them is learnt: whoever reads a code that has not come to its end can go
 * back to where the last that was learnt was.
 */
export class MixedBits {
  private readonly probabilities: Uint16Array;
  private readonly observations: Uint8Array;
  private readonly weights: Float64Array;
  private readonly mask: number;
  /** Of decisions that were predicted and not learnt: slots and logits of their contexts, set of weights, probability, outcome. */
  private slots = new Int32Array(0);
  private logits = new Float64Array(0);
  private readonly pending: { set: number; probability: number; bit: number }[] = [];
  private count = 0;

  /**
   * @param contexts of each decision
   * @param sets of weights
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
   * What is expected of a decision.
   * @param hashes of its contexts, integers of 32 bits
   * @param set of weights
   * @returns the share of a 1, in units of 1 / TOTAL, at least LEAST_SHARE and at most TOTAL - LEAST_SHARE
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

  /** How the decision predicted last came out. */
  decide(bit: number): void {
    this.pending[this.count - 1].bit = bit;
  }

  /** Learns all decisions since this was called last. */
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

  /** Forgets the decisions that were not learnt. */
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

/** Spreads an integer of 32 bits over all of them (the finaliser of MurmurHash3, Appleby 2011). */
export function spread(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
