import { describe, expect, test } from 'vitest';
import { blockCapacity } from '../../src/codec/format/plan.js';
import { chooseGreedy, chooseSample } from '../../src/codec/trellis/block-coder.js';
import { type BlockCode, blockCode, type Path, stageCount, writePath } from '../../src/codec/trellis/trellis.js';
import { fillSigns, gaussians, integerStream } from '../../src/common/random.js';

/** A block to choose a codeword for: its signs, and a target in a random direction. The target's length is in standard deviations. */
function randomBlock(n: number, name: string, norm: number) {
  const stream = integerStream(`test/block/${name}`);
  const signs = new Int8Array(n);
  fillSigns(stream, signs);
  const target = Float32Array.from({ length: n }, gaussians(stream));
  const factor = norm / Math.sqrt(target.reduce((sum, value) => sum + value * value, 0));
  return { signs, target: target.map((value) => value * factor) };
}

/** Path number i of a code's 2^L, from its bits in file order. */
function pathOf(code: BlockCode, i: number): Path {
  const stages = stageCount(code);
  const symbols = Uint8Array.from({ length: stages }, (_, stage) => (i >> (4 * (stages - 1 - stage))) & 15);
  return { start: i >> (4 * stages), symbols };
}

function numberOf({ start, symbols }: Path): number {
  return symbols.reduce((number, symbol) => number * 16 + symbol, start);
}

function product(code: BlockCode, path: Path, target: Float32Array, signs: Int8Array): number {
  const z = new Float32Array(target.length);
  writePath(code, path, signs, z);
  return z.reduce((sum, value, i) => sum + value * target[i], 0);
}

/** Scalar products of all codewords with a target, by codeword number. */
function allProducts(code: BlockCode, target: Float32Array, signs: Int8Array): number[] {
  return Array.from({ length: 2 ** code.blockBits }, (_, i) => product(code, pathOf(code, i), target, signs));
}

describe('greedy', () => {
  // Includes paths shorter and longer than the memory, empty stages, and stages longer than a transform.
  test.each([
    [1, 8, 4],
    [3, 12, 4],
    [40, 12, 4],
    [256, 16, 4],
    [700, 16, 8],
    [9000, 12, 8],
  ])('of %d dimensions, %d bits and ν = %d finds the best codeword of all', (n, blockBits, stateBits) => {
    const code = blockCode(n, blockBits, stateBits);
    for (let trial = 0; trial < (blockBits < 16 ? 5 : 1); trial++) {
      const { signs, target } = randomBlock(n, `${n}/${trial}`, 1);
      const best = allProducts(code, target, signs).reduce((a, b) => Math.max(a, b));
      const chosen = product(code, chooseGreedy(code, target, signs), target, signs);
      expect(chosen).toBeGreaterThan(0);
      expect(best - chosen).toBeLessThan(1e-5);
    }
  });

  test('takes the lowest states where several paths are best, whatever the scale of the target', () => {
    const code = blockCode(256, 20, 8);
    const { signs, target } = randomBlock(256, 'scale', 1);
    const nothing = chooseGreedy(code, new Float32Array(256), signs);
    expect(nothing).toEqual({ start: 0, symbols: new Uint8Array(3) });
    const chosen = chooseGreedy(code, target, signs);
    // Powers of two scale floats exactly.
    for (const factor of [2 ** -20, 2 ** 20]) {
      const scaled = target.map((value) => value * factor);
      expect(chooseGreedy(code, scaled, signs)).toEqual(chosen);
    }
  });

  /** Mean squared projection on a unit vector, in bits of KL per bit: (E[max])^2 / (2 ln 2 L). */
  function delivered(blockBits: number, stateBits: number, n: number, trials: number): number {
    const code = blockCode(n, blockBits, stateBits);
    let sum = 0;
    for (let trial = 0; trial < trials; trial++) {
      const { signs, target } = randomBlock(n, `projection/${blockBits}/${stateBits}/${trial}`, 1);
      sum += product(code, chooseGreedy(code, target, signs), target, signs);
    }
    return (sum / trials) ** 2 / (2 * Math.LN2 * blockBits);
  }

  test.each([
    [12, 8, 3072, 400],
    [28, 8, 3072, 100],
    [64, 8, 3072, 60],
    [1024, 8, 100_000, 8],
    [1022, 6, 100_000, 12],
    [1022, 10, 100_000, 3],
  ])('delivers what plans expect of %d bits with ν = %d', (blockBits, stateBits, n, trials) => {
    const expected = blockCapacity(blockBits, stateBits) / blockBits;
    expect(Math.abs(delivered(blockBits, stateBits, n, trials) / expected - 1)).toBeLessThan(0.04);
  });

  test('where dimensions are few, delivers what a sphere allows', () => {
    // A tenth of a bit per dimension. At R bits, a code on a sphere keeps (1 - 2^-2R) / (2 ln 2 R) of them: 93 %.
    const [blockBits, n] = [1024, 10_240];
    const sphere = (1 - 2 ** -0.2) / (2 * Math.LN2 * 0.1);
    const expected = (sphere * blockCapacity(blockBits, 8)) / blockBits;
    expect(Math.abs(delivered(blockBits, 8, n, 8) / expected - 1)).toBeLessThan(0.04);
  });

  test('a long path delivers 90 % of its bits, which single codewords of any practical length do not', () => {
    expect(delivered(1024, 8, 100_000, 8)).toBeGreaterThan(0.89);
  });
});

describe('sampling', () => {
  test('takes paths as often as their weights say', () => {
    const code = blockCode(100, 8, 4);
    const long = blockCode(100, 12, 4);
    for (const [one, draws] of [
      [code, 20_000],
      [long, 60_000],
    ] as const) {
      const { signs, target } = randomBlock(100, 'sample', 2);
      const weights = allProducts(one, target, signs).map(Math.exp);
      const total = weights.reduce((a, b) => a + b);
      const stream = integerStream('test/uniform');
      const counts = new Array<number>(weights.length).fill(0);
      for (let i = 0; i < draws; i++) {
        counts[numberOf(chooseSample(one, target, signs, () => (stream() >>> 0) / 0x100000000))]++;
      }
      // Chi-squared over all codewords: mean m - 1, variance 2 (m - 1), a little more where few are expected.
      const chiSquared = counts.reduce((sum, count, i) => {
        const expected = (draws * weights[i]) / total;
        return sum + (count - expected) ** 2 / expected;
      }, 0);
      const freedom = weights.length - 1;
      expect(chiSquared).toBeLessThan(freedom + 5 * Math.sqrt(2 * freedom));
      // The target is long enough to detect a uniform choice.
      expect(Math.max(...weights) / total).toBeGreaterThan(4 / weights.length);
    }
  });

  test.each([0, 1 - 2 ** -32])('survives a uniform number of %d', (uniform) => {
    const code = blockCode(16, 16, 8);
    const { signs, target } = randomBlock(16, 'ends', 1);
    const { start, symbols } = chooseSample(code, target, signs, () => uniform);
    expect(start).toBeLessThan(256);
    expect(symbols.length).toBe(2);
    expect(symbols.every((symbol) => symbol < 16)).toBe(true);
  });
});
