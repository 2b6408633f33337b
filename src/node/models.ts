/**
 * Models on disk: a directory with `config.json` and `diffusion_pytorch_model.safetensors` as in diffusers, and
 * `codec.json` with what the codec needs and diffusers does not. Models of packages and of the store have names.
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
import { type Header, readHeader, repairHeader } from '../codec/format/header.js';
import { modelInWords, nameAndId, releasedName } from '../codec/format/released-models.js';
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
import { checkObject, checkText } from '../common/arguments.js';
import { hexSha256 } from '../common/bytes.js';
import { CodecError, invalidArgument } from '../common/errors.js';
import { isObject, parseJson } from '../common/foreign.js';
import { checkEngine, type Engine } from '../engine/engine.js';
import type { Size } from '../image/image.js';
import { type Band, isSameBand, wholeRange } from '../model/bands.js';
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
import { MODEL_PACKAGE, type ModelPlace, packagedModels, storedModels, storedModelsNamed } from './model-places.js';
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

/** A model on disk, without a running network. */
export interface ModelInfo extends ModelDescription {
  readonly directory: string;
}

/** A model whose files have been read and hashed once, for all further use. */
export interface LoadedModel {
  readonly info: ModelInfo;
  /** @throws CodecError('model') when the weights do not fit the architecture, or the network's output is not finite */
  open(engine: Engine): Promise<Model>;
}

/** A model with a name, or the reason why it cannot be read. */
export type NamedModel =
  | { readonly place: ModelPlace; readonly model: LoadedModel }
  | { readonly place: ModelPlace; readonly error: CodecError };

/** Models of packages, including those that come with this one, then those of the store. */
export async function readNamedModels(): Promise<NamedModel[]> {
  return Promise.all((await namedPlaces()).map(tryLoad));
}

async function namedPlaces(): Promise<ModelPlace[]> {
  return [...(await packagedModels()), ...(await storedModels())];
}

/** All models of packages, those that come with this one among them, and of the store, except those that cannot be read. */
export async function listModels(): Promise<ModelInfo[]> {
  return (await readNamedModels()).flatMap((one) => ('model' in one ? [one.model.info] : []));
}

async function tryLoad(place: ModelPlace): Promise<NamedModel> {
  try {
    return { place, model: await loadAt(place) };
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    return { place, error };
  }
}

/**
 * Reads a model's files.
 * @param nameOrDirectory name of a model that comes with this package, in another package or in the store; the first 6
 *   or more digits of the id of one in the store; or a directory
 * @throws CodecError('usage') when there is no such model or more than one, 'model' when its files are invalid
 */
export async function loadModel(nameOrDirectory: string): Promise<LoadedModel> {
  return loadAt(await placeOf(nameOrDirectory));
}

