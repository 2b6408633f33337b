/**
 * The errors a caller can act on. Every message is one line that says what was expected, what came and what to do.
 * Anything else that is thrown is a defect of this program.
 */

/** What went wrong, for callers that branch on it. */
export type ErrorCode =
  /** An argument is missing, of the wrong type or out of range. Exit code 2. */
  | 'usage'
  /** A file or directory is missing, unreadable, unwritable or already there. */
  | 'file'
  /** The input is not an image that can be read, or not one that can be coded. */
  | 'image'
  /** A `.ddc` file is malformed, of another version, or asks for more than the limits allow. */
  | 'format'
  /** A model is unknown, incomplete, or its files do not fit each other. */
  | 'model'
  /** An engine is not installed or cannot run what is asked of it. */
  | 'engine';

/** An expected failure, with a code to branch on and a message for people. */
export class CodecError extends Error {
  override readonly name = 'CodecError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** Process exit code: 2 for usage, 1 for everything that is wrong with data or the machine. */
  get exitCode(): 1 | 2 {
    return this.code === 'usage' ? 2 : 1;
  }
}

/** The error for an argument that is not what it should be; the one place that words it. */
export function invalidArgument(name: string, expected: string, actual: unknown): CodecError {
  return new CodecError('usage', `${name}: expected ${expected}, got ${format(actual)}`);
}

/** Any value, for a message: what is in large ones is not for it. */
function format(value: unknown): string {
  if (typeof value === 'string') return cut(JSON.stringify(value));
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'function') return 'a function';
  // Not its own words, which it may not have.
  if (typeof value !== 'object' || value === null) return String(value);
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  if (value instanceof ArrayBuffer || value instanceof DataView) return `${kind} of ${value.byteLength} bytes`;
  return ArrayBuffer.isView(value) ? `${kind} of ${(value as Uint8Array).length} values` : kind;
}

/** A value of somebody's JSON file, or of what a caller has in its place, for a message of one line: long ones are cut short. */
export function briefly(value: unknown): string {
  if (Array.isArray(value) && value.length > MOST_ITEMS) return `a list of ${value.length}`;
  try {
    return cut(JSON.stringify(value) ?? 'nothing');
  } catch {
    // A caller's may be one that JSON does not have, such as a bigint, or hold itself.
    return format(value);
  }
}

function cut(text: string): string {
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}...` : text;
}

const MOST_ITEMS = 16;
const MOST_CHARACTERS = 200;
