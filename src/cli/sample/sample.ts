/** `ddpm-codec sample`: draws pictures from a model. */
import { join } from 'node:path';
import type { Arguments, CommandModule } from 'yargs';
import { counted } from '../../common/counted.js';
import { CodecError, invalidArgument } from '../../common/errors.js';
import type { RgbImage, Size } from '../../image/image.js';
import { fromUnit } from '../../image/pixels.js';
import type { DiffusionModel } from '../../model/diffusion-model.js';
import { sampleSharedLatents } from '../../model/interpolation.js';
import { MOST_DRAWN_PIXELS, sample } from '../../model/sampler.js';
import { MAX_TIMESTEPS } from '../../model/schedule.js';
import { isDirectory, makeDirectory } from '../../node/files.js';
import { contactSheet, contactSheetSize, labelledTable, tableSize } from '../../node/image/contact-sheet.js';
import {
  asNumber,
  atMostOne,
  type EngineArgs,
  engineOptions,
  integer,
  numberOption,
  type OutputArgs,
  outputOptions,
} from '../args.js';
import { formatSeconds, openConsole } from '../console.js';
import { withContext } from '../context.js';
import { checkResult, formatOf } from '../output.js';
import { outputName, STANDARD_STREAM, streamForLines } from '../streams.js';
import {
  checkAgainstModel,
  checkFigure,
  checkSides,
  isAnimation,
  noteLargePictures,
  noteTrainedForDrawing,
  type SamplerArgs,
  type SamplerSettings,
  samplerOptions,
  samplerSettings,
  withProgress,
  writeAnimation,
  writePicture,
} from './sampling.js';

const MAX_COUNT = 1_000_000;
const MAX_SIDE = 4096;
/** Number of pictures drawn before they are written, where each has its own file. */
const PART = 64;
/** Number of points in time shown of a progressive generation, as columns or as frames of an animation. */
const COLUMNS = 11;
const FRAMES = 50;

/** The longest label of a figure. */
const LONGEST_TIME = 't = 1000';
const LATENT_LABELS = ['x_t', 'xhat0', 'samples'];

interface SampleArgs extends EngineArgs, OutputArgs, SamplerArgs {
  readonly output: string;
  readonly count?: unknown;
  readonly size: string;
  readonly separate: boolean;
  readonly progressive: boolean;
  readonly 'shared-latents'?: readonly unknown[];
}

/** The document of `--json`, except for the lists of files in other forms. */
export interface SampleReport {
  /** Written files, in order. */
  readonly outputs: readonly string[];
  readonly count: number;
  readonly width: number;
  readonly height: number;
  readonly seconds: number;
  readonly engine: string;
  readonly model: { readonly name: string; readonly id: string };
  readonly options: SamplerSettings & {
    readonly progressive: boolean;
    readonly sharedLatents: readonly number[] | null;
  };
}

/** Checked options of a run. */
interface Settings extends SamplerSettings {
  readonly count: number;
  readonly width: number;
  readonly height: number;
  readonly progressive: boolean;
  readonly sharedLatents: readonly number[] | undefined;
}

export const sampleCommand: CommandModule<object, SampleArgs> = {
  command: 'sample',
  describe: 'Draw pictures from a model',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 sample -o <file or directory> [options]\n\n' +
          'Draws pictures from a model by the reverse process: as a contact sheet, as files of their own, as they come\n' +
          'into being (--progressive), or in groups that share an x_t (--shared-latents).',
      )
      .options({
        output: {
          alias: 'o',
          type: 'string',
          requiresArg: true,
          demandOption: true,
          description:
            'Contact sheet (.png, .webp or .tiff; - for a PNG on standard output), where small pictures are shown enlarged; or a directory ' +
            '(existing, or ending in /) for a file each, as it is',
        },
        count: numberOption('Pictures [default: 64; 8 with --progressive; 8 for each t with --shared-latents]', {
          alias: 'n',
        }),
        size: {
          type: 'string',
          requiresArg: true,
          default: '32x32',
          description: "WIDTHxHEIGHT in pixels, multiples of the network's stride",
        },
        separate: {
          type: 'boolean',
          default: false,
          description: 'Write a PNG for each picture into the directory -o',
        },
        progressive: {
          type: 'boolean',
          default: false,
          description: 'Show xhat0 over time, a row for each picture; animated if -o ends in .webp',
        },
        'shared-latents': {
          array: true,
          requiresArg: true,
          description:
            'Timesteps such as 1000 750 500 250: for each a row of x_t, its xhat0, and samples that share it',
        },
        ...samplerOptions,
        ...engineOptions,
        ...outputOptions,
      } as const)
      .example('$0 sample -o samples.png', '64 pictures on a sheet')
      .example('$0 sample -o samples/ -n 1000 --steps 1000', 'a thousand files, every step of the chain')
      .example('$0 sample -o coming.webp --progressive', 'an animation of pictures coming into being')
      .example(
        '$0 sample -o shared.png --shared-latents 1000 750 500 250',
        'what x_t decides, and what it leaves open',
      ) as never,
  handler: samplePictures,
};

