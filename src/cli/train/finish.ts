/** The end of a training run: writes weights, calibration and model card. The directory is then a model that codes. */
import { cpus } from 'node:os';
import { counted } from '../../common/counted.js';
import { printable } from '../../common/printable.js';
import { cifar10Image, openCifar10 } from '../../data/cifar10.js';
import type { TrainingData } from '../../data/training-data.js';
import type { Engine } from '../../engine/engine.js';
import { parseConfig, strideOf } from '../../model/config.js';
import type { DiffusionModel } from '../../model/diffusion-model.js';
import { type Bound, measureBound } from '../../model/likelihood.js';
import { paperSchedule } from '../../model/schedule.js';
import type { RunRecord } from '../../model/training/checkpoint.js';
import { weightsFile } from '../../model/training/export.js';
import type { TrainerState } from '../../model/training/state.js';
import type { ParameterSpec } from '../../model/unet-parameters.js';
import { CODEC_FILE, CONFIG_FILE, WEIGHTS_FILE } from '../../node/models.js';
import { asMarkdown } from '../../report/markup.js';
import type { Console } from '../console.js';
import { describeEstimate } from '../estimate.js';
import { openProgress } from '../progress.js';
import { makeCodecFile } from './codec-file.js';
import { type Extent, VALIDATION_STRATA } from './extent.js';
import type { RunFiles } from './files.js';
import { removeDependents } from './model-copy.js';
import { tilingFor } from './tiling.js';

/** Description of a CIFAR-10 validation, which uses whole images. */
export const HELD_OUT = 'held-out images';
export interface FinishOptions {
  readonly console: Console;
  readonly engine: Engine;
  readonly files: RunFiles;
  readonly data: TrainingData;
  readonly record: RunRecord;
  readonly state: TrainerState;
  readonly parameters: readonly ParameterSpec[];
  readonly extent: Extent;
  readonly validation: Validation;
}

/** The bound on images of the training set itself. */
export interface Validation {
  readonly bound: Bound;
  /** Description of the images, to follow their number: 'held-out images', 'crops of 1 held-out picture'. */
  readonly of: string;
}

/** Makes a model from the run's averaged weights, replacing an earlier one of the same run. */
export async function finishModel(options: FinishOptions): Promise<void> {
  const { console, engine, files, data, record, state, parameters, extent, validation } = options;
  const { prediction, variance, batch, side } = record.options;
  const before = record.startedFrom ?? { images: 0, hours: 0 };
  const tiling = tilingFor(side, strideOf(parseConfig(record.config)));
  const images = await data.calibration(extent.calibration, extent.calibrationTiles * tiling.tile);
  // An interruption must not leave new weights with an earlier calibration, which would look like a model.
  await files.remove(CODEC_FILE);
  await removeDependents(files, console);
  await files.write(CONFIG_FILE, `${JSON.stringify(record.config, null, 2)}\n`);
  await files.write(WEIGHTS_FILE, weightsFile(state, parameters));
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
    calibration: `${counted(images.length, 'crop')} of training images`,
    validation: validation.bound,
    ...(validation.of !== HELD_OUT && { validatedOn: validation.of }),
    test: data.isCifar10 && side === 32 ? await measureTest(model, extent.test, console) : undefined,
  }));
  const { test } = about;
  await files.write('README.md', modelCard(files.directory, record, about, validation, test));
  console.document({ model: files.directory, ...about });
  console.result(
    `${files.directory}: ${describeEstimate((test ?? validation.bound).total, 3)} bits/dim on ${test ? 'test images' : validation.of}`,
  );
}

/** Measures the bound on the test set of CIFAR-10. */
async function measureTest(model: DiffusionModel, count: number, console: Console): Promise<Bound> {
  const { images } = await openCifar10('test');
  const pictures = Array.from({ length: count }, (_, i) => cifar10Image(images, i));
  const progress = openProgress(console, 'measuring on test images');
  const measured = measureBound(pictures, model, { strata: VALIDATION_STRATA, onProgress: progress.update });
  return measured.finally(() => progress.stop());
}

function modelCard(
  directory: string,
  record: RunRecord,
  about: Readonly<Record<string, unknown>>,
  validation: Validation,
  test: Bound | undefined,
): string {
  const { options } = record;
  const name = directory.split(/[\\/]/).filter(Boolean).at(-1) ?? 'model';
  const rows = (bound: Bound, what: string) =>
    `| ${asMarkdown(what)} | ${bound.images} | ${[bound.prior, bound.diffusion, bound.decoder, bound.total].map((part) => describeEstimate(part, 4)).join(' | ')} |`;
  const list = (entries: Readonly<Record<string, unknown>>) =>
    Object.entries(entries)
      .map(
        ([key, value]) => `- ${key}: ${asMarkdown(typeof value === 'object' ? JSON.stringify(value) : String(value))}`,
      )
      .join('\n');
  const { trainedOn, images, steps, hours, machine, calibration, startedFrom } = about;
  const origin = startedFrom === undefined ? {} : { 'started from': startedFrom };
  return `# ${asMarkdown(name)}

A denoising diffusion model (Ho, Jain & Abbeel 2020) trained with \`ddpm-codec train\`; a \`UNet2DModel\` in diffusers' layout,
the average of its weights over training, in half precision.

${list({ 'trained on': trainedOn, ...origin, 'images seen': images, steps, hours, machine, calibration })}

${record.commands.map((line) => `    ${printable(line)}`).join('\n')}

Bound in bits/dim, with its standard error:

| images | number | L_T | L_1:T-1 | L_0 | total |
|---|---|---|---|---|---|
${[...(test ? [rows(test, 'CIFAR-10 test')] : []), rows(validation.bound, validation.of)].join('\n')}

Options of the run:

${list({ network: record.config.block_out_channels, 'layers per block': record.config.layers_per_block, ...options })}
`;
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
