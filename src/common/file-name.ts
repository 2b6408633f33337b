/** Names of files that are made of data: the one place that makes them. */

const MOST_CHARACTERS = 80;

/** A text as part of a file's name: nothing but letters, digits, `.`, `_` and `-`, so that it is of one file in one directory; cut short. */
export function asFileName(text: string): string {
  return text.replace(/[^\w.-]/g, '_').slice(0, MOST_CHARACTERS);
}
