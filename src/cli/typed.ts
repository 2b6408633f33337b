/**
 * What is typed is what a command gets, or is refused: yargs drops `-` and what follows `--`, takes every value of a switch but `true`
 * for false, lets a positional argument that is named as an option as well vanish, and knows no empty values.
 */
import { CodecError, invalidArgument } from '../common/errors.js';

/** Begins what yargs is to take for a plain argument, whatever it looks like; no argument has a zero in it. */
const MARK = '\0';

/** A switch that stands for `--`. Nobody can type it. */
export const END_OF_OPTIONS = MARK;

/** Arguments that may have several values: positional ones, and yargs' own list of them. */
const LISTS = new Set(['_', 'inputs', 'files', 'data', 'images', 'reports', 'shared-latents']);

/** Options that are neither names nor choices, and may be anything. */
const TEXTS = new Set(['comment', 'seed']);

/** Names for which `-` is standard input or output. */
const STREAMS = new Set(['inputs', 'files', 'file', 'a', 'b', 'against', 'output']);

/** The arguments for yargs: `-` and all that follows `--` are none of options. */
export function markPlain(args: readonly string[]): string[] {
  const [options, plain] = atEndOfOptions(args);
  const marked = options.map((one) => (one === '-' ? MARK + one : one));
  return plain === undefined ? marked : [...marked, `--${END_OF_OPTIONS}`, ...plain.map((one) => MARK + one)];
}

/** What yargs made of them, as it was typed. */
export function unmark(parsed: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const restore = (value: unknown) => (typeof value === 'string' ? unmarkText(value) : value);
  return Object.fromEntries(
    Object.entries(parsed).map(([name, value]) => [name, Array.isArray(value) ? value.map(restore) : restore(value)]),
  );
}

/** A message of yargs about them. */
export function unmarkText(text: string): string {
  return text.replaceAll(MARK, '');
}

/** What yargs knows of a command's arguments; its types leave this out. */
interface Known {
  getOptions(): {
    readonly boolean: readonly string[];
    readonly string: readonly string[];
    readonly alias: Readonly<Record<string, readonly string[] | undefined>>;
  };
  getGroups(): Readonly<Record<string, readonly string[] | undefined>>;
}

/**
 * Checks what yargs does not.
 * @param args as they were typed
 * @throws CodecError `usage` for what would be lost
 */
export function checkTyped(parsed: Readonly<Record<string, unknown>>, args: readonly string[], yargs: unknown): void {
  const known = yargs as Known;
  const { boolean, string, alias } = known.getOptions();
  const positional = new Set(known.getGroups()['Positionals:']);
  const [options] = atEndOfOptions(args);
  for (const option of options) checkOption(option, new Set(boolean), positional, options);
  const names = new Set(string);
  const aliases = new Set(Object.values(alias).flat());
  for (const [name, value] of Object.entries(parsed)) {
    if (aliases.has(name)) continue;
    const isList = LISTS.has(name);
    // Only one of them can have been meant.
    if (Array.isArray(value) && !isList) throw new CodecError('usage', `${flagOf(name)}: given more than once`);
    const values: readonly unknown[] = isList && Array.isArray(value) ? value : [value];
    const shown = positional.has(name) ? name : flagOf(name);
    if (values.includes('')) throw invalidArgument(shown, 'a value', '');
    if (values.includes('-') && names.has(name) && !STREAMS.has(name) && !TEXTS.has(name)) {
      throw new CodecError(
        'usage',
        `${shown}: "-" is standard input or output, which cannot be used here; expected a name`,
      );
    }
  }
}

/** An option as it is typed. */
export function flagOf(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}

/** Checks one option, with its value where that is joined to it. */
function checkOption(
  option: string,
  switches: ReadonlySet<string>,
  positional: ReadonlySet<string>,
  options: readonly string[],
): void {
  const [, name, value] =
    /^--([^=]+)(?:=(.*))?$/s.exec(option) ?? /^-[a-z]*?([a-z])=?([^a-z=].*|(?<==).*)$/is.exec(option) ?? [];
  if (name === undefined) return;
  const flag = flagOf(name);
  if (positional.has(name)) throw new CodecError('usage', `${flag}: is given without a flag, by its place; see --help`);
  if (!switches.has(name)) return;
  if (value !== undefined && value !== 'true' && value !== 'false') {
    throw invalidArgument(flag, 'true, false or no value', value);
  }
  const opposite = [`--no-${name}`, `--${name}=false`];
  if (value !== 'false' && options.some((other) => opposite.includes(other))) {
    throw new CodecError('usage', `${flag}: is switched on and off; give only one of them`);
  }
}

function atEndOfOptions(args: readonly string[]): [options: readonly string[], plain: readonly string[] | undefined] {
  const end = args.indexOf('--');
  return end < 0 ? [args, undefined] : [args.slice(0, end), args.slice(end + 1)];
}
