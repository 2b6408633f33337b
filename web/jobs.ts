/** Runs one job at a time: a new one ends the previous one. */
import { button } from './elements.js';
import { say } from './messages.js';
import { sentence } from './words.js';

let present: AbortController | undefined;

/** Runs a job, and shows its error on the page. */
export async function run(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  present?.abort();
  const own = new AbortController();
  present = own;
  try {
    await work(own.signal);
  } catch (error) {
    if (!own.signal.aborted) say(sentence(error));
  } finally {
    if (present === own) present = undefined;
  }
}

export function stop(): void {
  present?.abort();
}

button('stop').addEventListener('click', stop);
