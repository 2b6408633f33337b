/** Makes foreign text safe to print in a terminal and on a page. */

/**
 * Characters that act instead of being visible: control characters (C1 and DEL among them), line and paragraph
 * separators, characters that change the text direction, and invisible ones. Joiners stay: Persian, Indic scripts and
 * emoji need them.
 */
const UNSEEN = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * One line of text in which no character acts on the terminal or page. Each such character is replaced by its escape,
 * as in `\u001b`. In a JSON document the escape means the same text.
 */
export function printable(text: string): string {
  return text.replace(UNSEEN, (character) => character.split('').map(escapeOf).join(''));
}

function escapeOf(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
