/** `ddpm-codec model import`: turns a network that was trained elsewhere into a model that codes. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Arguments, CommandModule } from 'yargs';
import { counted } from '../../common/counted.js';
import { CodecError } from '../../common/errors.js';
import { cutMiddle } from '../../image/crop.js';
import type { RgbImage } from '../../image/image.js';
import type { DiffusionModel } from '../../model/diffusion-model.js';
import type { ImportedNetwork } from '../../model/import/network.js';
import type { Bound } from '../../model/likelihood.js';
import { MOST_TILE, type Tiling } from '../../model/windows.js';
import { exists, makeDirectory } from '../../node/files.js';
import { type EngineArgs, engineOptions, type OutputArgs, outputOptions } from '../args.js';
import { type Console, openConsole, toJson } from '../console.js';
import { withContext } from '../context.js';
import { refuseInputs } from '../jobs.js';
import { checkWritable, writeAtomically } from '../output.js';
import { openProgress } from '../progress.js';
import { readTrainingPictures } from '../train/calibrate.js';
import { LEAST_TILE, tilingFor } from '../train/tiling.js';
import { describeModel, reportModel } from './report.js';
import { openSource, readSource } from './source.js';

interface ImportArgs extends EngineArgs, OutputArgs {
  readonly source: string;
  readonly out: string;
  readonly config?: string;
  readonly calibrate?: string;
}

/** Number of CIFAR-10 training images for the profile, and of the images after them for the bound. */
const CALIBRATION_IMAGES = 64;
const BOUND_IMAGES = 16;

export const modelImportCommand: CommandModule<object, ImportArgs> = {
  command: 'import <source>',
  describe: 'Make a model of a network that was trained elsewhere',
  builder: (yargs) =>
    yargs
      .usage(
        'Usage: $0 model import <source> --out <dir> [options]\n\n' +
          'Makes a model of an unconditional UNet2DModel. <source> is\n' +
          '  - a directory as diffusers writes it, of the network or of a pipeline with unet/ in it;\n' +
          '  - a file of weights: .safetensors; .bin, .pt, .pth, .ckpt of PyTorch, read without running anything in it;\n' +
          "    .npz with the variables of the authors' TensorFlow code; config.json is looked for beside it;\n" +
          '  - owner/name of a public repository of the Hugging Face Hub (or of the server HF_ENDPOINT).\n' +
          'Then measures on training pictures how well the network denoises, which coding needs: on CIFAR-10 (ddpm-codec\n' +
          'data cifar10), or on those of --calibrate, and for a check its bound in bits/dim on a few more.',
      )
      .positional('source', { type: 'string', description: 'Directory, file, or owner/name' })
      .options({
        out: { type: 'string', requiresArg: true, demandOption: true, description: 'Directory of the new model' },
        config: {
          type: 'string',
          requiresArg: true,
          description: 'config.json of the network, where it is not beside',
        },
        calibrate: {
          type: 'string',
          requiresArg: true,
          description: 'Directory of training pictures, instead of CIFAR-10; never ones you report results on',
        },
        ...engineOptions,
        ...outputOptions,
      } as const)
      .example('$0 model import google/ddpm-cifar10-32 --out models/ddpm-cifar10', "the authors' network, from the Hub")
      .example('$0 model import Downloads/ddpm/ --out models/ddpm', 'from files that are there')
      .example(
        '$0 model import ema.pt --config config.json --out models/mine --calibrate photos/',
        'from PyTorch',
      ) as never,
  handler: importModel,
};

