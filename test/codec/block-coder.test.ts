import { expect, test } from 'vitest';
import { chooseGreedy, chooseSample } from '../../src/codec/block-coder.js';
import { type CodebookShape, codebookShape, writeCodeword } from '../../src/codec/codebook.js';
import { blockCapacity } from '../../src/codec/plan.js';
import { fillSigns, gaussians, integerStream } from '../../src/random.js';

/** A block to choose for: its signs, and a target of the given length in standard deviations in a random direction. */
function randomBlock(n: number, name: string, norm: number) {
  const stream = integerStream(`test/block/${name}`);
  const signs = new Int8Array(n);
  fillSigns(stream, signs);
  const target = Float32Array.from({ length: n }, gaussians(stream));
  const factor = norm / Math.sqrt(target.reduce((sum, value) => sum + value * value, 0));
  return { signs, target: target.map((value) => value * factor) };
}

/** Scalar products of all codewords with a target, in order of their index. */
function allProducts(shape: CodebookShape, target: Float32Array, signs: Int8Array): number[] {
  const z = new Float32Array(target.length);
  return Array.from({ length: 2 ** shape.blockBits }, (_, index) => {
    writeCodeword(shape, index, signs, z);
    return z.reduce((sum, value, i) => sum + value * target[i], 0);
  });
}

test('greedy finds the codeword with the largest scalar product of all', () => {
  for (const [n, blockBits] of [
    [1, 8],
    [3, 8],
    [40, 8],
    [256, 8],
    [700, 8],
    [300, 11],
  ]) {
    const shape = codebookShape(n, blockBits);
    for (let trial = 0; trial < 5; trial++) {
      const { signs, target } = randomBlock(n, `${n}/${trial}`, 1);
      const products = allProducts(shape, target, signs);
      const chosen = products[chooseGreedy(shape, target, signs)];
      expect(chosen).toBeGreaterThan(0);
      expect(Math.max(...products) - chosen).toBeLessThan(1e-5);
    }
  }
});

test('greedy takes the lowest index where several are best, whatever the scale of the target', () => {
  const shape = codebookShape(256, 8);
  const { signs } = randomBlock(256, 'zero', 1);
  expect(chooseGreedy(shape, new Float32Array(256), signs)).toBe(0);
  const { target } = randomBlock(256, 'scale', 1);
  const chosen = chooseGreedy(shape, target, signs);
  // Powers of two scale floats exactly.
  for (const factor of [2 ** -20, 2 ** 20]) {
    expect(
      chooseGreedy(
        shape,
        target.map((value) => value * factor),
        signs,
      ),
    ).toBe(chosen);
  }
});

test('the best projection is as large as that of independent Gaussian codewords', () => {
  const blockBits = 12;
  const trials = 400;
  const gaussian = gaussians(integerStream('test/independent'));
  const z = new Float32Array(3072);
  const shape = codebookShape(z.length, blockBits);
  let structured = 0;
  let independent = 0;
  for (let trial = 0; trial < trials; trial++) {
    const { signs, target } = randomBlock(z.length, `projection/${trial}`, 1);
    writeCodeword(shape, chooseGreedy(shape, target, signs), signs, z);
    structured += z.reduce((sum, value, i) => sum + value * target[i], 0) ** 2;
    // The projection of a Gaussian vector on a unit vector is a normal deviate.
    let best = 0;
    for (let i = 0; i < 2 ** blockBits; i++) best = Math.max(best, gaussian());
    independent += best ** 2;
  }
  const share = (sum: number) => sum / trials / (2 * Math.LN2 * blockBits);
  expect(share(structured) / share(independent)).toBeGreaterThan(0.97);
  expect(share(structured) / share(independent)).toBeLessThan(1.03);
  // What plans expect of a block.
  const expected = blockCapacity(blockBits) / blockBits;
  expect(Math.abs(share(structured) / expected - 1)).toBeLessThan(0.05);
});

test('sampling takes codewords as often as their weights say', () => {
  const shape = codebookShape(200, 8);
  const { signs, target } = randomBlock(200, 'sample', 2);
  const weights = allProducts(shape, target, signs).map(Math.exp);
  const total = weights.reduce((a, b) => a + b);
  const stream = integerStream('test/uniform');
  const draws = 20_000;
  const counts = new Array<number>(weights.length).fill(0);
  for (let i = 0; i < draws; i++) {
    counts[chooseSample(shape, target, signs, () => (stream() >>> 0) / 0x100000000)]++;
  }
  // Chi-squared over all codewords: mean 255, standard deviation 22.6.
  const chiSquared = counts.reduce((sum, count, i) => {
    const expected = (draws * weights[i]) / total;
    return sum + (count - expected) ** 2 / expected;
  }, 0);
  expect(chiSquared).toBeLessThan(255 + 5 * 22.6);
  // The target is long enough that uniform choice would be seen.
  expect(Math.max(...weights) / total).toBeGreaterThan(4 / weights.length);
});

test('sampling survives a uniform number of 0', () => {
  const shape = codebookShape(16, 8);
  const { signs, target } = randomBlock(16, 'zeros', 1);
  const index = chooseSample(shape, target, signs, () => 0);
  expect(index).toBeGreaterThanOrEqual(0);
  expect(index).toBeLessThan(256);
});
