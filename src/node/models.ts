/**
 * Models on disk: a directory with `config.json` and `diffusion_pytorch_model.safetensors` as diffusers has them, and `codec.json`
 * with what the codec needs and diffusers does not. Those of packages and of the store have names.
 */
import { readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import {
  bandFile,
  checkBands,
  checkBandWeights,
  createBandedUNet,
  type ReadBand,
  type WeightsBand,
} from '../codec/bands.js';
import { type Header, MODEL_ID_DIGITS, readHeader, repairHeader } from '../codec/format/header.js';
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
import { DEFAULT_MODELS, modelForSize, PHOTO_MODEL } from '../codec/model-choice.js';
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
import { exists, isDirectory } from './files.js';
import { isIdPrefix, type ModelPlace, packagedModels, storedModels } from './model-places.js';
import { readRegularFile } from './read.js';

export {
  CODEC_FILE,
  CONFIG_FILE,
  type CodecConfig,
  DEFAULT_MODELS,
  type Model,
  modelForSize,
  PHOTO_MODEL,
  UPDATE_FILE,
  WEIGHTS_FILE,
};
export const SCHEDULER_FILE = 'scheduler_config.json';

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

/** A model that has a name, or why it cannot be read. */
export type NamedModel =
  | { readonly place: ModelPlace; readonly model: LoadedModel }
  | { readonly place: ModelPlace; readonly error: CodecError };

/** Models of packages, those that come with this one among them, then those of the store. */
export async function readNamedModels(): Promise<NamedModel[]> {
  const places = [...(await packagedModels()), ...(await storedModels())];
  return Promise.all(places.map(tryLoad));
}

/** What {@link readNamedModels} finds, as far as it can be read. */
export async function listModels(): Promise<ModelInfo[]> {
  return (await readNamedModels()).flatMap((one) => ('model' in one ? [one.model.info] : []));
}

async function tryLoad(place: Place): Promise<NamedModel> {
  try {
    return { place, model: await loadAt(place) };
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    return { place, error };
  }
}

/**
 * Reads a model's files.
 * @param nameOrDirectory name of a model that comes with the package, of another package or of the store; 6 or more digits that the id of one
 *   in the store begins with; or a directory
 * @throws CodecError('usage') when there is no such model or more than one, 'model' when its files are not what they should be
 */
export async function loadModel(nameOrDirectory: string): Promise<LoadedModel> {
  return loadAt(await placeOf(nameOrDirectory));
}

/** With the id that it has to have, where that is known. */
type Place = ModelPlace & { readonly id?: string };

async function loadAt({ name, directory, id }: Place): Promise<LoadedModel> {
  const model = await loadFrom(directory, name);
  if (id === undefined || model.info.id === id) return model;
  throw new CodecError(
    'model',
    `model ${directory}: expected the id ${id}, got ${model.info.id}; it was changed, remove it and add it again`,
  );
}

async function loadFrom(directory: string, name: string): Promise<LoadedModel> {
  const config = await readJson(directory, CONFIG_FILE);
  const codec = await readJson(directory, CODEC_FILE);
  const weights = await readModelFile(directory, WEIGHTS_FILE);
  const update = (await exists(join(directory, UPDATE_FILE))) && (await readModelFile(directory, UPDATE_FILE));
  const readBand = bandReader(directory);
  const files = { name, config, codec, weights, readBand, ...(update && { update }) };
  const info = { ...(await describeModel(files)), directory };
  return { info, open: (engine) => openDescribed(info, files, engine) };
}

/** What a model is. @throws CodecError('usage') when there is no such model, 'model' when its files are not what they should be */
export async function loadModelInfo(nameOrDirectory: string): Promise<ModelInfo> {
  return (await loadModel(nameOrDirectory)).info;
}

/**
 * Opens a model on an engine.
 * @throws CodecError('usage') when there is no such model, 'model' when its files are not what they should be or do not fit each other
 */
export async function openModel(nameOrDirectory: string, engine: Engine): Promise<Model> {
  checkEngine(engine);
  return (await loadModel(nameOrDirectory)).open(engine);
}

/**
 * Opens the model that a file was made with, or the default one for a picture.
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
 * The model that a file was made with: of a package, of the store, or the one named.
 * @throws CodecError('model') when there is none, or several whose ids begin alike
 */
export async function findModel({ modelId }: Pick<Header, 'modelId'>, nameOrDirectory?: string): Promise<LoadedModel> {
  checkText('modelId', modelId);
  const all =
    nameOrDirectory === undefined ? await modelsThatFit(modelId) : [await tryLoad(await placeOf(nameOrDirectory))];
  const read = all.flatMap((one) => ('model' in one ? [one.model] : []));
  const fitting = read.filter(({ info }) => info.id.startsWith(modelId));
  const found = fitting.filter(({ info }, i) => fitting.findIndex((other) => other.info.id === info.id) === i);
  if (found.length === 1) return found[0];
  if (found.length > 1) {
    const names = found.map(({ info }) => `${info.directory} (${info.id})`).join(' and ');
    throw new CodecError('model', `several models fit the file's id ${modelId}: ${names}; choose one with \`model\``);
  }
  // One that was asked for, or is the only one.
  if (nameOrDirectory !== undefined && 'error' in all[0]) throw all[0].error;
  const known = all.map((one) =>
    'model' in one ? idAndName(one.model.info) : `${one.place.name} (unreadable: ${one.error.message})`,
  );
  if (nameOrDirectory === undefined) known.push(...(await storedModels()).map(idAndName));
  throw new CodecError(
    'model',
    `the file needs model ${modelId}, at hand: ${known.join(', ') || 'none'}; put it into the store with "ddpm-codec model add", or name its directory as \`model\``,
  );
}

function idAndName({ name, id }: Pick<ModelInfo, 'name' | 'id'>): string {
  return `${name} (${id.slice(0, MODEL_ID_DIGITS)})`;
}

/** Models of packages, and those of the store whose ids begin so. */
async function modelsThatFit(modelId: string): Promise<NamedModel[]> {
  const stored = (await storedModels()).filter(({ id }) => id.startsWith(modelId));
  return Promise.all([...(await packagedModels()), ...stored].map(tryLoad));
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
  const { directory, name } = await placeOf(nameOrDirectory);
  const configJson = await readJson(directory, CONFIG_FILE);
  const config = parseConfig(configJson);
  const { about, bands = [] } = await readEarlier(directory);
  const weights = await readModelFile(directory, band ? bandFile(band) : WEIGHTS_FILE);
  if (band) await checkBandWeights(band, weights);
  const tensors = matchParameters(listParameters(config), readSafetensors(weights));
  return { name, directory, configJson, config, tensors, bands, about };
}

const BAND_FILE = /^band-\d+-\d+\.safetensors$/;

/** Whether a file of this name is of the very weights beside it, and of no others: the update's, and those of bands. */
export function isDependentFile(name: string): boolean {
  return name === UPDATE_FILE || BAND_FILE.test(name);
}

/** Names of a directory's files of which {@link isDependentFile} is true. */
export async function dependentFiles(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch(() => [] as string[]);
  return names.filter(isDependentFile).sort();
}

/** Where a model is that somebody names. A directory of the same name as a model is reached by `./name`. */
async function placeOf(text: string): Promise<Place> {
  checkText('model', text, 'a name or a directory');
  const packaged = await packagedModels();
  const stored = await storedModels();
  const [first] = packaged.filter(({ name }) => name === text);
  if (first) return first;
  const meant = stored.filter(({ name, id }) => name === text || (isIdPrefix(text) && id.startsWith(text)));
  if (meant.length === 1) return meant[0];
  if (meant.length > 1) {
    const ids = meant.map(({ id }) => id.slice(0, 12)).join(' or ');
    throw invalidArgument('`model`', `one of several in the store, ${ids}`, text);
  }
  const directory = resolve(text);
  if (await isDirectory(directory)) return { name: basename(directory), directory };
  const names = [...packaged, ...stored].map(({ name }) => name);
  throw invalidArgument('`model`', `${[...new Set(names)].join(', ')} or a directory`, text);
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
