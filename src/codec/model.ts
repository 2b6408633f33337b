/**
 * A model for coding: a diffusion model with the additional data of the codec. It is made from the contents of its
 * files, wherever these come from.
 */
import {
  array,
  check,
  custom,
  exactOptional,
  lazy,
  looseObject,
  maxLength,
  nullable,
  nullish,
  number,
  optional,
  pipe,
  strictTuple,
  string,
  unknown,
} from 'valibot';
import { checkArgument, checkBytes, checkMade, checkObject, checkText } from '../common/arguments.js';
import { concat, hexSha256 } from '../common/bytes.js';
import { checked, integerFrom, isObject, numberFrom, objectOf, oneOf } from '../common/foreign.js';
import { checkEngine, type Engine } from '../engine/engine.js';
import { wholeRange } from '../model/bands.js';
import { parseConfig, strideOf, type UNetConfig } from '../model/config.js';
import { createDenoiser, type Denoiser } from '../model/denoiser.js';
import { type DiffusionModel, WHERE_FROM } from '../model/diffusion-model.js';
import { tryNetwork } from '../model/network.js';
import {
  checkChannels,
  type Parameterization,
  PREDICTIONS,
  paperParameterization,
  VARIANCES,
} from '../model/parameterization.js';
import { type Pyramid, SHARE_COUNT, withPyramid } from '../model/pyramid.js';
import { readSafetensors } from '../model/safetensors.js';
import {
  BETA_SCHEDULES,
  createSchedule,
  MAX_TIMESTEPS,
  type Schedule,
  type ScheduleConfig,
} from '../model/schedule.js';
import { SYMMETRIES, type Symmetry } from '../model/symmetry.js';
import { withUpdate } from '../model/unet.js';
import { createUpdate, type UpdateShape } from '../model/update.js';
import { MOST_TILE, type Tiling } from '../model/windows.js';
import { bandsWithin, createBandedUNet, type ReadBand, type WeightsBand } from './bands.js';
import { checkLayoutModel, type LayoutModel } from './format/layout.js';
import type { Profile } from './format/plan.js';
import { COVARIANCE_SIZE, type Covariances, type ResidualStatistics, solvePredictors } from './lossless/residuals.js';
import { meanErrors } from './mean-errors.js';

/** Names of a model's files: those of diffusers, ... */
export const CONFIG_FILE = 'config.json';
export const WEIGHTS_FILE = 'diffusion_pytorch_model.safetensors';
/** ... the weights beside the network, ... */
export const UPDATE_FILE = 'update.safetensors';
/** ... and the codec's own file. For the weights of bands see {@link bandFile}. */
export const CODEC_FILE = 'codec.json';

/** The parts of a model that the codec needs. */
export interface CodecModel extends LayoutModel {
  readonly denoiser: Denoiser;
}

/** @throws CodecError('usage') for an object that is not a model for coding */
export function checkCodecModel(model: unknown): asserts model is CodecModel {
  checkLayoutModel(model);
  const { denoiser } = model as Partial<CodecModel>;
  checkMade('model', denoiser, WHERE_FROM, { predictX0: 'function', precision: 'string' });
}

/** `codec.json`. Everything except `about` affects files and is part of the model's id. */
export interface CodecConfig {
  readonly schedule: ScheduleConfig;
  readonly tiling: Tiling;
  readonly profile: Profile;
  /** What the network's output means; default: the noise (`eps`). */
  readonly parameterization?: Parameterization;
  /** Without a pyramid, pictures are denoised at their own size at all timesteps. */
  readonly pyramid?: Pyramid;
  /** What may be done to a picture without the network being worse at it; the picture shown is then a mean of two estimates. */
  readonly symmetry?: Symmetry;
  /** Statistics that lossless tails start from; without them tails are longer. */
  readonly residuals?: ResidualStatistics;
  /** Noise bands with their own weights, ascending; all other timesteps use the model's weights. */
  readonly bands?: readonly WeightsBand[];
  /** For people: the origin of the profile and the weights. */
  readonly about?: unknown;
}

