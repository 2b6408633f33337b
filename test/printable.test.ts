/** How foreign text is displayed. */
import { expect, test } from 'vitest';
import { printable } from '../src/common/printable.js';
import { formatJson } from '../src/report/json.js';
import { asMarkdown, markup } from '../src/report/markup.js';

/** Control characters, C1, line separators, characters that reorder or hide text (also beyond the first plane), and half a pair. */
const ACTING = '\x00\x07\x1b\r\n\t\x7f\x9b\xad\u061c\u200b\u200e\u202e\u2028\u2029\u2066\ufeff\u{e0041}\ud83d';

test('what acts is shown as its escape, and everything else as it is', () => {
  const seen = 'aé数 👨‍👩‍👧 می‌خواهم\\"<&';
  expect(printable(seen)).toBe(seen);
  expect(printable('a\x1b[2J\u202eb')).toBe('a\\u001b[2J\\u202eb');
  expect(printable(ACTING)).toMatch(/^(\\u[0-9a-f]{4}){20}$/);
});

test('JSON has the same text in it', () => {
  const value = { [`key${ACTING}`]: [`\\${ACTING}`, 'x'.repeat(300)] };
  const json = formatJson(value);
  expect(json).toMatch(/^[\x20-\x7e\n]*$/);
  expect(JSON.parse(json)).toEqual(value);
});

test('a page shows the escapes', () => {
  expect(markup`<p>${`<\u202e\x1b\ufffe>`}</p>`.text).toBe('<p>&#60;\\u202e\\u001b\ufffd&#62;</p>');
});

test('a cell of Markdown stays a cell', () => {
  expect(asMarkdown('a | b\n<img src=x>')).toBe('a \\| b\\u000a\\<img src=x>');
});
