/** One session of a training run: from the first step to the last, with checkpoints, validations and logs. */
import { join } from 'node:path';
import { ENOUGH_IMAGES } from '../../codec/calibration.js';
import { counted } from '../../common/counted.js';
import { CodecError } from '../../common/errors.js';
import { CIFAR10_SIDE } from '../../data/cifar10.js';
import { openTrainingData, type PictureCrop } from '../../data/training-data.js';
import type { Engine } from '../../engine/engine.js';
import { nameOfBand, wholeRange } from '../../model/bands.js';
import { parseConfig, strideOf, type UNetConfig } from '../../model/config.js';
import { measureBound } from '../../model/likelihood.js';
import { tryNetwork } from '../../model/network.js';
import { sample } from '../../model/sampler.js';
import { createSchedule, paperSchedule, type Schedule } from '../../model/schedule.js';
import type { RunRecord } from '../../model/training/checkpoint.js';
import { type Start, startFrom } from '../../model/training/export.js';
import type { RunLimits, RunProgress } from '../../model/training/run.js';
import { type TrainerState, toTensors } from '../../model/training/state.js';
import { createTrainer } from '../../model/training/trainer.js';
import { createUNet } from '../../model/unet.js';
import { writeCheckpoint } from '../../node/checkpoint-file.js';
import { contactSheet } from '../../node/image/contact-sheet.js';
import { encodePng } from '../../node/image/write.js';
import { CONFIG_FILE, loadWeights } from '../../node/models.js';
import { trainingPlot } from '../../report/training-plot.js';
import type { Console } from '../console.js';
import { describeEstimate } from '../estimate.js';
import { openProgress } from '../progress.js';
import { costOf, extentOf, SAMPLE_STEPS, VALIDATION_STRATA } from './extent.js';
import type { RunFiles } from './files.js';
import { finishModel, HELD_OUT, type Validation } from './finish.js';
import { checkCrop } from './tiling.js';
import { createSkippedNotes, createWarmupNote, openWatch, trainingLeft } from './watch.js';

export interface SessionOptions {
  readonly console: Console;
  readonly engine: Engine;
  readonly files: RunFiles;
  readonly record: RunRecord;
  /** State to continue from. */
  readonly state?: TrainerState;
  /** A model whose weights a new run starts from. */
  readonly from: string | undefined;
  /** Whether the run's architecture may differ from that model's. */
  readonly grow: boolean;
  readonly limits: RunLimits;
  /** In seconds. */
  readonly validateEvery: number;
  /** In seconds. */
  readonly checkpointEvery: number;
}

/** The state of a new run that starts from a model's weights. @throws CodecError('model') */
async function startOf(
  from: string,
  unet: UNetConfig,
  schedule: Schedule,
  { engine, console, record, grow }: SessionOptions,
) {
  const model = await loadWeights(from);
  let start: Start;
  try {
    start = startFrom(model, unet, record, schedule, grow);
  } catch (cause) {
    if (grow) throw cause;
    const config = join(model.directory, CONFIG_FILE);
    throw new CodecError(
      'model',
      `--from ${from}: its config.json is of another architecture; give it as --config, too: --config ${config}; or take over what fits, with --grow`,
      { cause },
    );
  }
  const { parameters } = start.state;
  if (start.taken < parameters.length) {
    const [taken, all] = [start.taken, parameters.length].map((count) => count.toLocaleString('en'));
    console.note(`${taken} of ${all} parameters are those of ${model.name}`);
  }
  if (model.bands.length > 0) {
    const bands = model.bands.map((band) => nameOfBand(band, ':')).join(', ');
    console.note(`the weights of ${model.name} for t = ${bands} are left out: a new network has one for all`);
  }
  await tryNetwork(engine, createUNet(model.config, model.tensors), wholeRange(schedule));
  return start;
}

