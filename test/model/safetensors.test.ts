/** The safetensors format: what is written is read back, other types are converted, and malformed files are refused. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CodecError } from '../../src/common/errors.js';
import type { HostTensor } from '../../src/engine/engine.js';
import { readMetadata, readSafetensors, writeSafetensors } from '../../src/model/safetensors.js';

const tensor = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }).chain((shape) => {
  const size = shape.reduce((a, b) => a * b, 1);
  return fc.float32Array({ minLength: size, maxLength: size }).map((data): HostTensor => ({ shape, data }));
});
const tensors = fc
  .uniqueArray(
    fc.tuple(
      fc.string().filter((name) => name !== '__metadata__'),
      tensor,
    ),
    { selector: ([name]) => name },
  )
  .map((entries) => new Map(entries));

/** A file with this header and this many bytes of data. */
function file(header: unknown, dataBytes: number): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = Buffer.alloc(8 + json.length + dataBytes);
  bytes.writeBigUInt64LE(BigInt(json.length), 0);
  json.copy(bytes, 8);
  return bytes;
}

function entry(dtype: string, shape: unknown, ...offsets: number[]) {
  return { dtype, shape, data_offsets: offsets };
}

/** A file with one tensor, given as raw bytes. */
function single(dtype: string, shape: number[], raw: ArrayBufferView): Uint8Array {
  const bytes = file({ x: entry(dtype, shape, 0, raw.byteLength) }, raw.byteLength);
  bytes.set(new Uint8Array(raw.buffer), bytes.length - raw.byteLength);
  return bytes;
}

function expectModelError(bytes: Uint8Array, message?: RegExp): void {
  let error: unknown;
  try {
    readSafetensors(bytes);
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(CodecError);
  expect((error as CodecError).code).toBe('model');
  if (message) expect((error as CodecError).message).toMatch(message);
}

describe('writing and reading', () => {
  test('gives the same tensors, bit by bit', () => {
    fc.assert(
      fc.property(tensors, (written) => {
        const read = readSafetensors(writeSafetensors(written));
        expect(new Set(read.keys())).toEqual(new Set(written.keys()));
        for (const [name, { shape, data }] of written) {
          expect(read.get(name)!.shape).toEqual(shape);
          expect(new Uint8Array(read.get(name)!.data.buffer)).toEqual(new Uint8Array(data.slice().buffer));
        }
      }),
    );
  });

  test('aligns the data to 8 bytes, as the format asks', () => {
    const bytes = writeSafetensors(new Map([['a', { shape: [1], data: Float32Array.of(1) }]]));
    expect((bytes.length - 4) % 8).toBe(0);
    expect(Buffer.from(bytes).subarray(8).toString('latin1')).toMatch(/^\{.*\} *[^ ]/s);
  });

  test('reads a file that lies unaligned in a larger buffer', () => {
    const bytes = writeSafetensors(new Map([['a', { shape: [2], data: Float32Array.of(1.5, -2) }]]));
    const buffer = new Uint8Array(bytes.length + 3);
    buffer.set(bytes, 3);
    expect([...readSafetensors(buffer.subarray(3)).get('a')!.data]).toEqual([1.5, -2]);
  });

  test('refuses to write data that does not fit the shape', () => {
    const data = new Float32Array(5);
    expect(() => writeSafetensors(new Map([['a', { shape: [2, 3], data }]]))).toThrow(/a: expected 6 values/);
  });
});

describe('types', () => {
  test.each<[string, ArrayBufferView, number[]]>([
    ['F32', Float32Array.of(1.5, -0.1), [1.5, Math.fround(-0.1)]],
    ['F64', Float64Array.of(1.5, -0.1), [1.5, Math.fround(-0.1)]],
    ['I32', Int32Array.of(-7, 2 ** 24), [-7, 2 ** 24]],
    ['I64', BigInt64Array.of(-7n, 1n << 40n), [-7, 2 ** 40]],
    // 1 sign bit, 8 exponent bits, 7 fraction bits.
    ['BF16', Uint16Array.of(0x3f80, 0xc049), [1, -3.140625]],
    // 1, -2, largest, smallest normal, smallest subnormal, infinity, -0.
    [
      'F16',
      Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x7c00, 0x8000),
      [1, -2, 65504, 2 ** -14, 2 ** -24, Number.POSITIVE_INFINITY, -0],
    ],
    ['F16', Uint16Array.of(0x7e00), [Number.NaN]],
  ])('%s becomes float32', (dtype, raw, expected) => {
    const { data } = readSafetensors(single(dtype, [expected.length], raw)).get('x')!;
    expect([...data]).toEqual(expected);
  });

  test('others are refused by name', () => {
    expectModelError(single('F8_E4M3', [1], Uint8Array.of(1)), /x: dtype: expected one of .*F32.*got "F8_E4M3"/);
    expectModelError(single('constructor', [1], Uint8Array.of(1)), /got "constructor"/);
  });
});

