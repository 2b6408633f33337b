/** Patches of pictures, for comparing sets of them. */
import { expect, test } from 'vitest';
import { checkPatches, patchesOf } from '../../../src/report/rd/metrics.js';

const places = (width: number, height: number) => patchesOf({ width, height }).map(({ left, top }) => [left, top]);

test('are side by side from the origin, and again half a side right of and below it', () => {
  expect(places(256, 256)).toEqual([[0, 0]]);
  expect(places(384, 384)).toEqual([
    [0, 0],
    [128, 128],
  ]);
  expect(places(640, 383)).toEqual([
    [0, 0],
    [256, 0],
  ]);
  // The size of Kodak's pictures.
  expect(places(768, 512)).toEqual([
    [0, 0],
    [256, 0],
    [512, 0],
    [0, 256],
    [256, 256],
    [512, 256],
    [128, 128],
    [384, 128],
  ]);
});

test('of a smaller picture are all of it, and then all pictures are of that size', () => {
  expect(patchesOf({ width: 255, height: 400 })).toEqual([{ left: 0, top: 0, width: 255, height: 400 }]);
  const [small, large, larger] = [32, 300, 1000].map((side) => ({ width: side, height: side }));
  for (const same of [[], [small, small], [large, larger]]) expect(() => checkPatches(same)).not.toThrow();
  expect(() => checkPatches([small, large])).toThrow(/at least 256x256, or all of one size, got 32x32, 256x256/);
});
