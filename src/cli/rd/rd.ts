/** `ddpm-codec rd`: measures rate and distortion of whole files on a set of images, and makes a report. */
import { realpath } from 'node:fs/promises';
import { sep } from 'node:path';
import type { Arguments, Argv, CommandModule } from 'yargs';
import { DEFAULT_EFFORT, MAX_EFFORT } from '../../codec/options.js';
import type { Selection } from '../../codec/trellis/block-coder.js';
import { counted } from '../../common/counted.js';
import { CodecError, invalidArgument } from '../../common/errors.js';
import { IMAGE_SET_SYNTAX, type ImageSet, openImageSet } from '../../data/image-set.js';
import { checkDevice, type Device } from '../../engine/engine.js';
import type { Size } from '../../image/image.js';
import { psnrOfRmse } from '../../image/metrics.js';
import { MAX_TIMESTEPS } from '../../model/schedule.js';
import { parseColour } from '../../node/image/read.js';
import type { NetworkFiles } from '../../report/rd/metrics.js';
import { parseRealisms } from '../../report/rd/realisms.js';
import { type ImageFailure, MOST_SEED, MOST_SEEDS, type RdOptions, type Run } from '../../report/rd/results.js';
import { type ChosenShard, chooseShard, imagesOfShard } from '../../report/rd/shard.js';
import {
  asNumber,
  backgroundOption,
  type EngineArgs,
  engineOptions,
  integer,
  numberOption,
  type OutputArgs,
  outputOptions,
  positive,
  threadsOf,
} from '../args.js';
import { type Console, formatDuration, openConsole } from '../console.js';
import { finishedImages, imageFile, inReport, openReport, readImages } from './directory.js';
import { rdMergeCommand } from './merge.js';
import {
  ANCHOR_OPTION,
  checkAnchor,
  checkPublished,
  finishReport,
  PUBLISHED_OPTION,
  publishedSet,
  readableImages,
} from './report.js';
import { measureElsewhere, measureHere, type Work, type WorkMessage } from './work.js';

interface RdArgs extends EngineArgs, OutputArgs {
  readonly images: string[];
  readonly output: string;
  readonly model: string;
  readonly effort: unknown;
  readonly realism: unknown;
  readonly selection: Selection;
  readonly 'target-rmse': unknown;
  readonly points?: unknown;
  readonly baselines?: string;
  readonly theory: boolean;
  readonly metrics?: string;
  readonly published?: string;
  readonly anchor?: string;
  readonly seed: unknown;
  readonly background?: string;
  readonly shard?: string;
  readonly jobs: unknown;
}

/** Slightly below the lowest RMSE of the tables. */
const DEFAULT_END = 2.8;
const MAX_JOBS = 256;
/** Seconds between two lines of progress, where stderr is not a terminal. */
const QUIET_SECONDS = 30;

const OPTIONS = {
  output: {
    alias: 'o',
    type: 'string',
    requiresArg: true,
    demandOption: true,
    description: 'Directory of the report: a new one, or one to go on with',
  },
  model: {
    type: 'string',
    requiresArg: true,
    default: 'auto',
    description: 'As for encode; none for the other codecs alone',
  },
  effort: {
    requiresArg: true,
    default: DEFAULT_EFFORT,
    description: `As for encode, 1 to ${MAX_EFFORT}; several, such as 1,5,9, make a curve each`,
  },
  realism: {
    requiresArg: true,
    default: 0,
    description:
      'As for decode, 0 to 1; several, such as 0,0.5,1, make a curve each of the same files, and a figure of distance from pictures over error',
  },
  selection: {
    choices: ['greedy', 'sample'] as const,
    requiresArg: true,
    default: 'greedy',
    description: 'Codeword choice: the best, or at random as minimal random coding has it',
  },
  'target-rmse': numberOption('Where our files end, in grey levels', { default: DEFAULT_END }),
  points: numberOption(
    'Measure about this many points of a file, evenly spread in bytes [default: one for each evaluation of the network, and eight in a tail]',
  ),
  baselines: {
    type: 'string',
    requiresArg: true,
    description:
      'Other codecs: of jpeg (4:2:0 and 4:4:4), jpeg444, webp and jxl (both lossy and lossless), avif, png, comma between',
  },
  theory: {
    type: 'boolean',
    default: false,
    description: 'Add what an ideal coder would need with the same model',
  },
  metrics: {
    type: 'string',
    requiresArg: true,
    description:
      'Measure more: of ssimulacra2, lpips=FILE.onnx, dists=FILE.onnx, fid=FILE.onnx, kid=FILE.onnx, comma between; docs/EVALUATION.md says which networks',
  },
  published: PUBLISHED_OPTION,
  anchor: ANCHOR_OPTION,
  seed: {
    requiresArg: true,
    default: 0,
    description:
      'Seed of all random numbers, 0 to 4294967295; several, such as 0,1,2, make files of each, which takes the time of each, and a table of how far they scatter',
  },
  background: backgroundOption,
  shard: {
    type: 'string',
    requiresArg: true,
    description:
      'I/N: measure part I of N, counted from 1 [default: the part of the SLURM array task or Kubernetes Job, else all]',
  },
  jobs: numberOption('Processes that measure side by side; each has its share of the threads', { default: 1 }),
  ...engineOptions,
  ...outputOptions,
  force: { description: 'Begin anew where DIRECTORY is of another run', type: 'boolean', default: false },
} as const;

