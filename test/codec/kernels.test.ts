import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compile } from '../../assembly/build.mjs';
import {
  allocate,
  bytesAt,
  extendStates,
  floatsAt,
  integersAt,
  transformSigned,
} from '../../src/codec/trellis/kernels.js';
import { TRELLIS_WASM } from '../../src/codec/trellis/trellis-wasm.js';

const BYTES = 4;

test('are compiled from their source', async () => {
  expect(await compile()).toBe(TRELLIS_WASM);
});

const parity = (bits: number): number => (bits === 0 ? 0 : 1 ^ parity(bits & (bits - 1)));

/** H by its definition in Sylvester's order: the sign of element (i, j) is the parity of the bits of i & j. */
function directTransform(a: readonly number[]): number[] {
  return a.map((_, i) => a.reduce((sum, value, j) => sum + (parity(i & j) ? -value : value), 0));
}

/** 2^4 to 2^most integers between -1000 and 1000, and sign vectors with as many bits. */
const signedIntegers = (most: number) =>
  fc.integer({ min: 4, max: most }).chain((log) => {
    const of = <T>(value: fc.Arbitrary<T>, length: number) => fc.array(value, { minLength: length, maxLength: length });
    const words = of(fc.integer(), 2 ** Math.max(0, log - 5));
    return fc.record({
      values: of(fc.integer({ min: -1000, max: 1000 }), 2 ** log),
      signs: fc.array(words, { minLength: 1, maxLength: 4 }),
    });
  });

function transform(values: readonly number[], signs: readonly (readonly number[])[]): number[][] {
  const size = values.length;
  const [y, words, out] = [size, signs.length * signs[0].length, signs.length * size].map((n) => allocate(n * BYTES));
  floatsAt(y, size).set(values);
  integersAt(words, signs.length * signs[0].length).set(signs.flat());
  transformSigned(y, size, words, signs[0].length, signs.length, out, size);
  return signs.map((_, r) => Array.from(floatsAt(out + r * size * BYTES, size)));
}

test('a transform is the matrix of its definition, after each vector of signs', () => {
  fc.assert(
    fc.property(signedIntegers(8), ({ values, signs }) => {
      const expected = signs.map((words) =>
        directTransform(values.map((value, i) => ((words[i >> 5] >>> (i & 31)) & 1 ? -value : value))),
      );
      // Integers have no -0.
      expect(transform(values, signs).map((result) => result.map((value) => value + 0))).toEqual(
        expected.map((result) => result.map((value) => value + 0)),
      );
    }),
  );
});

test('a transform twice is the multiplication by the length, exactly', () => {
  for (let log = 4; log <= 12; log++) {
    const values = Array.from({ length: 2 ** log }, (_, i) => ((i * 7919) % 201) - 100);
    const noSigns = [Array(Math.max(1, values.length / 32)).fill(0)];
    const [once] = transform(values, noSigns);
    expect(once).not.toEqual(values);
    expect(transform(once, noSigns)[0]).toEqual(values.map((value) => value * values.length));
  }
});

test("Viterbi's step takes for each state the best branch into it, the first of equal ones", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 4, max: 9 }),
      fc.infiniteStream(fc.integer({ min: -20, max: 20 })),
      (log, numbers) => {
        const states = 2 ** log;
        const [before, halves, after] = [states, 8 * states, states].map((n) => allocate(n * BYTES));
        const choices = allocate(states);
        const draw = (n: number) => Float32Array.from({ length: n }, () => numbers.next().value as number);
        const metrics = draw(states);
        const scores = draw(8 * states);
        floatsAt(before, states).set(metrics);
        floatsAt(halves, 8 * states).set(scores);
        extendStates(states, before, halves, after, choices);
        for (let q = 0; q < states; q++) {
          const branches = Array.from({ length: 16 }, (_, j) => {
            const u = j * states + q;
            return metrics[j * (states / 16) + (q >> 4)] + (u & 1 ? -1 : 1) * scores[u >> 1];
          });
          const best = Math.max(...branches);
          expect(floatsAt(after, states)[q]).toBe(best);
          expect(bytesAt(choices, states)[q]).toBe(branches.indexOf(best));
        }
      },
    ),
    { numRuns: 30 },
  );
});
