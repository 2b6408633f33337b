/** Text that did not come from us, made fit for a terminal and a page. */

/**
 * What acts instead of being seen: control characters, C1 and DEL among them, separators of lines and paragraphs, and what turns the
 * direction of text or is invisible. Joiners stay: Persian, Indic scripts and emoji need them.
 */
const UNSEEN = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * One line of text in which nothing acts on what shows it: in the place of each such character stands its escape, as in `\u001b`. In a
 * document of JSON that is the same text.
 */
export function printable(text: string): string {
  return text.replace(UNSEEN, (character) => character.split('').map(escapeOf).join(''));
}

function escapeOf(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
