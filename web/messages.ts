/** Shows errors and other messages. */
import { html } from './elements.js';

const message = html('message');

/** Removes a message, unless another one has replaced it. */
export function unsay(text: string): void {
  if (message.textContent === text) say('');
}

export function say(text: string): void {
  message.textContent = text;
  message.hidden = text === '';
}
