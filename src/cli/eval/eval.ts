/**
 * `ddpm-codec eval`: likelihoods of images under a model, as in the paper's tables, and distances between sets of
 * images.
 */
import { resolve } from 'node:path';
import type { Arguments, CommandModule } from 'yargs';
import { counted } from '../../common/counted.js';
import { CodecError, invalidArgument } from '../../common/errors.js';
import { IMAGE_SET_SYNTAX, type ImageSet, imageSetName, openImageSet } from '../../data/image-set.js';
import type { Size } from '../../image/image.js';
import { strideOf } from '../../model/config.js';
import type { BoundOptions, Estimate, Evaluation } from '../../model/likelihood.js';
import { REVERSE_VARIANCES, type ReverseVariance } from '../../model/parameterization.js';
import { MAX_TIMESTEPS } from '../../model/schedule.js';
import { parseColour } from '../../node/image/read.js';
import type { Model, ModelInfo } from '../../node/models.js';
import { packageVersion } from '../../node/version.js';
import { type FigureFormat, figureFormat } from '../../report/figure.js';
import {
  backgroundOption,
  type EngineArgs,
  engineOptions,
  integer,
  modelOption,
  numberOption,
  type OutputArgs,
  outputOptions,
  threadsOf,
} from '../args.js';
import { type Console, openConsole, toJson } from '../console.js';
import { type Context, withContext } from '../context.js';
import { refuseInputs } from '../jobs.js';
import { checkResult, writeAtomically, writeResult } from '../output.js';
import { openProgress } from '../progress.js';
import { STANDARD_STREAM, streamForLines } from '../streams.js';
import { noteTrainedTimesteps } from '../trained-timesteps.js';
import { type ImageLoader, imageLoader } from './images.js';
import { describeReport, type EvalReport, type FidReport, type LikelihoodReport } from './report.js';

/** Defaults that match the model card's bound: number of timesteps, and seed. */
const DEFAULT_TIMESTEPS = 10;
const DEFAULT_SEED = 'bound';
/** Smallest number of images that published FIDs are computed from. */
const FID_IMAGES = 10_000;

interface EvalArgs extends EngineArgs, OutputArgs {
  readonly data: string[];
  readonly output?: string;
  readonly plot?: string;
  readonly model: string;
  readonly timesteps: unknown;
  readonly variance?: ReverseVariance;
  readonly clip: boolean;
  readonly crop?: unknown;
  readonly background?: string;
  readonly train?: string;
  readonly seed: string;
  readonly bound: boolean;
  readonly fid?: string;
  readonly features?: string;
}

/** Checked options of a run. */
interface Settings {
  readonly model: string;
  readonly timesteps: number | 'all';
  readonly variance: ReverseVariance | undefined;
  readonly clip: boolean;
  readonly crop: number | undefined;
  readonly seed: string;
  readonly plot: { readonly path: string; readonly format: FigureFormat } | undefined;
}

