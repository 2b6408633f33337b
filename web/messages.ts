/** What went wrong, and what else is to be said. */
import { html } from './elements.js';

const message = html('message');

/** Takes back what was said, unless something else has been said since. */
export function unsay(text: string): void {
  if (message.textContent === text) say('');
}

export function say(text: string): void {
  message.textContent = text;
  message.hidden = text === '';
}
