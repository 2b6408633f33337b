/** The command line: which commands there are, how errors end a run. */
import yargs from 'yargs';
import { CodecError } from '../common/errors.js';
import { reasonOf } from '../node/files.js';
import { packageVersion } from '../node/version.js';
import { type ConsoleArgs, openConsole } from './console.js';
import { dataCommand } from './data/data.js';
import { decodeCommand } from './decode/decode.js';
import { encodeCommand } from './encode/encode.js';
import { evalCommand } from './eval/eval.js';
import { infoCommand } from './file/info.js';
import { truncateCommand } from './file/truncate.js';
import { verifyCommand } from './file/verify.js';
import { modelCommand } from './model/model.js';
import { rdCommand } from './rd/rd.js';
import { interpolateCommand } from './sample/interpolate.js';
import { sampleCommand } from './sample/sample.js';
import { STANDARD_STREAM } from './streams.js';
import { calibrateCommand } from './train/calibrate.js';
import { trainCommand } from './train/train.js';

/** Widest line of help. */
const HELP_WIDTH = 120;

/** Arguments that may have several values: positional ones, and yargs' own list of them. */
const LISTS = new Set(['_', 'inputs', 'files', 'data', 'images', 'reports', 'shared-latents']);

/** yargs' words for what it refuses, and clearer ones. */
const REWORDED: readonly (readonly [RegExp, string])[] = [
  [/^Did you mean/, 'unknown command; did you mean'],
  [/^Not enough non-option arguments: got 0, .*/s, 'expected at least one file'],
  [/^Not enough non-option arguments: got (\d+), need at least (\d+).*/s, 'expected at least $2 arguments, got $1'],
  [/^Not enough arguments following: (.)$/, '-$1: expected a value after it'],
  [/^Not enough arguments following: (.*)$/, '--$1: expected a value after it'],
  [/^Invalid values:\s*Argument: (\S+), Given: (.*), Choices: (.*)$/s, '--$1: expected one of $3, got $2'],
  [/^Missing required arguments?: (.*)$/, 'expected --$1'],
  [/^Unknown argument(s?): /, 'unknown argument$1: '],
];

/** Stands for `-` while yargs is at work, which drops it among positional arguments; no argument has a zero in it. */
const DASH = '\0-';

/**
 * Runs a command line.
 * @param args arguments after the program's name
 * @returns exit code: 0, 1 for what is wrong with data or the machine, 2 for what is wrong with the arguments
 */
export async function main(args: readonly string[]): Promise<0 | 1 | 2> {
  endOnClosedPipe();
  let commands: ConsoleArgs['_'] = [];
  try {
    const cli = parser(args.map((argument) => (argument === STANDARD_STREAM ? DASH : argument)));
    const restored = cli.middleware((parsed) => {
      commands = parsed._;
      Object.assign(parsed, withDashes(parsed));
    }, true);
    await restored.parseAsync();
    return 0;
  } catch (error) {
    openConsole({ json: false, quiet: false, _: commands }).error(error);
    return error instanceof CodecError ? error.exitCode : 1;
  }
}

function parser(args: readonly string[]) {
  const cli = yargs([...args]);
  return (
    cli
      .scriptName('ddpm-codec')
      .usage(
        'Usage: $0 <command> [options]\n\n' +
          'Compresses pictures with a diffusion model into progressive .ddc files: every beginning of a file decodes,\n' +
          'to the picture at a lower rate.',
      )
      .command(encodeCommand)
      .command(decodeCommand)
      .command(infoCommand)
      .command(truncateCommand)
      .command(verifyCommand)
      .command(sampleCommand)
      .command(interpolateCommand)
      .command(trainCommand)
      .command(dataCommand)
      .command(calibrateCommand)
      .command(modelCommand)
      .command(evalCommand)
      .command(rdCommand)
      .example('$0 encode photo.jpg -o photo.ddc', 'compress')
      .example('$0 decode photo.ddc -o photo.png --rate 0.2', 'reconstruct from the first 0.2 bits/dim')
      .example('$0 info photo.ddc', 'look inside')
      .example('$0 encode - -o - < photo.jpg > photo.ddc', '- is standard input or output')
      .epilogue("'ddpm-codec <command> --help' explains a command.")
      .demandCommand(
        1,
        1,
        'expected a command: encode, decode, info, truncate, verify, rd, eval, sample, interpolate, train, data, calibrate or model',
      )
      .recommendCommands()
      .strict()
      // Otherwise each unknown option is reported twice, as max-rat and maxRat.
      .parserConfiguration({ 'camel-case-expansion': false })
      .check(refuseRepetition)
      .help()
      .alias('help', 'h')
      .version(packageVersion())
      .wrap(Math.min(HELP_WIDTH, cli.terminalWidth()))
      .detectLocale(false)
      .exitProcess(false)
      .fail(refuse)
  );
}

function withDashes(parsed: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const restore = (value: unknown) => (value === DASH ? STANDARD_STREAM : value);
  return Object.fromEntries(
    Object.entries(parsed).map(([name, value]) => [name, Array.isArray(value) ? value.map(restore) : restore(value)]),
  );
}

/** yargs makes a list of an option that is given twice; only one of its values can have been meant. */
function refuseRepetition(args: Readonly<Record<string, unknown>>): true {
  for (const [name, value] of Object.entries(args)) {
    if (Array.isArray(value) && !LISTS.has(name)) throw new CodecError('usage', `--${name}: given more than once`);
  }
  return true;
}

/** What yargs finds wrong is about arguments, and points to the help; what a command throws passes through. */
function refuse(message: string | null, error: Error | undefined): never {
  if (error !== undefined && error.name !== 'YError') throw error;
  const problem = message ?? error?.message ?? 'bad arguments';
  const reworded = REWORDED.reduce(
    (text, [pattern, words]) => text.replace(pattern, words),
    problem.replaceAll(DASH, STANDARD_STREAM).trim(),
  );
  throw new CodecError('usage', `${reworded}; see --help`);
}

/** Whether a run of before is listening to stdout already. */
let isWatched = false;

/** `ddpm-codec info x | head -1` closes our stdout early, which is no error; a full disk behind it is one. */
function endOnClosedPipe(): void {
  if (isWatched) return;
  isWatched = true;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    openConsole({ json: false, quiet: false }).error(
      new CodecError('file', `stdout: cannot write: ${reasonOf(error)}`),
    );
    process.exit(1);
  });
}