export const evalCommand: CommandModule<object, EvalArgs> = {
  command: 'eval <data..>',
  describe: 'Measure likelihoods in bits/dim, as the paper has them, and FID',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 eval <data..> [options]\n\n' +
          'Measures the variational bound of images in bits per dimension: L_T, L_1:T-1, L_0 and their sum, the rate and\n' +
          'distortion of section 4.3 of Ho, Jain & Abbeel (2020), each with its standard error over the images, and the\n' +
          'RMSE of the last prediction. All images must be of one size that the network takes; --crop cuts them.\n\n' +
          'With --fid it computes the Fréchet distance between the data and other images, by a feature network of yours.\n' +
          'For the FID of a model put its samples in a directory first, with ddpm-codec sample.',
      )
      .positional('data', {
        type: 'string',
        array: true,
        description: `${IMAGE_SET_SYNTAX} of it, counted from 0`,
      })
      .options({
        output: {
          alias: 'o',
          type: 'string',
          requiresArg: true,
          description: 'Write the whole report here, as JSON; - for standard output',
        },
        plot: {
          type: 'string',
          requiresArg: true,
          description: 'Draw the terms over the timestep: a file .svg, .png or, for LaTeX, .tex',
        },
        model: modelOption,
        timesteps: numberOption(
          'Timesteps at which each image is evaluated, drawn from as many strata, besides t = 1; "all" sums up every ' +
            'term, exactly',
          { default: DEFAULT_TIMESTEPS },
        ),
        variance: {
          choices: REVERSE_VARIANCES,
          requiresArg: true,
          description:
            "Variance of the reverse process, instead of the model's; optimal adds the network's expected error to beta-tilde",
        },
        clip: {
          type: 'boolean',
          default: true,
          description: 'Clip predictions of x_0 to [-1, 1], as the authors do; --no-clip does not',
        },
        crop: numberOption('Use the middle of each image, this many pixels a side'),
        background: backgroundOption,
        train: {
          type: 'string',
          requiresArg: true,
          description: 'Images the model was trained on, such as cifar10:train[0:256]: reports the gap to them',
        },
        seed: {
          type: 'string',
          requiresArg: true,
          default: DEFAULT_SEED,
          description: 'Name of the random numbers: equal names, equal noise and timesteps',
        },
        bound: { type: 'boolean', default: true, description: 'Measure the bound; --no-bound is for --fid alone' },
        fid: {
          type: 'string',
          requiresArg: true,
          description: 'Images to compare the data with, such as a directory of samples',
        },
        features: {
          type: 'string',
          requiresArg: true,
          description:
            'Feature network for --fid: ONNX, RGB 0..1 in, features out; docs/EVALUATION.md says exactly what',
        },
        ...engineOptions,
        ...outputOptions,
      } as const)
      .example("$0 eval 'cifar10:test[0:256]'", 'L_T, L_1:T-1, L_0 of the first 256 test images')
      .example("$0 eval 'cifar10:test[0:256]' --train 'cifar10:train[0:256]'", 'and the gap between test and training')
      .example("$0 eval 'cifar10:test[0:32]' --timesteps all -o terms.json --plot terms.svg", 'every term')
      .example('$0 eval photos/ --crop 32 --variance beta-tilde', 'photographs, their middle')
      .example('$0 eval cifar10:train --no-bound --fid samples/ --features inception.onnx', 'FID of samples') as never,
  handler: evaluate,
};

async function evaluate(args: Arguments<EvalArgs>): Promise<void> {
  const console = openConsole(args, streamForLines(args));
  const settings = settingsOf(args);
  if (args.background !== undefined) await parseColour(args.background);
  const outputs = [args.output, args.plot].filter((path) => path !== undefined);
  for (const path of outputs) await checkResult(path, args);
  const { background } = args;
  const open = (texts: string[]) => openImageSet(texts, { background });
  const data = await open(args.data);
  const train = args.train === undefined ? undefined : await open([args.train]);
  const against = args.fid === undefined ? undefined : await open([args.fid]);
  const sources = [data, train, against].flatMap((set) => set?.names ?? []);
  const files = outputs.filter((path) => path !== STANDARD_STREAM);
  if (files.length > 0) {
    await refuseInputs(files, args.features === undefined ? sources : [...sources, args.features]);
  }
  const fewest = Math.min(data.length, against?.length ?? 2);
  if (against && fewest < 2) throw invalidArgument('--fid', 'at least 2 images on either side', fewest);
  const loader = imageLoader(settings.crop, console);
  await withContext(args, console, async (context) => {
    if (args.bound) await context.modelInfo(settings.model);
    const fid =
      against &&
      (await measureFid(data, { set: against, text: args.fid!, path: args.features! }, args, loader, console));
    const measured = args.bound
      ? await measureLikelihood(data, train && { set: train, text: args.train! }, settings, context, loader, console)
      : {};
    const report: EvalReport = {
      version: packageVersion(),
      data: args.data,
      ...measured,
      ...(fid && { fid }),
      skipped: loader.skipped,
    };
    // Print first, which cannot fail: a full disk must not cost hours of work.
    console.document(report);
    if (args.output === undefined) console.answer(describeReport(report));
    else console.result(describeReport(report));
    if (args.output !== undefined) await writeResult(args.output, Buffer.from(`${toJson(report)}\n`), args);
    if (settings.plot && report.likelihood) await plot(report.likelihood, args, settings.plot);
  });
  const { length } = loader.skipped;
  if (length > 0) {
    throw new CodecError(
      'image',
      `${counted(length, 'image')} could not be used, see above; the numbers are of the others`,
    );
  }
}

