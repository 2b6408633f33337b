/** `ddpm-codec interpolate`: interpolates between two pictures, in x_t. */
import type { Arguments, CommandModule } from 'yargs';
import { counted } from '../../common/counted.js';
import { CodecError } from '../../common/errors.js';
import type { RgbImage } from '../../image/image.js';
import { interpolate } from '../../model/interpolation.js';
import { MAX_TIMESTEPS } from '../../model/schedule.js';
import { labelledTable, tableSize } from '../../node/image/contact-sheet.js';
import { parseColour } from '../../node/image/read.js';
import {
  atMostOne,
  backgroundOption,
  type EngineArgs,
  engineOptions,
  integer,
  numberOption,
  type OutputArgs,
  outputOptions,
} from '../args.js';
import { formatSeconds, openConsole } from '../console.js';
import { withContext } from '../context.js';
import { refuseInputs } from '../jobs.js';
import { checkResult } from '../output.js';
import { readOpaquePicture } from '../pictures.js';
import { inputName, outputName, STANDARD_STREAM, streamForLines } from '../streams.js';
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

const DEFAULT_T = 500;
const DEFAULT_LAMBDAS = 11;
const MAX_LAMBDAS = 1001;
/** The longest label of a mixture; it gives all pictures of an animation one size. */
const LONGEST_LAMBDA = 'λ 0.999';
/** Rows of `--coarse-to-fine`, from t = 0 to T (the paper's Figure 9). */
const ROWS = 9;

interface InterpolateArgs extends EngineArgs, OutputArgs, SamplerArgs {
  readonly a: string;
  readonly b: string;
  readonly output: string;
  readonly t?: unknown;
  readonly lambda: unknown;
  readonly 'coarse-to-fine': boolean;
  readonly background?: string;
}

/** What `--json` prints. */
export interface InterpolateReport {
  readonly inputs: readonly [string, string];
  readonly outputs: readonly string[];
  readonly width: number;
  readonly height: number;
  /** Timesteps at which the pictures were mixed, one for each row. */
  readonly timesteps: readonly number[];
  /** Weights of the second picture. */
  readonly lambdas: readonly number[];
  readonly seconds: number;
  readonly engine: string;
  readonly model: { readonly name: string; readonly id: string };
  readonly options: SamplerSettings;
}

export const interpolateCommand: CommandModule<object, InterpolateArgs> = {
  command: 'interpolate <a> <b>',
  describe: 'Mix two pictures in x_t and decode the mixtures',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 interpolate <a> <b> -o <file> [options]\n\n' +
          'Interpolates between two pictures of one size: noise takes both to x_t, they are mixed there, and the reverse\n' +
          "process decodes the mixtures. The larger t, the more of what is seen is the model's own.",
      )
      .positional('a', { type: 'string', demandOption: true, description: 'Picture at lambda = 0' })
      .positional('b', { type: 'string', demandOption: true, description: 'Picture at lambda = 1' })
      .options({
        output: {
          alias: 'o',
          type: 'string',
          requiresArg: true,
          demandOption: true,
          description:
            'A sheet of all mixtures (.png or .tiff; - for a PNG on standard output), or an animation over lambda (.webp)',
        },
        t: numberOption(`Timestep at which the pictures are mixed, 0 to T [default: ${DEFAULT_T}]`),
        lambda: numberOption('Number of mixtures, evenly from lambda = 0 to 1', { default: DEFAULT_LAMBDAS }),
        'coarse-to-fine': {
          type: 'boolean',
          default: false,
          description: `${ROWS} rows of mixtures, at t from 0 to T`,
        },
        background: backgroundOption,
        ...samplerOptions,
        ...engineOptions,
        ...outputOptions,
      } as const)
      .example('$0 interpolate cat.png dog.png -o between.png', 'mixtures at t = 500, the pictures on both sides')
      .example('$0 interpolate cat.png dog.png -o rows.png --coarse-to-fine', 'at nine timesteps')
      .example('$0 interpolate cat.png dog.png -o film.webp --lambda 41', 'an animation') as never,
  handler: interpolatePictures,
};

