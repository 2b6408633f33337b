/** The kernel distance compared with its definition, where it is known; and what its error means. */
import { describe, expect, test } from 'vitest';
import { gaussians, integerStream } from '../../src/common/random.js';
import { kernelDistance } from '../../src/report/kid.js';

const vectors = (name: string, count: number, dimensions: number, shift = 0) => {
  const normal = gaussians(integerStream(`kid/${name}`));
  return Array.from({ length: count }, () => Float32Array.from({ length: dimensions }, () => normal() + shift));
};

const kernel = (x: Float32Array, y: Float32Array) =>
  (x.reduce((sum, value, i) => sum + value * y[i], 0) / x.length + 1) ** 3;

/** (3) of Gretton et al. (2012), term by term: two means over distinct pairs within a set, and one over all cross pairs except i, i. */
function direct(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  const pairs = a.flatMap((_, i) => a.flatMap((_, j) => (i === j ? [] : [[i, j]])));
  const mean = (x: readonly Float32Array[], y: readonly Float32Array[]) =>
    pairs.reduce((sum, [i, j]) => sum + kernel(x[i], y[j]), 0) / pairs.length;
  return mean(a, a) + mean(b, b) - 2 * mean(a, b);
}

describe('value', () => {
  test('is that of the definition', () => {
    const [a, b] = [vectors('a', 23, 5), vectors('b', 23, 5, 0.4)];
    expect(kernelDistance(a, b).value).toBeCloseTo(direct(a, b), 10);
    expect(kernelDistance(b, a).value).toBeCloseTo(direct(a, b), 10);
  });

  test('of more than 1,000 vectors is the mean over blocks', () => {
    const [a, b] = [vectors('many/a', 1200, 2), vectors('many/b', 1200, 2, 0.3)];
    const block = (index: number) => (set: readonly Float32Array[]) =>
      set.filter((_, i) => Math.floor(i / 600) === index);
    const blocks = [0, 1].map((index) => direct(block(index)(a), block(index)(b)));
    expect(kernelDistance(a, b).value).toBeCloseTo((blocks[0] + blocks[1]) / 2, 10);
  });

  test('has no bias where vectors of a group are alike: pairs within one are left out', () => {
    const twice = (set: readonly Float32Array[]) => set.flatMap((vector) => [vector, vector]);
    const groups = Array.from({ length: 46 }, (_, i) => Math.floor(i / 2));
    const [a, b] = [vectors('a', 23, 5), vectors('b', 23, 5, 0.4)];
    expect(kernelDistance(twice(a), twice(b), groups).value).toBeCloseTo(direct(a, b), 10);
    expect(kernelDistance(twice(a), twice(b)).value).not.toBeCloseTo(direct(a, b), 3);
    // A single group falls back to the plain estimate.
    expect(
      kernelDistance(
        a,
        b,
        a.map(() => 0),
      ).value,
    ).toBeCloseTo(direct(a, b), 10);
  });

  test('has blocks of about 1,000 vectors, however many are in a group', () => {
    const [a, b] = [vectors('large/a', 2400, 2), vectors('large/b', 2400, 2, 0.3)];
    const groups = a.map((_, i) => Math.floor(i / 300));
    let [sum, count] = [0, 0];
    for (let i = 0; i < a.length; i++) {
      for (let j = 0; j < i; j++) {
        // 2,400 vectors form 3 blocks: groups 0 to 2, 3 to 5, and 6 to 7.
        if (groups[i] === groups[j] || Math.floor(groups[i] / 3) !== Math.floor(groups[j] / 3)) continue;
        sum += kernel(a[i], a[j]) + kernel(b[i], b[j]) - kernel(a[i], b[j]) - kernel(a[j], b[i]);
        count++;
      }
    }
    expect(kernelDistance(a, b, groups).value).toBeCloseTo(sum / count, 10);
  });

  test('has pairs in every block, also where one group would fill it', () => {
    const [a, b] = [vectors('few/a', 2100, 2), vectors('few/b', 2100, 2, 0.3)];
    const groups = a.map((_, i) => Math.floor(i / 700));
    const { value, standardError } = kernelDistance(a, b, groups);
    expect(value).toBeGreaterThan(0);
    expect(standardError).toBeGreaterThan(0);
  });

  test('of a set and itself is 0, and no less', () => {
    const a = vectors('same', 12, 6);
    expect(kernelDistance(a, a).value).toBeCloseTo(0, 12);
  });

  test('has no bias: of equal distributions the mean is 0 within its error, also of few vectors', () => {
    const values = Array.from(
      { length: 400 },
      (_, i) => kernelDistance(vectors(`x${i}`, 6, 3), vectors(`y${i}`, 6, 3)).value,
    );
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
    expect(Math.abs(mean)).toBeLessThan((4 * deviation) / 20);
  });
});

describe('standard error', () => {
  test('is the spread over sets of that size', () => {
    const drawn = Array.from({ length: 60 }, (_, i) =>
      kernelDistance(vectors(`p${i}`, 80, 3), vectors(`q${i}`, 80, 3, 0.7)),
    );
    const mean = drawn.reduce((sum, { value }) => sum + value, 0) / drawn.length;
    const spread = Math.sqrt(drawn.reduce((sum, { value }) => sum + (value - mean) ** 2, 0) / drawn.length);
    const told = drawn.reduce((sum, { standardError }) => sum + standardError!, 0) / drawn.length;
    expect(told / spread).toBeGreaterThan(0.7);
    expect(told / spread).toBeLessThan(1.4);
  });

  test('is larger where vectors are of few groups, and none where there are hardly any', () => {
    const many = (set: readonly Float32Array[]) => set.flatMap((vector) => Array.from({ length: 8 }, () => vector));
    const [a, b] = [vectors('g/a', 12, 3), vectors('g/b', 12, 3, 0.7)];
    const groups = Array.from({ length: 96 }, (_, i) => Math.floor(i / 8));
    const [grouped, alone] = [groups, undefined].map((of) => kernelDistance(many(a), many(b), of).standardError!);
    expect(grouped).toBeGreaterThan(alone);
    expect(kernelDistance(a.slice(0, 2), b.slice(0, 2)).standardError).toBeNull();
  });
});

test('refusals', () => {
  const a = vectors('r', 4, 3);
  expect(() => kernelDistance(a.slice(0, 1), a.slice(0, 1))).toThrow(/vectors: expected at least 2, got 1/);
  expect(() => kernelDistance(a, a.slice(1))).toThrow(/features: expected 4, as many as/);
  expect(() => kernelDistance(a, a, [0])).toThrow(/groups: expected 4/);
  expect(() => kernelDistance(a, vectors('s', 4, 2))).toThrow(/features: expected 3 values, got 2/);
});
