/** What went wrong, and what else is to be said. */
import { html } from './elements.js';

const message = html('message');

export function say(text: string): void {
  message.textContent = text;
  message.hidden = text === '';
}
