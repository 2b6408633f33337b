/**
 * Models on disk: a directory with `config.json` and `diffusion_pytorch_model.safetensors` as diffusers has them, and
 * `codec.json` with what the codec needs and diffusers does not.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Profile } from '../codec/format/plan.js';
import { COVARIANCE_SIZE, solvePredictors } from '../codec/lossless/residuals.js';
import type { ResidualStatistics } from '../codec/lossless/tail.js';
import { CodecError } from '../common/errors.js';
import type { Engine } from '../engine/engine.js';
import { parseConfig, strideOf, type UNetConfig } from '../model/config.js';
import { createDenoiser, type Denoiser, type NoisePredictor, type Tiling } from '../model/denoiser.js';
import {
  outputChannels,
  type Parameterization,
  PREDICTIONS,
  paperParameterization,
  VARIANCES,
} from '../model/parameterization.js';
import { type Pyramid, withPyramid } from '../model/pyramid.js';
import { readSafetensors, type Tensors } from '../model/safetensors.js';
import { createSchedule, paperSchedule, type Schedule, type ScheduleConfig } from '../model/schedule.js';
import { type Diffusion, parseSchedulerConfig } from '../model/scheduler-config.js';
import { createUNet } from '../model/unet.js';
import { listParameters, matchParameters } from '../model/unet-parameters.js';
import { exists } from './files.js';

export const CONFIG_FILE = 'config.json';
export const WEIGHTS_FILE = 'diffusion_pytorch_model.safetensors';
export const CODEC_FILE = 'codec.json';
export const SCHEDULER_FILE = 'scheduler_config.json';

/** Directory of the models that come with the package. */
const SHIPPED = fileURLToPath(new URL('../../models', import.meta.url));
/** Trained on photographs; what `auto` means where nothing is known of the picture, too. */
const PHOTO_MODEL = 'photo';
/** Trained on pictures of 32x32, for pictures about as small. */
const SMALL_MODEL = 'cifar10';
const SMALL_PIXELS = 64 * 64;

/** Name of the shipped model that `auto` means for a picture of this size: the one with the lower rates on such pictures. */
export function modelForSize({ width, height }: { readonly width: number; readonly height: number }): string {
  return width * height <= SMALL_PIXELS ? SMALL_MODEL : PHOTO_MODEL;
}

/** `codec.json`. All of it but `about` decides what files look like and is part of the model's id. */
export interface CodecConfig {
  readonly schedule: ScheduleConfig;
  readonly tiling: Tiling;
  readonly profile: Profile;
  /** What the network's output means; without it, the noise (`eps`). */
  readonly parameterization?: Parameterization;
  /** Without it pictures are denoised at their own size at all timesteps. */
  readonly pyramid?: Pyramid;
  /** What lossless tails start from; without it they are longer. */
  readonly residuals?: ResidualStatistics;
  /** For people: how the profile and the weights came about. */
  readonly about?: unknown;
}

/** A model without its network running. */
export interface ModelInfo {
  readonly name: string;
  readonly directory: string;
  /** Hex SHA-256 of the weights, the architecture, and what of codec.json decoding depends on. */
  readonly id: string;
  readonly config: UNetConfig;
  readonly schedule: Schedule;
  readonly scheduleConfig: ScheduleConfig;
  readonly tiling: Tiling;
  readonly profile: Profile;
  readonly residuals?: ResidualStatistics;
  readonly parameterization: Parameterization;
  readonly pyramid?: Pyramid;
  /** What `codec.json` says for people of how the model came about. */
  readonly about: unknown;
}

/** A model ready to code with. */
export interface Model extends ModelInfo {
  readonly network: NoisePredictor;
  readonly denoiser: Denoiser;
  dispose(): Promise<void>;
}

/** The models that come with the package, by name. */
export async function listModels(): Promise<ModelInfo[]> {
  const names = await modelNames();
  return Promise.all(names.map((name) => loadModelInfo(name)));
}

/**
 * Reads a model's files but for its network.
 * @param nameOrDirectory a shipped model's name, `auto` for the one that suits photographs, or a directory
 * @throws CodecError('model') when there is no such model or its files do not fit each other
 */
export async function loadModelInfo(nameOrDirectory: string): Promise<ModelInfo> {
  return (await loadFiles(nameOrDirectory)).info;
}

/** Opens a model on an engine. @throws as `loadModelInfo`, and when the weights do not fit the architecture */
export async function openModel(nameOrDirectory: string, engine: Engine): Promise<Model> {
  const { info, weights } = await loadFiles(nameOrDirectory);
  const { schedule, tiling, parameterization, pyramid } = info;
  const network = buildNetwork(info, weights);
  const denoiser = withPyramid(createDenoiser(engine, network, schedule, tiling, parameterization), schedule, pyramid);
  return { ...info, network, denoiser, dispose: () => denoiser.dispose() };
}

