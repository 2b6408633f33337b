/** File names made from data: the only place that makes them. */

const MOST_CHARACTERS = 80;

/**
 * A text as part of a file name: only letters, digits, `.`, `_` and `-`, so that it cannot leave its directory;
 * shortened if too long.
 */
export function asFileName(text: string): string {
  return text.replace(/[^\w.-]/g, '_').slice(0, MOST_CHARACTERS);
}
