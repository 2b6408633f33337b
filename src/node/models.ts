/**
 * Models on disk: a directory with `config.json` and `diffusion_pytorch_model.safetensors` as diffusers has them, and `codec.json`
 * with what the codec needs and diffusers does not. Some come with the package and have names.
 */
import { readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  bandFile,
  checkBands,
  checkBandWeights,
  createBandedUNet,
  type ReadBand,
  type WeightsBand,
} from '../codec/bands.js';
import { type Header, readHeader, repairHeader } from '../codec/format/header.js';
import {
  CODEC_FILE,
  CONFIG_FILE,
  type CodecConfig,
  checkParameterization,
  checkTiling,
  describeModel,
  type Model,
  type ModelDescription,
  openDescribed,
  parseEarlier,
  UPDATE_FILE,
  WEIGHTS_FILE,
} from '../codec/model.js';
import { modelForSize, PHOTO_MODEL } from '../codec/model-choice.js';
import { checkText } from '../common/arguments.js';
import { CodecError, invalidArgument } from '../common/errors.js';
import { isObject, parseJson } from '../common/foreign.js';
import { checkEngine, type Engine } from '../engine/engine.js';
import type { Size } from '../image/image.js';
import { type Band, wholeRange } from '../model/bands.js';
import { parseConfig, type UNetConfig } from '../model/config.js';
import { createDenoiser } from '../model/denoiser.js';
import { tryNetwork } from '../model/network.js';
import { checkChannels, paperParameterization } from '../model/parameterization.js';
import { readSafetensors, type Tensors } from '../model/safetensors.js';
import { createSchedule, paperSchedule } from '../model/schedule.js';
import { type Diffusion, parseSchedulerConfig } from '../model/scheduler-config.js';
import { listParameters, matchParameters } from '../model/unet-parameters.js';
import type { Tiling } from '../model/windows.js';
import { exists } from './files.js';
import { readRegularFile } from './read.js';

export { CODEC_FILE, CONFIG_FILE, type CodecConfig, type Model, modelForSize, PHOTO_MODEL, UPDATE_FILE, WEIGHTS_FILE };
export const SCHEDULER_FILE = 'scheduler_config.json';

/** Directory of the models that come with the package. */
const SHIPPED = fileURLToPath(new URL('../../models', import.meta.url));
/** A model on disk, without its network running. */
export interface ModelInfo extends ModelDescription {
  readonly directory: string;
}

/** A model whose files have been read and hashed, once for all that is done with it. */
export interface LoadedModel {
  readonly info: ModelInfo;
  /** @throws CodecError('model') when the weights do not fit the architecture, or the network gives something else than finite numbers */
  open(engine: Engine): Promise<Model>;
}

/** The models that come with the package, by name. */
export async function listModels(): Promise<ModelInfo[]> {
  const names = await modelNames();
  return Promise.all(names.map((name) => loadModelInfo(name)));
}

/**
 * Reads a model's files.
 * @param nameOrDirectory a shipped model's name or a directory
 * @throws CodecError('usage') when there is no such model, 'model' when its files are not what they should be
 */
export async function loadModel(nameOrDirectory: string): Promise<LoadedModel> {
  const directory = await resolveDirectory(nameOrDirectory);
  const config = await readJson(directory, CONFIG_FILE);
  const codec = await readJson(directory, CODEC_FILE);
  const weights = await readModelFile(directory, WEIGHTS_FILE);
  const update = (await exists(join(directory, UPDATE_FILE))) && (await readModelFile(directory, UPDATE_FILE));
  const readBand = bandReader(directory);
  const files = { name: basename(directory), config, codec, weights, readBand, ...(update && { update }) };
  const info = { ...(await describeModel(files)), directory };
  return { info, open: (engine) => openDescribed(info, files, engine) };
}

/** What a model is. @throws as {@link loadModel} */
export async function loadModelInfo(nameOrDirectory: string): Promise<ModelInfo> {
  return (await loadModel(nameOrDirectory)).info;
}

