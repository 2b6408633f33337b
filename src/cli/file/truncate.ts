/** `ddpm-codec truncate`: cuts a .ddc file off at a rate. */
import type { Arguments, CommandModule } from 'yargs';
import { readInfo, truncate } from '../../codec/format/info.js';
import { CodecError } from '../../common/errors.js';
import { makeDirectory } from '../../node/files.js';
import { atMostOne, byteBudget, integer, numberOption, type OutputArgs, outputOptions, positive } from '../args.js';
import { openConsole } from '../console.js';
import { aboutFile, planJobs } from '../jobs.js';
import { checkCodedName, checkResult, writeResult } from '../output.js';
import { inputName, outputName, readInput, streamForLines } from '../streams.js';

interface TruncateArgs extends OutputArgs {
  readonly file: string;
  readonly output: string;
  readonly rate?: unknown;
  readonly bytes?: unknown;
}

/** What `--json` prints. */
export interface TruncateReport {
  readonly input: string;
  readonly output: string;
  /** Size of the output. */
  readonly bytes: number;
  /** Size of the input. */
  readonly bytesTotal: number;
  /** 8 * bytes / (width * height * 3). */
  readonly bitsPerDim: number;
  /**
   * State of the alpha plane: `missing` where the output ends inside it, and decodes as opaque; `none` in a file
   * without one.
   */
  readonly alpha: 'none' | 'missing' | 'whole';
}

export const truncateCommand: CommandModule<object, TruncateArgs> = {
  command: 'truncate <file>',
  describe: 'Cut a .ddc file off: a smaller file at a lower rate',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 truncate <file> -o <file> (--rate R | --bytes N)\n\n' +
          'Cuts a .ddc file off. What is left decodes to the picture at that rate; no model is needed to cut.',
      )
      .positional('file', { type: 'string', description: 'A .ddc file; - for standard input' })
      .options({
        output: {
          alias: 'o',
          type: 'string',
          requiresArg: true,
          demandOption: true,
          description: 'Output file, - for standard output',
        },
        rate: numberOption('Keep at most this many bits per dimension (a pixel has 3 dimensions)'),
        bytes: numberOption('Keep at most this many bytes'),
        ...outputOptions,
      } as const)
      .example('$0 truncate photo.ddc -o preview.ddc --rate 0.05', 'a preview of 0.05 bits/dim')
      .example('$0 truncate photo.ddc -o - --rate 0.05 | $0 decode - -o preview.png', 'the same seen, without a file')
      .example('$0 truncate photo.ddc -o packet.ddc --bytes 1400', 'what fits in a packet') as never,
  handler: truncateFile,
};

async function truncateFile(args: Arguments<TruncateArgs>): Promise<void> {
  const console = openConsole(args, streamForLines(args));
  atMostOne({ '--rate': args.rate, '--bytes': args.bytes });
  const limit = {
    rate: positive('--rate', args.rate, 'bits per dimension'),
    bytes: integer('--bytes', args.bytes, 1),
  };
  if (limit.rate === undefined && limit.bytes === undefined) {
    throw new CodecError('usage', 'truncate: say how much to keep, with --rate or --bytes');
  }
  const plan = await planJobs([args.file], {
    output: args.output,
    extensions: ['.ddc'],
    kind: 'coded pictures',
    outputName: (name) => name,
  });
  if (plan.batch) throw new CodecError('usage', `${args.file}: expected one .ddc file, but this is a directory`);
  const { input, output } = plan.jobs[0];
  if (plan.directory === undefined) checkCodedName(args.output);
  if (plan.directory !== undefined) await makeDirectory(plan.directory);
  await checkResult(output, args);
  const whole = await readInput(input);
  const header = await aboutFile(inputName(input), () => readInfo(whole));
  const cut = truncate(whole, byteBudget(limit, { ...header, leastBytes: header.headerBytes })!);
  await writeResult(output, cut, args);
  const alphaEnd = header.headerBytes + (header.alphaBytes ?? Number.POSITIVE_INFINITY);
  const report: TruncateReport = {
    input,
    output,
    bytes: cut.length,
    bytesTotal: whole.length,
    bitsPerDim: (cut.length * 8) / (header.width * header.height * 3),
    alpha: !header.alpha ? 'none' : cut.length < alphaEnd ? 'missing' : 'whole',
  };
  console.document(report);
  if (report.alpha === 'missing') {
    console.note(
      `${outputName(output)}: ends inside the alpha plane, which is up to byte ${alphaEnd}: it decodes as opaque`,
    );
  }
  const size = `${report.bytes} of ${report.bytesTotal} bytes, ${report.bitsPerDim.toFixed(4)} bits/dim`;
  console.result(
    `${inputName(input)} -> ${outputName(output)}: ${size}${cut.length === whole.length ? ' (already that short)' : ''}`,
  );
}
