/**
 * The options of encoding and decoding, each described once. The library checks arguments by these tables, the command
 * line makes its arguments and its help from them, and a test compares the documentation's tables with them.
 */
import {
  type ArgumentTable,
  type ChoiceOption,
  type Option,
  type OptionTable,
  type SwitchOption,
  WORK_ARGUMENTS,
} from '../common/arguments.js';
import type { DecodeOptions, DecoderOptions, EncodeOptions } from './api.js';

/** The type of an option's value. */
export type OptionValue<O extends Option> = O extends ChoiceOption
  ? O['choices'][number]
  : O extends SwitchOption
    ? boolean
    : O extends { readonly or: infer Word }
      ? number | Word
      : number;

/** The values of a table's options; options without a default may be missing. */
export type OptionValues<T extends OptionTable> = {
  readonly [N in keyof T as T[N] extends { readonly default: unknown } ? N : never]: OptionValue<T[N]>;
} & { readonly [N in keyof T as T[N] extends { readonly default: unknown } ? never : N]?: OptionValue<T[N]> };

/** RMSE at which a file ends when neither a size nor a quality is asked for: hard to tell from the original by eye. */
export const DEFAULT_TARGET_RMSE = 3;
export const DEFAULT_EFFORT = 5;
export const MAX_EFFORT = 9;
/** Images with more pixels are refused before anything is allocated, unless the caller raises this. */
export const DEFAULT_MAX_PIXELS = 2 ** 26;

/** Options of `encode`. */
export const ENCODE_OPTIONS = {
  effort: {
    type: 'number',
    integer: true,
    least: 1,
    most: MAX_EFFORT,
    default: DEFAULT_EFFORT,
    describe: `1 to ${MAX_EFFORT}: time for fewer bits; for small pictures a longer search up to 5, for large ones more states or more steps`,
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

/** Options of `decode`. */
export const DECODE_OPTIONS = {
  maxBytes: { type: 'number', integer: true, least: 0, describe: 'Decode from at most this many bytes' },
  maxSteps: { type: 'number', integer: true, least: 0, describe: 'Decode from at most this many steps' },
  realism: {
    type: 'number',
    least: 0,
    most: 1,
    or: 'sample',
    default: 0,
    describe:
      'From 0, the picture of lowest error, to 1, one with all the detail that pictures have, likely if not true; above 0 it takes the time of the steps that are left. "sample" draws that detail at random',
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
    describe: 'Of a file whose checksums show damage make the best: turn back what one can, decode the rest as it is',
  },
} as const satisfies Record<
  Exclude<keyof DecodeOptions, 'progressivePoints' | 'onPoint' | 'wantsPoint' | 'onProgress' | 'signal'>,
  Option
>;

/** All arguments of the library's `encode`. */
export const ENCODE_ARGUMENTS = {
  ...ENCODE_OPTIONS,
  metadata: { type: 'own' },
  ...WORK_ARGUMENTS,
} as const satisfies Record<keyof EncodeOptions, ArgumentTable[string]>;

/** All arguments of the library's `decode`. */
export const DECODE_ARGUMENTS = {
  ...DECODE_OPTIONS,
  progressivePoints: { type: 'own' },
  onPoint: { type: 'function' },
  wantsPoint: { type: 'function' },
  ...WORK_ARGUMENTS,
} as const satisfies Record<keyof DecodeOptions, ArgumentTable[string]>;

/** All arguments of the library's `openDecoder`. */
export const DECODER_ARGUMENTS = {
  maxPixels: DECODE_OPTIONS.maxPixels,
  tolerant: DECODE_OPTIONS.tolerant,
  signal: WORK_ARGUMENTS.signal,
} as const satisfies Record<keyof DecoderOptions, ArgumentTable[string]>;
