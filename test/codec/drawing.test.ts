/** Drawings: what is written is read back bit by bit, from as much of the code as is available. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DrawingParameters } from '../../src/codec/drawing/drawing.js';
import { DrawingReader } from '../../src/codec/drawing/drawing-reader.js';
import { type CodedDrawing, writeDrawing } from '../../src/codec/drawing/drawing-writer.js';
import { passesOf, pixelsOf } from '../../src/codec/drawing/passes.js';
import { integerStream } from '../../src/common/random.js';

/** More passes than any picture in these tests has. */
const NEVER = Number.POSITIVE_INFINITY;

interface Case {
  readonly samples: Uint8Array;
  readonly parameters: DrawingParameters;
  /** Largest allowed difference, in levels. */
  readonly tolerance: number;
}

/** Small pictures of all kinds, and every way to draw them. */
const cases: fc.Arbitrary<Case> = fc
  .record({
    width: fc.integer({ min: 1, max: 12 }),
    height: fc.integer({ min: 1, max: 12 }),
    channels: fc.constantFrom(1 as const, 3 as const),
    hasPalette: fc.boolean(),
    isEven: fc.boolean(),
    halfStep: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 63 })),
    tolerance: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 63 })),
    kind: fc.constantFrom('noise', 'flat', 'two', 'ramp', 'few', 'ends'),
    seed: fc.nat(),
  })
  .map(({ width, height, channels, hasPalette, isEven, halfStep, tolerance, kind, seed }) => {
    const next = integerStream(`drawing ${seed}`);
    const byte = () => next() & 255;
    const colours = Array.from({ length: kind === 'two' ? 2 : 5 }, () => [byte(), byte(), byte()]);
    const samples = new Uint8Array(width * height * channels);
    for (let i = 0; i < width * height; i++) {
      const [number, flat] = [byte() % colours.length, colours[0]];
      for (let c = 0; c < channels; c++) {
        samples[i * channels + c] =
          kind === 'noise'
            ? byte()
            : kind === 'ramp'
              ? Math.floor((255 * (i + c)) / (width * height + 2))
              : kind === 'ends'
                ? 255 * (byte() & 1)
                : (kind === 'flat' ? flat : colours[number])[c];
      }
    }
    // With a palette, new colours are exact. Without one, the step is as large as the tolerance allows.
    const step = hasPalette ? 1 : 2 * halfStep + 1;
    return {
      samples,
      parameters: { width, height, channels, hasPalette, isEven, step },
      tolerance: hasPalette ? tolerance : halfStep,
    };
  });

function write({ samples, parameters, tolerance }: Case): CodedDrawing {
  const coded = writeDrawing(samples, parameters, tolerance);
  if (coded === undefined) throw new Error('expected a drawing, without a limit');
  return coded;
}

function open({ parameters, code }: CodedDrawing): DrawingReader {
  return new DrawingReader({ ...parameters, codedBytes: code.length });
}

/** The known samples, with `blank` elsewhere. */
function shown(reader: DrawingReader, { samples }: CodedDrawing, blank: number, filledPasses = 0): Uint8Array {
  const into = new Uint8Array(samples.length).fill(blank);
  reader.show(into, filledPasses);
  return into;
}

test('what is written is read back, and no sample is farther off than is allowed', () => {
  fc.assert(
    fc.property(cases, (one) => {
      const coded = write(one);
      for (const [i, sample] of coded.samples.entries()) {
        expect(Math.abs(sample - one.samples[i])).toBeLessThanOrEqual(one.tolerance);
      }
      const reader = open(coded);
      reader.append(coded.code);
      expect(reader.read(NEVER)).toBe(true);
      expect([reader.isDone, reader.missing]).toEqual([true, 0]);
      expect(shown(reader, coded, 7)).toEqual(coded.samples);
    }),
    { numRuns: 400 },
  );
});