function settingsOf(args: EvalArgs): Settings {
  const { model, timesteps, variance, clip, seed, plot: path } = args;
  if (!args.bound && args.fid === undefined)
    throw new CodecError('usage', '--no-bound: leaves nothing to do without --fid');
  const needBound = { '--plot': path, '--train': args.train, '--variance': variance };
  for (const [name, value] of Object.entries(needBound)) {
    if (!args.bound && value !== undefined) throw new CodecError('usage', `${name}: not with --no-bound`);
  }
  if (args.fid !== undefined && args.features === undefined) {
    throw new CodecError('usage', '--fid: expected --features MODEL.onnx with it, the network that gives the features');
  }
  if (args.features !== undefined && args.fid === undefined) {
    throw new CodecError('usage', '--features: expected --fid with it, the images to compare the data with');
  }
  if (timesteps !== 'all' && typeof timesteps !== 'number') {
    throw invalidArgument('--timesteps', `an integer from 1 to ${MAX_TIMESTEPS} or "all"`, timesteps);
  }
  if (path !== undefined && args.output !== undefined && resolve(path) === resolve(args.output)) {
    throw new CodecError('usage', `${path}: named by both --output and --plot`);
  }
  return {
    model,
    timesteps: timesteps === 'all' ? timesteps : integer('--timesteps', timesteps, 1, MAX_TIMESTEPS)!,
    variance,
    clip,
    crop: integer('--crop', args.crop, 1),
    seed,
    plot: path === undefined ? undefined : { path, format: figureFormat(path) },
  };
}

async function measureLikelihood(
  data: ImageSet,
  train: { readonly set: ImageSet; readonly text: string } | undefined,
  settings: Settings,
  context: Context,
  loader: ImageLoader,
  console: Console,
): Promise<Pick<EvalReport, 'likelihood' | 'gap'>> {
  const { names, images } = await loader.loadAll(data);
  const trainImages = train && (await loader.loadAll(train.set, images[0])).images;
  const { width, height } = images[0];
  const info = await context.modelInfo(settings.model, images[0]);
  checkSize(images[0], info);
  const { model, engine } = await context.model(settings.model, images[0]);
  context.announce(model, engine);
  // The bound asks the network at a picture's own size, at all timesteps.
  noteTrainedTimesteps(console, info, 'its bound');
  const measure = await measurement(model, settings, console);
  const start = performance.now();
  const evaluation = await measure(images, settings.seed, 'bound');
  const seconds = (performance.now() - start) / 1000;
  const { timesteps, clip, crop, seed, variance = model.parameterization.variance } = settings;
  const { bound, rate, rmse, terms, perImage } = evaluation;
  const likelihood: LikelihoodReport = {
    model: { name: model.name, id: model.id },
    engine: `${engine.name}: ${engine.description}`,
    options: { timesteps, variance, clip, crop: crop ?? null, seed },
    width,
    height,
    bound,
    rate,
    distortion: bound.decoder,
    rmse,
    terms,
    perImage: perImage.map((image, i) => ({ name: names[i], ...image })),
    seconds,
  };
  if (trainImages === undefined) return { likelihood };
  // Uses separate noise, so that the two estimates are independent and their errors add up.
  const other = await measure(trainImages, `${settings.seed}/train`, 'bound on training images');
  return {
    likelihood,
    gap: { train: train!.text, bound: other.bound, gap: difference(bound.total, other.bound.total) },
  };
}

