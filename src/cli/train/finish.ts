/** What follows training: weights, calibration, model card. The directory is then a model that codes. */
import { cpus } from 'node:os';
import { checkCalibrationSize } from '../../codec/calibration.js';
import { cifar10Image, openCifar10 } from '../../data/cifar10.js';
import type { TrainingData } from '../../data/training-data.js';
import type { Engine } from '../../engine/engine.js';
import type { DiffusionModel } from '../../model/diffusion-model.js';
import { type Bound, measureBound } from '../../model/likelihood.js';
import { paperSchedule } from '../../model/schedule.js';
import type { RunRecord } from '../../model/training/checkpoint.js';
import { weightsFile } from '../../model/training/export.js';
import type { TrainerState } from '../../model/training/state.js';
import type { ParameterSpec } from '../../model/unet-parameters.js';
import { CONFIG_FILE, WEIGHTS_FILE } from '../../node/models.js';
import type { Console } from '../console.js';
import { CALIBRATION_TILES, makeCodecFile } from './codec-file.js';
import type { RunFiles } from './files.js';

/** Windows are as large as the crops that the network learnt from, and at least so large: smaller ones have too much edge. */
const LEAST_TILE = 64;
const OVERLAP = 8;
/** Small ones; of photographs, which are larger, fewer. */
const CALIBRATION_IMAGES = 160;
const CALIBRATION_PHOTOGRAPHS = 64;
/** CIFAR-10 test images that the card's bound is measured on; `bench/quality.mjs` takes all of them. */
const TEST_IMAGES = 1000;

export interface FinishOptions {
  readonly console: Console;
  readonly engine: Engine;
  readonly files: RunFiles;
  readonly data: TrainingData;
  readonly record: RunRecord;
  readonly state: TrainerState;
  readonly parameters: readonly ParameterSpec[];
  /** On held-out images of the training set. */
  readonly validation: Bound;
}

/** Makes a model of the run's averaged weights, in place of an earlier one of the same run. */
export async function finishModel(options: FinishOptions): Promise<void> {
  const { console, engine, files, data, record, state, parameters, validation } = options;
  const { prediction, variance, batch, side } = record.options;
  const before = record.startedFrom ?? { images: 0, hours: 0 };
  const tiling = { tile: Math.max(LEAST_TILE, side), overlap: OVERLAP };
  const images = await data.calibration(
    side < LEAST_TILE ? CALIBRATION_IMAGES : CALIBRATION_PHOTOGRAPHS,
    CALIBRATION_TILES * tiling.tile,
  );
  // A calibration of few images is no calibration, but the weights are worth keeping.
  await files.write(CONFIG_FILE, `${JSON.stringify(record.config, null, 2)}\n`);
  await files.write(WEIGHTS_FILE, weightsFile(state, parameters));
  checkCalibrationSize(images.length);
  const diffusion = { schedule: paperSchedule, parameterization: { prediction, variance } };
  const { write } = files;
  const codecFile = { console, engine, tiling, diffusion, write };
  const about = await makeCodecFile(files.directory, images, codecFile, async (model) => ({
    trainedOn: data.description,
    images: state.step * batch + before.images,
    steps: state.step,
    hours: round(record.seconds / 3600 + before.hours),
    machine: `${cpus()[0]?.model.trim() ?? 'CPU'}, ${engine.description}`,
    commands: record.commands,
    ...(record.startedFrom && { startedFrom: record.startedFrom.model }),
    calibration: `${images.length} training images`,
    validation,
    test: await measureTest(model, record),
  }));
  const { test } = about;
  await files.write('README.md', modelCard(files.directory, record, about, validation, test));
  console.document({ model: files.directory, ...about });
  console.result(
    `${files.directory}: ${describe(test ?? validation)} bits/dim on ${test ? 'test' : 'held-out'} images`,
  );
}

/** Only CIFAR-10 has a test set. */
async function measureTest(model: DiffusionModel, record: RunRecord): Promise<Bound | undefined> {
  if (record.data.some((source) => source.split('=')[0] !== 'cifar10') || record.options.side !== 32) return undefined;
  const { images } = await openCifar10('test');
  const pictures = Array.from({ length: TEST_IMAGES }, (_, i) => cifar10Image(images, i));
  return measureBound(pictures, model, {});
}

function modelCard(
  directory: string,
  record: RunRecord,
  about: Readonly<Record<string, unknown>>,
  validation: Bound,
  test: Bound | undefined,
): string {
  const { options } = record;
  const name = directory.split(/[\\/]/).filter(Boolean).at(-1) ?? 'model';
  const rows = (bound: Bound, what: string) =>
    `| ${what} | ${bound.images} | ${[bound.prior, bound.diffusion, bound.decoder, bound.total].map(estimate).join(' | ')} |`;
  const list = (entries: Readonly<Record<string, unknown>>) =>
    Object.entries(entries)
      .map(([key, value]) => `- ${key}: ${typeof value === 'object' ? JSON.stringify(value) : value}`)
      .join('\n');
  const { trainedOn, images, steps, hours, machine, calibration, startedFrom } = about;
  const origin = startedFrom === undefined ? {} : { 'started from': startedFrom };
  return `# ${name}

A denoising diffusion model (Ho, Jain & Abbeel 2020) trained with \`ddpm-codec train\`; a \`UNet2DModel\` in diffusers' layout,
the average of its weights over training, in half precision.

${list({ 'trained on': trainedOn, ...origin, 'images seen': images, steps, hours, machine, calibration })}

${record.commands.map((line) => `    ${line}`).join('\n')}

Bound in bits/dim, with its standard error:

| images | number | L_T | L_1:T-1 | L_0 | total |
|---|---|---|---|---|---|
${[...(test ? [rows(test, 'CIFAR-10 test')] : []), rows(validation, 'held out from training')].join('\n')}

Options of the run:

${list({ network: record.config.block_out_channels, 'layers per block': record.config.layers_per_block, ...options })}
`;
}

function estimate({ value, standardError }: { value: number; standardError: number }): string {
  return `${value.toFixed(4)} ± ${standardError.toFixed(4)}`;
}

function describe({ total }: Bound): string {
  return `${total.value.toFixed(3)} ± ${total.standardError.toFixed(3)}`;
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
