/** Long parts of training show that they are alive, and how much is left. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Console } from '../../src/cli/console.js';
import { openProgress } from '../../src/cli/progress.js';
import { costOf, extentOf } from '../../src/cli/train/extent.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

/** The lines without a terminal. */
function linesOf(work: (progress: ReturnType<typeof openProgress>) => void): string[] {
  const { isTTY } = process.stderr;
  process.stderr.isTTY = false;
  const notes: string[] = [];
  const console = { note: (text: string) => notes.push(text), progress: () => ({ update() {}, stop() {} }) };
  work(openProgress(console as unknown as Console, 'calibrating'));
  process.stderr.isTTY = isTTY;
  return notes;
}

test('without a terminal there is a line a minute', () => {
  const notes = linesOf((progress) => {
    for (let second = 1; second <= 150; second++) {
      vi.advanceTimersByTime(1000);
      progress.update(second / 300);
    }
  });
  expect(notes).toEqual(['calibrating: 20 %, 4 min left', 'calibrating: 40 %, 3 min left']);
});

test('the time that a job waits before it begins does not count', () => {
  const notes = linesOf((progress) => {
    vi.advanceTimersByTime(3_600_000);
    progress.update(0);
    vi.advanceTimersByTime(60_000);
    progress.update(0.2);
    expect(progress.left(0.2)).toBe('4 min left');
  });
  expect(notes).toEqual(['calibrating: 20 %, 4 min left']);
});

test('what follows training takes a part of it, of short runs and of long ones', () => {
  for (const side of [32, 64]) {
    expect(extentOf(1_000_000, side)).toEqual({
      ...{ validation: 256, samples: 16, test: 1000 },
      calibration: side === 32 ? 160 : 64,
      calibrationTiles: 4,
    });
    expect(extentOf(0, side)).toEqual({
      ...{ validation: 4, samples: 1, test: 16 },
      ...{ calibration: 8, calibrationTiles: 1 },
    });
    for (const trained of [3_000, 30_000, 300_000]) {
      expect(costOf(extentOf(trained, side), side, side === 32).finish).toBeLessThan(0.3 * trained);
    }
  }
});
