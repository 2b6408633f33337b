/** Where a lossless file's steps end. */
import { expect, test } from 'vitest';
import { TailSearch } from '../../src/codec/lossless/tail-search.js';
import { gaussians, integerStream } from '../../src/common/random.js';
import type { RgbImage } from '../../src/image/image.js';
import { toUnit } from '../../src/image/pixels.js';
import { createSchedule, paperSchedule } from '../../src/model/schedule.js';

const SIDE = 64;
const schedule = createSchedule(paperSchedule);

/** Large shapes only. Large enough for its own statistics. */
const image: RgbImage = {
  width: SIDE,
  height: SIDE,
  data: Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => {
    const x = Math.floor(i / 3) % SIDE;
    const y = Math.floor(i / 3 / SIDE);
    return Math.round(128 + 60 * Math.sin(x / 7) * Math.cos(y / 9) + 10 * (i % 3));
  }),
};
const exact = toUnit(image.data);
const grey = new Float32Array(exact.length);

/** Wrong in details: independent errors of 20 grey levels. */
function rough(step: number): Float32Array {
  const gaussian = gaussians(integerStream(`rough/${step}`));
  return exact.map((value) => value + (20 / 127.5) * gaussian());
}

test('files that grow for twenty steps before they shrink end with the shortest', () => {
  const search = new TailSearch(image, 7, schedule, undefined);
  search.consider(0, 400, 0, grey, false);
  for (let step = 1; step <= 20; step++) search.consider(step, 300 - 10 * step, 50 * step, rough(step), false);
  expect(search.finish()?.steps).toBe(0);
  search.consider(21, 20, 1050, exact, false);
  search.consider(22, 10, 1100, exact, true);
  expect(search.finish()).toMatchObject({ steps: 21, payloadBits: 1050 });
});
