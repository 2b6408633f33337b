/** Descriptions of a model for the commands. */

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { counted } from '../../common/counted.js';
import { type Band, nameOfBand } from '../../model/bands.js';
import type { Bound } from '../../model/likelihood.js';
import { exists } from '../../node/files.js';
import type { ModelInfo } from '../../node/models.js';
import { readRegularFile } from '../../node/read.js';
import { table } from '../console.js';
import { describeEstimate } from '../estimate.js';

/** The document of `--json` for a model. */
export interface ModelReport {
  readonly name: string;
  readonly directory: string;
  readonly id: string;
  readonly parameters: number;
  /** Size of the file of weights. */
  readonly bytes: number;
  readonly config: ModelInfo['config'];
  readonly schedule: ModelInfo['scheduleConfig'];
  readonly parameterization: ModelInfo['parameterization'];
  readonly tiling: ModelInfo['tiling'];
  readonly pyramid?: ModelInfo['pyramid'];
  readonly symmetry?: ModelInfo['symmetry'];
  readonly update?: {
    readonly width: number;
    readonly kept: number;
    readonly parameters: number;
    readonly bytes: number;
  };
  /** Timesteps with separate weights. */
  readonly bands?: readonly BandReport[];
  readonly about: Readonly<Record<string, unknown>>;
}

/** Size of the file in bytes, null where it is missing: it is only read when a chain reaches the band. */
interface BandReport extends Band {
  readonly bytes: number | null;
}

export async function reportModel(info: ModelInfo): Promise<ModelReport> {
  const { countParameters } = await import('../../model/unet-parameters.js');
  const { WEIGHTS_FILE } = await import('../../node/models.js');
  const { name, directory, id, config, scheduleConfig, parameterization, tiling, pyramid, symmetry } = info;
  return {
    name,
    directory,
    id,
    parameters: countParameters(config),
    bytes: (await stat(join(directory, WEIGHTS_FILE))).size,
    config,
    schedule: scheduleConfig,
    parameterization,
    tiling,
    ...(pyramid && { pyramid }),
    ...(symmetry && { symmetry }),
    ...(info.updates && { update: await reportUpdate(info) }),
    ...(info.bands && { bands: await Promise.all(info.bands.map((band) => reportBand(directory, band))) }),
    about: (info.about ?? {}) as Record<string, unknown>,
  };
}

async function reportBand(directory: string, { least, most }: Band): Promise<BandReport> {
  const { bandFile } = await import('../../codec/bands.js');
  const path = join(directory, bandFile({ least, most }));
  return { least, most, bytes: (await exists(path)) ? (await stat(path)).size : null };
}

async function reportUpdate({ directory, config }: ModelInfo): Promise<NonNullable<ModelReport['update']>> {
  const { UPDATE_FILE } = await import('../../node/models.js');
  const { readSafetensors } = await import('../../model/safetensors.js');
  const { createUpdate } = await import('../../model/update.js');
  const file = await readRegularFile(join(directory, UPDATE_FILE));
  const tensors = readSafetensors(file);
  const { width, kept } = createUpdate(tensors, config.blockOutChannels[0]).shape;
  const parameters = [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
  return { width, kept, parameters, bytes: file.length };
}

/** The same report for people. */
export function describeModel(report: ModelReport): string[] {
  const { config, schedule, parameterization, tiling, pyramid, symmetry, update, bands, about } = report;
  const { betaSchedule, timesteps, betaStart, betaEnd } = schedule;
  const betas = betaSchedule === 'squaredcos_cap_v2' ? '' : `, beta ${betaStart} to ${betaEnd}`;
  const fields: [string, string][] = [
    ['model', `${report.name} (id ${report.id.slice(0, 8)})`],
    ['directory', report.directory],
    ['network', describeNetwork(config)],
    ['parameters', `${report.parameters.toLocaleString('en')}, ${(report.bytes / 1e6).toFixed(1)} MB`],
    ['schedule', `${betaSchedule}, T = ${timesteps}${betas}`],
    ['predicts', `${parameterization.prediction}, variance ${parameterization.variance}`],
    ['windows', `${tiling.tile} pixels, overlapping by ${tiling.overlap}`],
  ];
  const remarks = {
    pyramid:
      pyramid &&
      `at half the size from about t = ${pyramid.halfFrom} on, by a picture's detail; sides of ${pyramid.leastSide} pixels or more`,
    symmetry:
      symmetry &&
      `pictures are shown as the mean of two estimates, one of the picture ${symmetry === 'turn' ? 'turned by 180 degrees' : 'mirrored'}`,
    update:
      update &&
      `${update.width} channels for every 2x2 pixels, ${update.kept} kept for a pixel; ${update.parameters.toLocaleString('en')} parameters, ${(update.bytes / 1e3).toFixed(0)} kB`,
    bands: bands && describeBands(bands),
    'trained on': about.trainedOn,
    'trained for': about.timesteps,
    'imported from': about.importedFrom,
    'calibrated on': about.calibration,
  };
  for (const [key, value] of Object.entries(remarks)) if (typeof value === 'string') fields.push([key, value]);
  const { validatedOn } = about;
  const bounds = { 'bound, test': about.test, 'bound, held out': about.validation, bound: about.bound };
  for (const [key, value] of Object.entries(bounds)) {
    const of = value === about.validation && typeof validatedOn === 'string' ? validatedOn : undefined;
    if (value) fields.push([key, describeBound(value as Bound, of)]);
  }
  return table(fields, [0, 1]);
}

/** One line: channels from the full resolution down, blocks, attention. */
export function describeNetwork(config: ModelReport['config']): string {
  const { blockOutChannels, layersPerBlock, downAttention, upAttention, patchSize, attentionHeadDim } = config;
  const levels = blockOutChannels.length;
  const attentive = blockOutChannels.flatMap((_, level) =>
    downAttention[level] || upAttention[levels - 1 - level] ? [`1/${patchSize * 2 ** level}`] : [],
  );
  return [
    `${blockOutChannels.join('-')} channels`,
    `${counted(layersPerBlock, 'block')} a level`,
    `attention at ${[...attentive, 'the middle'].join(', ')}`,
    ...(attentionHeadDim === null ? [] : [`heads of ${attentionHeadDim}`]),
    ...(config.timeScaleShift ? ['time scales and shifts'] : []),
    ...(patchSize === 1 ? [] : [`patches of ${patchSize}`]),
  ].join(', ');
}

function describeBound({ total, prior, diffusion, decoder, images }: Bound, of?: string): string {
  const parts = [prior, diffusion, decoder].map(({ value }) => value.toFixed(3)).join(' + ');
  return `${describeEstimate(total, 3)} bits/dim (${parts}) on ${of === undefined ? counted(images, 'image') : `${images} ${of}`}`;
}

export function describeBands(bands: readonly BandReport[]): string {
  return `weights of their own for ${bands.map(describeBand).join('; ')}`;
}

function describeBand({ bytes, ...band }: BandReport): string {
  return `t = ${nameOfBand(band, ' to ')}, ${bytes === null ? 'not at hand' : `${(bytes / 1e6).toFixed(1)} MB`}`;
}
