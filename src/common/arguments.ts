/**
 * Argument checks. Every public function checks its arguments before it does anything else, so no code behind it meets
 * a value of the wrong type. A bad argument raises a {@link CodecError} `usage`.
 */
import { invalidArgument } from './errors.js';

/** A number with its range. */
export interface NumberOption {
  readonly type: 'number';
  readonly integer?: boolean;
  readonly least?: number;
  /** Excluded. */
  readonly above?: number;
  readonly most?: number;
  /** For messages: what is expected, where the range alone does not describe it well. */
  readonly unit?: string;
  /** A word that is accepted as well. */
  readonly or?: string;
  readonly default?: number;
  readonly describe: string;
}

export interface ChoiceOption {
  readonly type: 'choice';
  readonly choices: readonly string[];
  readonly default: string;
  readonly describe: string;
}

export interface SwitchOption {
  readonly type: 'switch';
  readonly default: false;
  readonly describe: string;
}

export type Option = NumberOption | ChoiceOption | SwitchOption;

export type OptionTable = Readonly<Record<string, Option>>;

/** Arguments that only a program can pass, or that the function checks by itself (`own`). */
type Given = 'function' | 'signal' | 'text' | 'own';

/**
 * The arguments of a library function: options as above, without a description where nobody needs one, and arguments
 * that only a program can pass.
 */
export type ArgumentTable = Readonly<
  Record<
    string,
    | Option
    | Omit<NumberOption, 'describe'>
    | Omit<ChoiceOption, 'describe' | 'default'>
    | Omit<SwitchOption, 'describe' | 'default'>
    | { readonly type: Given }
  >
>;

type Argument = ArgumentTable[string];

/** The arguments of every long-running function: see `WorkOptions`. */
export const WORK_ARGUMENTS = {
  onProgress: { type: 'function' },
  signal: { type: 'signal' },
} as const satisfies ArgumentTable;

/**
 * Checks the options of a function. Unknown names are refused too, because a misspelt one would go unnoticed otherwise.
 * @param of name of the function, for messages
 * @throws CodecError('usage') naming the first option that is unknown or has a wrong value
 */
export function checkOptions(of: string, table: ArgumentTable, options: unknown): void {
  checkObject(`${of}: options`, options);
  const values = options as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(values).find((name) => !Object.hasOwn(table, name) && values[name] !== undefined);
  if (unknown !== undefined) throw invalidArgument(`${of}: options`, `only ${Object.keys(table).join(', ')}`, unknown);
  for (const [name, argument] of Object.entries(table)) checkOption(name, argument, values[name]);
}

/**
 * Checks a value.
 * @param name of the option, for the message
 * @returns the value, or the option's default where it is undefined
 * @throws CodecError('usage') when the option does not accept the value
 */
export function checkOption(name: string, option: Argument, value: unknown): unknown {
  if (value === undefined) return 'default' in option ? option.default : undefined;
  if (!takes(option, value)) throw invalidArgument(name, expectation(option), value);
  return value;
}

/** The same for a value that is required. */
export function checkArgument(name: string, option: Argument, value: unknown): void {
  if (value === undefined || !takes(option, value)) throw invalidArgument(name, expectation(option), value);
}

/** @throws CodecError('usage') unless the value is a string */
export function checkText(name: string, value: unknown, expected = 'a string'): asserts value is string {
  if (typeof value !== 'string') throw invalidArgument(name, expected, value);
}

/** @throws CodecError('usage') unless the value is a Uint8Array */
export function checkBytes(name: string, value: unknown): asserts value is Uint8Array {
  if (!(value instanceof Uint8Array)) throw invalidArgument(name, 'a Uint8Array', value);
}

/** @throws CodecError('usage') for values that are no objects: null, undefined, numbers, strings, and also lists */
export function checkObject(name: string, value: unknown, expected = 'an object'): asserts value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidArgument(name, expected, value);
}

/** @throws CodecError('usage') unless the value is an array */
export function checkList(name: string, value: unknown, expected = 'a list'): asserts value is readonly unknown[] {
  if (!Array.isArray(value)) throw invalidArgument(name, expected, value);
}

/**
 * Checks an object that the library made, such as a model.
 * @param expected where one gets such an object, in words
 * @param parts the properties that identify it
 */
export function checkMade(
  name: string,
  value: unknown,
  expected: string,
  parts: Readonly<Record<string, 'object' | 'function' | 'string' | 'number'>>,
): void {
  const has = ([part, type]: [string, string]) => {
    const found = (value as Readonly<Record<string, unknown>>)[part];
    return typeof found === type && found !== null;
  };
  const isObject = typeof value === 'object' && value !== null;
  if (!isObject || !Object.entries(parts).every(has)) throw invalidArgument(name, expected, value);
}

function takes(option: Argument, value: unknown): boolean {
  switch (option.type) {
    case 'own':
      return true;
    case 'function':
      return typeof value === 'function';
    case 'text':
      return typeof value === 'string';
    case 'signal':
      return typeof value === 'object' && value !== null && 'throwIfAborted' in value && 'aborted' in value;
    case 'switch':
      return typeof value === 'boolean';
    case 'choice':
      return option.choices.includes(value as string);
    case 'number':
      return isWithin(option, value) || (option.or !== undefined && value === option.or);
  }
}

function isWithin(option: Omit<NumberOption, 'describe'>, value: unknown): boolean {
  const { integer = false, least = Number.NEGATIVE_INFINITY, above = Number.NEGATIVE_INFINITY, most } = option;
  if (typeof value !== 'number' || Number.isNaN(value)) return false;
  // Infinity is an integer here: no limit.
  if (integer && !Number.isInteger(value) && value !== Number.POSITIVE_INFINITY) return false;
  return value >= least && value > above && value <= (most ?? Number.POSITIVE_INFINITY);
}

/** The values that an option accepts, in words: "an integer from 1 to 9". */
export function expectation(option: Argument): string {
  switch (option.type) {
    case 'own':
      return 'something';
    case 'function':
      return 'a function';
    case 'text':
      return 'a string';
    case 'signal':
      return 'an AbortSignal';
    case 'switch':
      return 'true or false';
    case 'choice': {
      const quoted = option.choices.map((choice) => `"${choice}"`);
      return `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`;
    }
    case 'number': {
      const range = rangeInWords(option);
      return option.or === undefined ? range : `${range}, or "${option.or}"`;
    }
  }
}

function rangeInWords({ integer, least, above, most, unit }: Omit<NumberOption, 'describe'>): string {
  const kind = integer ? 'an integer' : 'a number';
  const of = unit === undefined ? '' : ` of ${unit}`;
  if (least !== undefined && most !== undefined) return `${kind}${of} from ${least} to ${most}`;
  if (above !== undefined) return `${kind}${of} above ${above}`;
  return least === undefined ? `${kind}${of}` : `${kind}${of} of ${least} or more`;
}
