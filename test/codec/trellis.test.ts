import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BitReader, BitWriter } from '../../src/codec/bits/bitstream.js';
import { type Block, readBlock, stepBlocks, stepMemory, writeBlock } from '../../src/codec/trellis/blocks.js';
import { writeCodeword } from '../../src/codec/trellis/codebook.js';
import { type BlockCode, blockCode, type Path, stageCount, writePath } from '../../src/codec/trellis/trellis.js';
import { fillSigns, integerStream } from '../../src/common/random.js';

function randomSigns(name: string, length: number): Int8Array {
  const signs = new Int8Array(length);
  fillSigns(integerStream(name), signs);
  return signs;
}

function codeword(code: BlockCode, path: Path, signs: Int8Array): Float32Array {
  const z = new Float32Array(signs.length);
  writePath(code, path, signs, z);
  return z;
}

/** A code and one of its paths. */
const codes = fc
  .record({
    n: fc.integer({ min: 1, max: 5000 }),
    stateBits: fc.integer({ min: 4, max: 16 }),
    stages: fc.integer({ min: 1, max: 40 }),
  })
  .chain(({ n, stateBits, stages }) =>
    fc.record({
      n: fc.constant(n),
      code: fc.constant(blockCode(n, stateBits + 4 * stages, stateBits)),
      path: fc.record({
        start: fc.nat(2 ** stateBits - 1),
        symbols: fc.uint8Array({ minLength: stages, maxLength: stages, max: 15 }),
      }),
    }),
  );

describe('a path', () => {
  test('of one stage is the codeword of its index', () => {
    const n = 300;
    const code = blockCode(n, 12, 8);
    expect(stageCount(code)).toBe(1);
    const signs = randomSigns('one', n);
    const z = new Float32Array(n);
    for (const index of [0, 1, 1234, 4095]) {
      writeCodeword(code.first, index, signs, z);
      expect(codeword(code, { start: index >> 4, symbols: Uint8Array.of(index & 15) }, signs)).toEqual(z);
    }
  });

  test('shares the dimensions out by bits, and remembers ν bits', () => {
    const [n, stateBits] = [400, 8];
    const code = blockCode(n, stateBits + 4 * 8, stateBits);
    const signs = randomSigns('memory', n);
    const path = { start: 77, symbols: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) };
    const z = codeword(code, path, signs);
    // 12 bits of 40 for the first stage, then 4 for each of the others.
    const starts = [0, 120, 160, 200, 240, 280, 320, 360, 400];
    for (let stage = 0; stage < 8; stage++) {
      const changed = path.symbols.slice();
      changed[stage] ^= 9;
      const other = codeword(code, { ...path, symbols: changed }, signs);
      // The symbol is part of the state for two more stages. After that the paths are the same again.
      z.forEach((value, i) => {
        const inside = i >= starts[stage] && i < (starts[stage + 3] ?? n);
        if (!inside) expect(other[i]).toBe(value);
      });
      for (let later = stage; later < Math.min(8, stage + 3); later++) {
        const part = (values: Float32Array) => values.slice(starts[later], starts[later + 1]);
        expect(part(other)).not.toEqual(part(z));
      }
    }
  });

  test('has values of variance 1', () => {
    fc.assert(
      fc.property(codes, ({ n, code, path }) => {
        const z = codeword(code, path, randomSigns(`test/${n}`, n));
        expect(z.every(Number.isFinite)).toBe(true);
        if (n < 1000) return;
        const meanSquare = z.reduce((sum, value) => sum + value * value, 0) / n;
        expect(Math.abs(meanSquare - 1)).toBeLessThan(0.25);
      }),
      { numRuns: 60 },
    );
  });

  test('starts with the recorded integers', () => {
    // Recorded from this implementation; files depend on them.
    const n = 64;
    const code = blockCode(n, 8 + 4 * 4, 8);
    const z = codeword(code, { start: 200, symbols: Uint8Array.of(15, 0, 7, 9) }, new Int8Array(n).fill(1));
    const at = (from: number, size: number) =>
      Array.from(z.subarray(from, from + 6), (value) => Math.round(value * Math.sqrt(size)));
    expect([code.first.size, code.rest.size]).toEqual([32, 16]);
    expect([at(0, 32), at(32, 16), at(58, 16)]).toEqual(RECORDED);
  });
});

test('bits that are no start state and whole symbols are refused', () => {
  for (const blockBits of [8, 11, 13, 1022.5])
    expect(() => blockCode(100, blockBits, 8)).toThrow(/block bits: expected 8 and/);
});

const RECORDED = [
  [-14, -2, -10, 2, 2, -2],
  [8, -8, -4, -4, 0, 0],
  [-2, 6, 2, -6, 6, -2],
];

test('what is written is read back', () => {
  fc.assert(
    fc.property(codes, ({ code, path }) => {
      const block: Block = { code, dimensions: new Int32Array(0), signs: new Int8Array(0) };
      const writer = new BitWriter();
      writer.write(1, 3);
      writeBlock(block, path, writer);
      expect(writer.length).toBe(3 + code.blockBits);
      const reader = new BitReader(writer.toBytes());
      reader.read(3);
      expect(readBlock(block, reader)).toEqual(path);
    }),
  );
});

test('the blocks of a step cover every dimension once', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 9 }), (length, blocks) => {
      const seen = new Uint8Array(length);
      const planned = { t: 9, s: 8, blocks, blockBits: 32 };
      for (const { dimensions, signs } of stepBlocks(3, 1, planned, 8, stepMemory(length))) {
        expect(signs.length).toBe(dimensions.length);
        for (const dimension of dimensions) seen[dimension]++;
      }
      expect(seen.every((count) => count === 1)).toBe(true);
    }),
    { numRuns: 30 },
  );
});
