/** What yargs refuses, in words that say what was expected. */
import yargs, { type CommandModule } from 'yargs';
import { CodecError } from '../common/errors.js';
import { COMMANDS, nameOf } from './commands.js';
import { flagOf, unmarkText } from './typed.js';

/** What yargs knows of the command that is run; its types leave this out. */
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

/** yargs' words for what it refuses, and clearer ones. */
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

/** What yargs finds wrong is about arguments, and points to the help; what a command throws passes through. */
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
 * @param parsed what yargs made of the arguments
 * @throws CodecError `usage` naming the commands that have it
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

/** What a command takes by place, with what its help says of that. */
function describeArguments(known: Known): string {
  const descriptions = known.getInternalMethods().getUsageInstance().getDescriptions();
  const expected = placesOf(known)
    .filter((place) => place.startsWith('<'))
    .map((place) => `${place} (${descriptions[place.replace(/[<>.]/g, '')]})`);
  return `expected ${expected.join(' and ')}`;
}

/** The arguments by place of the command that is run, as its usage has them: `<model>`, `<inputs..>`. */
function placesOf(known: Known): string[] {
  return (known.getInternalMethods().getContext().fullCommands.at(-1) ?? '').split(' ').slice(1);
}

/** A word that is neither a command nor, where there are none, an argument. */
function describeCommand(names: string, known: Known): string {
  const commands = known.getInternalMethods().getCommandInstance().getCommands();
  if (commands.length === 0) return `unknown argument: ${names}`;
  return `unknown command: ${names.split(', ')[0]}; expected one of ${commands.join(', ')}`;
}
