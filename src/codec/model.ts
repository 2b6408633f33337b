/**
 * A model to code with: a diffusion model, and what the codec has to know of it. It is put together from the contents of its
 * files, wherever these come from.
 */
import { concat, toHex } from '../common/bytes.js';
import { CodecError } from '../common/errors.js';
import type { Engine } from '../engine/engine.js';
import { parseConfig, strideOf, type UNetConfig } from '../model/config.js';
import { createDenoiser, type Denoiser, type Tiling } from '../model/denoiser.js';
import type { DiffusionModel } from '../model/diffusion-model.js';
import { tryNetwork } from '../model/network.js';
import {
  checkChannels,
  type Parameterization,
  PREDICTIONS,
  paperParameterization,
  VARIANCES,
} from '../model/parameterization.js';
import { type Pyramid, withPyramid } from '../model/pyramid.js';
import { readSafetensors } from '../model/safetensors.js';
import { createSchedule, type Schedule, type ScheduleConfig } from '../model/schedule.js';
import { createUNet } from '../model/unet.js';
import type { LayoutModel } from './format/layout.js';
import type { Profile } from './format/plan.js';
import { COVARIANCE_SIZE, type ResidualStatistics, solvePredictors } from './lossless/residuals.js';

/** The file that the codec adds to those of diffusers. */
export const CODEC_FILE = 'codec.json';

/** What the codec needs of a model. */
export interface CodecModel extends LayoutModel {
  readonly denoiser: Denoiser;
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

/** The contents of a model's files. */
export interface ModelFiles {
  /** For people. */
  readonly name: string;
  /** `config.json`, parsed: the network's architecture as diffusers has it. */
  readonly config: unknown;
  /** `codec.json`, parsed. */
  readonly codec: unknown;
  /** `diffusion_pytorch_model.safetensors`. */
  readonly weights: Uint8Array;
}

/** What a model is, without its network running. */
export interface ModelDescription {
  readonly name: string;
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

/** A model ready to code with, to draw samples from and to measure. */
export interface Model extends ModelDescription, DiffusionModel, CodecModel {
  dispose(): Promise<void>;
}

/**
 * Reads and hashes a model's files.
 * @throws CodecError('model') when they are not what they should be
 */
export async function describeModel({ name, config, codec, weights }: ModelFiles): Promise<ModelDescription> {
  const architecture = parseConfig(config);
  const { schedule, tiling, profile, parameterization, pyramid, residuals, about } = parseCodecConfig(
    codec,
    architecture,
  );
  const decisive = { schedule, tiling, profile, parameterization, pyramid, residuals };
  return {
    name,
    id: await sha256(canonicalJson({ config: withoutDefaults(architecture), ...decisive }), weights),
    config: architecture,
    schedule: createSchedule(schedule),
    scheduleConfig: schedule,
    tiling,
    profile,
    ...(residuals && { residuals }),
    ...(pyramid && { pyramid }),
    parameterization: parameterization ?? paperParameterization,
    about,
  };
}

/**
 * Opens a model on an engine.
 * @param description of {@link describeModel}, for the same weights
 * @throws CodecError('model') when the weights do not fit the architecture, or the network gives something else than finite numbers
 */
export async function openDescribed(
  description: ModelDescription,
  weights: Uint8Array,
  engine: Engine,
): Promise<Model> {
  const { config, schedule, tiling, parameterization, pyramid } = description;
  checkChannels(config, parameterization);
  const network = createUNet(config, readSafetensors(weights));
  await tryNetwork(engine, network, schedule);
  const denoiser = withPyramid(createDenoiser(engine, network, schedule, tiling, parameterization), schedule, pyramid);
  return { ...description, engine, network, denoiser, dispose: () => denoiser.dispose() };
}

/**
 * Opens a model from the contents of its files.
 * @throws CodecError('model') when they are not what they should be, or do not fit each other
 */
export async function createModel(files: ModelFiles, engine: Engine): Promise<Model> {
  return openDescribed(await describeModel(files), files.weights, engine);
}

/** Checks `codec.json`. @throws CodecError('model') naming what is wrong */
export function parseCodecConfig(json: unknown, config: UNetConfig): CodecConfig {
  const { schedule, tiling, profile, parameterization, pyramid, residuals, about } = (json ??
    {}) as Partial<CodecConfig>;
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

function wrong(what: string): CodecError {
  return new CodecError('model', `${CODEC_FILE}: ${what}`);
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
export function checkParameterization({ prediction, variance }: Parameterization): void {
  if (!PREDICTIONS.includes(prediction))
    throw wrong(`prediction: expected ${PREDICTIONS.join(', ')}, got ${prediction}`);
  if (!VARIANCES.includes(variance)) throw wrong(`variance: expected ${VARIANCES.join(', ')}, got ${variance}`);
}

/** Refuses a tiling that the network cannot take. */
export function checkTiling({ tile, overlap }: Tiling, config: UNetConfig): void {
  if (!(Number.isInteger(tile) && tile > 0 && tile % strideOf(config) === 0)) {
    throw new CodecError('model', `tile: expected a multiple of ${strideOf(config)}, got ${tile}`);
  }
  if (!(Number.isInteger(overlap) && overlap >= 0 && 2 * overlap <= tile)) {
    throw new CodecError('model', `overlap: expected an integer from 0 to half a tile, got ${overlap}`);
  }
}

/** Without the keys that say nothing, so that models from before they were known keep their id. */
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

/** Hex SHA-256 of a text and bytes after it. */
async function sha256(text: string, bytes: Uint8Array): Promise<string> {
  const whole = concat(new TextEncoder().encode(text), bytes);
  return toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', whole)));
}
