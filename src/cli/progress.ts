/** Work that may take minutes shows that it is alive: by a bar, or where there is no terminal for one by a line a minute. */
import { type Console, type Progress, remainingTime } from './console.js';

/** Seconds between lines. */
const TELL_EVERY = 60;

/** As {@link Console.progress}; the note of an update is by default how long is left. */
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
