/** What somebody else wrote, checked at the door: JSON, and its shape. */
import { type GenericIssue, type GenericSchema, getDotPath, type InferOutput, safeParse } from 'valibot';
import { briefly, CodecError, type ErrorCode } from './errors.js';

/** Strings, which stay, and the numbers that Python writes and JSON does not have. */
const STRING_OR_NO_NUMBER = /"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g;

/**
 * Parses JSON. Python's Infinity and NaN become strings, which are refused where a number is expected.
 * @param name of the file in messages
 * @param code of the error
 * @throws CodecError when it is not JSON
 */
export function parseJson(name: string, bytes: Uint8Array, code: ErrorCode = 'model'): unknown {
  const text = new TextDecoder().decode(bytes);
  try {
    return JSON.parse(text.replace(STRING_OR_NO_NUMBER, (match) => (match.startsWith('"') ? match : `"${match}"`)));
  } catch (cause) {
    throw new CodecError(code, `${name} is not JSON`, { cause });
  }
}

/**
 * The value, if it has the shape. A schema's own message is what was expected, as in `integer('an integer')`.
 * @param name of the file in messages
 * @param code of the error
 * @throws CodecError naming the first thing that is wrong by its path, as in `profile.mean.3`, what was expected and what came
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
