/** JSON as Python writes it. */
import { CodecError } from '../common/errors.js';

/** Strings, which stay, and the numbers that Python writes and JSON does not have. */
const STRING_OR_NO_NUMBER = /"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g;

/**
 * Parses a file of somebody's model. Infinity and NaN become strings, which are refused where a number is expected.
 * @param name of the file in messages
 * @throws CodecError('model') when it is not JSON
 */
export function parseJson(name: string, bytes: Uint8Array): unknown {
  const text = new TextDecoder().decode(bytes);
  try {
    return JSON.parse(text.replace(STRING_OR_NO_NUMBER, (match) => (match.startsWith('"') ? match : `"${match}"`)));
  } catch (cause) {
    throw new CodecError('model', `${name} is not JSON`, { cause });
  }
}
