/** `ddpm-codec encode`: pictures to .ddc files. */
import { basename } from 'node:path';
import type { Arguments, CommandModule, Options } from 'yargs';
import type { EncodeOptions, EncodeResult, StepReport } from '../../codec/api.js';
import { leastFile } from '../../codec/encoder/least-bytes.js';
import { readInfo } from '../../codec/format/info.js';
import type { Metadata } from '../../codec/format/metadata.js';
import { DEFAULT_TARGET_RMSE, ENCODE_OPTIONS, type OptionValues } from '../../codec/options.js';
import { counted } from '../../common/counted.js';
import { CodecError } from '../../common/errors.js';
import type { RgbImage } from '../../image/image.js';
import { encode } from '../../node/encode.js';
import { parseColour, READABLE_EXTENSIONS } from '../../node/image/read.js';
import { packageVersion } from '../../node/version.js';
import {
  backgroundOption,
  byteBudget,
  type EngineArgs,
  engineOptions,
  modelOption,
  numberOption,
  type OutputArgs,
  outputOptions,
  positive,
} from '../args.js';
import { type Console, formatSeconds, openConsole } from '../console.js';
import { type Context, jobsAhead, withContext } from '../context.js';
import { type Job, planJobs, runJobs } from '../jobs.js';
import { flagsFor, type ReportedOptions, readFlags, reportedOptions } from '../options.js';
import { checkCodedName, writeResult } from '../output.js';
import { readPicture } from '../pictures.js';
import { openProgress } from '../progress.js';
import { inputName, outputName, STANDARD_STREAM, streamForLines } from '../streams.js';

interface EncodeArgs extends EngineArgs, OutputArgs {
  readonly inputs: string[];
  readonly output?: string;
  readonly model: string;
  readonly 'max-rate'?: unknown;
  readonly metadata: boolean;
  readonly comment?: string;
  readonly background?: string;
}

/** The report of an encoded picture: `--json` prints `{"images": [...]}` with one report for each. */
export interface EncodeReport {
  readonly input: string;
  readonly output: string;
  readonly width: number;
  readonly height: number;
  /** Size of the file. */
  readonly bytes: number;
  /** 8 * bytes / (width * height * 3). */
  readonly bitsPerDim: number;
  /**
   * RMSE of the decoded picture, in grey levels 0..255; for a transparent picture over the pixels that are not fully
   * transparent.
   */
  readonly rmse: number;
  /** In dB; null when the pictures are equal. */
  readonly psnr: number | null;
  /** What an ideal coder would have needed for the same steps. */
  readonly klBits: number;
  readonly steps: readonly StepReport[];
  /** Bytes of the alpha plane, 0 without one. */
  readonly alphaBytes: number;
  /** Bytes of the tail after the steps, 0 without one. */
  readonly tailBytes: number;
  /** The file has no steps: it sends the picture pixel by pixel. */
  readonly drawing: boolean;
  /** Why the file ends. */
  readonly stoppedBy: EncodeResult['stoppedBy'];
  /** Whether the target RMSE is met; null without a target. */
  readonly targetMet: boolean | null;
  readonly networkEvaluations: number;
  /** From the file's first step to its last; in a batch, others run at the same time. */
  readonly seconds: number;
  /** The network's part of these seconds. */
  readonly networkSeconds: number;
  readonly engine: string;
  readonly model: { readonly name: string; readonly id: string };
  readonly options: ReportedOptions<typeof ENCODE_OPTIONS> & {
    readonly metadata: Metadata | null;
    readonly background: string | null;
  };
}

/** Checked options of a run. */
interface Settings {
  readonly codec: OptionValues<typeof ENCODE_OPTIONS>;
  readonly model: string;
  readonly maxRate: number | undefined;
  readonly metadata: boolean;
  readonly comment: string | undefined;
  readonly background: string | undefined;
  readonly force: boolean;
}