async function importModel(args: Arguments<ImportArgs>): Promise<void> {
  const console = openConsole(args);
  const { CODEC_FILE, CONFIG_FILE, SCHEDULER_FILE, WEIGHTS_FILE, dependentFiles, diffusionOf, loadModelInfo } =
    await import('../../node/models.js');
  // Check everything that may be in the way before fetching.
  const written = [CONFIG_FILE, WEIGHTS_FILE, SCHEDULER_FILE, CODEC_FILE];
  const replaced = await dependentFiles(args.out);
  const outputs = [...written, ...replaced].map((name) => join(args.out, name));
  if (await exists(args.out)) for (const output of outputs) await checkWritable(output, args);
  const openPictures = await picturesOf(args.calibrate);
  const source = await openSource(args.source, args.config, console);
  await refuseInputs(outputs, source.paths);
  const { network, scheduler } = await readSource(source);
  const diffusion = diffusionOf(network.config, scheduler);

  const { fitsHalf, writeSafetensors } = await import('../../model/safetensors.js');
  const { schedulerConfigJson } = await import('../../model/scheduler-config.js');
  const write = (name: string, data: string | Uint8Array) =>
    writeAtomically(join(args.out, name), Buffer.from(data), args);
  const { strideOf } = await import('../../model/config.js');
  const { tryNetwork } = await import('../../model/network.js');
  const { wholeRange } = await import('../../model/bands.js');
  const { createUNet } = await import('../../model/unet.js');
  const stride = strideOf(network.config);
  const tiling = tilingOf(network, stride);
  const { makeCodecFile } = await import('../train/codec-file.js');
  const pictures = await openPictures(tiling.tile, stride, network);
  // Use half precision where it is lossless, so that a network has one form however it was stored.
  const dtype = fitsHalf(network.tensors) ? 'F16' : 'F32';
  await withContext(args, console, async (context) => {
    const engine = await context.engine();
    // Try the network before writing anything.
    await tryNetwork(engine, createUNet(network.config, network.tensors), wholeRange(diffusion.schedule));
    await makeDirectory(args.out);
    // Files of the model that is replaced. Its codec.json goes first: without it, what an interruption leaves is no model.
    for (const name of [CODEC_FILE, ...replaced]) await rm(join(args.out, name), { force: true });
    await write(CONFIG_FILE, toJson(network.configJson));
    await write(WEIGHTS_FILE, writeSafetensors(network.tensors, { dtype, metadata: { format: 'pt' } }));
    await write(SCHEDULER_FILE, toJson(scheduler ?? schedulerConfigJson(diffusion)));
    const options = { console, engine, tiling, diffusion, write };
    await makeCodecFile(args.out, pictures.calibration, options, async (model) => ({
      importedFrom: source.name,
      calibration: counted(pictures.calibration.length, pictures.kind),
      bound: await measureOn(pictures.further, model, console),
    }));
  });
  const report = await reportModel(await loadModelInfo(args.out));
  console.document({ source: source.name, ...report });
  console.result(describeModel(report));
}

/**
 * Windows as large as the training images, but at least the default size. The default also applies where the training
 * size is too large.
 */
function tilingOf({ configJson }: ImportedNetwork, stride: number): Tiling {
  const size = configJson.sample_size;
  const trained = tilingFor(typeof size === 'number' ? size : LEAST_TILE, stride);
  return trained.tile <= MOST_TILE ? trained : tilingFor(LEAST_TILE, stride);
}

interface Pictures {
  readonly calibration: readonly RgbImage[];
  /** Pictures for the bound. */
  readonly further: readonly RgbImage[];
  readonly kind: string;
}

/**
 * Chooses the source of pictures and checks it before long work: a directory, or CIFAR-10.
 * @returns a function that reads them, cropped to what a network of windows of `tile` pixels is calibrated on
 */
async function picturesOf(
  directory: string | undefined,
): Promise<(tile: number, stride: number, network: ImportedNetwork) => Promise<Pictures>> {
  if (directory !== undefined) {
    return async (tile, stride) => {
      const { CALIBRATION_TILES } = await import('../train/codec-file.js');
      const calibration = await readTrainingPictures([directory], CALIBRATION_TILES * tile);
      return {
        calibration,
        further: middlesOfOneSize(calibration.slice(0, BOUND_IMAGES), tile, stride),
        kind: 'picture',
      };
    };
  }
  const { cifar10Image, openCifar10 } = await import('../../data/cifar10.js');
  const { images } = await openCifar10('train').catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CodecError('file', `${reason}, or name a directory of training pictures with --calibrate`, { cause });
  });
  const take = (count: number, from: number) => Array.from({ length: count }, (_, i) => cifar10Image(images, from + i));
  return async (_tile, _stride, { configJson }) => {
    const size = configJson.sample_size;
    if (typeof size === 'number' && size > LEAST_TILE) {
      throw new CodecError(
        'usage',
        `--calibrate: expected a directory of training pictures for a network of ${size} pixels a side; CIFAR-10 has 32`,
      );
    }
    return {
      calibration: take(CALIBRATION_IMAGES, 0),
      further: take(BOUND_IMAGES, CALIBRATION_IMAGES),
      kind: 'CIFAR-10 training image',
    };
  };
}

/**
 * The middles of pictures, cropped to their smallest side, at most `tile` pixels, since the bound is measured on a picture
 * in one piece; none if that is below the network's minimum.
 */
export function middlesOfOneSize(images: readonly RgbImage[], tile: number, stride: number): RgbImage[] {
  const least = Math.min(tile, ...images.flatMap(({ width, height }) => [width, height]));
  const side = least - (least % stride);
  return side === 0 ? [] : images.map((image) => cutMiddle(image, side));
}

async function measureOn(
  images: readonly RgbImage[],
  model: DiffusionModel,
  console: Console,
): Promise<Bound | undefined> {
  if (images.length === 0) return undefined;
  const { measureBound } = await import('../../model/likelihood.js');
  const progress = openProgress(console, 'measuring the bound');
  try {
    return await measureBound(images, model, { onProgress: (fraction) => progress.update(fraction) });
  } finally {
    progress.stop();
  }
}