describe('malformed files', () => {
  const good = { a: entry('F32', [2], 0, 8), b: entry('F32', [1], 8, 12), __metadata__: { format: 'pt' } };

  test('a well-formed one is read, without its metadata', () => {
    expect([...readSafetensors(file(good, 12)).keys()]).toEqual(['a', 'b']);
    expect(readSafetensors(file({}, 0)).size).toBe(0);
  });

  test.each<[string, Uint8Array, RegExp]>([
    ['empty', new Uint8Array(0), /at least 8 bytes, got 0/],
    ['shorter than its header', file(good, 12).subarray(0, 40), /header of \d+ bytes does not fit into 40/],
    ['a header length beyond all files', new Uint8Array(64).fill(0xff), /does not fit/],
    ['not JSON', file('{"a":', 0), /its header is not JSON/],
    ['a JSON array', file([1, 2], 0), /not a JSON object/],
    ['JSON null', file('null', 0), /not a JSON object/],
    ['an entry that is no object', file({ a: null }, 0), /a: expected an object, got null/],
    ['no type', file({ a: { shape: [1], data_offsets: [0, 4] } }, 4), /a: dtype: expected it, got nothing/],
    ['no offsets', file({ a: { dtype: 'F32', shape: [1] } }, 4), /a: data_offsets: expected it, got nothing/],
    [
      'three offsets',
      file({ a: entry('F32', [1], 0, 2, 4) }, 4),
      /a: data_offsets.2: expected where it begins and where it ends/,
    ],
    [
      'a negative offset',
      file({ a: entry('F32', [1], -4, 0) }, 4),
      /a: data_offsets.0: expected an integer from 0, got -4/,
    ],
    ['a fractional size', file({ a: entry('F32', [1.5], 0, 6) }, 6), /a: shape.0: expected an integer from 0, got 1.5/],
    ['a shape that is no list', file({ a: entry('F32', 'x', 0, 4) }, 4), /a: shape: expected a list, got "x"/],
    ['offsets the wrong way round', file({ a: entry('F32', [1], 4, 0) }, 4), /a of shape \[1\] needs 4 bytes/],
    ['offsets that do not fit the shape', file({ a: entry('F32', [3], 0, 8) }, 8), /needs 12 bytes, .* 0\.\.8/],
    ['data beyond the end', file({ a: entry('F32', [2], 0, 8) }, 4), /offsets are 0\.\.8 of 4/],
    ['a size beyond 2^53', file({ a: entry('F32', [2 ** 40, 2 ** 40], 0, 8) }, 8), /needs/],
    ['overlapping tensors', file({ a: entry('F32', [2], 0, 8), b: entry('F32', [2], 4, 12) }, 12), /overlap/],
    ['a hole', file({ a: entry('F32', [1], 0, 4), b: entry('F32', [1], 8, 12) }, 12), /belong to none/],
    ['bytes left over', file({ a: entry('F32', [1], 0, 4) }, 5), /after the last tensor/],
  ])('%s: refused', (_, bytes, message) => {
    expectModelError(bytes, message);
  });

  test('any truncation is refused', () => {
    const bytes = file(good, 12);
    for (let length = 0; length < bytes.length; length++) expectModelError(bytes.subarray(0, length));
  });

  test('any damage is read or refused, never a crash', () => {
    const bytes = file(good, 12);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
        const damaged = Uint8Array.from(bytes);
        damaged[at] = value;
        try {
          readSafetensors(damaged);
        } catch (error) {
          expect(error).toBeInstanceOf(CodecError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('half precision', () => {
  const through = (data: Float32Array) =>
    readSafetensors(writeSafetensors(new Map([['a', { shape: [data.length], data }]]), { dtype: 'F16' })).get('a')!
      .data;

  test('all 65,536 half-precision numbers come back as they are', () => {
    const bits = Uint16Array.from({ length: 65_536 }, (_, i) => i);
    const header = { a: { dtype: 'F16', shape: [65_536], data_offsets: [0, 131_072] } };
    const bytes = file(header, 131_072);
    Buffer.from(bits.buffer).copy(bytes as Buffer, bytes.length - 131_072);
    const numbers = readSafetensors(bytes).get('a')!.data;
    expect(through(numbers)).toEqual(numbers);
  });

  test('other numbers go to the nearest, ties to even', () => {
    const half = 2 ** -11;
    const numbers = [
      1 + half,
      1 + 3 * half,
      1 + 1.01 * half,
      -1 - half,
      65_519,
      65_520,
      2 ** -25,
      1.01 * 2 ** -25,
      6e-8,
    ];
    const rounded = [1, 1 + 4 * half, 1 + 2 * half, -1, 65_504, Number.POSITIVE_INFINITY, 0, 2 ** -24, 2 ** -24];
    expect([...through(Float32Array.from(numbers))]).toEqual(rounded);
  });

  test('the relative error is at most 2^-11', () => {
    fc.assert(
      fc.property(fc.float({ min: Math.fround(-60_000), max: 60_000, noNaN: true }), (x) => {
        expect(Math.abs(through(Float32Array.of(x))[0] - x)).toBeLessThanOrEqual(
          Math.max(2 ** -11 * Math.abs(x), 2 ** -25),
        );
      }),
    );
  });
});

test('metadata are kept beside the tensors', () => {
  const metadata = { format: 'pt', note: 'ä "quoted"' };
  const bytes = writeSafetensors(new Map([['a', { shape: [1], data: Float32Array.of(7) }]]), { metadata });
  expect(readMetadata(bytes)).toEqual(metadata);
  expect(readSafetensors(bytes).get('a')!.data[0]).toBe(7);
  expect(readMetadata(writeSafetensors(new Map()))).toEqual({});
  expect(() => readMetadata(file({ __metadata__: { a: 1 } }, 0))).toThrow(/__metadata__: a: expected a string, got 1/);
});