export const rdCommand: CommandModule<object, RdArgs> = {
  command: 'rd <images..>',
  describe: 'Measure rate and distortion on a set of images, as a report with figures',
  builder: (yargs) =>
    besideMerge(yargs)
      .usage(
        'Usage: $0 rd <images..> -o DIRECTORY [options]\n       $0 rd merge <reports..> -o DIRECTORY\n\n' +
          'Encodes one file for each image, decodes every beginning of it, and measures: bits per dimension, RMSE, PSNR,\n' +
          'MS-SSIM, seconds. DIRECTORY gets report.html (one page, works offline), results.json, CSV, curves as CompressAI\n' +
          'publishes them, tables and figures for pages and LaTeX. Images are a directory, pictures, or cifar10:test[0:256].\n' +
          'A run that was interrupted goes on where it was when the same command is given again. On a cluster each process\n' +
          "takes a part with --shard, or that of its SLURM array or Kubernetes Job; 'rd merge' joins the parts.",
      )
      .command(rdMergeCommand)
      .positional('images', { type: 'string', array: true, description: IMAGE_SET_SYNTAX })
      .options(OPTIONS)
      .example("$0 rd 'cifar10:test[0:64]' -o report/ --theory --published cifar10", 'beside the paper')
      .example('$0 rd kodak/ -o report/ --baselines jpeg,webp,avif --published kodak', 'photographs')
      .example('$0 rd kodak/ -o part1/ --shard 1/4', 'the first of four parts')
      .example('$0 rd merge part1/ part2/ part3/ part4/ -o report/', 'join them') as never,
  handler: runRd,
};

/** Missing in yargs' types. */
interface Separable {
  global(names: readonly string[], isGlobal: boolean): Argv;
}

/** Keeps this command's options from its subcommands, which would otherwise inherit them. */
function besideMerge(yargs: Argv): Argv {
  return (yargs as unknown as Separable).global(['images', ...Object.keys(OPTIONS)], false);
}

async function runRd(args: Arguments<RdArgs>): Promise<void> {
  const console = openConsole(args);
  const published = publishedSet(args.published);
  const jobs = integer('--jobs', args.jobs, 1, MAX_JOBS)!;
  threadsOf(args);
  const shard = chooseShard(args.shard, process.env);
  const { options, engineArgs, networks, images } = await checkOptions(args, shard, console);
  const { names } = images;
  await checkAnchor(args.anchor, options, published);
  await checkPublished(published, images);
  await checkSets(options, images);
  await noteLowTarget(options, console);
  const { runVersions } = await import('../../report/rd/results.js');
  const run: Run = { options, versions: runVersions() };
  const mine = imagesOfShard(names.length, options.shard ?? undefined);
  if (mine.length === 0) {
    throw new CodecError(
      'usage',
      `part ${shard!.index + 1} of ${shard!.count}: no images, there are only ${names.length}`,
    );
  }
  if (shard !== undefined)
    console.note(`part ${shard.index + 1} of ${shard.count} (${shard.from}): ${counted(mine.length, 'image')}`);
  if (args.force) await refuseInside(args.output, names);
  await inReport(args.output, async () => {
    await openReport(args.output, run, args.force);
    const finished = await finishedImages(args.output);
    const waiting = mine.filter((index) => !finished.has(imageFile(index, names[index])));
    await checkFinished(args.output, options, images, mine);
    if (waiting.length < mine.length) {
      console.note(`${mine.length - waiting.length} of ${counted(mine.length, 'image')} finished already`);
    }
    const work: Work = { directory: args.output, options, engineArgs, networks };
    const failed = await measure(work, waiting, names, jobs, console);
    await finishReport(args.output, run, failed, { published, anchor: args.anchor }, console);
    if (failed.length === 0) return;
    throw new CodecError(
      'image',
      `${failed.length} of ${counted(mine.length, 'image')} failed, see above; ${failed.length < mine.length ? 'the report is of the others' : 'there is nothing to report'}`,
    );
  });
}

