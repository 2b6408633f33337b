/** `ddpm-codec decode`: .ddc files to pictures, at any rate up to their own. */
import type { Arguments, CommandModule, Options } from 'yargs';
import type { DecodeOptions, Realism } from '../../codec/api.js';
import { decode } from '../../codec/decoder/decode.js';
import { checkSize } from '../../codec/decoder/decoder.js';
import { readLayout } from '../../codec/format/layout.js';
import { DECODE_OPTIONS, type OptionValues } from '../../codec/options.js';
import { CodecError } from '../../common/errors.js';
import { checkFits, encodeImage } from '../../node/image/write.js';
import {
  atMostOne,
  byteBudget,
  type EngineArgs,
  engineOptions,
  modelOfFileOption,
  type OutputArgs,
  outputOptions,
} from '../args.js';
import { type Console, formatSeconds, openConsole } from '../console.js';
import { type Context, jobsAhead, withContext } from '../context.js';
import { faultsAtEnd, otherPrecision } from '../file/remarks.js';
import { type Job, planJobs, runJobs } from '../jobs.js';
import { DECODE_FLAG_NAMES, flagsFor, readFlags } from '../options.js';
import { formatOf, writeResult } from '../output.js';
import { openProgress } from '../progress.js';
import { describeSteps } from '../steps.js';
import { inputName, outputName, STANDARD_STREAM, streamForLines } from '../streams.js';
import {
  checkDirectories,
  directoryOf,
  openProgressiveOutput,
  type ProgressiveReport,
  sizesOnTheWay,
} from './progressive.js';
import { collect, nameAtRate, picturesAtRates, type Rate, type RateReport, readRates } from './rates.js';
import { type CodedSource, withCodedSource } from './source.js';

/** Points of `--progressive`. */
const PROGRESSIVE_POINTS = 10;

interface DecodeArgs extends EngineArgs, OutputArgs {
  readonly files: string[];
  readonly output?: string;
  readonly rate?: unknown;
  readonly bytes?: unknown;
  readonly steps?: unknown;
  readonly progressive?: string;
  readonly model?: string;
}

/** The report of a decoded file: `--json` prints `{"images": [...]}` with one report for each. */
export interface DecodeReport {
  readonly input: string;
  readonly output: string;
  readonly width: number;
  readonly height: number;
  /** Bytes up to the end of the last whole step that was decoded. */
  readonly bytesUsed: number;
  /** Length of the file. */
  readonly bytesTotal: number;
  readonly stepsUsed: number;
  /** Number of steps that the encoder wrote; the file may hold fewer. */
  readonly stepsTotal: number;
  /** Timestep reached. */
  readonly t: number;
  /** 8 * bytesUsed / (width * height * 3). */
  readonly bitsPerDim: number;
  /** Number of samples received from a tail, of width * height * 3. */
  readonly knownSamples: number;
  /**
   * State of the alpha plane: `missing` where the decoded part of the file ends inside it, and the picture is opaque;
   * `none` in a file without one.
   */
  readonly alpha: 'none' | 'missing' | 'whole';
  /** The file holds everything its encoder wrote. */
  readonly complete: boolean;
  /** The checksum confirms that the picture is the encoder's, to the bit. */
  readonly lossless: boolean;
  /** A checksum shows damage in the file; only with `--tolerant`. */
  readonly damaged: boolean;
  /** Bytes after the end of the file, which are ignored. */
  readonly trailingBytes: number;
  /** The file's metadata differ from those that were written. */
  readonly metadataDamaged: boolean;
  readonly realism: Realism;
  /** From the file's first step to its last; in a batch, others run at the same time. */
  readonly seconds: number;
  /** The network's part of these seconds. */
  readonly networkSeconds: number;
  readonly engine: string;
  readonly model: { readonly name: string; readonly id: string };
  /** With `--progressive`. */
  readonly progressive?: ProgressiveReport;
  /** With several rates, in ascending order; the other fields describe the last one. */
  readonly rates?: readonly RateReport[];
}

/** Checked options of a run. */
interface Settings {
  readonly codec: OptionValues<typeof DECODE_OPTIONS>;
  /** In ascending order. */
  readonly rates: readonly Rate[];
  readonly model: string | undefined;
  readonly force: boolean;
  /** Directory for a job's progressive pictures. */
  readonly progressiveDirectory: (job: Job) => string | undefined;
}