async function loadAt({ name, directory, id }: ModelPlace): Promise<LoadedModel> {
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

/** Describes a model. @throws CodecError('usage') when there is no such model, 'model' when its files are invalid */
export async function loadModelInfo(nameOrDirectory: string): Promise<ModelInfo> {
  return (await loadModel(nameOrDirectory)).info;
}

/**
 * Opens a model on an engine.
 * @throws CodecError('usage') when there is no such model, 'model' when its files are invalid or do not fit each other
 */
export async function openModel(nameOrDirectory: string, engine: Engine): Promise<Model> {
  checkEngine(engine);
  return (await loadModel(nameOrDirectory)).open(engine);
}

/**
 * Opens the model that a file was made with, or the default one for a picture.
 * @param what a `.ddc` file, or at least its header, in which one bit may be flipped; or a picture's size
 * @param nameOrDirectory for a file: the only model to consider
 * @throws CodecError('model') when it is not available; 'format' for a damaged header
 */
export async function openModelFor(what: Uint8Array | Size, engine: Engine, nameOrDirectory?: string): Promise<Model> {
  checkEngine(engine);
  if (!(what instanceof Uint8Array)) return openModel(nameOrDirectory ?? modelForSize(what), engine);
  return (await findModel(readHeader(repairHeader(what)).header, nameOrDirectory)).open(engine);
}

/**
 * The model that a file was made with: from a package, from the store, or the named one.
 * @throws CodecError('model') when there is none, or several whose ids begin alike
 */
export async function findModel(header: Pick<Header, 'modelId'>, nameOrDirectory?: string): Promise<LoadedModel> {
  checkObject('header', header);
  const { modelId } = header;
  checkText('modelId', modelId);
  const places = nameOrDirectory === undefined ? await namedPlaces() : [await placeOf(nameOrDirectory)];
  // The others are known not to fit without being read.
  const mayFit = ({ id }: ModelPlace) => id === undefined || id.startsWith(modelId);
  const all = await Promise.all(places.filter(mayFit).map(tryLoad));
  const read = all.flatMap((one) => ('model' in one ? [one.model] : []));
  const fitting = read.filter(({ info }) => info.id.startsWith(modelId));
  const found = fitting.filter(({ info }, i) => fitting.findIndex((other) => other.info.id === info.id) === i);
  if (found.length === 1) return found[0];
  if (found.length > 1) {
    const names = found.map(({ info }) => `${info.directory} (${info.id})`).join(' and ');
    throw new CodecError('model', `several models fit the file's id ${modelId}: ${names}; choose one with \`model\``);
  }
  // The error of the named model.
  const [first] = all;
  if (nameOrDirectory !== undefined && first && 'error' in first) throw first.error;
  const known = all.map((one) =>
    'model' in one
      ? nameAndId(one.model.info.name, one.model.info.id)
      : `${one.place.name} (unreadable: ${one.error.message})`,
  );
  known.push(...places.filter((place) => !mayFit(place)).map(({ name, id = '' }) => nameAndId(name, id)));
  const released = releasedName(modelId);
  const add = released === undefined ? 'model add' : `model add ${MODEL_PACKAGE}${released} --id ${modelId}`;
  throw new CodecError(
    'model',
    `the file needs model ${modelInWords(modelId)}, at hand: ${known.join(', ') || 'none'}; put it into the store with "ddpm-codec ${add}", or name its directory as \`model\``,
  );
}

/**
 * Opens a denoiser for a directory without a profile, to calibrate it.
 * @param given schedule and parameterisation of a newly imported network, which has no bands; by default those of an
 *   earlier `codec.json`, those of `scheduler_config.json`, or the paper's
 * @returns also the information about the model in an earlier `codec.json`
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
  const bands = given ? undefined : await bandsOf(directory, earlier.bands);
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
 * @param scheduler parsed `scheduler_config.json`; without one the network is taken for the paper's, or for one with a
 *   learned variance
 * @throws CodecError('model') when it is not a network for images, or its channels do not fit
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

/** A model's architecture and weights only. */
export interface ModelWeights {
  readonly name: string;
  readonly directory: string;
  /** `config.json`, unchanged. */
  readonly configJson: unknown;
  readonly config: UNetConfig;
  /** Under current names. */
  readonly tensors: Tensors;
  /** Bands with separate weights. */
  readonly bands: readonly Band[];
  /** The part of `codec.json` for people, if there is one. */
  readonly about: unknown;
}

/**
 * A model's architecture and weights, to train it further.
 * @param band of the model, whose weights to read
 * @throws CodecError('model') as {@link loadModel}, except that `codec.json` need not exist
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

const BAND_FILE = /^band-(\d+)-(\d+)\.safetensors$/;

/**
 * The bands of a directory: those that an earlier `codec.json` names, with the hashes that it has, and others whose
 * weights lie there.
 */
async function bandsOf(directory: string, named: readonly WeightsBand[] = []): Promise<WeightsBand[] | undefined> {
  const found = (await dependentFiles(directory)).flatMap((name) => {
    const [, least, most] = (BAND_FILE.exec(name) ?? []).map(Number);
    return least === undefined ? [] : [{ least, most }];
  });
  const others = found.filter((band) => !named.some((other) => isSameBand(band, other)));
  const hashed = others.map(async (band) => ({ ...band, sha256: await hexSha256(await bandReader(directory)(band)) }));
  const bands = [...named, ...(await Promise.all(hashed))].sort((a, b) => a.least - b.least);
  return bands.length > 0 ? bands : undefined;
}

/** Whether a file of this name depends on the exact weights beside it: an update, or weights of a band. */
export function isDependentFile(name: string): boolean {
  return name === UPDATE_FILE || BAND_FILE.test(name);
}

/** Names of a directory's files for which {@link isDependentFile} is true. */
export async function dependentFiles(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch(() => [] as string[]);
  return names.filter(isDependentFile).sort();
}

/** Finds a model by the user's text. `./name` selects a directory that has the same name as a model. */
async function placeOf(text: string): Promise<ModelPlace> {
  checkText('model', text, 'a name or a directory');
  const first = (await packagedModels()).find(({ name }) => name === text);
  if (first) return first;
  const meant = await storedModelsNamed(text);
  if (meant.length === 1) return meant[0];
  if (meant.length > 1) {
    const ids = meant.map(({ id }) => id.slice(0, 12)).join(' or ');
    throw invalidArgument('`model`', `one of several in the store, ${ids}`, text);
  }
  const directory = resolve(text);
  if (await isDirectory(directory)) return { name: basename(directory), directory };
  const names = (await namedPlaces()).map(({ name }) => name);
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

/**
 * Maximum size of a model's JSON file. Those of the shipped models have 16 kB, one with ten thousand timesteps has 200.
 */
export const LARGEST_MODEL_JSON = 4 * 2 ** 20;

async function readJson(directory: string, file: string): Promise<unknown> {
  return parseJson(`model ${directory}: ${file}`, await readModelFile(directory, file));
}

/** Reads `codec.json` of a directory to calibrate or train further; it may not have been calibrated before. */
export async function readEarlier(directory: string): Promise<ReturnType<typeof parseEarlier>> {
  return parseEarlier((await readJsonIfThere(directory, CODEC_FILE)) ?? {});
}

async function readJsonIfThere(directory: string, file: string): Promise<unknown> {
  return (await exists(join(directory, file))) ? readJson(directory, file) : undefined;
}
