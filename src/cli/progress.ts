/** Shows that work of minutes is alive: with a bar, or without a terminal with a line a minute. */
import { type Console, type Progress, remainingTime } from './console.js';

/** Seconds between lines. */
const TELL_EVERY = 60;

/** Like {@link Console.progress}; by default the note of an update is the time left. */
export function openProgress(console: Console, label: string): Progress {
  const bar = console.progress(label);
  const remaining = remainingTime();
  let told = performance.now();
  return {
    update(fraction, note = remaining(fraction)) {
      bar.update(fraction, note);
      if (process.stderr.isTTY || performance.now() - told < TELL_EVERY * 1000) return;
      told = performance.now();
      console.note(`${label}: ${Math.floor(100 * fraction)} %, ${note}`);
    },
    stop: () => bar.stop(),
  };
}
