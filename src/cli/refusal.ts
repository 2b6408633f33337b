/** Rewords yargs' errors to say what was expected. */
import yargs, { type CommandModule } from 'yargs';
import { CodecError } from '../common/errors.js';
import { COMMANDS, nameOf } from './commands.js';
import { flagOf, unmarkText } from './typed.js';

/** yargs' knowledge of the current command; its types omit this. */
interface Known {
  getOptions(): {
    readonly key: Readonly<Record<string, unknown>>;
    readonly alias: Readonly<Record<string, readonly string[] | undefined>>;
  };
  getInternalMethods(): {
    getContext(): { readonly fullCommands: readonly string[] };
    getCommandInstance(): { getCommands(): readonly string[] };
    getUsageInstance(): { getDescriptions(): Readonly<Record<string, string | undefined>> };
  };
}

type Words = string | ((found: readonly string[], known: Known) => string);

/** yargs' error messages, and clearer ones. */
const REWORDED: readonly (readonly [RegExp, Words])[] = [
  [/^Not enough non-option arguments: .*/s, (_, known) => describeArguments(known)],
  [/^Not enough arguments following: (.)$/, '-$1: expected a value after it'],
  [/^Not enough arguments following: (.*)$/, '--$1: expected a value after it'],
  [
    /^Invalid values:\s*Argument: (\S+), Given: (.*), Choices: (.*)$/s,
    ([, name, given, choices], known) =>
      `${placesOf(known).includes(`<${name}>`) ? '' : '--'}${name}: expected one of ${choices}, got ${given}`,
  ],
  [/^Missing required arguments?: (.*)$/, 'expected --$1'],
  [/^Unknown commands?: (.*)$/, ([, names], known) => describeCommand(names, known)],
];

/** yargs' own errors are about arguments, and point to the help; errors that a command throws pass through. */
export function refuse(message: string | null, error: Error | undefined, cli: unknown): never {
  if (error !== undefined && error.name !== 'YError') throw error;
  const problem = unmarkText(message ?? error?.message ?? 'bad arguments').trim();
  const [pattern, words] = REWORDED.find(([pattern]) => pattern.test(problem)) ?? [/^/, ''];
  const reworded =
    typeof words === 'string' ? problem.replace(pattern, words) : words(pattern.exec(problem)!, cli as Known);
  throw new CodecError('usage', `${reworded}; see --help`);
}

/**
 * Refuses options that the command does not have.
 * @param parsed the arguments as yargs parsed them
 * @throws CodecError `usage` naming the commands that have the option
 */
export function checkKnown(parsed: Readonly<Record<string, unknown>>, cli: unknown): void {
  const { key, alias } = (cli as Known).getOptions();
  const known = new Set(['_', '$0', '--', ...Object.keys(key), ...Object.values(alias).flat()]);
  const name = Object.keys(parsed).find((one) => !known.has(one));
  if (name === undefined) return;
  const owners = COMMANDS.filter((command) => optionsOf(command).has(name)).map(nameOf);
  const where = owners.length === 0 ? '' : `; it belongs to ${owners.join(', ')}`;
  throw new CodecError('usage', `unknown option: ${flagOf(name)}${where}; see --help`);
}

function optionsOf({ builder }: CommandModule): ReadonlySet<string> {
  const cli = yargs([]);
  if (typeof builder === 'function') builder(cli);
  return new Set(Object.keys((cli as unknown as Known).getOptions().key));
}

/** A command's positional arguments, with their descriptions from the help. */
function describeArguments(known: Known): string {
  const descriptions = known.getInternalMethods().getUsageInstance().getDescriptions();
  const expected = placesOf(known)
    .filter((place) => place.startsWith('<'))
    .map((place) => `${place} (${descriptions[place.replace(/[<>.]/g, '')]})`);
  return `expected ${expected.join(' and ')}`;
}

/** The positional arguments of the current command, as in its usage: `<model>`, `<inputs..>`. */
function placesOf(known: Known): string[] {
  return (known.getInternalMethods().getContext().fullCommands.at(-1) ?? '').split(' ').slice(1);
}

/** Message about a word that is not a command, or, for a command without subcommands, not an argument. */
function describeCommand(names: string, known: Known): string {
  const commands = known.getInternalMethods().getCommandInstance().getCommands();
  if (commands.length === 0) return `unknown argument: ${names}`;
  return `unknown command: ${names.split(', ')[0]}; expected one of ${commands.join(', ')}`;
}