/** The options for yargs. */
export const ENCODE_FLAGS = {
  output: {
    alias: 'o',
    type: 'string',
    requiresArg: true,
    description:
      'Output file, - for standard output; for several inputs the directory to put <input>.ddc in: photo.jpg.ddc for photo.jpg, ' +
      'so that photo.png has another name [default: beside the input]',
  },
  model: modelOption,
  'max-rate': numberOption('Largest file, in bits per dimension (a pixel has 3 dimensions)'),
  ...flagsFor(ENCODE_OPTIONS),
  metadata: {
    type: 'boolean',
    default: false,
    description: "Put the picture's file name and this program's version at the end of the file",
  },
  comment: { type: 'string', requiresArg: true, description: 'Put this text at the end of the file' },
  background: {
    ...backgroundOption,
    description: 'Put this colour under transparent pixels, such as white or #336699; without it transparency is kept',
  },
  ...engineOptions,
  ...outputOptions,
} satisfies Record<string, Options>;

export const encodeCommand: CommandModule<object, EncodeArgs> = {
  command: 'encode <inputs..>',
  describe: 'Compress pictures to .ddc files',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 encode <inputs..> [options]\n\n' +
          'Compresses pictures (PNG, JPEG, WebP, TIFF, GIF, AVIF) to .ddc files, each with a diffusion model as its\n' +
          'probability model. A file can be cut off anywhere and decoded: encode once at the highest rate you want.\n' +
          'Encoding stops at the first of --max-rate, --max-bytes and --target-rmse that is reached; without any of them,\n' +
          `where the error is ${DEFAULT_TARGET_RMSE} grey levels. With --lossless the exact picture follows.\n` +
          'Transparency is kept, without loss; the error is that of the colours that are seen.',
      )
      .positional('inputs', {
        type: 'string',
        array: true,
        description: 'Pictures, or directories of pictures; - for standard input',
      })
      .options(ENCODE_FLAGS)
      .example('$0 encode photo.jpg', 'write photo.jpg.ddc')
      .example('$0 encode photo.jpg -o photo.ddc --max-rate 0.5', 'at most half a bit per dimension')
      .example('$0 encode photo.png --lossless', 'the exact picture, which still can be cut off anywhere')
      .example('$0 encode logo.png --background white --target-rmse 3', 'on white, until the error is 3 grey levels')
      .example(
        'convert a.heic png:- | $0 encode - -o a.ddc',
        'what another program writes; also -o - for standard output',
      )
      .example('$0 encode holiday/ *.png -o coded/ --json', 'many pictures, a report for programs') as never,
  handler: encodeFiles,
};

async function encodeFiles(args: Arguments<EncodeArgs>): Promise<void> {
  const console = openConsole(args, streamForLines(args));
  const settings: Settings = {
    codec: readFlags(ENCODE_OPTIONS, args),
    model: args.model,
    maxRate: positive('--max-rate', args['max-rate'], 'bits per dimension'),
    metadata: args.metadata,
    comment: args.comment,
    background: args.background,
    force: args.force,
  };
  if (settings.codec.lossless) {
    const limit = ['max-rate', 'max-bytes', 'target-rmse'].find((name) => args[name] !== undefined);
    if (limit)
      throw new CodecError('usage', `--${limit}: cannot be combined with --lossless, which sends all of the picture`);
  }
  if (settings.background !== undefined) await parseColour(settings.background);
  await withContext(args, console, async (context) => {
    const plan = await planJobs(args.inputs, {
      output: args.output,
      extensions: READABLE_EXTENSIONS,
      kind: 'pictures',
      outputName: (name) => `${name}.ddc`,
    });
    if (plan.directory === undefined) checkCodedName(args.output);
    await context.modelInfo(settings.model);
    const perform = (job: Job) => encodeFile(job, settings, context, console);
    await runJobs(plan, args.force, console, perform, describe, 'images', jobsAhead(args));
  });
}