async function interpolatePictures(args: Arguments<InterpolateArgs>): Promise<void> {
  const console = openConsole(args, streamForLines(args));
  const { output, background } = args;
  if (background !== undefined) await parseColour(background);
  const settings = samplerSettings(args);
  const t = integer('-t', args.t, 0, MAX_TIMESTEPS);
  atMostOne({ '-t': t, '--coarse-to-fine': args['coarse-to-fine'] || undefined });
  const lambdas = evenly(integer('--lambda', args.lambda, 2, MAX_LAMBDAS)!, 1);
  const animated = isAnimation(output);
  const inputs = [args.a, args.b];
  if (inputs.every((path) => path === STANDARD_STREAM)) {
    throw new CodecError('usage', 'standard input: is one picture; expected the name of the other');
  }
  if (output !== STANDARD_STREAM) {
    await refuseInputs(
      [output],
      inputs.filter((path) => path !== STANDARD_STREAM),
    );
  }
  await checkResult(output, args);
  const [a, b] = [await readOpaquePicture(args.a, { background }), await readOpaquePicture(args.b, { background })];
  const { width, height } = a;
  if (b.width !== width || b.height !== height) {
    const sizes = `${width}x${height} pixels as ${inputName(args.a)} has, got ${b.width}x${b.height}`;
    throw new CodecError('image', `${inputName(args.b)}: expected ${sizes}; crop or scale one`);
  }
  await withContext(args, console, async (context) => {
    const info = await context.modelInfo(args.model, a);
    const timesteps = args['coarse-to-fine'] ? evenly(ROWS, info.schedule.timesteps).map(Math.round) : [t ?? DEFAULT_T];
    checkSides(info, a, { picture: inputName(args.a) });
    checkAgainstModel(info, settings.steps, { option: '-t', ts: timesteps });
    const cells = { rows: timesteps.length, columns: animated ? 3 : lambdas.length + 2 };
    const size = tableSize(cells, a, labelsFor(timesteps, [LONGEST_LAMBDA]));
    checkFigure(output, size, animated ? lambdas.length : 1);
    const { model, engine } = await context.model(args.model, a);
    context.announce(model, engine);
    noteTrainedForDrawing(console, info);
    noteLargePictures(console, width, height);
    const { result: rows, seconds } = await withProgress(console, 'interpolating', async (onProgress) => {
      const total = timesteps.reduce((sum, row) => sum + row, 0);
      const rows: RgbImage[][] = [];
      let done = 0;
      for (const row of timesteps) {
        const told = (fraction: number) => onProgress((done + row * fraction) / total);
        const options = { ...settings, seed: String(settings.seed), t: row, lambdas, onProgress: told };
        rows.push(await interpolate({ ...model, engine }, a, b, options));
        done += row;
      }
      return rows;
    });
    await (animated ? writeFilm : writeSheet)(output, { a, b, rows, timesteps, lambdas }, args);
    const report: InterpolateReport = {
      inputs: [args.a, args.b],
      outputs: [output],
      width,
      height,
      timesteps,
      lambdas,
      seconds,
      engine: engine.name,
      model: { name: model.name, id: model.id },
      options: settings,
    };
    const where = timesteps.length === 1 ? `t = ${timesteps[0]}` : counted(timesteps.length, 'timestep');
    console.result(
      `${outputName(output)}: ${lambdas.length} mixtures at ${where}, ${width}x${height}, ${formatSeconds(seconds)}`,
    );
    console.document(report);
  });
}

interface Figure {
  readonly a: RgbImage;
  readonly b: RgbImage;
  /** The mixtures, for each timestep. */
  readonly rows: readonly (readonly RgbImage[])[];
  readonly timesteps: readonly number[];
  readonly lambdas: readonly number[];
}

async function writeSheet(output: string, figure: Figure, options: { readonly force: boolean }): Promise<void> {
  const { a, b, rows, timesteps, lambdas } = figure;
  const table = await labelledTable({
    rows: rows.map((row) => [a, ...row, b]),
    ...labelsFor(timesteps, lambdas.map(labelOf)),
  });
  await writePicture(output, table, options);
}

async function writeFilm(output: string, figure: Figure, options: { readonly force: boolean }): Promise<void> {
  const { a, b, rows, timesteps, lambdas } = figure;
  const frames = lambdas.map((lambda, i) =>
    labelledTable({
      rows: rows.map((row) => [a, row[i], b]),
      ...labelsFor(timesteps, [labelOf(lambda).padEnd(LONGEST_LAMBDA.length)]),
    }),
  );
  await writeAnimation(output, await Promise.all(frames), options);
}

function labelsFor(timesteps: readonly number[], mixtures: readonly string[]) {
  return { rowLabels: timesteps.map((t) => `t = ${t}`), columnLabels: ['source', ...mixtures, 'source'] };
}

function labelOf(lambda: number): string {
  return `λ ${Number(lambda.toFixed(3))}`;
}

/** `count` numbers from 0 to `end`. */
function evenly(count: number, end: number): number[] {
  return Array.from({ length: count }, (_, i) => (i * end) / (count - 1));
}
