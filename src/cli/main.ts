/** The command line: which commands there are, how errors end a run. */
import yargs from 'yargs';
import { CodecError } from '../common/errors.js';
import { checkWorkingDirectory } from '../node/files.js';
import { lostOutput, outliveConsoles } from '../node/process.js';
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
import { cannotPrint } from './streams.js';
import { calibrateCommand } from './train/calibrate.js';
import { trainCommand } from './train/train.js';
import { checkTyped, END_OF_OPTIONS, markPlain, unmark, unmarkText } from './typed.js';

/** Widest line of help. */
const HELP_WIDTH = 120;

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

/**
 * Runs a command line.
 * @param args arguments after the program's name
 * @returns exit code: 0, 1 for what is wrong with data or the machine, 2 for what is wrong with the arguments
 */
export async function main(args: readonly string[]): Promise<0 | 1 | 2> {
  outliveConsoles();
  const code = await run(args);
  const loss = await lostOutput();
  if (loss === undefined || code !== 0) return code;
  openConsole({ json: false, quiet: false }).error(cannotPrint(loss));
  return 1;
}

async function run(args: readonly string[]): Promise<0 | 1 | 2> {
  let commands: ConsoleArgs['_'] = [];
  try {
    checkWorkingDirectory();
    const cli = parser(markPlain(args));
    const checked = cli.middleware((parsed) => {
      commands = parsed._;
      Object.assign(parsed, unmark(parsed));
      checkTyped(parsed, args, cli);
    }, true);
    await checked.parseAsync();
    return 0;
  } catch (error) {
    openConsole({ json: false, quiet: false, _: commands }).error(error);
    return error instanceof CodecError ? error.exitCode : 1;
  }
}

function parser(args: readonly string[]) {
  const cli = yargs([...args]);
  return cli
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
    .epilogue(
      "'ddpm-codec <command> --help' explains a command.\n" +
        'Exit codes: 0 done; 1 something is wrong with a file, a model or the machine; 2 with the arguments.',
    )
    .demandCommand(
      1,
      1,
      'expected a command: encode, decode, info, truncate, verify, rd, eval, sample, interpolate, train, data, calibrate or model',
    )
    .recommendCommands()
    .strict()
    .option(END_OF_OPTIONS, { type: 'boolean', hidden: true })
    .parserConfiguration({
      // Otherwise each unknown option is reported twice, as max-rat and maxRat.
      'camel-case-expansion': false,
      // Not a file named 1e3 as 1000, and not 1 and 1 as 2; `numberOption` reads numbers.
      'parse-numbers': false,
      'dot-notation': false,
    })
    .help()
    .alias('help', 'h')
    .version(packageVersion())
    .wrap(Math.min(HELP_WIDTH, cli.terminalWidth()))
    .detectLocale(false)
    .exitProcess(false)
    .fail(refuse);
}

/** What yargs finds wrong is about arguments, and points to the help; what a command throws passes through. */
function refuse(message: string | null, error: Error | undefined): never {
  if (error !== undefined && error.name !== 'YError') throw error;
  const problem = message ?? error?.message ?? 'bad arguments';
  const reworded = REWORDED.reduce(
    (text, [pattern, words]) => text.replace(pattern, words),
    unmarkText(problem).trim(),
  );
  throw new CodecError('usage', `${reworded}; see --help`);
}