async function measurement(model: Model, settings: Settings, console: Console) {
  const { evaluateBound } = await import('../../model/likelihood.js');
  const { timesteps, clip, variance } = settings;
  return async (images: Parameters<typeof evaluateBound>[0], seed: string, label: string): Promise<Evaluation> => {
    const progress = openProgress(console, label);
    const options: BoundOptions = {
      strata: timesteps,
      clip,
      seed,
      ...(variance && { variance }),
      onProgress: (fraction) => progress.update(fraction),
    };
    progress.update(0);
    return evaluateBound(images, model, options).finally(() => progress.stop());
  };
}

/** Refuses images larger than a window: the network was not made for them, and they would fill the memory. */
function checkSize({ width, height }: Size, { name, config, tiling }: ModelInfo): void {
  const stride = strideOf(config);
  const fits = (side: number) => side % stride === 0 && side <= tiling.tile;
  if (fits(width) && fits(height)) return;
  const expected = `sides that are multiples of ${stride} up to ${tiling.tile}`;
  throw new CodecError(
    'image',
    `images: model ${name} takes ${expected}, got ${width}x${height}; --crop 32 takes the middle of each`,
  );
}

function difference(a: Estimate, b: Estimate): Estimate {
  return { value: a.value - b.value, standardError: Math.hypot(a.standardError, b.standardError) };
}

async function measureFid(
  data: ImageSet,
  against: { readonly set: ImageSet; readonly text: string; readonly path: string },
  args: EngineArgs,
  loader: ImageLoader,
  console: Console,
): Promise<FidReport> {
  const { openFeatureNetwork, featuresOf } = await import('../../report/feature-network.js');
  const { fitGaussian, frechetDistance, inceptionScore } = await import('../../report/fid.js');
  const network = await openFeatureNetwork(against.path, threadsOf(args));
  console.note(`features ${against.path}: ${network.description}`);
  const measure = async (set: ImageSet, label: string) => {
    const probabilities: Float32Array[] = [];
    let fit: ReturnType<typeof fitGaussian> | undefined;
    const progress = openProgress(console, label);
    try {
      const images = loader.load(set, (fraction) => progress.update(fraction));
      for await (const { features, probabilities: classes } of featuresOf(images, network)) {
        fit ??= fitGaussian(features.length);
        fit.add(features);
        if (classes) probabilities.push(classes);
      }
    } finally {
      progress.stop();
    }
    if (fit === undefined) throw new CodecError('image', `${label}: none of the images could be used`);
    return { gaussian: fit.gaussian(), probabilities };
  };
  try {
    const ours = await measure(data, 'features of the data');
    const theirs = await measure(against.set, `features of ${against.text}`);
    const { mean, count } = ours.gaussian;
    const fewest = Math.min(count, theirs.gaussian.count);
    if (fewest < FID_IMAGES) {
      console.note(
        `FID of ${fewest} images is far too large to compare with published ones, which take 10,000 or 50,000`,
      );
    }
    return {
      against: against.text,
      features: against.path,
      dimensions: mean.length,
      images: { data: count, against: theirs.gaussian.count },
      fid: frechetDistance(ours.gaussian, theirs.gaussian),
      ...(ours.probabilities.length > 0 && {
        inceptionScore: {
          data: inceptionScore(ours.probabilities),
          against: inceptionScore(theirs.probabilities),
        },
      }),
    };
  } finally {
    await network.dispose();
  }
}

async function plot(
  { model, terms, bound }: LikelihoodReport,
  args: EvalArgs,
  { path, format }: { path: string; format: FigureFormat },
): Promise<void> {
  const { termsPlot } = await import('../../report/terms-plot.js');
  const { encodeFigure } = await import('../../report/figure.js');
  const svg = termsPlot(
    terms,
    `model ${model.name}, ${counted(bound.images, 'image')} of ${args.data.map(imageSetName).join(' ')}`,
  );
  await writeAtomically(path, await encodeFigure(svg, format), args);
}
