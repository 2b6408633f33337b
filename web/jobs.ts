/** One job at a time: a new one ends the one before. */
import { button } from './elements.js';
import { say } from './messages.js';
import { sentence } from './words.js';

let present: AbortController | undefined;

/** Does work; its error is shown on the page. */
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
