/** Error messages about invalid documents. */
import { array, integer, number, object, optional, pipe, string } from 'valibot';
import { expect, test } from 'vitest';
import { CodecError } from '../src/common/errors.js';
import { checked, parseJson } from '../src/common/foreign.js';

const schema = object({
  name: optional(string()),
  parts: array(object({ size: pipe(number(), integer('an integer')) })),
});

test.each([
  [null, 'x.json: expected an object, got null'],
  [[], 'x.json: parts: expected it, got nothing'],
  ['a', 'x.json: expected an object, got "a"'],
  [{}, 'x.json: parts: expected it, got nothing'],
  [{ parts: {} }, 'x.json: parts: expected a list, got {}'],
  [{ parts: [{ size: 1 }, {}] }, 'x.json: parts.1.size: expected it, got nothing'],
  [{ parts: [{ size: '1' }] }, 'x.json: parts.0.size: expected a number, got "1"'],
  [{ parts: [{ size: 1.5 }] }, 'x.json: parts.0.size: expected an integer, got 1.5'],
  [{ name: 7, parts: [] }, 'x.json: name: expected a string, got 7'],
])('%j: %s', (value, message) => {
  expect(() => checked(schema, value, 'x.json')).toThrow(new CodecError('model', message));
});

test('what has the shape comes back as it is', () => {
  const value = { name: 'a', parts: [{ size: 3 }] };
  expect(checked(schema, value, 'x.json')).toEqual(value);
});

test('what is not JSON has the code that was asked for', () => {
  expect(() => parseJson('x.json', new TextEncoder().encode('{'), 'file')).toThrow(
    expect.objectContaining({ code: 'file', message: 'x.json is not JSON' }),
  );
});