/** The options for yargs. */
export const DECODE_FLAGS = {
  output: {
    alias: 'o',
    type: 'string',
    requiresArg: true,
    description:
      'Output picture (.png, .webp or .tiff, lossless), - for a PNG on standard output; for several files the directory to put ' +
      '<name without .ddc>.decoded.png in [default: beside the file]',
  },
  rate: {
    type: 'string',
    requiresArg: true,
    description:
      'Decode from at most this many bits per dimension (a pixel has 3 dimensions); several, such as 0.02,0.1, in one pass, each to ' +
      'a picture with its rate at the end of the name',
  },
  ...flagsFor(DECODE_OPTIONS, DECODE_FLAG_NAMES),
  progressive: {
    type: 'string',
    requiresArg: true,
    description:
      `Directory to put about ${PROGRESSIVE_POINTS} reconstructions in, at rates that rise by the same factor, NN-<bits/dim>.png, ` +
      'and contact-sheet.png; from standard input one for every step, as it comes',
  },
  model: modelOfFileOption,
  ...engineOptions,
  ...outputOptions,
} satisfies Record<string, Options>;

export const decodeCommand: CommandModule<object, DecodeArgs> = {
  command: 'decode <files..>',
  describe: 'Reconstruct pictures from .ddc files, whole or cut off',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 decode <files..> [options]\n\n' +
          'Reconstructs pictures from .ddc files. Every beginning of a file gives the picture at a lower rate, so a file\n' +
          'that was cut off decodes too, and --rate, --bytes or --steps use less of a file than there is. The model is\n' +
          "found by the id in the file's header.",
      )
      .positional('files', {
        type: 'string',
        array: true,
        description: '.ddc files, or directories of them; - for standard input, decoded as it comes',
      })
      .options(DECODE_FLAGS)
      .example('$0 decode photo.jpg.ddc', 'write photo.jpg.decoded.png')
      .example('$0 decode photo.ddc -o small.png --rate 0.1', 'as if the file had been cut off at 0.1 bits/dim')
      .example('$0 decode photo.ddc -o a.png --rate 0.02,0.1,0.5', 'write a-0.02.png, a-0.1.png and a-0.5.png')
      .example('$0 decode photo.ddc --progressive steps/', 'watch the picture come, in steps/contact-sheet.png')
      .example(
        'curl -s https://example.org/a.ddc | $0 decode - -o a.png',
        'from standard input; -o - is standard output',
      )
      .example('$0 decode coded/ -o decoded/ --json', 'many files, a report for programs') as never,
  handler: decodeFiles,
};

async function decodeFiles(args: Arguments<DecodeArgs>): Promise<void> {
  const console = openConsole(args, streamForLines(args));
  atMostOne({ '--rate': args.rate, '--bytes': args.bytes, '--steps': args.steps });
  const rates = readRates(args.rate);
  const several = rates.length > 1;
  if (several) checkSeveral(args);
  const checked = {
    codec: readFlags(DECODE_OPTIONS, args, DECODE_FLAG_NAMES),
    rates,
    model: args.model,
    force: args.force,
  };
  await withContext(args, console, async (context) => {
    const plan = await planJobs(args.files, {
      output: args.output,
      extensions: ['.ddc'],
      kind: 'coded pictures',
      outputName: (name) => `${nameOf(name)}.decoded.png`,
      variants: several ? (output) => rates.map((rate) => nameAtRate(output, rate)) : undefined,
    });
    for (const { output } of plan.jobs) formatOf(output);
    const { progressive } = args;
    const progressiveDirectory = (job: Job) => progressive && directoryOf(job, plan, progressive);
    if (progressive !== undefined) await checkDirectories(plan, progressive, args);
    const settings = { ...checked, progressiveDirectory };
    const perform = (job: Job) => decodeFile(job, settings, context, console);
    await runJobs(plan, args.force, console, perform, describe, 'images', jobsAhead(args));
  });
}

/** Refuses several rates together with `-o -` or `--progressive`. */
function checkSeveral({ output, progressive }: DecodeArgs): void {
  if (output === STANDARD_STREAM) {
    throw new CodecError('usage', '-o -: expected one rate with it; the pictures at several go to files');
  }
  atMostOne({ '--rate with several values': true, '--progressive': progressive });
}

function decodeFile(job: Job, settings: Settings, context: Context, console: Console): Promise<DecodeReport> {
  return withCodedSource(job.input, settings.codec.tolerant, (coded) =>
    decodeCoded(coded, job, settings, context, console),
  );
}

