import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Header, readHeader, repairHeader, writeHeader } from '../../src/codec/format/header.js';
import { toHex } from '../../src/common/bytes.js';
import { CodecError } from '../../src/common/errors.js';
import { MAX_SIDE } from '../../src/image/image.js';

/** Largest number of a held step in these tests. A file cannot hold more of them than it has steps. */
const MOST_HELD = 300;

/** Every header that can be written. */
const headers: fc.Arbitrary<Header> = fc
  .record({
    version: fc.constant(7),
    stateBits: fc.integer({ min: 4, max: 16 }),
    modelId: fc.stringMatching(/^[0-9a-f]{6}$/),
    width: fc.integer({ min: 1, max: MAX_SIDE }),
    height: fc.integer({ min: 1, max: MAX_SIDE }),
    isSquare: fc.boolean(),
    plan: fc.record({
      first: fc.integer({ min: -64, max: 63 }),
      second: fc.integer({ min: -8, max: 7 }),
      load: fc.integer({ min: 0, max: 1 }),
      pace: fc.integer({ min: 0, max: 7 }),
    }),
    seed: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
    stepCount: fc.option(fc.integer({ min: 0, max: 2 ** 14 - 1 }), { nil: undefined }),
    tail: fc.boolean(),
    checksums: fc.boolean(),
    metadata: fc.boolean(),
    stop: fc.option(fc.integer({ min: 1, max: 2 ** 14 - 1 }), { nil: undefined }),
    meanColour: fc.option(fc.integer({ min: 0, max: 2 ** 16 - 1 }), { nil: undefined }),
    detail: fc.constantFrom(undefined, 0, 1, 3),
    heldSteps: fc.option(
      fc
        .uniqueArray(fc.integer({ min: 1, max: MOST_HELD }), { maxLength: 5 })
        .map((steps) => steps.sort((a, b) => a - b)),
      { nil: undefined },
    ),
  })
  .map(({ isSquare, stepCount, tail, checksums, metadata, stop, meanColour, detail, heldSteps, ...header }) => ({
    ...header,
    ...(isSquare && { height: header.width }),
    ...(stepCount !== undefined && { stepCount }),
    ...(tail && { tail }),
    ...(checksums && { checksums }),
    ...(metadata && { metadata }),
    ...(stop !== undefined && { stop }),
    ...(meanColour !== undefined && { meanColour }),
    ...(detail !== undefined && { detail }),
    ...(heldSteps?.length && { heldSteps }),
  }));

const SIMPLE: Header = {
  version: 7,
  stateBits: 12,
  modelId: 'c0ffee',
  width: 32,
  height: 300,
  plan: { first: 0, second: -1, load: 1, pace: 5 },
  seed: 0,
};

