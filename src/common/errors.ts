/**
 * The errors a caller can act on. Every message is one line: what was expected, what came and what to do. Any other
 * exception is a defect of this program.
 */

/** What went wrong, for callers that branch on it. */
export type ErrorCode =
  /** An argument is missing, of the wrong type or out of range. Exit code 2. */
  | 'usage'
  /** A file or directory is missing, unreadable, unwritable or already exists. */
  | 'file'
  /** The input cannot be read as an image, or the image cannot be coded. */
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

  /** Process exit code: 2 for usage errors, 1 for everything that is wrong with the data or the machine. */
  get exitCode(): 1 | 2 {
    return this.code === 'usage' ? 2 : 1;
  }
}

/** The error for an invalid argument; the only place that words it. */
export function invalidArgument(name: string, expected: string, actual: unknown): CodecError {
  return new CodecError('usage', `${name}: expected ${expected}, got ${format(actual)}`);
}

/** Formats any value for a message. The contents of large values are left out. */
function format(value: unknown): string {
  if (typeof value === 'string') return cut(JSON.stringify(value));
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'function') return 'a function';
  // Not the object's own toString, which it may lack.
  if (typeof value !== 'object' || value === null) return String(value);
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  if (value instanceof ArrayBuffer || value instanceof DataView) return `${kind} of ${value.byteLength} bytes`;
  return ArrayBuffer.isView(value) ? `${kind} of ${(value as Uint8Array).length} values` : kind;
}

/** Formats a value from a JSON file, or from a caller in place of one, for a one-line message. Long values are shortened. */
export function briefly(value: unknown): string {
  if (Array.isArray(value) && value.length > MOST_ITEMS) return `a list of ${value.length}`;
  try {
    return cut(JSON.stringify(value) ?? 'nothing');
  } catch {
    // A caller's value may be one that JSON cannot express, such as a bigint or a cyclic object.
    return format(value);
  }
}

function cut(text: string): string {
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}...` : text;
}

const MOST_ITEMS = 16;
const MOST_CHARACTERS = 200;

/** The last line of an error's message: of a native library's long ones, the one that says most. */
export function lastLineOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.trim().split('\n').at(-1)!;
}
