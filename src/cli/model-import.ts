/** `ddpm-codec model import`: a network that was trained elsewhere becomes a model that codes. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, sep } from 'node:path';
import type { Arguments, CommandModule } from 'yargs';
import { CodecError } from '../errors.js';
import { makeDirectory, publicPath, readRegularFile } from '../files.js';
import type { RgbImage } from '../image/image.js';
import type { ImportedNetwork, NetworkFiles } from '../model/import/network.js';
import type { Bound, DiffusionModel } from '../model/likelihood.js';
import { type EngineArgs, engineOptions, type OutputArgs, outputOptions } from './args.js';
import { cutMiddle, readTrainingPictures } from './calibrate.js';
import { type Console, openConsole, toJson } from './console.js';
import { withContext } from './context.js';
import { describeModel, reportModel } from './model-report.js';
import { checkWritable, writeAtomically } from './output.js';

interface ImportArgs extends EngineArgs, OutputArgs {
  readonly source: string;
  readonly out: string;
  readonly config?: string;
  readonly calibrate?: string;
}

/** Training images of CIFAR-10 that the profile is measured on, and as many after them that the bound is. */
const CALIBRATION_IMAGES = 64;
const BOUND_IMAGES = 16;
const LEAST_TILE = 64;
const OVERLAP = 8;

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
  const { CODEC_FILE, CONFIG_FILE, SCHEDULER_FILE, WEIGHTS_FILE, diffusionOf, loadModelInfo } = await import(
    '../model/model.js'
  );
  // All that may be in the way, before anything is fetched.
  if (await stat(args.out).catch(() => undefined)) {
    const outputs = [CONFIG_FILE, WEIGHTS_FILE, SCHEDULER_FILE, CODEC_FILE].map((name) => join(args.out, name));
    for (const output of outputs) await checkWritable(output, args);
  }
  const openPictures = await picturesOf(args.calibrate);
  const source = await openSource(args, console);
  const { network, scheduler } = await readSource(source);
  const diffusion = diffusionOf(network.config, scheduler);

  const { fitsHalf, writeSafetensors } = await import('../model/safetensors.js');
  const { schedulerConfigJson } = await import('../model/scheduler-config.js');
  const write = (name: string, data: string | Uint8Array) =>
    writeAtomically(join(args.out, name), Buffer.from(data), args);
  const tile = tileOf(network);
  const pictures = await openPictures(2 * tile, network);
  await makeDirectory(args.out);
  // Half precision where it loses nothing, so that one network has one form however it was stored.
  const dtype = fitsHalf(network.tensors) ? 'F16' : 'F32';
  await write(CONFIG_FILE, toJson(network.configJson));
  await write(WEIGHTS_FILE, writeSafetensors(network.tensors, { dtype, metadata: { format: 'pt' } }));
  await write(SCHEDULER_FILE, toJson(scheduler ?? schedulerConfigJson(diffusion)));

  const { makeCodecFile } = await import('./codec-file.js');
  await withContext(args, console, async (context) => {
    const engine = await context.engine();
    const options = { console, engine, tiling: { tile, overlap: OVERLAP }, diffusion, write };
    await makeCodecFile(args.out, pictures.calibration, options, async (model) => ({
      importedFrom: source.name,
      calibration: `${pictures.calibration.length} ${pictures.kind}`,
      bound: await measureOn(pictures.further, model, console),
    }));
  });
  const report = await reportModel(await loadModelInfo(args.out));
  console.document({ source: source.name, ...report });
  console.result(describeModel(report));
}

/** A source's files: where they are listed and read. */
interface Source {
  /** For the record: no path of this machine beyond the working directory. */
  readonly name: string;
  readonly files: NetworkFiles;
  readonly read: (file: string) => Promise<Uint8Array>;
}

async function openSource(args: ImportArgs, console: Console): Promise<Source> {
  const { findNetworkFiles, INDEX_SUFFIX } = await import('../model/import/network.js');
  const status = await stat(args.source).catch(() => undefined);
  if (status === undefined) {
    if (await isMeantForHub(args.source)) return openRepository(args.source, console);
    throw new CodecError(
      'file',
      `${args.source}: expected a directory, a file of weights, or owner/name of a repository; there is no such file`,
    );
  }
  const name = publicPath(args.source);
  // The index of a network in shards stands for its directory.
  const directory = status.isDirectory() || args.source.endsWith(INDEX_SUFFIX);
  if (directory) {
    const root = status.isDirectory() ? args.source : dirname(args.source);
    const read = (file: string) => readRegularFile(join(root, file));
    return { name, read, files: withConfig(await findNetworkFiles(await listFiles(root), read), args) };
  }
  const beside = async (file: string) => {
    const path = join(dirname(args.source), file);
    return (await stat(path).catch(() => undefined))?.isFile() ? path : undefined;
  };
  const config = args.config ?? (await beside('config.json'));
  const scheduler = await beside('scheduler_config.json');
  const files = { weights: [args.source], ...(config && { config }), ...(scheduler && { scheduler }) };
  return { name, files, read: readRegularFile };
}

/** Whether what is no file is a repository's id; a slip in a path is none. */
async function isMeantForHub(source: string): Promise<boolean> {
  const { isRepositoryId } = await import('../data/hugging-face.js');
  const { WEIGHT_EXTENSIONS } = await import('../model/import/network.js');
  if (!isRepositoryId(source) || WEIGHT_EXTENSIONS.includes(extname(source))) return false;
  return (await stat(dirname(source)).catch(() => undefined)) === undefined;
}