/** The contents of a model's files. */
export interface ModelFiles {
  /** For people. */
  readonly name: string;
  /** `config.json`, parsed: the network's architecture in diffusers' form. */
  readonly config: unknown;
  /** `codec.json`, parsed. */
  readonly codec: unknown;
  /** `diffusion_pytorch_model.safetensors`. */
  readonly weights: Uint8Array;
  /** `update.safetensors`, where there is one. */
  readonly update?: Uint8Array;
  /** Reads the weights of a band that `codec.json` names ({@link bandFile}). Called when they are first needed, if ever. */
  readonly readBand?: ReadBand;
}

/** A description of a model, without a running network. */
export interface ModelDescription {
  readonly name: string;
  /** Hex SHA-256 of the weights, the update's weights, the architecture, and the parts of codec.json that decoding depends on. */
  readonly id: string;
  readonly config: UNetConfig;
  readonly schedule: Schedule;
  readonly scheduleConfig: ScheduleConfig;
  readonly tiling: Tiling;
  readonly profile: Profile;
  readonly residuals?: ResidualStatistics;
  readonly parameterization: Parameterization;
  readonly pyramid?: Pyramid;
  readonly symmetry?: Symmetry;
  /** Whether the model has an update. */
  readonly updates?: boolean;
  readonly bands?: readonly WeightsBand[];
  /** Remarks in `codec.json` for people on the model's origin. */
  readonly about: unknown;
}

/** A model ready to code with, to sample from and to measure. */
export interface Model extends ModelDescription, DiffusionModel, CodecModel {
  readonly denoiser: Denoiser;
  /** Widths of its update, where it has one. */
  readonly updateShape?: UpdateShape;
  /** Frees the network's resources on the engine. If the model is used again, they are made anew. */
  dispose(): Promise<void>;
}

/**
 * Reads and hashes a model's files.
 * @throws CodecError('model') when they are invalid
 */
export async function describeModel({ name, config, codec, weights, update }: ModelFiles): Promise<ModelDescription> {
  const architecture = parseConfig(config);
  const { about, ...decisive } = parseCodecConfig(codec, architecture);
  const { schedule, tiling, profile, parameterization, pyramid, symmetry, residuals, bands } = decisive;
  return {
    name,
    id: await idOf(canonicalJson({ config: withoutDefaults(architecture), ...decisive }), weights, update),
    config: architecture,
    schedule: createSchedule(schedule),
    scheduleConfig: schedule,
    tiling,
    profile,
    ...(residuals && { residuals }),
    ...(pyramid && { pyramid }),
    ...(symmetry && { symmetry }),
    ...(update && { updates: true }),
    ...(bands && { bands }),
    parameterization: parameterization ?? paperParameterization,
    about,
  };
}

/**
 * Opens a model on an engine.
 * @param description of {@link describeModel}, for the same files
 * @throws CodecError('model') when the weights do not fit the architecture, or the network gives numbers that are not
 *   finite
 */
export async function openDescribed(
  description: ModelDescription,
  { weights, update, readBand }: Pick<ModelFiles, 'weights' | 'update' | 'readBand'>,
  engine: Engine,
): Promise<Model> {
  const { config, schedule, tiling, profile, parameterization, pyramid, bands } = description;
  checkChannels(config, parameterization);
  const network = createBandedUNet(engine, config, weights, bands, readBand);
  await tryNetwork(engine, network, wholeRange(schedule));
  const updating = update && createUpdate(readSafetensors(update), network.featureChannels);
  const updated = updating && withUpdate(network, updating);
  const alone = createDenoiser(engine, network, schedule, tiling, parameterization, updated);
  const denoiser = withPyramid(alone, schedule, pyramid);
  return {
    ...description,
    ...(updating && { updateShape: updating.shape }),
    engine,
    network,
    denoiser,
    expectedErrors: meanErrors(profile),
    dispose: () => denoiser.dispose(),
  };
}