async function decodeCoded(
  { header, source, repaired = false }: CodedSource,
  job: Job,
  settings: Settings,
  context: Context,
  console: Console,
): Promise<DecodeReport> {
  const { codec, rates } = settings;
  const name = inputName(job.input);
  const format = formatOf(job.output);
  checkSize(header, codec.maxPixels);
  checkFits(header, format);
  const least = { ...header, leastBytes: header.headerBytes };
  const sizes = rates.map(({ value }) => byteBudget({ rate: value }, least)!);
  const maxBytes = sizes.at(-1) ?? byteBudget({ bytes: codec.maxBytes }, least);
  const directory = settings.progressiveDirectory(job);
  const { model, engine } = await context.modelOfFile(header, settings.model);
  const several = sizes.length > 1 ? picturesAtRates(job, rates, sizes, settings) : undefined;
  // A file that is still arriving cannot be decoded at given sizes, so it is collected first.
  const bytes = several && !(source instanceof Uint8Array) ? await collect(source, sizes.at(-1)!) : source;
  // A stream's evenly spread points are only known at its end, so it shows all points as they come.
  const progressivePoints =
    directory !== undefined && bytes instanceof Uint8Array
      ? sizesOnTheWay(bytes, readLayout(bytes, model, codec.tolerant), {
          points: PROGRESSIVE_POINTS,
          maxBytes,
          maxSteps: codec.maxSteps,
        })
      : undefined;
  // Removes earlier pictures, so only once the file can be decoded.
  const progressive = directory === undefined ? undefined : await openProgressiveOutput(directory, settings);
  context.announce(model, engine);
  const progress = openProgress(console, name);
  const options: DecodeOptions = {
    ...codec,
    ...(maxBytes !== undefined && { maxBytes }),
    ...(several && { progressivePoints: sizes, onPoint: (point) => several.add(point) }),
    ...(progressive && { onPoint: (point) => progressive.add(point) }),
    ...(progressivePoints && { progressivePoints }),
    onProgress: (fraction) => progress.update(fraction),
  };
  const { result, seconds, networkSeconds } = await context.code(header, model, progress, (timed) =>
    decode(bytes, timed, options),
  );
  const damaged = result.damaged || repaired;
  if (damaged) console.note(`${name}: a checksum is wrong; the picture may not be the one that was encoded`);
  const atRates = await several?.finish();
  const opaque = atRates?.filter(({ alpha }) => alpha === 'missing').map(({ output }) => output) ?? [];
  if (opaque.length > 0 && result.alpha !== 'missing') {
    console.note(`${name}: has its alpha plane beyond the rates of ${opaque.join(', ')}: opaque`);
  }
  if (result.alpha === 'missing') {
    console.note(`${name}: what is used of the file ends inside its alpha plane: the picture is opaque`);
  }
  for (const fault of faultsAtEnd(result)) console.note(`${name}: ${fault}; the picture is no worse for it`);
  for (const remark of otherPrecision(result, engine)) console.note(`${name}: ${remark}`);
  if (codec.maxSteps !== undefined && result.stepsTotal === 0) {
    console.note(`${name}: has no steps to stop after; --rate or --bytes say how much of it to use`);
  }
  if (!several) await writeResult(job.output, await encodeImage(result.image, format), settings);
  return {
    input: job.input,
    output: (atRates?.at(-1) ?? job).output,
    width: result.image.width,
    height: result.image.height,
    bytesUsed: result.bytesUsed,
    bytesTotal: result.bytesTotal,
    stepsUsed: result.stepsUsed,
    stepsTotal: result.stepsTotal,
    t: result.t,
    bitsPerDim: result.bitsPerDim,
    knownSamples: result.knownSamples,
    alpha: result.alpha,
    complete: result.complete,
    lossless: result.lossless,
    damaged,
    trailingBytes: result.trailingBytes,
    metadataDamaged: result.metadataDamaged,
    realism: codec.realism,
    seconds,
    networkSeconds,
    engine: engine.name,
    model: { name: model.name, id: model.id },
    ...(progressive && { progressive: await progressive.finish() }),
    ...(atRates && { rates: atRates }),
  };
}

function describe(report: DecodeReport): string {
  const { input, output, bytesUsed, bytesTotal, stepsUsed, stepsTotal, bitsPerDim, seconds } = report;
  const used = `${bytesUsed} of ${bytesTotal} bytes, ${bitsPerDim.toFixed(4)} bits/dim, ${describeSteps(stepsUsed, stepsTotal)}`;
  const { width, height, knownSamples } = report;
  const part = `${((100 * knownSamples) / (width * height * 3)).toFixed(0)} % of the samples`;
  const exactness = report.lossless ? ', lossless' : knownSamples > 0 ? `, ${part}` : '';
  const sheet = report.progressive === undefined ? '' : `; progress in ${report.progressive.contactSheet}`;
  const outputs = report.rates?.map((at) => at.output).join(', ') ?? outputName(output);
  return `${inputName(input)} -> ${outputs}: ${width}x${height}, ${used}${exactness}, ${formatSeconds(seconds)}${sheet}`;
}

function nameOf(input: string): string {
  return input.replace(/\.ddc$/i, '');
}