function withConfig(files: NetworkFiles, { config, source }: ImportArgs): NetworkFiles {
  if (config !== undefined) {
    throw new CodecError('usage', `--config: ${source} has its own (${files.config}); name a file of weights instead`);
  }
  return files;
}

/** Files of a directory and of those in it that a pipeline has, with slashes. */
async function listFiles(directory: string): Promise<string[]> {
  const lists = await Promise.all(
    ['', 'unet', 'scheduler'].map(async (part) => {
      const entries = await readdir(join(directory, part), { withFileTypes: true }).catch(() => []);
      return entries.filter((entry) => !entry.isDirectory()).map(({ name }) => (part ? `${part}/${name}` : name));
    }),
  );
  return lists.flat();
}

async function openRepository(id: string, console: Console): Promise<Source> {
  const { fetchFile, listRepository } = await import('../data/hugging-face.js');
  const { findNetworkFiles } = await import('../model/import/network.js');
  const repository = await listRepository(id);
  const byPath = new Map(repository.files.map((file) => [file.path, file]));
  const read = async (path: string): Promise<Uint8Array> => {
    const file = byPath.get(path)!;
    const progress = console.progress(`fetching ${basename(path)}, ${formatBytes(file.bytes)}`);
    try {
      return await readFile(await fetchFile(repository, file, (fraction) => progress.update(fraction)));
    } finally {
      progress.stop();
    }
  };
  const files = await findNetworkFiles([...byPath.keys()], read);
  const needed = [files.config, files.scheduler, ...files.weights].flatMap((path) => byPath.get(path ?? '') ?? []);
  const bytes = needed.reduce((sum, file) => sum + file.bytes, 0);
  console.note(`${id} at ${repository.commit.slice(0, 8)}: ${needed.length} files, ${formatBytes(bytes)}`);
  return { name: `${id}@${repository.commit}`, files, read };
}

async function readSource({ files, read }: Source): Promise<{ network: ImportedNetwork; scheduler: unknown }> {
  const { parseJson, readNetwork } = await import('../model/import/network.js');
  const json = async (file: string | undefined) => (file === undefined ? undefined : parseJson(file, await read(file)));
  const [config, scheduler] = [await json(files.config), await json(files.scheduler)];
  const weights: { name: string; bytes: Uint8Array }[] = [];
  for (const name of files.weights) weights.push({ name: name.split(sep).at(-1)!, bytes: await read(name) });
  return { network: readNetwork(config, weights), scheduler };
}

/** Windows as large as what the network was trained on, but not below the default. */
function tileOf({ configJson, config }: ImportedNetwork): number {
  const stride = config.patchSize * 2 ** (config.blockOutChannels.length - 1);
  const trained = typeof configJson.sample_size === 'number' ? configJson.sample_size : 0;
  return Math.ceil(Math.max(LEAST_TILE, trained) / stride) * stride;
}

interface Pictures {
  readonly calibration: readonly RgbImage[];
  /** For the bound. */
  readonly further: readonly RgbImage[];
  readonly kind: string;
}

/**
 * Where pictures come from, checked before long work: of a directory, or CIFAR-10's.
 * @returns reads them, cut to `most` pixels a side
 */
async function picturesOf(
  directory: string | undefined,
): Promise<(most: number, network: ImportedNetwork) => Promise<Pictures>> {
  if (directory !== undefined) {
    return async (most, { config }) => {
      const calibration = await readTrainingPictures([directory], most);
      const { strideOf } = await import('../model/config.js');
      return {
        calibration,
        further: ofOneSize(calibration.slice(0, BOUND_IMAGES), strideOf(config)),
        kind: 'pictures',
      };
    };
  }
  const { CIFAR10_IMAGE, CIFAR10_SIDE, openCifar10 } = await import('../data/cifar10.js');
  const { images } = await openCifar10('train').catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CodecError('file', `${reason}, or name a directory of training pictures with --calibrate`, { cause });
  });
  const at = (i: number): RgbImage => ({
    width: CIFAR10_SIDE,
    height: CIFAR10_SIDE,
    data: images.subarray(i * CIFAR10_IMAGE, (i + 1) * CIFAR10_IMAGE),
  });
  return async (_, { configJson }) => {
    if (Number(configJson.sample_size) > LEAST_TILE) {
      throw new CodecError(
        'usage',
        `--calibrate: expected a directory of training pictures for a network of ${configJson.sample_size} pixels a side; CIFAR-10 has 32`,
      );
    }
    return {
      calibration: Array.from({ length: CALIBRATION_IMAGES }, (_item, i) => at(i)),
      further: Array.from({ length: BOUND_IMAGES }, (_item, i) => at(CALIBRATION_IMAGES + i)),
      kind: 'training images of CIFAR-10',
    };
  };
}

/** The middles of pictures, as large as they all have; none if that is less than the network takes. */
function ofOneSize(images: readonly RgbImage[], stride: number): RgbImage[] {
  const least = Math.min(...images.flatMap(({ width, height }) => [width, height]));
  const side = least - (least % stride);
  return side === 0 ? [] : images.map((image) => cutMiddle(image, side));
}

async function measureOn(
  images: readonly RgbImage[],
  model: DiffusionModel,
  console: Console,
): Promise<Bound | undefined> {
  if (images.length === 0) return undefined;
  const { measureBound } = await import('../model/likelihood.js');
  const progress = console.progress('measuring the bound');
  try {
    return await measureBound(images, model, { onProgress: (fraction) => progress.update(fraction) });
  } finally {
    progress.stop();
  }
}

function formatBytes(bytes: number): string {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
