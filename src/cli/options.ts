/**
 * The codec's options as arguments of the command line. The tables in `src/codec/options.ts` define both yargs' options
 * and how their values are read back for the library. An option that is added there also exists here.
 */
import type { Options } from 'yargs';
import { DECODE_OPTIONS, ENCODE_OPTIONS, type OptionValues } from '../codec/options.js';
import { checkOption, type Option, type OptionTable } from '../common/arguments.js';
import { numberOption } from './args.js';
import { flagOf } from './typed.js';

/** Flags by the library's name of the option, where they differ from that name with hyphens. */
export type FlagNames = Readonly<Record<string, string>>;

/** Short names, like that of `--rate`, the third way to limit how much of a file is used. */
export const DECODE_FLAG_NAMES: FlagNames = { maxBytes: 'bytes', maxSteps: 'steps' };

/** The options of a table for yargs, by flag. */
export function flagsFor(table: OptionTable, names: FlagNames = {}): Record<string, Options> {
  return Object.fromEntries(
    Object.entries(table).map(([name, option]) => [flagNameOf(name, names), yargsOption(option)]),
  );
}

/**
 * Reads the flags of a table's options.
 * @returns the options for the library, without those that have neither a value nor a default
 * @throws CodecError `usage` for a value that an option does not take
 */
export function readFlags<T extends OptionTable>(
  table: T,
  args: Readonly<Record<string, unknown>>,
  names: FlagNames = {},
): OptionValues<T> {
  const values = Object.entries(table).map(([name, option]) => {
    const flag = flagNameOf(name, names);
    return [name, checkOption(`--${flag}`, option, args[flag])] as const;
  });
  return Object.fromEntries(values.filter(([, value]) => value !== undefined)) as OptionValues<T>;
}

/** A table's options in a report: all of them, null where there is neither a value nor a default. */
export type ReportedOptions<T extends OptionTable> = {
  readonly [N in keyof OptionValues<T>]-?:
    | Exclude<OptionValues<T>[N], undefined>
    | (undefined extends OptionValues<T>[N] ? null : never);
};

export function reportedOptions<T extends OptionTable>(table: T, values: OptionValues<T>): ReportedOptions<T> {
  const given: Readonly<Record<string, unknown>> = values;
  return Object.fromEntries(Object.keys(table).map((name) => [name, given[name] ?? null])) as ReportedOptions<T>;
}

/** Options that the library's messages name and that are in no table. */
const OTHER_OPTIONS = [
  'band',
  ...[
    'model',
    'engine',
    'device',
    'precision',
    'threads',
    'background',
    'shard',
    'baselines',
    'metrics',
    'crop',
    'loss',
    'variance',
    'update',
  ],
  ...['learningRate', 'warmup', 't', 'steps', 'anchor'],
];

/** Options of `decode` alone. Messages name them for files that other commands read as well. */
const OF_DECODE = new Set(['tolerant', 'maxSteps']);

/** Commands that take their model as a positional argument. */
const MODEL_BY_PLACE = new Set(['model', 'calibrate']);

const OPTION_NAMES = new Set([...Object.keys(ENCODE_OPTIONS), ...Object.keys(DECODE_OPTIONS), ...OTHER_OPTIONS]);

/**
 * Translates a message of the library to the command line: options in backticks become flags.
 * @param command that is running: except for `encode`, `maxBytes` limits how much of a file is used
 */
export function withFlags(message: string, command: string | undefined): string {
  const names: FlagNames = {
    learningRate: 'lr',
    ...DECODE_FLAG_NAMES,
    ...(command === 'encode' && { maxBytes: 'max-bytes' }),
  };
  return message.replace(/`(\w+)`/g, (quoted, name: string) => {
    if (!OPTION_NAMES.has(name)) return quoted;
    if (name === 'model' && command !== undefined && MODEL_BY_PLACE.has(command)) return name;
    const isElsewhere = command !== undefined && command !== 'decode' && OF_DECODE.has(name);
    return `${isElsewhere ? 'decode ' : ''}${flagOf(flagNameOf(name, names))}`;
  });
}

function flagNameOf(name: string, names: FlagNames): string {
  return names[name] ?? name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function yargsOption(option: Option): Options {
  const { describe: description } = option;
  switch (option.type) {
    case 'number':
      return numberOption(description, option.default === undefined ? {} : { default: option.default });
    case 'choice':
      return { description, choices: option.choices, default: option.default, requiresArg: true };
    case 'switch':
      return { description, type: 'boolean', default: option.default };
  }
}