/** Warns before the work that files with so low a target quality are missing from figures and comparisons. */
async function noteLowTarget({ model, targetRmse }: RdOptions, console: Console): Promise<void> {
  const { LEAST_PSNR } = await import('../../report/rd/comparison.js');
  const psnr = psnrOfRmse(targetRmse);
  if (model === 'none' || psnr >= LEAST_PSNR) return;
  console.note(
    `--target-rmse ${targetRmse}: that is ${psnr.toFixed(1)} dB, but figures of PSNR and comparisons begin at ${LEAST_PSNR} dB: files that end before are not in them`,
  );
}

/** Refuses bad options before anything is opened or made. */
async function checkOptions(
  args: Arguments<RdArgs>,
  shard: ChosenShard | undefined,
  console: Console,
): Promise<{ options: RdOptions; engineArgs: DecidedEngine; networks: NetworkFiles; images: ImageSet }> {
  const withModel = args.model !== 'none';
  const efforts = integers('--effort', args.effort, 1, MAX_EFFORT);
  const seeds = integers('--seed', args.seed, 0, MOST_SEED);
  if (seeds.length > MOST_SEEDS) throw invalidArgument('--seed', `at most ${MOST_SEEDS} seeds`, args.seed);
  const realisms = parseRealisms('--realism', String(args.realism));
  const baselines = args.baselines === undefined ? [] : args.baselines.split(',').map((name) => name.trim());
  if (!withModel && baselines.length === 0) {
    throw new CodecError('usage', '--model none: expected --baselines, there would be nothing to measure');
  }
  if (!withModel && args.theory) throw new CodecError('usage', '--theory: is of a model; leave --model none out');
  const checked = {
    efforts,
    seeds,
    realisms,
    targetRmse: positive('--target-rmse', args['target-rmse'], 'grey levels')!,
    points: integer('--points', args.points, 2, MAX_TIMESTEPS) ?? null,
  };
  if (args.background !== undefined) await parseColour(args.background);
  const { openMeasures, parseMetrics } = await import('../../report/rd/metrics.js');
  const { metrics, files: networks } =
    args.metrics === undefined ? { metrics: [], files: {} } : await parseMetrics(args.metrics);
  // Report a faulty network before the work.
  await (await openMeasures(metrics, networks, 1)).dispose();
  const { findBaselines } = await import('../../report/baselines.js');
  const codecs = findBaselines(baselines).map(({ name }) => name);
  const modelIds = withModel ? await idsOf(args.model) : [];
  const images = await openImageSet(args.images, { background: args.background });
  const engineArgs = await withoutAuto(args, withModel, console);
  return {
    images,
    networks,
    engineArgs,
    options: {
      images: args.images,
      imageCount: images.length,
      // 1/1 stands for all of it.
      shard: shard === undefined || shard.count === 1 ? null : { index: shard.index, count: shard.count },
      model: args.model,
      modelIds,
      ...checked,
      selection: args.selection,
      baselines: codecs,
      theory: args.theory,
      metrics,
      background: args.background ?? null,
      engine: args.engine,
      device: engineArgs.device ?? 'cpu',
      precision: engineArgs.precision ?? 'fp32',
    },
  };
}

interface DecidedEngine extends EngineArgs {
  readonly device?: Device | undefined;
}

/**
 * Decides once what the device `auto` stands for, so that all images are measured on the same one.
 * @param withModel false where no engine will be opened, and no device is of any use
 */
