/**
 * The codec's options as arguments of the command line. yargs' options are made of the tables in `src/codec/options.ts`, and what
 * yargs gives is read back into what the library takes: an option that is added there is one here.
 */
import type { Options } from 'yargs';
import { DECODE_OPTIONS, ENCODE_OPTIONS, type OptionValues } from '../codec/options.js';
import { checkOption, type Option, type OptionTable } from '../common/arguments.js';
import { numberOption } from './args.js';
import { flagOf } from './typed.js';

/** Flags, by the library's name of what they say, where that is not the same with hyphens. */
export type FlagNames = Readonly<Record<string, string>>;

/** `--rate` is a third way to say how much of a file to use, so that these are as short. */
export const DECODE_FLAG_NAMES: FlagNames = { maxBytes: 'bytes', maxSteps: 'steps' };

/** The options of a table for yargs, by flag. */
export function flagsFor(table: OptionTable, names: FlagNames = {}): Record<string, Options> {
  return Object.fromEntries(
    Object.entries(table).map(([name, option]) => [flagNameOf(name, names), yargsOption(option)]),
  );
}

/**
 * Reads the flags of a table's options.
 * @returns the options for the library; what has no default and was not given is missing
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

/** A table's options as a report has them: all of them, null where there is neither a value nor a default. */
export type ReportedOptions<T extends OptionTable> = {
  readonly [N in keyof OptionValues<T>]-?:
    | Exclude<OptionValues<T>[N], undefined>
    | (undefined extends OptionValues<T>[N] ? null : never);
};

export function reportedOptions<T extends OptionTable>(table: T, values: OptionValues<T>): ReportedOptions<T> {
  const given: Readonly<Record<string, unknown>> = values;
  return Object.fromEntries(Object.keys(table).map((name) => [name, given[name] ?? null])) as ReportedOptions<T>;
}

/** Options of the library that its messages name and no table has. */
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

/** Options of `decode` alone, that are named by messages about files that others read as well. */
const OF_DECODE = new Set(['tolerant', 'maxSteps']);

/** Commands that are told their model by its place, without a flag. */
const MODEL_BY_PLACE = new Set(['model', 'calibrate']);

const OPTION_NAMES = new Set([...Object.keys(ENCODE_OPTIONS), ...Object.keys(DECODE_OPTIONS), ...OTHER_OPTIONS]);

/**
 * A message of the library in the words of the command line: the options that it names in backticks as flags.
 * @param command that is run: for all but `encode` `maxBytes` is how much of a file is used
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