/**
 * Opens a model from the contents of its files.
 * @param files their weights must not be changed as long as the model is used
 * @throws CodecError('model') when the files are invalid or do not fit each other; 'usage' for other invalid arguments
 */
export async function createModel(files: ModelFiles, engine: Engine): Promise<Model> {
  checkObject('files', files);
  checkText('name', files.name);
  checkBytes('weights', files.weights);
  if (files.update !== undefined) checkBytes('update', files.update);
  if (files.readBand !== undefined) checkArgument('readBand', { type: 'function' }, files.readBand);
  checkEngine(engine);
  return openDescribed(await describeModel(files), files, engine);
}

/**
 * Checks `codec.json`.
 * @throws CodecError('model') naming the path of the first error
 */
export function parseCodecConfig(json: unknown, config: UNetConfig): CodecConfig {
  const { schedule } = checked(objectOf({ schedule: SCHEDULE }), json, CODEC_FILE);
  createSchedule(schedule);
  const { about, tiling, profile, parameterization, pyramid, symmetry, residuals, bands } = checked(
    objectOf({ ...remarks, ...partsOf(schedule.timesteps, config) }),
    json,
    CODEC_FILE,
  );
  return {
    schedule,
    tiling,
    profile,
    ...(parameterization && { parameterization }),
    ...(pyramid && { pyramid }),
    ...(symmetry && { symmetry }),
    ...(residuals && { residuals }),
    ...(bands && { bands }),
    about,
  };
}

/**
 * The parts of an earlier `codec.json` that are kept when a model is calibrated anew.
 * @throws CodecError('model') as {@link parseCodecConfig}
 */
export function parseEarlier(
  json: unknown,
): Partial<Pick<CodecConfig, 'schedule' | 'tiling' | 'parameterization' | 'bands' | 'about'>> {
  const known = {
    schedule: exactOptional(SCHEDULE),
    tiling: exactOptional(objectOf({ tile: integerFrom(1), overlap: integerFrom(0) })),
    parameterization: exactOptional(PARAMETERIZATION),
  };
  return checked(
    objectOf({ ...remarks, ...known, bands: exactOptional(bandsWithin(MAX_TIMESTEPS)) }),
    json,
    CODEC_FILE,
  );
}

/**
 * Refuses an unknown parameterisation.
 * @throws CodecError('model')
 */
export function checkParameterization(parameterization: Parameterization): void {
  checked(PARAMETERIZATION, parameterization, 'parameterization');
}

/** Refuses a tiling that the network cannot take. @throws CodecError('model') */
export function checkTiling(tiling: Tiling, config: UNetConfig): void {
  checked(tilingOf(config), tiling, 'tiling');
}

const SCHEDULE = objectOf({
  betaSchedule: oneOf(BETA_SCHEDULES),
  timesteps: integerFrom(2, MAX_TIMESTEPS),
  betaStart: number(),
  betaEnd: number(),
});

const PARAMETERIZATION = objectOf({ prediction: oneOf(PREDICTIONS), variance: oneOf(VARIANCES) });

function tilingOf(config: UNetConfig) {
  const stride = strideOf(config);
  const isTile = (value: number) => Number.isInteger(value) && value > 0 && value <= MOST_TILE && value % stride === 0;
  return pipe(
    objectOf({
      tile: pipe(number(), check(isTile, `a multiple of ${stride} up to ${MOST_TILE}`)),
      overlap: integerFrom(0),
    }),
    check(({ tile, overlap }) => 2 * overlap <= tile, 'an overlap of at most half a tile'),
  );
}