/** The code and message of the CodecError that a call throws. */
function refusal(call: () => unknown): { code: string; message: string } {
  try {
    call();
  } catch (error) {
    if (error instanceof CodecError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('expected a refusal');
}

/** The CRC-8 of docs/FORMAT.md: polynomial 0x2F, initial value and final XOR 0xFF. */
function crc8(bytes: Uint8Array): number {
  const polynomial = 0x12f;
  let register = 0xff;
  for (const byte of bytes) {
    register ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      register <<= 1;
      if (register & 0x100) register ^= polynomial;
    }
  }
  return register ^ 0xff;
}

function withChecksum(bytes: Uint8Array): Uint8Array {
  const fixed = bytes.slice();
  fixed[fixed.length - 1] = crc8(fixed.subarray(0, -1));
  return fixed;
}

/** `SIMPLE` with one byte replaced and the checksum corrected. */
function altered(position: number, value: number): Uint8Array {
  const bytes = writeHeader(SIMPLE);
  bytes[position] = value;
  return withChecksum(bytes);
}

/** `SIMPLE` with this features byte. */
function withFeatures(features: number): Uint8Array {
  const bytes = writeHeader({ ...SIMPLE, checksums: true });
  bytes[bytes.length - 2] = features;
  return withChecksum(bytes);
}

/** A square picture's header that states the height all the same. */
function squareWithHeight(): Uint8Array {
  const bytes = writeHeader({ ...SIMPLE, height: 33 });
  bytes[9] = 31;
  return withChecksum(bytes);
}

/** A header that states its seed, which is 0. */
function withSeedOf0(): Uint8Array {
  const bytes = writeHeader({ ...SIMPLE, seed: 1 });
  bytes[bytes.length - 2] = 0;
  return withChecksum(bytes);
}

/** A header with a number of held steps, which is 0. */
function withHeldOf0(): Uint8Array {
  const bytes = writeHeader({ ...SIMPLE, heldSteps: [1] });
  return withChecksum(Uint8Array.from([...bytes.subarray(0, -3), 0, 0]));
}

test('no held steps are as good as none stated', () => {
  expect(writeHeader({ ...SIMPLE, heldSteps: [] })).toEqual(writeHeader(SIMPLE));
});

test('the usual detail takes no bits, others two of the features', () => {
  expect(writeHeader({ ...SIMPLE, detail: 2 })).toEqual(writeHeader(SIMPLE));
  for (const detail of [0, 1, 3]) {
    const bytes = writeHeader({ ...SIMPLE, detail });
    expect(bytes).toEqual(withFeatures((detail ^ 2) << 6));
  }
});

test('a header has the bytes of the specification', () => {
  const bytes = Array.from(writeHeader(SIMPLE));
  expect(bytes.slice(0, -1)).toEqual([0xdd, 0xc7, 8, 0xc0, 0xff, 0xee, 0x80, 0b111_0_1_101, 31, 0xab, 0x02]);
  expect(bytes.at(-1)).toBe(crc8(Uint8Array.from(bytes.slice(0, -1))));
  const long = writeHeader({ ...SIMPLE, seed: 129, stepCount: 5 });
  expect(long[2]).toBe(8 | 0x20 | 0x40);
  expect(writeHeader({ ...SIMPLE, tail: true })[2]).toBe(8 | 0x80);
  const features = writeHeader({ ...SIMPLE, checksums: true, metadata: true });
  expect([features[2], ...features.subarray(-2, -1)]).toEqual([8 | 0x10, 3]);
  expect(Array.from(long.subarray(11, -1))).toEqual([0x81, 0x01, 5]);
  // Red 16, green 32, blue 15. There are three held steps, preceded by 2, 0 and 199 others.
  const shown = writeHeader({ ...SIMPLE, stop: 3, meanColour: 0b10000_100000_01111, heldSteps: [3, 4, 204] });
  expect(shown[2]).toBe(8 | 0x10);
  expect(Array.from(shown.subarray(11, -1))).toEqual([0x1c, 3, 0b10000_100, 0b000_01111, 3, 2, 0, 0xc7, 1]);
});

test('the checksum is CRC-8/AUTOSAR', () => {
  expect(crc8(Buffer.from('123456789'))).toBe(0xdf);
});

test('whatever is written is read back, and the length is right with a payload behind', () => {
  fc.assert(
    fc.property(headers, fc.uint8Array({ maxLength: 20 }), (header, payload) => {
      const bytes = writeHeader(header);
      const held = header.heldSteps === undefined ? 0 : 1 + 2 * header.heldSteps.length;
      expect(bytes.length).toBeLessThanOrEqual(2 + 1 + 3 + 8 + 2 + 5 + 2 + 1 + 2 + 2 + held + 1);
      expect(readHeader(Uint8Array.from([...bytes, ...payload]))).toEqual({ header, length: bytes.length });
    }),
    { numRuns: 1000 },
  );
});

test('a 32 x 32 image needs 10 bytes, or 11 when it ends early', () => {
  const header = { ...SIMPLE, width: 32, height: 32 };
  expect(writeHeader(header).length).toBe(10);
  expect(writeHeader({ ...header, stepCount: 127 }).length).toBe(11);
});

describe('damage', () => {
  test('a header that ends too early is refused at every length', () => {
    fc.assert(
      fc.property(headers, (header) => {
        const bytes = writeHeader(header);
        for (let length = 0; length < bytes.length; length++) {
          expect(refusal(() => readHeader(bytes.subarray(0, length))).code).toBe('format');
        }
      }),
    );
  });

  test('no flipped bit goes unnoticed', () => {
    fc.assert(
      fc.property(headers, (header) => {
        const bytes = writeHeader(header);
        const { checksums, metadata, stop, meanColour, heldSteps } = header;
        const stopBytes = stop === undefined ? 0 : stop < 128 ? 1 : 2;
        const meanBytes = meanColour === undefined ? 0 : 2;
        const gaps = heldSteps?.map((step, i) => step - (heldSteps[i - 1] ?? 0) - 1);
        const heldBytes = gaps?.reduce((sum, gap) => sum + (gap < 128 ? 1 : 2), 1) ?? 0;
        const features = [checksums, metadata, stopBytes, meanBytes, heldBytes].some(Boolean);
        const featuresAt = features ? bytes.length - 2 - stopBytes - meanBytes - heldBytes : -1;
        const countAt = heldBytes > 0 ? bytes.length - 1 - heldBytes : -1;
        for (let bit = 0; bit < bytes.length * 8; bit++) {
          const damaged = bytes.slice();
          damaged[bit >> 3] ^= 1 << (bit & 7);
          // A flipped flag, count, square or LEB128 continuation bit moves the checksum to another place. There, 1 in 256 fits by chance.
          const moves =
            [2, featuresAt, countAt].includes(bit >> 3) ||
            bit === 7 * 8 + 4 ||
            (damaged[bit >> 3] ^ bytes[bit >> 3]) === 0x80;
          if (moves) {
            try {
              expect(readHeader(damaged).header).not.toEqual(header);
            } catch (error) {
              if (!(error instanceof CodecError)) throw error;
              expect(error.code).toBe('format');
            }
          } else {
            expect(refusal(() => readHeader(damaged)).code).toBe('format');
          }
        }
      }),
    );
  });

  test('one flipped bit is turned back, two that do not move its end are left', () => {
    const flip = (bytes: Uint8Array, bit: number) => {
      bytes[bit >>> 3] ^= 128 >> (bit & 7);
    };
    const short = fc.record({
      modelId: fc.stringMatching(/^[0-9a-f]{6}$/),
      stepCount: fc.integer({ min: 0, max: 127 }),
      checksums: fc.constant(true),
    });
    const counts = { bits: 0, mended: 0 };
    fc.assert(
      fc.property(short, fc.uint8Array({ minLength: 80, maxLength: 80 }), (fields, behind) => {
        const bytes = Uint8Array.from([...writeHeader({ ...SIMPLE, ...fields }), ...behind]);
        expect(repairHeader(bytes)).toBe(bytes);
        for (let bit = 0; bit < 8 * readHeader(bytes).length; bit++) {
          const damaged = bytes.slice();
          flip(damaged, bit);
          const repaired = repairHeader(damaged);
          // A flip that moves the end can make another header valid.
          expect([toHex(bytes), toHex(damaged)]).toContain(toHex(repaired));
          counts.bits++;
          if (repaired !== damaged) counts.mended++;
        }
      }),
      { numRuns: 8, seed: 1 },
    );
    expect(counts.mended / counts.bits).toBeGreaterThan(0.95);
    // The input stays as it is, even where its slices are not copies.
    const buffer = Buffer.from(writeHeader(SIMPLE));
    flip(buffer, 47);
    const given = toHex(buffer);
    expect(toHex(repairHeader(buffer))).toBe(toHex(writeHeader(SIMPLE)));
    expect(toHex(buffer)).toBe(given);
    const bytes = writeHeader(SIMPLE);
    for (const bit of [24, 47]) flip(bytes, bit);
    expect(repairHeader(bytes)).toBe(bytes);
  });

  test('anything else never gives more than a refusal', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (junk) => {
        const bytes = Uint8Array.from([0xdd, 0xc7, ...junk]);
        try {
          const { header, length } = readHeader(bytes);
          expect(writeHeader(header)).toEqual(bytes.slice(0, length));
        } catch (error) {
          if (!(error instanceof CodecError)) throw error;
          expect(error.code).toBe('format');
        }
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ['an empty file', Uint8Array.of(), /not a \.ddc file.*an empty file/],
    ['another kind of file', Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), /not a \.ddc file.*8950/],
    ['a wrong first byte', altered(0, 0xdc), /not a \.ddc file/],
    ['a later version', altered(1, 0xc8), /version: expected 7, got 8/],
    ['version 2', altered(1, 0xc2), /version: expected 7, got 2/],
    ['version 6', altered(1, 0xc6), /version: expected 7, got 6/],
    ['features that are none', withFeatures(0), /feature this version does not know/],
    ['a square that states its height', squareWithHeight(), /states what it need not: the height of a square/],
    ['a seed of 0 that is stated', withSeedOf0(), /states what it need not: a seed of 0/],
    ['held steps of which there are none', withHeldOf0(), /states what it need not: held steps, none/],
    ['more than 2^16 states', altered(2, 13), /feature this version does not know/],
    ['a wrong checksum', writeHeader(SIMPLE).map((byte, i) => (i === 11 ? byte ^ 1 : byte)), /expected checksum/],
  ])('%s is refused for what it is', (_, bytes, message) => {
    const { code, message: actual } = refusal(() => readHeader(bytes));
    expect(code).toBe('format');
    expect(actual).toMatch(message);
    expect(actual).not.toMatch(/\n/);
  });

  test.each([
    ['a width beyond 2^24', [0x80, 0x80, 0x80, 0x08]],
    ['a width without end', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
    ['a width with a needless byte', [0x9f, 0x00]],
  ])('%s is refused', (_, width) => {
    const simple = writeHeader(SIMPLE);
    const bytes = withChecksum(Uint8Array.from([...simple.subarray(0, 8), ...width, ...simple.subarray(9)]));
    const { code, message } = refusal(() => readHeader(bytes));
    expect(code).toBe('format');
    expect(message).toMatch(/expected a number up to 16777215/);
  });
});
