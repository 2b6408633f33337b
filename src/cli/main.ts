/** The command line: sets up the commands, and turns errors into exit codes. */
import yargs from 'yargs';
import { CodecError } from '../common/errors.js';
import { checkWorkingDirectory } from '../node/files.js';
import { lostOutput, outliveConsoles } from '../node/process.js';
import { packageVersion } from '../node/version.js';
import { COMMANDS, nameOf } from './commands.js';
import { type ConsoleArgs, openConsole } from './console.js';
import { checkKnown, refuse } from './refusal.js';
import { cannotPrint } from './streams.js';
import { checkTyped, END_OF_OPTIONS, markPlain, unmark } from './typed.js';

/** Maximum width of the help. */
const HELP_WIDTH = 120;

/**
 * Runs a command line.
 * @param args arguments after the program's name
 * @returns exit code: 0, 1 for a fault of the data or the machine, 2 for a fault of the arguments
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
    const typed = args[0] === 'help' ? [...args.slice(1), '--help'] : args;
    const cli = parser(markPlain(typed));
    const checked = cli.middleware((parsed) => {
      commands = parsed._;
      Object.assign(parsed, unmark(parsed));
      checkTyped(parsed, typed, cli);
      checkKnown(parsed, cli);
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
    .command([...COMMANDS])
    .example('$0 encode photo.jpg -o photo.ddc', 'compress')
    .example('$0 decode photo.ddc -o photo.png --rate 0.2', 'reconstruct from the first 0.2 bits/dim')
    .example('$0 info photo.ddc', 'look inside')
    .example('$0 encode - -o - < photo.jpg > photo.ddc', '- is standard input or output')
    .epilogue(
      "'ddpm-codec <command> --help' explains a command.\n" +
        'Exit codes: 0 done; 1 something is wrong with a file, a model or the machine; 2 with the arguments.',
    )
    .demandCommand(1, `expected a command: ${COMMANDS.map(nameOf).join(', ')}`)
    .strictCommands()
    .strict()
    .option(END_OF_OPTIONS, { type: 'boolean', hidden: true })
    .parserConfiguration({
      // Otherwise unknown options are reported twice, as max-rat and maxRat.
      'camel-case-expansion': false,
      // Keeps a file named 1e3 from becoming 1000, and a repeated 1 from becoming 2; `numberOption` reads numbers.
      'parse-numbers': false,
      'dot-notation': false,
    })
    .help()
    .alias('help', 'h')
    .version(packageVersion())
    .wrap(Math.min(HELP_WIDTH, cli.terminalWidth()))
    .detectLocale(false)
    .exitProcess(false)
    .fail((message, error) => refuse(message, error, cli));
}