/** The schemas that depend on T and on the network. */
function partsOf(timesteps: number, config: UNetConfig) {
  const curve = custom<number[]>(
    (value) => Array.isArray(value) && value.length === timesteps && value.every(Number.isSafeInteger),
    `${timesteps} integers`,
  );
  return {
    tiling: tilingOf(config),
    profile: objectOf({ mean: curve, components: strictTuple([curve, curve], 'two components') }),
    parameterization: optional(PARAMETERIZATION),
    pyramid: optional(
      objectOf({ halfFrom: integerFrom(2, timesteps), leastSide: integerFrom(2), shares: exactOptional(SHARES) }),
    ),
    symmetry: optional(oneOf(SYMMETRIES)),
    residuals: optional(RESIDUALS),
    bands: optional(bandsWithin(timesteps)),
  };
}

/** Shares of the estimates from a quarter of the size; linear between their timesteps. */
const SHARES = pipe(
  objectOf({
    timesteps: custom<number[]>(isAscending, 'timesteps, each above the one before'),
    parts: custom<number[][]>(isShares, `lists of ${SHARE_COUNT} integers from -1000 to 1000`),
  }),
  check(({ timesteps, parts }) => timesteps.length === parts.length, 'shares for each timestep'),
);

function isAscending(values: unknown): boolean {
  return (
    Array.isArray(values) &&
    values.length > 0 &&
    values.every((t, i) => Number.isSafeInteger(t) && t > (i === 0 ? 0 : values[i - 1]))
  );
}

function isShares(parts: unknown): boolean {
  const isShare = (value: unknown) => Number.isInteger(value) && Math.abs(value as number) <= 1000;
  return (
    Array.isArray(parts) && parts.every((row) => Array.isArray(row) && row.length === SHARE_COUNT && row.every(isShare))
  );
}

/** Limited because tables take time to check. */
const MOST_TABLES = 64;

const RESIDUALS = pipe(
  objectOf({
    timesteps: pipe(array(integerFrom(1, MAX_TIMESTEPS)), maxLength(MOST_TABLES, `at most ${MOST_TABLES} timesteps`)),
    covariances: pipe(
      array(custom<Covariances>(isTable, `a table of ${COVARIANCE_SIZE} covariances`)),
      maxLength(MOST_TABLES, `at most ${MOST_TABLES} tables`),
    ),
  }),
  check(({ timesteps, covariances }) => timesteps.length === covariances.length, 'a table for each timestep'),
);

/** Whether tails can be coded with the table; its numbers must be of a size that files can send. */
function isTable(table: unknown): boolean {
  const isCovariance = (value: unknown) => Number.isInteger(value) && Math.abs(value as number) < 2 ** 15;
  return (
    Array.isArray(table) &&
    table.length === COVARIANCE_SIZE &&
    table.every(isCovariance) &&
    solvePredictors(table) !== undefined
  );
}

/** With a single picture there is no standard error; JSON has null for it. */
const ESTIMATE = objectOf({ value: number(), standardError: nullable(number()) });
const BOUND = nullish(
  objectOf({ prior: ESTIMATE, diffusion: ESTIMATE, decoder: ESTIMATE, total: ESTIMATE, images: number() }),
);
/** Remarks are for people and may be anything. Where they have known keys, the values are checked. */
const remarks = {
  about: optional(
    lazy((about) =>
      isObject(about)
        ? looseObject({
            trainedOn: optional(string()),
            timesteps: optional(string()),
            importedFrom: optional(string()),
            calibration: optional(string()),
            images: optional(numberFrom(0)),
            hours: optional(numberFrom(0)),
            test: BOUND,
            validation: BOUND,
            bound: BOUND,
          })
        : unknown(),
    ),
  ),
};

/** Omits keys with default values, so that older models, made before these keys existed, keep their id. */
function withoutDefaults({ patchSize, timeScaleShift, ...architecture }: UNetConfig): object {
  return { ...architecture, ...(patchSize !== 1 && { patchSize }), ...(timeScaleShift && { timeScaleShift }) };
}

/** JSON with sorted keys, so that equal values give equal bytes. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}

/** Hex SHA-256 of a text followed by bytes. */
async function idOf(text: string, bytes: Uint8Array, more: Uint8Array = new Uint8Array()): Promise<string> {
  return hexSha256(concat(new TextEncoder().encode(text), bytes, more));
}
