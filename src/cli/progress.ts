/** Shows that work of minutes is alive: with a bar, or without a terminal with a line a minute. */
import { type Console, type Progress, remainingTime } from './console.js';

/** Seconds between lines. */
const TELL_EVERY = 60;

export interface WorkProgress extends Progress {
  /** The time left, in words; empty where it is not known yet. @param fraction of the work that is done, 0..1 */
  left(fraction: number): string;
}

/**
 * Like {@link Console.progress}; by default the note of an update is the time left. An update of 0 starts the clock anew:
 * a job may have waited for others before its work begins.
 */
export function openProgress(console: Console, label: string): WorkProgress {
  const bar = console.progress(label);
  let left = remainingTime();
  let told = performance.now();
  return {
    update(fraction, note = left(fraction)) {
      bar.update(fraction, note);
      if (fraction === 0) {
        left = remainingTime();
        told = performance.now();
      }
      if (process.stderr.isTTY || performance.now() - told < TELL_EVERY * 1000) return;
      told = performance.now();
      console.note(`${label}: ${Math.floor(100 * fraction)} %, ${note}`);
    },
    left: (fraction) => left(fraction),
    stop: () => bar.stop(),
  };
}
