import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  centresOf,
  findShift,
  GROUP_SIZE,
  greyLevel,
  MARGIN,
  SHIFTS,
  shiftSeries,
} from '../../src/codec/lossless/agreement.js';

const greyLevels = fc.oneof(
  fc.double({ min: 0, max: 255, noNaN: true }),
  // On a cell boundary of the unshifted grid, and at the ends.
  fc.integer({ min: 0, max: 255 }),
  fc.integer({ min: 0, max: 254 }).map((value) => value + 0.5),
);
const groups = fc.record({
  seed: fc.nat(2 ** 32 - 1),
  group: fc.nat(1e6),
  values: fc.array(greyLevels, { minLength: 1, maxLength: GROUP_SIZE }).map((values) => Float64Array.from(values)),
  drifts: fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: GROUP_SIZE, maxLength: GROUP_SIZE }),
});

test('whatever two ends differ by, within the margin, their centres are the same', () => {
  fc.assert(
    fc.property(groups, ({ seed, group, values, drifts }) => {
      const series = shiftSeries(seed, group, values.length);
      const shift = findShift(series, values, MARGIN);
      const centres = centresOf(series, shift, values);
      const moved = values.map((value, i) => value + MARGIN * drifts[i]);
      const farthest = values.map((value, i) => value + MARGIN * Math.sign(drifts[i]));
      expect(centresOf(series, shift, moved)).toEqual(centres);
      expect(centresOf(series, shift, farthest)).toEqual(centres);
    }),
  );
});

test('without a shift that fits they would not be', () => {
  const values = Float64Array.from({ length: GROUP_SIZE }, (_, i) => i);
  const moved = values.map((value) => value - MARGIN);
  const series = shiftSeries(1, 0, GROUP_SIZE);
  const differing = Array.from({ length: 50 }, (_, shift) => shift).filter((shift) => {
    const others = centresOf(series, shift, moved);
    return centresOf(series, shift, values).some((centre, i) => centre !== others[i]);
  });
  expect(differing.length).toBeGreaterThan(30);
});

test('centres lie within half a level of the values, on a grid of 2^-16', () => {
  fc.assert(
    fc.property(groups, fc.nat(SHIFTS - 1), ({ seed, group, values }, shift) => {
      for (const [i, centre] of centresOf(shiftSeries(seed, group, values.length), shift, values).entries()) {
        expect(Math.abs(centre - values[i])).toBeLessThanOrEqual(0.5);
        expect(Number.isInteger(centre * SHIFTS)).toBe(true);
        expect(Math.fround(centre)).toBe(centre);
      }
    }),
  );
});

test('shifts are found after about as many tries as the margin asks for', () => {
  const found = Array.from({ length: 40 }, (_, group) =>
    findShift(
      shiftSeries(7, group, GROUP_SIZE),
      Float64Array.from({ length: GROUP_SIZE }, (_, i) => (255 * ((i * 0.618) % 1) + group) % 255),
      MARGIN,
    ),
  );
  const mean = found.reduce((sum, shift) => sum + shift, 0) / found.length;
  const expected = (1 - 2 * MARGIN) ** -GROUP_SIZE;
  expect(mean).toBeGreaterThan(expected / 2);
  expect(mean).toBeLessThan(expected * 2);
});

test('grey levels are those of the pixels', () => {
  expect([greyLevel(-1), greyLevel(0), greyLevel(1)]).toEqual([0, 127.5, 255]);
});
