/** The command line: which commands there are, how errors end a run. */
import { readFileSync } from 'node:fs';
import yargs from 'yargs';
import { CodecError } from '../errors.js';
import { openConsole } from './console.js';
import { decodeCommand } from './decode.js';
import { encodeCommand } from './encode.js';
import { infoCommand } from './info.js';
import { truncateCommand } from './truncate.js';

/** Widest line of help. */
const HELP_WIDTH = 120;

/**
 * Runs a command line.
 * @param args arguments after the program's name
 * @returns exit code: 0, 1 for what is wrong with data or the machine, 2 for what is wrong with the arguments
 */
export async function main(args: readonly string[]): Promise<0 | 1 | 2> {
  endQuietlyOnClosedPipe();
  try {
    await parser(args).parseAsync();
    return 0;
  } catch (error) {
    const reported = asUsageError(error);
    openConsole({ json: false, quiet: false }).error(reported);
    return reported instanceof CodecError ? reported.exitCode : 1;
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
      .example('$0 encode photo.jpg -o photo.ddc', 'compress')
      .example('$0 decode photo.ddc -o photo.png --rate 0.2', 'reconstruct from the first 0.2 bits/dim')
      .example('$0 info photo.ddc', 'look inside')
      .epilogue("'ddpm-codec <command> --help' explains a command.")
      .demandCommand(1, 1, 'expected a command: encode, decode, info or truncate')
      .recommendCommands()
      .strict()
      // The last of an option given twice counts; -o x.ddc must not become a list.
      .parserConfiguration({ 'duplicate-arguments-array': false })
      .help()
      .alias('help', 'h')
      .version(packageVersion())
      .wrap(Math.min(HELP_WIDTH, cli.terminalWidth()))
      .detectLocale(false)
      .exitProcess(false)
      .fail(false)
  );
}

/** What yargs throws is about arguments, and points to the help. */
function asUsageError(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== 'YError') return error;
  return new CodecError('usage', `${error.message.trim()}; see ddpm-codec --help`);
}

function packageVersion(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
}

/** `ddpm-codec info x | head -1` closes our stdout early, which is no error. */
function endQuietlyOnClosedPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
}
