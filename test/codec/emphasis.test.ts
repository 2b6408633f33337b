import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { emphasiseUncertain } from '../../src/codec/encoder/emphasis.js';

const CHANNELS = 3;

const values = (length: number) =>
  fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: length, maxLength: length });

/** A size, and an error of that size. */
const errors = (side: fc.Arbitrary<number>) =>
  fc
    .tuple(side, side)
    .chain(([width, height]) =>
      fc.record({ width: fc.constant(width), height: fc.constant(height), error: values(width * height * CHANNELS) }),
    );

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a).reduce((sum, x, i) => sum + x * b[i], 0);

const emphasised = (error: ArrayLike<number>, width: number, height: number, snr: number) => {
  const result = Float32Array.from(error);
  emphasiseUncertain(result, { width, height }, snr);
  return result;
};

describe('emphasiseUncertain', () => {
  test('weighs orthogonal components by 0.4 to 1', () => {
    const sides = fc.integer({ min: 1, max: 3 }).map((n) => 8 * n);
    fc.assert(
      fc.property(errors(sides), fc.double({ min: 1e-4, max: 1e4, noNaN: true }), ({ width, height, error }, snr) => {
        const result = emphasised(error, width, height, snr);
        const energy = dot(error, error);
        const slack = 1e-5 * energy;
        expect(dot(result, result)).toBeLessThanOrEqual(energy + slack);
        expect(dot(result, result)).toBeGreaterThanOrEqual(0.16 * energy - slack);
        // All factors are positive, so nothing is sent in the wrong direction.
        expect(dot(result, error)).toBeGreaterThanOrEqual(dot(result, result) - slack);
      }),
      { numRuns: 50 },
    );
  });

  test('changes nothing where all that is left is large against the noise, whatever the size', () => {
    fc.assert(
      fc.property(errors(fc.integer({ min: 1, max: 19 })), ({ width, height, error }) => {
        const large = error.map((value) => value + (value < 0 ? -1 : 1));
        const result = emphasised(large, width, height, 1e9);
        for (const [i, value] of large.entries()) expect(result[i]).toBeCloseTo(value, 2);
      }),
      { numRuns: 30 },
    );
  });

  test('copies of a picture side by side, of which a quarter is measured, are weighed as one', () => {
    const [tile, copies] = [72, 4];
    const at = (x: number, y: number, c: number) => Math.sin((x % tile) * (1 + c) + ((y % tile) * (x % tile)) / 50) / 3;
    const field = (side: number) =>
      Float32Array.from({ length: side * side * CHANNELS }, (_, i) => {
        const pixel = Math.floor(i / CHANNELS);
        return at(pixel % side, Math.floor(pixel / side), i % CHANNELS);
      });
    const [one, many] = [tile, tile * copies].map((side) => emphasised(field(side), side, side, 0.3));
    // Blocks at a copy's edges have other neighbours when the copy is in the middle.
    for (let y = 8; y < tile - 8; y++) {
      for (let x = 8 * CHANNELS; x < (tile - 8) * CHANNELS; x++) {
        const copy = (tile + y) * tile * copies * CHANNELS + tile * CHANNELS + x;
        expect(many[copy]).toBeCloseTo(one[y * tile * CHANNELS + x], 5);
      }
    }
    expect(one).not.toEqual(field(tile));
  });

  test('an error of nothing stays one', () => {
    expect(emphasised(new Float32Array(300), 10, 10, 1)).toEqual(new Float32Array(300));
  });

  test('texture goes before what is nearly flat, and grey before colour', () => {
    const [width, height] = [64, 32];
    /**
     * 0.3 on the left, a tenth of it on the right: a checkerboard in all channels, and a fainter one in colour alone, with twice the pitch.
     */
    const error = Float32Array.from({ length: width * height * CHANNELS }, (_, i) => {
      const [x, y] = [Math.floor(i / CHANNELS) % width, Math.floor(i / (CHANNELS * width))];
      const grey = (x + y) % 2 ? 1 : -1;
      const colour = [0.1, 0, -0.1][i % CHANNELS] * ((x >> 1) % 2 ? 1 : -1);
      return (x < width / 2 ? 0.3 : 0.03) * (grey + colour);
    });
    const result = emphasised(error, width, height, 0.003);
    /** Weights of grey, and of red against blue, in a column of pixels. */
    const weights = (x: number) => {
      const of = (a: Float32Array) => {
        const [r, g, b] = a.subarray(x * CHANNELS, (x + 1) * CHANNELS);
        return { grey: r + g + b, colour: r - b };
      };
      const [before, after] = [of(error), of(result)];
      return { grey: after.grey / before.grey, colour: after.colour / before.colour };
    };
    const [left, right] = [weights(12), weights(52)];
    expect(left.grey).toBeGreaterThan(1.2 * right.grey);
    expect(left.grey).toBeGreaterThan(1.2 * left.colour);
    expect(right.colour).toBeCloseTo(0.4, 2);
  });
});