async function samplePictures(args: Arguments<SampleArgs>): Promise<void> {
  const console = openConsole(args, streamForLines(args));
  const settings = checkArguments(args);
  const { count, width, height, sharedLatents } = settings;
  const { outputs, separate } = await planOutputs(args, settings);
  if (!separate) {
    const animated = settings.progressive && isAnimation(outputs[0]);
    checkFigure(outputs[0], figureSize(settings, animated), animated ? Math.min(FRAMES, settings.steps) : 1);
  }
  for (const path of outputs) await checkResult(path, args);
  await withContext(args, console, async (context) => {
    const info = await context.modelInfo(args.model, settings);
    checkSides(info, settings, { option: '--size' });
    checkAgainstModel(info, settings.steps, { option: '--shared-latents', ts: sharedLatents ?? [] });
    const { model, engine } = await context.model(args.model, settings);
    context.announce(model, engine);
    noteTrainedForDrawing(console, info);
    noteLargePictures(console, width, height);
    const diffusion = { ...model, engine };
    const { result: write, seconds } = await withProgress(console, 'sampling', async (onProgress) => {
      if (separate) return void (await drawFiles(diffusion, settings, outputs, args, onProgress));
      if (sharedLatents !== undefined) return drawSharedLatents(diffusion, settings, sharedLatents, onProgress);
      if (settings.progressive) return drawProgressively(diffusion, settings, isAnimation(outputs[0]), onProgress);
      return drawSheet(diffusion, settings, onProgress);
    });
    await write?.(outputs, args);
    const { steps, seed, sampler, variance, progressive } = settings;
    const report: SampleReport = {
      outputs,
      count,
      width,
      height,
      seconds,
      engine: engine.name,
      model: { name: model.name, id: model.id },
      options: {
        steps,
        seed,
        ...(sampler && { sampler }),
        ...(variance && { variance }),
        progressive,
        sharedLatents: sharedLatents ?? null,
      },
    };
    const where = separate ? `${args.output} (${counted(outputs.length, 'file')})` : outputName(args.output);
    console.result(`${where}: ${counted(count, 'picture')} of ${width}x${height}, ${formatSeconds(seconds)}`);
    console.document(report);
  });
}

/** The options that the sampler takes. */
function drawnBy({ count, width, height, steps, seed, sampler, variance }: Settings) {
  return {
    count,
    width,
    height,
    steps,
    seed: String(seed),
    ...(sampler && { sampler }),
    ...(variance && { variance }),
  };
}

/** Writes the drawn pictures into the files of the run. */
type Writer = (outputs: readonly string[], options: { readonly force: boolean }) => Promise<void>;
type OnProgress = (fraction: number) => void;

async function drawSheet(model: DiffusionModel, settings: Settings, onProgress: OnProgress): Promise<Writer> {
  const pictures = await sample(model, { ...drawnBy(settings), onProgress });
  return async ([output], options) => writePicture(output, await sheetOf(pictures), options);
}

/**
 * Draws and writes in parts, so that pictures need not fit into memory, and an interrupted run keeps those it has
 * written.
 */
async function drawFiles(
  model: DiffusionModel,
  settings: Settings,
  outputs: readonly string[],
  options: { readonly force: boolean },
  onProgress: OnProgress,
): Promise<void> {
  const part = Math.min(PART, Math.max(1, Math.floor(MOST_DRAWN_PIXELS / (settings.width * settings.height))));
  for (let first = 0; first < outputs.length; first += part) {
    const files = outputs.slice(first, first + part);
    const pictures = await sample(model, {
      ...drawnBy(settings),
      first,
      count: files.length,
      onProgress: (fraction) => onProgress((first + fraction * files.length) / outputs.length),
    });
    for (const [i, picture] of pictures.entries()) await writePicture(files[i], picture, options);
  }
}

/** A single picture needs no sheet. */
async function sheetOf(pictures: readonly RgbImage[]): Promise<RgbImage> {
  if (pictures.length === 1) return pictures[0];
  return contactSheet(pictures.map((image) => ({ image, label: '' })));
}