export async function runSession(options: SessionOptions): Promise<void> {
  const { console, engine, files, limits } = options;
  const { side, seed } = options.record.options;
  const schedule = createSchedule(paperSchedule);
  const unet = parseConfig(options.record.config);
  checkCrop(side, strideOf(unet));
  const start = options.from === undefined ? undefined : await startOf(options.from, unet, schedule, options);
  let record = start?.record ?? options.record;
  const data = await openTrainingData(record.data, { side, seed });
  const { batch } = record.options;
  const extentAt = (step: number) => extentOf(step * batch, side);
  let trainer: Awaited<ReturnType<typeof createTrainer>> | undefined;
  const watch = openWatch(options, options.state?.step, '--resume');
  try {
    const given = options.state ?? start?.state;
    trainer = await createTrainer(engine, unet, schedule, record.options, ...(given ? [given] : []));
    const { state, parameters } = trainer;
    // Fail now, not after hours, where data cannot be read.
    await data.batch(state.step, batch);
    const held = await data.validation(extentAt(limits.steps ?? Infinity).validation);
    const tellSkipped = createSkippedNotes(data, console);
    tellSkipped();
    console.note(
      `${data.description}; ${(state.parameters.length / 1e6).toFixed(2)} M parameters; ${engine.name}: ${engine.description}`,
    );
    if (!held.heldOut) console.note('no picture can be held out: validation is on what the network learns from');
    if (data.trainingImages < ENOUGH_IMAGES) {
      console.note('so few pictures do not tell how others are: calibration is on crops of them');
    }
    const warnOfWarmup = createWarmupNote(options, record.options);

    const write = async (seconds: number) => {
      record = { ...record, seconds };
      await writeCheckpoint(files.checkpoint, { record, state }, parameters);
    };
    const network = () => ({
      engine,
      network: createUNet(unet, toTensors(state.ema, parameters)),
      schedule,
      parameterization: record.options,
    });
    const withProgress = <R>(label: string, work: (onProgress: (fraction: number) => void) => Promise<R>) => {
      const progress = openProgress(console, label);
      return work(progress.update).finally(() => progress.stop());
    };
    const validate = async ({ step, seconds }: Pick<RunProgress, 'step' | 'seconds'>): Promise<Validation> => {
      const extent = extentAt(step);
      const images = spread(held.crops, extent.validation);
      const of = describeHeldOut(images, held.heldOut, data.isCifar10 && side === CIFAR10_SIDE);
      const bound = await withProgress('validating', (onProgress) =>
        measureBound(images, network(), { strata: VALIDATION_STRATA, onProgress }),
      );
      console.note(`step ${step}: bound ${describeEstimate(bound.total, 3)} bits/dim on ${images.length} ${of}`);
      await files.log({ type: 'validation', step, images: step * batch, seconds, bound });
      const pictures = await withProgress('drawing samples', (onProgress) =>
        sample(network(), {
          ...{ count: extent.samples, width: side, height: side, steps: SAMPLE_STEPS },
          seed,
          onProgress,
        }),
      );
      const sheet = await contactSheet(pictures.map((image) => ({ image, label: '' })));
      await files.write(join('training', `samples-${String(step).padStart(7, '0')}.png`), await encodePng(sheet));
      await files.write(join('training', 'log.svg'), trainingPlot(await files.readLog()));
      return { bound, of };
    };
    const { isDone, seconds } = await watch.train({
      ...{ engine, trainer, data, batch, limits, record, write },
      secondsBefore: record.seconds,
      checkpointEvery: options.checkpointEvery,
      secondsLeft: estimateRemaining({ ...options, batch, side, hasTest: data.isCifar10 }),
      onStep: (now) => warnOfWarmup.foresee(now),
      further: [{ every: options.validateEvery, what: 'validation', run: async (now) => void (await validate(now)) }],
    });
    tellSkipped();
    if (!isDone) return;
    warnOfWarmup.tell(state.step);
    const extent = extentAt(state.step);
    console.note(
      `trained for ${counted(state.step, 'step')}; now validation (up to ${extent.validation} images), samples (${extent.samples}) and calibration (up to ${extent.calibration} images)`,
    );
    const validation = await validate({ step: state.step, seconds });
    await finishModel({ console, engine, files, data, record, state, parameters, extent, validation });
  } finally {
    watch.forget();
    await trainer?.dispose();
    await data.dispose();
  }
}

/**
 * Describes the crops of a validation, to follow their number: `crops of 1 held-out picture`.
 * @param whole whether each crop is a different whole image
 */
function describeHeldOut(crops: readonly PictureCrop[], heldOut: boolean, whole: boolean): string {
  if (whole) return HELD_OUT;
  const pictures = counted(
    new Set(crops.map(({ picture }) => picture)).size,
    heldOut ? 'held-out picture' : 'training picture',
  );
  return `crop${crops.length === 1 ? '' : 's'} of ${pictures}${heldOut ? '' : ', for want of others'}`;
}

/** At most `count` of the items, evenly spread. */
function spread<T>(items: readonly T[], count: number): readonly T[] {
  if (items.length <= count) return items;
  return Array.from({ length: count }, (_, i) => items[Math.floor(((i + 0.5) * items.length) / count)]);
}

/** Estimates the seconds left: for training, for the validations during it, and for what follows. */
function estimateRemaining(
  run: Pick<SessionOptions, 'limits' | 'validateEvery'> & { batch: number; side: number; hasTest: boolean },
): (now: RunProgress) => number {
  const { limits, validateEvery, batch, side, hasTest } = run;
  return (now) => {
    const { step, imagesPerSecond } = now;
    const training = trainingLeft(limits, batch, now);
    const trained = step * batch + training * imagesPerSecond;
    const { validation, finish } = costOf(extentOf(trained, side), side, hasTest);
    const validations = Math.floor(training / validateEvery);
    return training + (validations * validation + finish) / imagesPerSecond;
  };
}