/**
 * A denoiser for a directory without a profile, to calibrate it.
 * @param given schedule and parameterisation; default those of an earlier `codec.json`, of `scheduler_config.json`, or the
 *   paper's
 * @returns also what an earlier `codec.json` says of the model
 * @throws CodecError('model') when its files do not fit each other
 */
export async function openUncalibrated(directory: string, engine: Engine, tiling: Tiling, given?: Diffusion) {
  const config = parseConfig(await readJson(directory, CONFIG_FILE));
  checkTiling(tiling, config);
  const earlier = ((await readJsonIfThere(directory, CODEC_FILE)) ?? {}) as Partial<CodecConfig>;
  const byDefault = given ?? diffusionOf(config, await readJsonIfThere(directory, SCHEDULER_FILE));
  const diffusion = given ?? {
    schedule: earlier.schedule ?? byDefault.schedule,
    parameterization: earlier.parameterization ?? byDefault.parameterization,
  };
  const { parameterization } = diffusion;
  checkParameterization(parameterization);
  const schedule = createSchedule(diffusion.schedule);
  const network = buildNetwork({ config, parameterization }, await readModelFile(directory, WEIGHTS_FILE));
  const denoiser = createDenoiser(engine, network, schedule, tiling, parameterization);
  return { schedule, network, denoiser, parameterization, diffusion, about: earlier.about };
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

async function readJsonIfThere(directory: string, file: string): Promise<unknown> {
  return (await exists(join(directory, file))) ? readJson(directory, file) : undefined;
}

/**
 * A model's architecture and weights alone, under today's names, to train it further.
 * @throws CodecError('model') as `loadModelInfo`, but for `codec.json`, which need not be there
 */
export async function loadWeights(nameOrDirectory: string): Promise<{
  name: string;
  directory: string;
  /** `config.json` as it is. */
  configJson: unknown;
  config: UNetConfig;
  tensors: Tensors;
  about: unknown;
}> {
  const directory = await resolveDirectory(nameOrDirectory);
  const configJson = await readJson(directory, CONFIG_FILE);
  const config = parseConfig(configJson);
  const { about } = ((await readJsonIfThere(directory, CODEC_FILE)) ?? {}) as Partial<CodecConfig>;
  const stored = readSafetensors(await readModelFile(directory, WEIGHTS_FILE));
  const tensors = matchParameters(listParameters(config), stored);
  return { name: basename(directory), directory, configJson, config, tensors, about };
}

/**
 * The shipped model, or the one in `extraDirectory`, whose id starts with these hex digits.
 * @throws CodecError('model') when there is none
 */
export async function findModel(idPrefix: string, extraDirectory?: string): Promise<ModelInfo> {
  const candidates = extraDirectory === undefined ? await listModels() : [await loadModelInfo(extraDirectory)];
  const found = candidates.find(({ id }) => id.startsWith(idPrefix));
  if (found) return found;
  const known = candidates.map(({ name, id }) => `${name} (${id.slice(0, 6)})`).join(', ');
  throw new CodecError('model', `the file needs model ${idPrefix}, at hand: ${known}; name its directory with --model`);
}

async function modelNames(): Promise<string[]> {
  const entries = await readdir(SHIPPED, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

async function resolveDirectory(nameOrDirectory: string): Promise<string> {
  const name = nameOrDirectory === 'auto' ? PHOTO_MODEL : nameOrDirectory;
  const names = await modelNames();
  if (names.includes(name)) return join(SHIPPED, name);
  const directory = resolve(name);
  const isDirectory = await readdir(directory).then(
    () => true,
    () => false,
  );
  if (isDirectory) return directory;
  throw new CodecError('model', `model: expected ${names.join(', ')} or a directory, got ${JSON.stringify(name)}`);
}

async function loadFiles(nameOrDirectory: string): Promise<{ info: ModelInfo; weights: Uint8Array }> {
  const directory = await resolveDirectory(nameOrDirectory);
  const config = parseConfig(await readJson(directory, CONFIG_FILE));
  const codec = parseCodecConfig(await readJson(directory, CODEC_FILE), config);
  const weights = await readModelFile(directory, WEIGHTS_FILE);
  const { schedule, tiling, profile, parameterization, pyramid, residuals, about } = codec;
  const id = createHash('sha256')
    .update(
      canonicalJson({
        config: architectureOf(config),
        schedule,
        tiling,
        profile,
        parameterization,
        pyramid,
        residuals,
      }),
    )
    .update(weights)
    .digest('hex');
  return {
    info: {
      name: basename(directory),
      directory,
      id,
      config,
      schedule: createSchedule(schedule),
      scheduleConfig: schedule,
      tiling,
      profile,
      ...(residuals && { residuals }),
      ...(pyramid && { pyramid }),
      parameterization: parameterization ?? paperParameterization,
      about,
    },
    weights,
  };
}

/** Without the keys that say nothing, so that models from before they were known keep their id. */
function architectureOf({ patchSize, timeScaleShift, ...architecture }: UNetConfig): object {
  return { ...architecture, ...(patchSize !== 1 && { patchSize }), ...(timeScaleShift && { timeScaleShift }) };
}

function buildNetwork(
  { config, parameterization }: Pick<ModelInfo, 'config' | 'parameterization'>,
  weights: Uint8Array,
) {
  checkChannels(config, parameterization);
  return createUNet(config, readSafetensors(weights));
}

/** Refuses networks of other things than colour images. */
function checkChannels({ inChannels, outChannels }: UNetConfig, { variance }: Parameterization): void {
  const out = outputChannels(variance, 3);
  if (inChannels !== 3 || outChannels !== out) {
    throw new CodecError(
      'model',
      `${CONFIG_FILE}: expected 3 channels in and, for variance ${variance}, ${out} out, got ${inChannels} and ${outChannels}`,
    );
  }
}

async function readModelFile(directory: string, file: string): Promise<Uint8Array> {
  return readFile(join(directory, file)).catch((cause: unknown) => {
    const hint = file === CODEC_FILE ? '; make it with ddpm-codec calibrate' : '';
    throw new CodecError('model', `model ${directory}: cannot read ${file}${hint}`, { cause });
  });
}

async function readJson(directory: string, file: string): Promise<unknown> {
  const text = Buffer.from(await readModelFile(directory, file)).toString('utf8');
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CodecError('model', `model ${directory}: ${file} is not JSON`, { cause });
  }
}

/** Checks `codec.json`. @throws CodecError('model') naming what is wrong */
export function parseCodecConfig(json: unknown, config: UNetConfig): CodecConfig {
  const { schedule, tiling, profile, parameterization, pyramid, residuals, about } = (json ??
    {}) as Partial<CodecConfig>;
  const wrong = (what: string) => new CodecError('model', `${CODEC_FILE}: ${what}`);
  if (!schedule || !tiling || !profile) throw wrong('expected schedule, tiling and profile');
  createSchedule(schedule);
  checkTiling(tiling, config);
  const curves = [profile.mean, ...(Array.isArray(profile.components) ? profile.components : [])];
  const isCurve = (curve: unknown) =>
    Array.isArray(curve) && curve.length === schedule.timesteps && curve.every(Number.isSafeInteger);
  if (curves.length !== 3 || !curves.every(isCurve)) {
    throw wrong(`profile: expected a mean and two components of ${schedule.timesteps} integers each`);
  }
  if (parameterization !== undefined) checkParameterization(parameterization);
  if (pyramid !== undefined) {
    const { halfFrom, leastSide } = pyramid;
    const isWithin = (value: number, most: number) => Number.isInteger(value) && value >= 2 && value <= most;
    if (!isWithin(halfFrom, schedule.timesteps) || !isWithin(leastSide, Number.MAX_SAFE_INTEGER)) {
      throw wrong(
        `pyramid: expected halfFrom, an integer from 2 to ${schedule.timesteps}, and leastSide, an integer from 2, got ${JSON.stringify(pyramid)}`,
      );
    }
  }
  if (residuals !== undefined && !areStatistics(residuals)) {
    throw wrong(`residuals: expected timesteps and for each a table of ${COVARIANCE_SIZE} covariances`);
  }
  return {
    schedule,
    tiling,
    profile,
    ...(parameterization && { parameterization }),
    ...(pyramid && { pyramid }),
    ...(residuals && { residuals }),
    about,
  };
}

/** Whether these are statistics that tails can be coded with. */
function areStatistics({ timesteps, covariances }: ResidualStatistics): boolean {
  const isTable = (table: unknown) =>
    Array.isArray(table) &&
    table.length === COVARIANCE_SIZE &&
    table.every(Number.isSafeInteger) &&
    solvePredictors(table) !== undefined;
  return (
    Array.isArray(timesteps) &&
    Array.isArray(covariances) &&
    timesteps.every((t) => Number.isInteger(t) && t > 0) &&
    covariances.length === timesteps.length &&
    covariances.every(isTable)
  );
}

/** Refuses a parameterisation that is not known. */
function checkParameterization({ prediction, variance }: Parameterization): void {
  const wrong = (what: string) => new CodecError('model', `${CODEC_FILE}: ${what}`);
  if (!PREDICTIONS.includes(prediction))
    throw wrong(`prediction: expected ${PREDICTIONS.join(', ')}, got ${prediction}`);
  if (!VARIANCES.includes(variance)) throw wrong(`variance: expected ${VARIANCES.join(', ')}, got ${variance}`);
}

/** Refuses a tiling that the network cannot take. */
function checkTiling({ tile, overlap }: Tiling, config: UNetConfig): void {
  if (!(Number.isInteger(tile) && tile > 0 && tile % strideOf(config) === 0)) {
    throw new CodecError('model', `tile: expected a multiple of ${strideOf(config)}, got ${tile}`);
  }
  if (!(Number.isInteger(overlap) && overlap >= 0 && 2 * overlap <= tile)) {
    throw new CodecError('model', `overlap: expected an integer from 0 to half a tile, got ${overlap}`);
  }
}

/** JSON with sorted keys, so that equal values give equal bytes. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}