/** Opens a model on an engine. @throws as {@link loadModel}, and when the weights do not fit the architecture */
export async function openModel(nameOrDirectory: string, engine: Engine): Promise<Model> {
  checkEngine(engine);
  return (await loadModel(nameOrDirectory)).open(engine);
}

/**
 * Opens the model that a file was made with, or the shipped one for a picture.
 * @param what a `.ddc` file, or at least its header, of which one bit may be flipped; or a picture's size
 * @param nameOrDirectory for a file: the only model to look at
 * @throws CodecError('model') when it is not at hand; 'format' for a damaged header
 */
export async function openModelFor(what: Uint8Array | Size, engine: Engine, nameOrDirectory?: string): Promise<Model> {
  checkEngine(engine);
  if (!(what instanceof Uint8Array)) return openModel(nameOrDirectory ?? modelForSize(what), engine);
  return (await findModel(readHeader(repairHeader(what)).header, nameOrDirectory)).open(engine);
}

/**
 * The shipped model that a file was made with, or the one named.
 * @param header of the file; by the picture's size it is known where to look first
 * @throws CodecError('model') when there is none
 */
export async function findModel(
  header: Pick<Header, 'modelId' | 'width' | 'height'>,
  nameOrDirectory?: string,
): Promise<LoadedModel> {
  const likely = modelForSize(header);
  const { modelId } = header;
  checkText('modelId', modelId);
  const shipped = await modelNames();
  const names =
    nameOrDirectory === undefined
      ? new Set([likely, ...shipped].filter((name) => shipped.includes(name)))
      : [nameOrDirectory];
  const known: string[] = [];
  for (const name of names) {
    const model = await loadModel(name);
    if (model.info.id.startsWith(modelId)) return model;
    known.push(`${model.info.name} (${model.info.id.slice(0, 6)})`);
  }
  throw new CodecError(
    'model',
    `the file needs model ${modelId}, at hand: ${known.join(', ')}; name its directory as \`model\``,
  );
}

/**
 * A denoiser for a directory without a profile, to calibrate it.
 * @param given schedule and parameterisation of a network that is new there; default those of an earlier `codec.json`, with its bands, of
 *   `scheduler_config.json`, or the paper's
 * @returns also what an earlier `codec.json` says of the model
 * @throws CodecError('model') when its files do not fit each other
 */
export async function openUncalibrated(directory: string, engine: Engine, tiling: Tiling, given?: Diffusion) {
  const config = parseConfig(await readJson(directory, CONFIG_FILE));
  checkTiling(tiling, config);
  const earlier = await readEarlier(directory);
  const byDefault = given ?? diffusionOf(config, await readJsonIfThere(directory, SCHEDULER_FILE));
  const diffusion = given ?? {
    schedule: earlier.schedule ?? byDefault.schedule,
    parameterization: earlier.parameterization ?? byDefault.parameterization,
  };
  const { parameterization } = diffusion;
  checkParameterization(parameterization);
  checkChannels(config, parameterization);
  const schedule = createSchedule(diffusion.schedule);
  const bands = given ? undefined : earlier.bands;
  if (bands) checkBands(bands, schedule.timesteps);
  const weights = await readModelFile(directory, WEIGHTS_FILE);
  const network = createBandedUNet(engine, config, weights, bands, bandReader(directory));
  await tryNetwork(engine, network, wholeRange(schedule));
  const denoiser = createDenoiser(engine, network, schedule, tiling, parameterization);
  return {
    engine,
    schedule,
    network,
    denoiser,
    parameterization,
    diffusion,
    ...(bands && { bands }),
    about: isObject(earlier.about) ? earlier.about : {},
  };
}

/**
 * Schedule and parameterisation of a network.
 * @param scheduler parsed `scheduler_config.json`; without one it is taken for the paper's, or one with a learned variance
 * @throws CodecError('model') when it is not one of images, or its channels do not fit
 */
