/**
 * The options of encoding and decoding, each described once: the library checks by these, the command line makes its arguments and
 * its help of them, and a test holds the tables of the documentation against them.
 */
import { invalidArgument } from '../common/errors.js';
import type { DecodeOptions, EncodeOptions } from './api.js';

/** A number with its range. */
export interface NumberOption {
  readonly type: 'number';
  readonly integer?: boolean;
  readonly least?: number;
  /** Excluded. */
  readonly above?: number;
  readonly most?: number;
  /** For messages: what is expected, where the range does not say it best. */
  readonly unit?: string;
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

/** What an option takes. */
export type OptionValue<O extends Option> = O extends ChoiceOption
  ? O['choices'][number]
  : O extends SwitchOption
    ? boolean
    : number;

/** The values of a table's options; only those without a default may be missing. */
export type OptionValues<T extends OptionTable> = {
  readonly [N in keyof T as T[N] extends { readonly default: unknown } ? N : never]: OptionValue<T[N]>;
} & { readonly [N in keyof T as T[N] extends { readonly default: unknown } ? never : N]?: OptionValue<T[N]> };

/** RMSE at which a file ends when neither a size nor a quality is asked for: hard to tell from the original by eye. */
export const DEFAULT_TARGET_RMSE = 3;
export const DEFAULT_EFFORT = 5;
export const MAX_EFFORT = 9;
/** Images with more pixels are refused before anything is allocated, unless the caller raises this. */
export const DEFAULT_MAX_PIXELS = 2 ** 26;

/** Of `encode`. */
export const ENCODE_OPTIONS = {
  effort: {
    type: 'number',
    integer: true,
    least: 1,
    most: MAX_EFFORT,
    default: DEFAULT_EFFORT,
    describe: `1 to ${MAX_EFFORT}: time for fewer bits; one more doubles the search, for large pictures there are more steps, too`,
  },
  selection: {
    type: 'choice',
    choices: ['greedy', 'sample'],
    default: 'greedy',
    describe: 'Codeword choice: the best, or at random as minimal random coding has it',
  },
  seed: {
    type: 'number',
    integer: true,
    least: 0,
    most: 2 ** 32 - 1,
    default: 0,
    describe: 'Seed of all random numbers, 0 to 4294967295; stored in the file',
  },
  maxBytes: { type: 'number', integer: true, least: 1, describe: 'Largest file, in bytes' },
  targetRmse: {
    type: 'number',
    above: 0,
    unit: 'grey levels',
    describe: 'Stop when the error is this small, in grey levels 0..255',
  },
  lossless: {
    type: 'switch',
    default: false,
    describe: 'Send the exact picture: as many steps as make the file smallest, then every sample',
  },
  checksums: {
    type: 'switch',
    default: false,
    describe: 'Add checksums, 16 bits for every 32 bytes or more of steps, that show where a file is damaged',
  },
} as const satisfies Record<Exclude<keyof EncodeOptions, 'metadata' | 'onProgress' | 'signal'>, Option>;

/** Of `decode`. */
export const DECODE_OPTIONS = {
  maxBytes: { type: 'number', integer: true, least: 0, describe: 'Decode from at most this many bytes' },
  maxSteps: { type: 'number', integer: true, least: 0, describe: 'Decode from at most this many steps' },
  reconstruction: {
    type: 'choice',
    choices: ['mean', 'sample', 'flow'],
    default: 'mean',
    describe: 'The picture of lowest error, or one with likely detail invented: by chance, or by the probability flow',
  },
  maxPixels: {
    type: 'number',
    integer: true,
    least: 1,
    default: DEFAULT_MAX_PIXELS,
    describe: 'Refuse larger pictures, before memory is taken for them',
  },
  tolerant: {
    type: 'switch',
    default: false,
    describe: 'Of a file whose checksums show damage give the picture up to there',
  },
} as const satisfies Record<
  Exclude<keyof DecodeOptions, 'progressivePoints' | 'onPoint' | 'onProgress' | 'signal'>,
  Option
>;

/**
 * Checks a value.
 * @param name of the option, for the message
 * @returns the value, or the option's default where it is undefined
 * @throws CodecError('usage') when it is not one that the option takes
 */
export function checkOption(name: string, option: Option, value: unknown): unknown {
  if (value === undefined) return option.default;
  if (!takes(option, value)) throw invalidArgument(name, expectation(option), value);
  return value;
}

/**
 * Checks the values of a table's options.
 * @param values also of other options, which are left alone
 * @throws CodecError('usage') naming the first that is not one that its option takes
 */
export function checkOptions(table: OptionTable, values: object): void {
  for (const [name, option] of Object.entries(table)) {
    checkOption(name, option, (values as Readonly<Record<string, unknown>>)[name]);
  }
}

function takes(option: Option, value: unknown): boolean {
  switch (option.type) {
    case 'switch':
      return typeof value === 'boolean';
    case 'choice':
      return option.choices.includes(value as string);
    case 'number':
      return isWithin(option, value);
  }
}

function isWithin(option: NumberOption, value: unknown): boolean {
  const { integer = false, least = Number.NEGATIVE_INFINITY, above = Number.NEGATIVE_INFINITY, most } = option;
  if (typeof value !== 'number' || Number.isNaN(value)) return false;
  // Infinity is an integer here: no limit.
  if (integer && !Number.isInteger(value) && value !== Number.POSITIVE_INFINITY) return false;
  return value >= least && value > above && value <= (most ?? Number.POSITIVE_INFINITY);
}

/** What an option takes, in words: "an integer from 1 to 9". */
export function expectation(option: Option): string {
  switch (option.type) {
    case 'switch':
      return 'true or false';
    case 'choice': {
      const quoted = option.choices.map((choice) => `"${choice}"`);
      return `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`;
    }
    case 'number': {
      const { integer, least, above, most, unit } = option;
      const kind = integer ? 'an integer' : 'a number';
      const of = unit === undefined ? '' : ` of ${unit}`;
      if (least !== undefined && most !== undefined) return `${kind}${of} from ${least} to ${most}`;
      if (above !== undefined) return `${kind}${of} above ${above}`;
      return least === undefined ? `${kind}${of}` : `${kind}${of} of ${least} or more`;
    }
  }
}
