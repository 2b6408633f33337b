import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fillSigns, integerStream, shuffle, stepStreamName, uniforms } from '../src/common/random.js';
import { stream } from './helpers/second-arithmetic.js';

test('a stream starts with the recorded integers', () => {
  // Recorded from seedrandom 3.0.5: integerStream('ddc1/0/1') called six times. Files depend on these numbers.
  const stream = integerStream(stepStreamName(0, 1));
  expect(Array.from({ length: 6 }, stream)).toEqual([
    -1791002974, 484309874, -1460369021, 818070405, -102831977, 554652633,
  ]);
});

test('streams follow the recurrence of the format', () => {
  for (const name of ['ddc1/0/0', 'ddc1/4294967295/120', 'ddc1/codebook/7']) {
    const expected = stream(name);
    expect(Array.from({ length: 1000 }, integerStream(name))).toEqual(Array.from({ length: 1000 }, expected));
  }
});

test('every step of every seed has a stream of its own', () => {
  expect(stepStreamName(12, 3)).toBe('ddc1/12/3');
  const firsts = [0, 1, 11, 2 ** 32 - 1].flatMap((seed) =>
    Array.from({ length: 50 }, (_, step) => integerStream(stepStreamName(seed, step))()),
  );
  expect(new Set(firsts).size).toBe(firsts.length);
});

test('signs are the bits of the stream, least significant first, a set bit meaning -1', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 200 }), (length) => {
      const words = [0b1101, -1, 0, 0x55555555, 0x12345678, -2, 7];
      let drawn = 0;
      const signs = new Int8Array(length);
      fillSigns(() => words[drawn++], signs);
      expect(drawn).toBe(Math.ceil(length / 32));
      signs.forEach((sign, i) => {
        expect(sign).toBe(Math.floor((words[i >> 5] >>> 0) / 2 ** (i & 31)) % 2 ? -1 : 1);
      });
    }),
  );
});

test('a shuffle is a permutation, the same for the same stream', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2000 }), fc.string({ maxLength: 8 }), (length, name) => {
      const order = shuffle(integerStream(name), new Int32Array(length));
      expect(Array.from(order.toSorted())).toEqual(Array.from({ length }, (_, i) => i));
      expect(shuffle(integerStream(name), new Int32Array(length).fill(7))).toEqual(order);
    }),
    { numRuns: 50 },
  );
});

test('a shuffle draws one integer per swap, from the end', () => {
  // u = 2^31 picks the middle: i = 3 swaps with 2, i = 2 with 1, i = 1 with 1.
  let drawn = 0;
  const order = shuffle(() => {
    drawn++;
    return -(2 ** 31);
  }, new Int32Array(4));
  expect(drawn).toBe(3);
  expect(Array.from(order)).toEqual([0, 3, 1, 2]);
});

test('all orders of a shuffle are equally frequent', () => {
  const stream = integerStream('test/shuffle');
  const counts = new Map<string, number>();
  for (let i = 0; i < 24_000; i++) {
    const key = shuffle(stream, new Int32Array(4)).join();
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  expect(counts.size).toBe(24);
  // 1000 expected, standard deviation 31.
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
});

test('uniform numbers are those of the stream, from 0 on and below 1', () => {
  const ends = [0, 1, -1, 2 ** 31 - 1, -(2 ** 31)];
  const uniform = uniforms(() => ends.shift()!);
  expect(Array.from({ length: 5 }, uniform)).toEqual([0, 2 ** -32, 1 - 2 ** -32, 0.5 - 2 ** -32, 0.5]);
});
