/** Broken tails, without a network: whatever is read, no false claim is made about it. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DrawingTailReader } from '../../src/codec/decoder/drawing-tail.js';
import { writeDrawing } from '../../src/codec/drawing/drawing-writer.js';
import { MARGIN } from '../../src/codec/lossless/agreement.js';
import { COVARIANCE_SIZE, INDEPENDENT } from '../../src/codec/lossless/residuals.js';
import type { TailContext } from '../../src/codec/lossless/tail.js';
import { pictureChecksum, readTailHeader, writeTailBytes } from '../../src/codec/lossless/tail-header.js';
import { type TailPicture, TailReader } from '../../src/codec/lossless/tail-reader.js';
import { chooseTail, writeTail } from '../../src/codec/lossless/tail-writer.js';
import { CodecError } from '../../src/common/errors.js';
import { integerStream } from '../../src/common/random.js';

/** An estimate, and a picture that differs from it by some levels. */
function makeTail(width: number, height: number) {
  const stream = integerStream(`tail ${width}x${height}`);
  const uniform = () => stream() / 2 ** 32;
  const xhat0 = Float32Array.from({ length: width * height * 3 }, () => 1.8 * uniform());
  const image = Uint8Array.from(xhat0, (value) =>
    Math.max(0, Math.min(255, Math.round((value + 1) * 127.5 + 12 * uniform()))),
  );
  const context: TailContext = { width, height, seed: 5, xhat0, covariances: INDEPENDENT };
  return { context, image, tail: writeTail(context, image, chooseTail(context, image), MARGIN).bytes };
}

/** Reads a tail, or the beginning of one. */
function readTail(section: Uint8Array, context: TailContext): TailPicture {
  const header = readTailHeader(section);
  if (header === undefined) return { values: context.xhat0, known: 0, exact: false, damaged: false };
  const reader =
    header.kind === 'residuals'
      ? new TailReader(header, context)
      : new DrawingTailReader(header, context, new Float32Array(context.xhat0.length), undefined);
  reader.append(section.subarray(header.bytes, header.bytes + header.codedBytes));
  while (!reader.isDone && reader.readGroup());
  return reader.picture();
}

/** The tail that is read, or undefined where it is refused with an error meant for people. */
function read(tail: Uint8Array, context: TailContext): TailPicture | undefined {
  try {
    return readTail(tail, context);
  } catch (error) {
    expect(error).toBeInstanceOf(CodecError);
    return undefined;
  }
}

const { context, image, tail } = makeTail(13, 9);
/** Flags, checksum and scale, followed by the code's length in two bytes. */
const FIXED = 6;
const HEADER = 8;