async function encodeFile(job: Job, settings: Settings, context: Context, console: Console): Promise<EncodeReport> {
  const { background } = settings;
  const metadata = metadataOf(job.input, settings);
  const image = await readPicture(job.input, { background });
  const codec = withinLimits(settings, image, metadata);
  const { model, engine } = await context.model(settings.model, image, { exact: true });
  context.announce(model, engine);
  const progress = openProgress(console, inputName(job.input));
  const options: EncodeOptions = {
    ...codec,
    ...(metadata && { metadata }),
    onProgress({ fraction, bytes, rmse }) {
      const left = progress.left(fraction);
      progress.update(fraction, `${bytes} bytes, RMSE ${rmse.toFixed(1)}${left && `, ${left}`}`);
    },
  };
  const { result, seconds, networkSeconds } = await context.code(image, model, progress, (timed) =>
    encode(image, timed, options),
  );
  await writeResult(job.output, result.bytes, settings);
  if (result.targetMet === false) {
    const reached = `the RMSE is ${result.rmse.toFixed(2)} where ${codec.targetRmse} was asked for`;
    console.note(`${inputName(job.input)}: ${reached}: the largest size ended the file, allow more`);
  }
  return {
    input: job.input,
    output: job.output,
    width: result.width,
    height: result.height,
    bytes: result.bytes.length,
    bitsPerDim: result.bitsPerDim,
    rmse: result.rmse,
    psnr: Number.isFinite(result.psnr) ? result.psnr : null,
    klBits: result.klBits,
    steps: result.steps,
    alphaBytes: result.alphaBytes,
    tailBytes: result.tailBytes,
    drawing: readInfo(result.bytes, model).samples?.kind === 'drawing',
    stoppedBy: result.stoppedBy,
    targetMet: result.targetMet ?? null,
    networkEvaluations: result.networkEvaluations,
    seconds,
    networkSeconds,
    engine: engine.name,
    model: { name: model.name, id: model.id },
    options: {
      ...reportedOptions(ENCODE_OPTIONS, codec),
      metadata: metadata ?? null,
      background: background ?? null,
    },
  };
}

function describe(report: EncodeReport): string {
  const { input, output, width, height, bytes, bitsPerDim, rmse, psnr, seconds } = report;
  const lossy = `RMSE ${rmse.toFixed(2)}, PSNR ${psnr === null ? 'infinite' : `${psnr.toFixed(2)} dB`}`;
  const quality = report.options.lossless ? 'lossless' : lossy;
  const size = `${counted(bytes, 'byte')}${report.drawing ? ' as a drawing' : ''}, ${bitsPerDim.toFixed(4)} bits/dim`;
  return `${inputName(input)} -> ${outputName(output)}: ${width}x${height}, ${size}, ${quality}, ${formatSeconds(seconds)}`;
}

/** The metadata to write into the file; undefined when there are none. */
function metadataOf(input: string, { metadata, comment }: Settings): Metadata | undefined {
  if (!metadata && comment === undefined) return undefined;
  return {
    // Standard input has no name.
    ...(metadata && input !== STANDARD_STREAM && { source: basename(input) }),
    ...(metadata && { software: `ddpm-codec ${packageVersion()}` }),
    ...(comment !== undefined && { comment }),
  };
}

/**
 * The codec's options for a picture. Its size decides how many bytes `--max-rate` allows.
 * @throws CodecError `usage` when a limit is below the minimum size of any file of the picture
 */
function withinLimits(
  { codec, maxRate }: Settings,
  image: RgbImage,
  metadata: Metadata | undefined,
): Settings['codec'] {
  const { width, height } = image;
  const limits = [{ bytes: codec.maxBytes }, { rate: maxRate }].filter((limit) =>
    Object.values(limit).some((value) => value !== undefined),
  );
  if (limits.length === 0) return codec;
  const { bytes: leastBytes, parts } = leastFile(image, { ...codec, ...(metadata && { metadata }) });
  const words = { flags: { bytes: '--max-bytes', rate: '--max-rate' }, parts };
  const budgets = limits.flatMap((limit) => byteBudget(limit, { width, height, leastBytes }, words) ?? []);
  return { ...codec, maxBytes: Math.min(...budgets) };
}