async function withoutAuto(
  { engine, device, precision, threads }: RdArgs,
  withModel: boolean,
  console: Console,
): Promise<DecidedEngine> {
  checkDevice(engine, { device, precision });
  if (!withModel) return { engine, threads };
  if (device !== 'auto') return { engine, device, precision, threads };
  const { resolveDevice } = await import('../../node/engine/index.js');
  const onFallback = (message: string) => console.error(new CodecError('engine', message));
  const decided = await resolveDevice({ threads: threadsOf({ engine, threads }), precision, onFallback });
  return { engine, device: decided, precision: decided === 'cpu' ? undefined : precision, threads };
}

/** Distinct integers, separated by commas. */
function integers(option: string, list: unknown, least: number, most: number): number[] {
  const values = String(list)
    .split(',')
    .map((text) => integer(option, asNumber(text.trim()), least, most)!);
  if (new Set(values).size === values.length) return values;
  throw invalidArgument(option, 'each number once', list);
}

/** Checks all images where sets of them are compared: their patches must be of one size. */
async function checkSets({ metrics }: RdOptions, images: ImageSet): Promise<void> {
  const { checkPatches, featureNetworks } = await import('../../report/rd/metrics.js');
  if (featureNetworks(metrics).length === 0) return;
  const sizes: Size[] = [];
  for await (const { width, height } of readableImages(images)) sizes.push({ width, height });
  checkPatches(sizes);
}

/** Refuses a report directory that holds images to measure, since starting over could replace them. */
async function refuseInside(directory: string, names: readonly string[]): Promise<void> {
  const root = await realpath(directory).catch(() => undefined);
  if (root === undefined) return;
  for (const name of names) {
    const place = await realpath(name).catch(() => '');
    if (!place.startsWith(`${root}${sep}`)) continue;
    throw new CodecError('usage', `${directory}: holds ${name}, an image to measure; name another directory with -o`);
  }
}

/** Ids of the named model, or of all models that `auto` may stand for. */
async function idsOf(model: string): Promise<string[]> {
  const { DEFAULT_MODELS, loadModelInfo } = await import('../../node/models.js');
  const infos = await Promise.all((model === 'auto' ? DEFAULT_MODELS : [model]).map(loadModelInfo));
  return infos.map(({ id }) => id.slice(0, 12));
}

/** Refuses to reuse results of a different picture with the same name. */
async function checkFinished(
  directory: string,
  options: RdOptions,
  images: ImageSet,
  mine: readonly number[],
): Promise<void> {
  const { pixelHash } = await import('../../data/pixel-hash.js');
  const wanted = new Set(mine);
  for (const { index, name, pixels } of await readImages(directory, options)) {
    const same =
      wanted.has(index) && images.names[index] === name && pixels === pixelHash((await images.load(index)).image);
    if (!same) {
      throw new CodecError(
        'file',
        `${directory}: ${imageFile(index, name)} is of another picture than ${images.names[index]}; remove that file, or begin anew in another directory`,
      );
    }
  }
}

/** Measures images and shows progress; returns those that failed. */
async function measure(
  work: Work,
  waiting: readonly number[],
  names: readonly string[],
  jobs: number,
  console: Console,
): Promise<ImageFailure[]> {
  const failed: ImageFailure[] = [];
  const parts = new Map<number, number>();
  const start = performance.now();
  const progress = console.progress('rd');
  let told = start;
  let done = 0;
  const report = (message: WorkMessage) => {
    const { index } = message;
    if ('fraction' in message) parts.set(index, message.fraction);
    else {
      parts.delete(index);
      done++;
      if (message.error !== undefined) {
        failed.push({ index, name: names[index], error: message.error });
        progress.stop();
        console.error(new CodecError('image', message.error.message));
      }
    }
    const worked = [...parts.values()].reduce((sum, fraction) => sum + fraction, done);
    const seconds = (performance.now() - start) / 1000;
    const left = worked === 0 ? '' : `, about ${formatDuration((seconds / worked) * (waiting.length - worked))} left`;
    const state = `${done} of ${counted(waiting.length, 'image')}${left}`;
    progress.update(worked / waiting.length, state);
    if (!process.stderr.isTTY && performance.now() - told > QUIET_SECONDS * 1000) {
      told = performance.now();
      console.note(state);
    }
  };
  try {
    if (jobs > 1 && waiting.length > 1) await measureElsewhere(work, waiting, jobs, report);
    else if (waiting.length > 0) await measureHere(work, waiting, report);
  } finally {
    progress.stop();
  }
  if (waiting.length > 0) console.note(`measured in ${formatDuration((performance.now() - start) / 1000)}`);
  return failed.sort((a, b) => a.index - b.index);
}