test('bytes one by one give what as many give at once; known pixels are right, and more bytes make more of them', () => {
  fc.assert(
    fc.property(cases, fc.nat(200), (one, pixels) => {
      const coded = write(one);
      const { channels } = coded.parameters;
      const slow = open(coded);
      let known = 0;
      for (let length = 0; length <= coded.code.length; length++) {
        if (length > 0) slow.append(coded.code.subarray(length - 1, length));
        // In portions of any size, which end in the middle of a pass or of a pixel.
        if (pixels > 0) slow.read(pixels % 17);
        slow.read(NEVER);
        const quick = open(coded);
        quick.append(coded.code.subarray(0, length));
        quick.read(NEVER);
        expect(slow.known).toBe(quick.known);
        expect(slow.known).toBeGreaterThanOrEqual(known);
        known = slow.known;
        for (const filledPasses of [0, 1, 3, 15]) {
          expect(shown(slow, coded, 9, filledPasses)).toEqual(shown(quick, coded, 9, filledPasses));
        }
        const [dark, light] = [shown(slow, coded, 0), shown(slow, coded, 255)];
        const same = Array.from(dark).flatMap((value, i) => (value === light[i] ? [i] : []));
        expect(dark.filter((value, i) => value === light[i]).length).toBe(known * channels);
        expect(same.every((i) => dark[i] === coded.samples[i])).toBe(true);
      }
      expect(known).toBe(coded.parameters.width * coded.parameters.height);
    }),
    { numRuns: 60 },
  );
});

test('whatever follows the beginning of a code, what is known of it stays', () => {
  fc.assert(
    fc.property(cases, fc.nat(), fc.nat(), (one, cut, seed) => {
      const coded = write(one);
      const length = cut % (coded.code.length + 1);
      const start = open(coded);
      start.append(coded.code.subarray(0, length));
      start.read(NEVER);
      const next = integerStream(`rest ${seed}`);
      const fillers = [() => 0, () => 255, () => next() & 255];
      for (const filler of fillers) {
        const rest = Uint8Array.from({ length: coded.code.length - length }, filler);
        const other = open(coded);
        other.append(coded.code.subarray(0, length));
        other.append(rest);
        other.read(NEVER);
        expect(other.known).toBeGreaterThanOrEqual(start.known);
        const [before, after] = [shown(start, coded, 0), shown(other, coded, 0)];
        const light = shown(start, coded, 255);
        expect(before.every((value, i) => value !== light[i] || value === after[i])).toBe(true);
      }
    }),
    { numRuns: 150 },
  );
});

describe('a limit', () => {
  test('gives up where the code is longer, and only there', () => {
    fc.assert(
      fc.property(cases, (one) => {
        const { code } = write(one);
        const { samples, parameters, tolerance } = one;
        expect(writeDrawing(samples, parameters, tolerance, code.length)?.code).toEqual(code);
        if (code.length > 0) expect(writeDrawing(samples, parameters, tolerance, code.length - 1)).toBeUndefined();
      }),
      { numRuns: 100 },
    );
    const noise = Uint8Array.from({ length: 300 }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) >>> 24) & 255);
    const parameters = { width: 10, height: 10, channels: 3, hasPalette: false, isEven: false, step: 1 } as const;
    expect(writeDrawing(noise, parameters, 0, 50)).toBeUndefined();
  });
});

test('passes come by every pixel once, coarse to fine', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), (width, height) => {
      const visits = new Uint8Array(width * height);
      for (const pass of passesOf({ width, height })) {
        let count = 0;
        for (let y = pass.top; y < height; y += pass.down) {
          for (let x = pass.left; x < width; x += pass.across, count++) visits[y * width + x]++;
        }
        expect(count).toBe(pixelsOf(pass, { width, height }));
        expect(count).toBeGreaterThan(0);
        // After the pass, all pixels at these distances are known.
        for (let y = 0; y < height; y += pass.after.down) {
          for (let x = 0; x < width; x += pass.after.across) expect(visits[y * width + x]).toBe(1);
        }
      }
      expect(visits.every((count) => count === 1)).toBe(true);
    }),
  );
});
