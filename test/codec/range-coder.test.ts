import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RangeDecoder, RangeEncoder, TOTAL } from '../../src/codec/bits/range-coder.js';

/** A partition of TOTAL, given by the starts of its symbols, and one of those symbols. */
interface Symbol {
  readonly starts: readonly number[];
  readonly index: number;
}

/** Even shares, and shares of 1 at either end, where the last symbol takes the rest. */
const symbols: fc.Arbitrary<Symbol> = fc
  .oneof(
    fc.uniqueArray(fc.integer({ min: 1, max: TOTAL - 1 }), { maxLength: 20 }),
    fc.constantFrom([], [1], [TOTAL - 1], [1, 2, 3, TOTAL - 2, TOTAL - 1], [TOTAL / 2]),
  )
  .chain((cuts) => {
    const starts = [0, ...cuts.toSorted((a, b) => a - b)];
    return fc.record({ starts: fc.constant(starts), index: fc.nat(starts.length - 1) });
  });
const messages = fc.oneof(
  fc.array(symbols, { maxLength: 300 }),
  // The same symbol repeated: long runs of zeros, of ones, and of carries.
  fc.tuple(symbols, fc.integer({ min: 1, max: 2000 })).map(([symbol, length]) => Array<Symbol>(length).fill(symbol)),
);

const end = ({ starts, index }: Symbol) => starts[index + 1] ?? TOTAL;

function encode(message: readonly Symbol[]): Uint8Array {
  const encoder = new RangeEncoder(1);
  for (const symbol of message) encoder.encode(symbol.starts[symbol.index], end(symbol));
  return encoder.finish();
}

/** The indices that can be read, up to the first uncertain one. */
function read(bytes: Uint8Array, complete: boolean, message: readonly Symbol[]): number[] {
  const decoder = new RangeDecoder(bytes, complete);
  const indices: number[] = [];
  for (const { starts } of message) {
    const place = decoder.peek();
    const index = starts.findLastIndex((start) => start <= place);
    if (!decoder.accept(starts[index], end({ starts, index }))) break;
    indices.push(index);
  }
  return indices;
}

/** Bits of a message according to its shares. */
function entropy(message: readonly Symbol[]): number {
  return message.reduce((bits, symbol) => bits - Math.log2((end(symbol) - symbol.starts[symbol.index]) / TOTAL), 0);
}

const indicesOf = (message: readonly Symbol[]) => message.map(({ index }) => index);

describe('the range coder', () => {
  test('reads what it wrote', () => {
    fc.assert(
      fc.property(messages, (message) => {
        expect(read(encode(message), true, message)).toEqual(indicesOf(message));
      }),
    );
  });

  test('needs hardly more than the entropy', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const bits = encode(message).length * 8;
        // A symbol loses up to log2(1 + 2^-10) bits because its unit is rounded. The last byte may be incomplete.
        expect(bits).toBeLessThanOrEqual(entropy(message) + 0.0015 * message.length + 8);
      }),
    );
  });

  test('tells its length while it writes', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const encoder = new RangeEncoder();
        for (const symbol of message) encoder.encode(symbol.starts[symbol.index], end(symbol));
        expect(encoder.length).toBeGreaterThanOrEqual(entropy(message) - 1e-6);
        expect(encoder.length).toBeLessThanOrEqual(entropy(message) + 0.0015 * message.length + 1e-6);
        expect(encoder.finish().length * 8).toBeLessThanOrEqual(encoder.length + 8);
      }),
    );
  });

  test('reads of a prefix the first symbols, never a wrong one, and more of a longer one', () => {
    fc.assert(
      fc.property(messages, fc.double({ min: 0, max: 1, noNaN: true }), (message, share) => {
        const bytes = encode(message);
        const length = Math.floor(share * bytes.length);
        const shorter = read(bytes.subarray(0, length), false, message);
        const longer = read(bytes.subarray(0, length + 1), false, message);
        expect(shorter).toEqual(indicesOf(message).slice(0, shorter.length));
        expect(longer).toEqual(indicesOf(message).slice(0, longer.length));
        expect(longer.length).toBeGreaterThanOrEqual(shorter.length);
      }),
    );
  });

  test('reads of a prefix all but the last bits of it', () => {
    const message = Array.from({ length: 4000 }, (_, i) => ({
      starts: [0, TOTAL / 2, (3 * TOTAL) / 4],
      index: (i * i) % 3,
    }));
    const bytes = encode(message);
    for (let length = 0; length <= bytes.length; length += 17) {
      const known = read(bytes.subarray(0, length), false, message);
      expect(entropy(message.slice(0, known.length))).toBeGreaterThan(8 * length - 24);
    }
  });

  test('reads anything without a symbol outside of the partition', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.boolean(), messages, (bytes, complete, message) => {
        for (const [i, index] of read(bytes, complete, message).entries()) {
          expect(index).toBeGreaterThanOrEqual(0);
          expect(index).toBeLessThan(message[i].starts.length);
        }
      }),
    );
  });
});