export function diffusionOf(config: UNetConfig, scheduler: unknown): Diffusion {
  const learned = config.outChannels === 2 * config.inChannels;
  const byDefault: Diffusion = {
    schedule: paperSchedule,
    parameterization: learned ? { ...paperParameterization, variance: 'learned' } : paperParameterization,
  };
  const diffusion = scheduler === undefined ? byDefault : parseSchedulerConfig(scheduler);
  checkChannels(config, diffusion.parameterization);
  return diffusion;
}

/** A model's architecture and weights alone. */
export interface ModelWeights {
  readonly name: string;
  readonly directory: string;
  /** `config.json` as it is. */
  readonly configJson: unknown;
  readonly config: UNetConfig;
  /** Under today's names. */
  readonly tensors: Tensors;
  /** Bands that have other weights. */
  readonly bands: readonly Band[];
  /** What `codec.json` says for people, where there is one. */
  readonly about: unknown;
}

/**
 * A model's architecture and weights, to train it further.
 * @param band one of the model's, whose weights are meant
 * @throws CodecError('model') as {@link loadModel}, but for `codec.json`, which need not be there
 */
export async function loadWeights(nameOrDirectory: string, band?: WeightsBand): Promise<ModelWeights> {
  const directory = await resolveDirectory(nameOrDirectory);
  const configJson = await readJson(directory, CONFIG_FILE);
  const config = parseConfig(configJson);
  const { about, bands = [] } = await readEarlier(directory);
  const weights = await readModelFile(directory, band ? bandFile(band) : WEIGHTS_FILE);
  if (band) await checkBandWeights(band, weights);
  const tensors = matchParameters(listParameters(config), readSafetensors(weights));
  return { name: basename(directory), directory, configJson, config, tensors, bands, about };
}

const BAND_FILE = /^band-\d+-\d+\.safetensors$/;

/** Names of a directory's files that are of the very weights beside them, and of no others: the update's, and those of bands. */
export async function dependentFiles(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch(() => [] as string[]);
  return names.filter((name) => name === UPDATE_FILE || BAND_FILE.test(name)).sort();
}

async function modelNames(): Promise<string[]> {
  const entries = await readdir(SHIPPED, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

async function resolveDirectory(nameOrDirectory: string): Promise<string> {
  checkText('model', nameOrDirectory, 'a name or a directory');
  const names = await modelNames();
  if (names.includes(nameOrDirectory)) return join(SHIPPED, nameOrDirectory);
  const directory = resolve(nameOrDirectory);
  const isDirectory = await readdir(directory).then(
    () => true,
    () => false,
  );
  if (isDirectory) return directory;
  throw invalidArgument('`model`', `${names.join(', ')} or a directory`, nameOrDirectory);
}

async function readModelFile(directory: string, file: string): Promise<Uint8Array> {
  const path = join(directory, file);
  return readRegularFile(path, file.endsWith('.safetensors') ? {} : { largest: LARGEST_MODEL_JSON }).catch(
    (cause: unknown) => {
      if (!(cause instanceof CodecError)) throw cause;
      const hint = file === CODEC_FILE ? '; make it with ddpm-codec calibrate' : '';
      const reason = cause.message.slice(`${path}: `.length);
      throw new CodecError('model', `model ${directory}: cannot read ${file}: ${reason}${hint}`, { cause });
    },
  );
}

function bandReader(directory: string): ReadBand {
  return (band) => readModelFile(directory, bandFile(band));
}

/** Those of the shipped models have 16 kB, one of ten thousand timesteps has 200. */
export const LARGEST_MODEL_JSON = 4 * 2 ** 20;

async function readJson(directory: string, file: string): Promise<unknown> {
  return parseJson(`model ${directory}: ${file}`, await readModelFile(directory, file));
}

/** Of a directory that is to be calibrated or trained further, and need not have been calibrated before. */
async function readEarlier(directory: string): Promise<ReturnType<typeof parseEarlier>> {
  return parseEarlier((await readJsonIfThere(directory, CODEC_FILE)) ?? {});
}

async function readJsonIfThere(directory: string, file: string): Promise<unknown> {
  return (await exists(join(directory, file))) ? readJson(directory, file) : undefined;
}
