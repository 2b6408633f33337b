/** Validation of foreign data: JSON and its shape. */
import {
  check,
  custom,
  type GenericIssue,
  type GenericSchema,
  getDotPath,
  type InferOutput,
  looseObject,
  number,
  type ObjectEntries,
  picklist,
  pipe,
  safeParse,
} from 'valibot';
import { briefly, CodecError, type ErrorCode } from './errors.js';

/** Matches strings, which stay as they are, and the numbers that Python writes but JSON lacks. */
const STRING_OR_NO_NUMBER = /"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g;

/**
 * Parses JSON. Python's Infinity and NaN become strings, which are refused where a number is expected.
 * @param name of the file in messages
 * @param code of the error
 * @throws CodecError when the bytes are not JSON, or nested deeper than any real document
 */
export function parseJson(name: string, bytes: Uint8Array, code: ErrorCode = 'model'): unknown {
  const text = new TextDecoder().decode(bytes);
  if (depthOf(text) > MOST_DEPTH)
    throw new CodecError(code, `${name}: expected at most ${MOST_DEPTH} levels of lists and objects`);
  try {
    return JSON.parse(text.replace(STRING_OR_NO_NUMBER, (match) => (match.startsWith('"') ? match : `"${match}"`)));
  } catch (cause) {
    throw new CodecError(code, `${name} is not JSON`, { cause });
  }
}

/** Most levels of nested lists and objects. A level takes a byte of the file, but fifty times that in memory. */
const MOST_DEPTH = 64;

/** Nesting depth of the lists and objects in a JSON text. */
function depthOf(text: string): number {
  let depth = 0;
  let most = 0;
  let isString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) isString = !isString;
    else if (isString) i += c === 0x5c ? 1 : 0;
    else if (c === 0x5b || c === 0x7b) most = Math.max(most, ++depth);
    else if (c === 0x5d || c === 0x7d) depth--;
  }
  return most;
}

/** An object with at least these entries. Lists are refused. */
export function objectOf<E extends ObjectEntries>(entries: E) {
  return pipe(custom<Record<string, unknown>>(isObject, 'an object'), looseObject(entries));
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** One of a few names. */
export function oneOf<const T extends readonly string[]>(known: T) {
  return picklist(known, known.join(', '));
}

/** An integer in a range. */
export function integerFrom(least: number, most = Number.MAX_SAFE_INTEGER) {
  const words = `an integer from ${least}${most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most}`}`;
  return pipe(
    number(words),
    check((value) => Number.isSafeInteger(value) && value >= least && value <= most, words),
  );
}

/** A finite number in a range. */
export function numberFrom(least: number, most = Number.MAX_VALUE) {
  const words = `a number from ${least}${most === Number.MAX_VALUE ? '' : ` to ${most}`}`;
  return pipe(
    number(words),
    check((value) => value >= least && value <= most, words),
  );
}

/**
 * Returns the value if it matches the schema. A schema's own message says what was expected, as in
 * `integer('an integer')`.
 * @param name of the file in messages
 * @param code of the error
 * @throws CodecError for the first error: its path, as in `profile.mean.3`, what was expected and what came
 */
export function checked<S extends GenericSchema>(
  schema: S,
  value: unknown,
  name: string,
  code: ErrorCode = 'model',
): InferOutput<S> {
  const { success, output, issues } = safeParse(schema, value, { abortEarly: true });
  if (success) return output;
  const [issue] = issues;
  const path = getDotPath(issue);
  throw new CodecError(code, `${name}: ${path === null ? '' : `${path}: `}${wordsFor(issue)}`);
}

function wordsFor({ message, expected, input }: GenericIssue): string {
  const isOwn = !message.startsWith('Invalid ');
  const wanted = isOwn ? message : (TYPES[expected ?? ''] ?? expected ?? 'something else');
  return input === undefined
    ? `expected ${isOwn ? message : 'it'}, got nothing`
    : `expected ${wanted}, got ${briefly(input)}`;
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  boolean: 'true or false',
  Object: 'an object',
  Array: 'a list',
};