async function drawProgressively(
  model: DiffusionModel,
  settings: Settings,
  animated: boolean,
  onProgress: OnProgress,
): Promise<Writer> {
  const { width, height, steps, count } = settings;
  const shown = animated ? FRAMES : COLUMNS;
  // Indices of evaluations within the chain, the same for each picture.
  const wanted = new Set(Array.from({ length: shown }, (_, i) => Math.round((i * (steps - 1)) / (shown - 1))));
  const visited = new Array<number>(count).fill(0);
  const times: number[] = [];
  const estimates: RgbImage[][] = Array.from({ length: count }, () => []);
  await sample(model, {
    ...drawnBy(settings),
    onProgress,
    onEstimate: (picture, t, xhat0) => {
      if (!wanted.has(visited[picture]++)) return;
      if (picture === 0) times.push(t);
      estimates[picture].push({ width, height, data: fromUnit(xhat0) });
    },
  });
  const labels = times.map((t) => `t = ${t}`);
  return async ([output], options) => {
    if (!animated) return writePicture(output, await labelledTable({ rows: estimates, columnLabels: labels }), options);
    const columns = Math.ceil(Math.sqrt(count));
    const frames = labels.map((label, k) => {
      const rows = Array.from({ length: Math.ceil(count / columns) }, (_, row) =>
        estimates.slice(row * columns, (row + 1) * columns).map((row) => row[k]),
      );
      return labelledTable({ rows, columnLabels: [label.padEnd(LONGEST_TIME.length)] });
    });
    await writeAnimation(output, await Promise.all(frames), options);
  };
}

async function drawSharedLatents(
  model: DiffusionModel,
  settings: Settings,
  timesteps: readonly number[],
  onProgress: OnProgress,
): Promise<Writer> {
  const groups = await sampleSharedLatents(model, { ...drawnBy(settings), timesteps, onProgress });
  const figure = await labelledTable({
    rows: groups.map(({ xt, xhat0, samples }) => [xt, xhat0, ...samples]),
    rowLabels: groups.map(({ t }) => `t = ${t}`),
    columnLabels: LATENT_LABELS,
  });
  return ([output], options) => writePicture(output, figure, options);
}

function checkArguments(args: SampleArgs): Settings {
  const given = args['shared-latents'];
  atMostOne({
    '--progressive': args.progressive || undefined,
    '--shared-latents': given,
    '--separate': args.separate || undefined,
  });
  const sharedLatents = given?.map((t) => integer('--shared-latents', asNumber(t), 1, MAX_TIMESTEPS)!);
  const byDefault = args.progressive || sharedLatents ? 8 : 64;
  return {
    ...samplerSettings(args),
    ...parseSize(args.size),
    count: integer('--count', args.count, 1, MAX_COUNT) ?? byDefault,
    progressive: args.progressive,
    sharedLatents,
  };
}

/** Size in pixels of what is drawn into one file; for an animation, of each frame. */
function figureSize({ count, width, height, progressive, steps, sharedLatents }: Settings, animated: boolean): Size {
  const picture = { width, height };
  if (sharedLatents) {
    const rows = new Set(sharedLatents).size;
    return tableSize({ rows, columns: 2 + count }, picture, { rowLabels: [LONGEST_TIME], columnLabels: LATENT_LABELS });
  }
  if (progressive) {
    const across = Math.ceil(Math.sqrt(count));
    const cells = animated
      ? { rows: Math.ceil(count / across), columns: across }
      : { rows: count, columns: Math.min(COLUMNS, steps) };
    return tableSize(cells, picture, { columnLabels: [LONGEST_TIME] });
  }
  return count === 1 ? picture : contactSheetSize(count, picture);
}

function parseSize(text: string): { width: number; height: number } {
  const [, width, height] = /^(\d+)x(\d+)$/.exec(text)?.map(Number) ?? [];
  if (width >= 1 && height >= 1 && Math.max(width, height) <= MAX_SIDE) return { width, height };
  throw invalidArgument('--size', `WIDTHxHEIGHT such as 32x32, sides up to ${MAX_SIDE}`, text);
}

/** The files to write, a single one or one for each picture; makes the directory of the latter. */
async function planOutputs(
  { output, separate }: SampleArgs,
  settings: Settings,
): Promise<{ outputs: readonly string[]; separate: boolean }> {
  if (!separate && !(await isDirectory(output)) && !/[/\\]$/.test(output)) {
    formatOf(output);
    return { outputs: [output], separate: false };
  }
  if (settings.progressive || settings.sharedLatents) {
    throw new CodecError('usage', `${output}: expected the name of a .png or .webp file for a figure, got a directory`);
  }
  if (output === STANDARD_STREAM) throw new CodecError('usage', '-o -: expected a directory with --separate');
  await makeDirectory(output);
  const digits = Math.max(4, String(settings.count - 1).length);
  const nameOf = (i: number) => join(output, `${String(i).padStart(digits, '0')}.png`);
  return { outputs: Array.from({ length: settings.count }, (_, i) => nameOf(i)), separate: true };
}