describe('a tail', () => {
  test('has the header that these tests break', () => {
    expect(tail[FIXED] & 0x7f).toBe((tail.length - HEADER) & 0x7f);
    expect(readTail(tail, context)).toMatchObject({ exact: true, damaged: false, known: image.length });
  });

  test('with any other code is damaged or refused', () => {
    // A code with a place that belongs to no symbol stops decoding long before the last sample, although nothing is missing.
    const { context, image, tail } = makeTail(24, 24);
    let stopped = 0;
    for (let i = 0; i < 150; i++) {
      const stream = integerStream(`code ${i}`);
      const other = tail.map((byte, at) => (at < HEADER + 40 ? byte : stream() & 0xff));
      const picture = read(other, context);
      if (!picture) continue;
      expect(picture).toMatchObject({ exact: false, damaged: true });
      if (picture.known < image.length) stopped++;
    }
    expect(stopped).toBeGreaterThan(0);
  });

  test('that is cut off is neither exact nor damaged, and what is known of it is right', () => {
    for (let length = 0; length < tail.length; length++) {
      const picture = readTail(tail.subarray(0, length), context);
      expect(picture.damaged).toBe(false);
      expect(picture.exact).toBe(picture.known === image.length);
      const right = picture.values.filter((value, i) => value === Math.fround(image[i] / 127.5 - 1));
      expect(right.length).toBeGreaterThanOrEqual(picture.known);
    }
  });

  test('with any covariances gives numbers, or is refused', () => {
    const extreme = fc.constantFrom(0, 1, -1, 3, 4, 7, 32767, -32768, 4096, 4100);
    const entry = fc.oneof({ weight: 3, arbitrary: extreme }, fc.integer({ min: -32768, max: 32767 }));
    const sparse = fc
      .array(fc.tuple(fc.nat(COVARIANCE_SIZE - 1), entry), { maxLength: 5 })
      .map((entries) => INDEPENDENT.map((value, i) => entries.find(([at]) => at === i)?.[1] ?? value));
    const full = fc.array(entry, { minLength: COVARIANCE_SIZE, maxLength: COVARIANCE_SIZE });
    fc.assert(
      fc.property(fc.oneof(sparse, full), fc.nat(tail.length), fc.nat(255), (table, kept, scale) => {
        const bytes = new Uint8Array(FIXED + 2 * COVARIANCE_SIZE);
        bytes.set(tail.subarray(0, FIXED));
        bytes[0] |= 0x10;
        bytes[FIXED - 1] = scale;
        const view = new DataView(bytes.buffer);
        for (const [i, value] of table.entries()) view.setInt16(FIXED + 2 * i, value);
        const whole = Buffer.concat([bytes, tail.subarray(FIXED)]);
        const picture = read(whole.subarray(0, whole.length - kept), context);
        expect(picture?.values.every(Number.isFinite) ?? true).toBe(true);
        // It may be right by chance: with another table it codes nearly nothing.
        expect(
          picture?.exact && picture.values.some((value, i) => value !== Math.fround(image[i] / 127.5 - 1)),
        ).toBeFalsy();
      }),
    );
  });

  test('with reserved flags or a length that cannot be is refused', () => {
    // The other flags stand for other kinds of tails.
    for (const flag of [0x20]) {
      expect(() => readTail(Uint8Array.from([tail[0] | flag, ...tail.subarray(1)]), context)).toThrow(CodecError);
    }
    for (const length of [
      [0xff, 0xff, 0xff, 0xff, 0x7f],
      [0x80, 0],
      [0xff, 0xff, 0xff, 0xff, 0xff, 1],
    ]) {
      const broken = Uint8Array.from([...tail.subarray(0, FIXED), ...length, ...tail.subarray(HEADER)]);
      expect(() => readTail(broken, context)).toThrow(/expected a number up to/);
    }
  });
});

describe('a drawing', () => {
  const { width, height } = context;
  /** Few colours, or all possible ones. */
  const drawings = [true, false].flatMap((few) =>
    [true, false].map((exact) => {
      const samples = few ? image.map((value) => (value > 190 ? 210 : 30)) : image;
      const kind = { hasPalette: few, isEven: !few && exact, step: exact ? 1 : 7 } as const;
      const step = few ? 1 : kind.step;
      const { code, samples: sent } = writeDrawing(
        samples,
        { ...kind, step, width, height, channels: 3 },
        (step - 1) / 2,
      )!;
      const tail = { ...kind, step, kind: 'drawing', filledPasses: 2 } as const;
      return { sent, exact, bytes: writeTailBytes(tail, code, exact ? pictureChecksum(samples) : undefined) };
    }),
  );

  test.each(drawings)('that is whole is what was written', ({ sent, exact, bytes }) => {
    const picture = readTail(bytes, context);
    expect(picture).toMatchObject({ exact, damaged: false, known: sent.length });
    expect(picture.values).toEqual(Float32Array.from(sent, (value) => value / 127.5 - 1));
  });

  test.each(drawings)('with any other bytes is a picture or refused, and never called exact', ({ sent, bytes }) => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1 }),
        fc.nat(),
        (changes, cut) => {
          const broken = bytes.slice();
          for (const [at, value] of changes) broken[at] = value;
          if ((broken[0] & 0x80) === 0) return;
          const picture = read(broken.subarray(0, cut % 3 ? broken.length : cut % broken.length), context);
          if (picture === undefined) return;
          expect(picture.values.length).toBe(sent.length);
          expect(picture.values.every((value) => value >= -1 && value <= 1)).toBe(true);
          const isRight = picture.values.every((value, i) => value === Math.fround(sent[i] / 127.5 - 1));
          expect(picture.exact && !isRight).toBe(false);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('with a code that is far longer than the picture ends with it', () => {
    for (const byte of [0, 255, 90]) {
      for (const { bytes } of drawings) {
        const { bytes: headerBytes } = readTailHeader(bytes)!;
        const fixed = bytes.subarray(0, (bytes[0] & 0x40) === 0 ? 5 : 2);
        const long = new Uint8Array(100_000).fill(byte);
        const picture = read(Uint8Array.from([...fixed, 0xa0, 0x8d, 6, ...long]), context);
        expect(headerBytes).toBeGreaterThan(fixed.length);
        expect(picture?.values.length ?? image.length).toBe(image.length);
        expect(picture?.exact ?? false).toBe(false);
      }
    }
  });
});
