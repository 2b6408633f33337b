import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type CodebookShape,
  codebookShape,
  scoreCodewords,
  scoresRoom,
  writeCodeword,
} from '../../src/codec/trellis/codebook.js';
import { allocate, floatsAt } from '../../src/codec/trellis/kernels.js';
import { fillSigns, gaussians, integerStream } from '../../src/common/random.js';

function randomSigns(name: string, length: number): Int8Array {
  const signs = new Int8Array(length);
  fillSigns(integerStream(name), signs);
  return signs;
}

function codeword(shape: CodebookShape, index: number, signs: Int8Array): Float32Array {
  const z = new Float32Array(signs.length);
  writeCodeword(shape, index, signs, z);
  return z;
}

const meanSquare = (z: Float32Array) => z.reduce((sum, value) => sum + value * value, 0) / z.length;
const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i], 0);

/** A block: number of dimensions, K, and an index into its codebook. */
const blocks = fc
  .record({ n: fc.integer({ min: 1, max: 9000 }), indexBits: fc.integer({ min: 8, max: 24 }) })
  .chain(({ n, indexBits }) =>
    fc.record({
      n: fc.constant(n),
      indexBits: fc.constant(indexBits),
      index: fc.nat(2 ** Math.min(indexBits, 17) - 1),
    }),
  );

describe('shape', () => {
  test('a codebook has exactly 2^K codewords', () => {
    for (let indexBits = 8; indexBits <= 24; indexBits++) {
      for (const n of [1, 16, 17, 255, 256, 257, 3072, 4096, 100_000]) {
        const { rows, signVectors } = codebookShape(n, indexBits);
        expect(2 * rows * signVectors).toBe(2 ** indexBits);
        expect(Number.isInteger(signVectors)).toBe(true);
      }
    }
  });

  test.each([
    [1, 16],
    [16, 16],
    [17, 32],
    [256, 256],
    [257, 512],
    [3072, 4096],
    [4096, 4096],
    [12_582_912, 4096],
  ])('%d dimensions are transformed with size %d', (n, size) => {
    expect(codebookShape(n, 16).size).toBe(size);
  });
});

describe('codewords', () => {
  test('are even integers over sqrt(P)', () => {
    fc.assert(
      fc.property(blocks, ({ n, indexBits, index }) => {
        const shape = codebookShape(n, indexBits);
        const z = codeword(shape, index, randomSigns(`test/${n}`, n));
        const scale = 1 / Math.sqrt(shape.size);
        const integers = z.map((value) => Math.round(value / scale));
        // A sum of P signs is even, and at most P.
        expect(integers.every((integer) => integer % 2 === 0 && Math.abs(integer) <= shape.size)).toBe(true);
        expect(z.every((value, i) => value === Math.fround(integers[i] * scale))).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  test('have a mean square of exactly 1 over P dimensions, and of about 1 over any others', () => {
    for (const indexBits of [8, 16, 20]) {
      for (const n of [16, 256, 1024, 4096, 8192]) {
        for (const index of [0, 77, 2 ** indexBits - 1]) {
          expect(meanSquare(codeword(codebookShape(n, indexBits), index, randomSigns('a', n)))).toBeCloseTo(1, 6);
        }
      }
    }
    const shape = codebookShape(3072, 16);
    const signs = randomSigns('b', 3072);
    for (let index = 0; index < 2 ** 16; index += 4099) {
      expect(Math.abs(meanSquare(codeword(shape, index, signs)) - 1)).toBeLessThan(0.1);
    }
  });

  test('change sign with the lowest bit of the index, and with S1 element by element', () => {
    fc.assert(
      fc.property(blocks, ({ n, indexBits, index }) => {
        const shape = codebookShape(n, indexBits);
        const signs = randomSigns(`test/${n}`, n);
        const z = codeword(shape, index, signs);
        expect(codeword(shape, index ^ 1, signs)).toEqual(z.map((value) => -value));
        const unsigned = codeword(shape, index, new Int8Array(n).fill(1));
        expect(z).toEqual(unsigned.map((value, i) => value * signs[i]));
      }),
      { numRuns: 20 },
    );
  });

  test('repeat their pattern under fresh signs in blocks of more than P dimensions', () => {
    const shape = codebookShape(10_000, 12);
    const z = codeword(shape, 1234, new Int8Array(10_000).fill(1));
    for (let i = 4096; i < z.length; i++) expect(z[i]).toBe(z[i - 4096]);
  });

  test('of one sign vector are orthogonal, and none occurs twice', () => {
    const n = 256;
    const shape = codebookShape(n, 10);
    const signs = randomSigns('c', n);
    const all = Array.from({ length: 2 ** 10 }, (_, index) => codeword(shape, index, signs));
    expect(new Set(all.map((z) => z.join())).size).toBe(2 ** 10);
    for (let row = 1; row < shape.rows; row++) expect(Math.abs(dot(all[0], all[2 * row]))).toBeLessThan(1e-3);
  });

  test('start with the recorded integers', () => {
    // Recorded from this implementation; files depend on the sign vectors 'ddc1/codebook/r'.
    const pattern = (n: number, indexBits: number, index: number) => {
      const shape = codebookShape(n, indexBits);
      const z = codeword(shape, index, new Int8Array(n).fill(1));
      return Array.from(z.subarray(0, 8), (value) => Math.round(value * Math.sqrt(shape.size)));
    };
    expect(pattern(256, 8, 0)).toEqual([-4, 28, -4, 20, 24, 16, -40, -8]);
    expect(pattern(4096, 20, 2 ** 20 - 2)).toEqual([42, -10, 110, 50, -70, 14, -26, -62]);
  });
});

describe('scores', () => {
  test('are the scalar products with the codewords that the index stands for', () => {
    for (const [n, indexBits] of [
      [10, 8],
      [256, 10],
      [300, 11],
      [5000, 13],
    ]) {
      const shape = codebookShape(n, indexBits);
      const signs = randomSigns(`test/${n}`, n);
      const target = Float32Array.from({ length: n }, gaussians(integerStream(`test/target/${n}`)));
      const norm = Math.sqrt(dot(target, target));
      const scores = allocate(scoresRoom(shape) * Float32Array.BYTES_PER_ELEMENT);
      scoreCodewords(shape, target, signs, scores);
      const halves = floatsAt(scores, 2 ** (indexBits - 1));
      for (let half = 0; half < halves.length; half += 37) {
        const z = codeword(shape, 2 * half, signs);
        expect(Math.abs(halves[half] - dot(z, target))).toBeLessThan(1e-4 * norm);
      }
    }
  });
});
