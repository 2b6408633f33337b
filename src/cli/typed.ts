/**
 * Ensures that commands get what was typed, or refuse it. yargs drops `-` and what follows `--`, takes every value of a
 * switch but `true` for false, loses a positional argument that is also named as an option, and has no notion of empty
 * values.
 */
import { CodecError, invalidArgument } from '../common/errors.js';

/** Marks an argument that yargs must take as plain, whatever it looks like; no argument contains a zero character. */
const MARK = '\0';

/** A switch in place of `--`. Nobody can type it. */
export const END_OF_OPTIONS = MARK;

/** Arguments that may have several values: positional ones, and yargs' own list of them. */
const LISTS = new Set(['_', 'inputs', 'files', 'data', 'images', 'reports', 'shared-latents']);

/** Options that take any text, unlike names and choices. */
const TEXTS = new Set(['comment', 'seed']);

/** Names for which `-` is standard input or output. */
const STREAMS = new Set(['inputs', 'files', 'file', 'a', 'b', 'against', 'output']);

/** Prepares the arguments for yargs: marks `-` and everything after `--` as plain arguments. */
export function markPlain(args: readonly string[]): string[] {
  const [options, plain] = atEndOfOptions(args);
  const marked = options.map((one) => (one === '-' ? MARK + one : one));
  return plain === undefined ? marked : [...marked, `--${END_OF_OPTIONS}`, ...plain.map((one) => MARK + one)];
}

/** Restores yargs' parsed values to what was typed. */
export function unmark(parsed: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const restore = (value: unknown) => (typeof value === 'string' ? unmarkText(value) : value);
  return Object.fromEntries(
    Object.entries(parsed).map(([name, value]) => [name, Array.isArray(value) ? value.map(restore) : restore(value)]),
  );
}

/** Removes the marks from a message of yargs. */
export function unmarkText(text: string): string {
  return text.replaceAll(MARK, '');
}

/** yargs' knowledge of a command's arguments; its types omit this. */
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
 * @throws CodecError `usage` for values that would be lost
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
    // Only one of them can be intended.
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

/** An option in its typed form. */
export function flagOf(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}

/** Checks one option, with its value where that is attached. */
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
