/** One session of a training run: from the first step to the last, with everything that watches over it. */
import { platform } from 'node:os';
import { join } from 'node:path';
import { CodecError } from '../../common/errors.js';
import { openTrainingData, type TrainingData } from '../../data/training-data.js';
import type { Engine } from '../../engine/engine.js';
import { parseConfig, strideOf, type UNetConfig } from '../../model/config.js';
import { type Bound, measureBound } from '../../model/likelihood.js';
import { sample } from '../../model/sampler.js';
import { createSchedule, paperSchedule, type Schedule } from '../../model/schedule.js';
import type { RunRecord } from '../../model/training/checkpoint.js';
import { startFrom } from '../../model/training/export.js';
import { type RunLimits, type RunProgress, runTraining } from '../../model/training/run.js';
import { type TrainerState, toTensors } from '../../model/training/state.js';
import { createTrainer } from '../../model/training/trainer.js';
import { createUNet } from '../../model/unet.js';
import { writeCheckpoint } from '../../node/checkpoint-file.js';
import { contactSheet } from '../../node/image/contact-sheet.js';
import { encodePng } from '../../node/image/write.js';
import { CONFIG_FILE, loadWeights } from '../../node/models.js';
import { trainingPlot } from '../../report/training-plot.js';
import { type Console, formatDuration } from '../console.js';
import type { RunFiles } from './files.js';
import { finishModel } from './finish.js';

export interface SessionOptions {
  readonly console: Console;
  readonly engine: Engine;
  readonly files: RunFiles;
  readonly record: RunRecord;
  /** To go on from. */
  readonly state?: TrainerState;
  /** A model whose weights a new run begins with. */
  readonly from: string | undefined;
  readonly limits: RunLimits;
  /** Seconds. */
  readonly validateEvery: number;
  /** Seconds. */
  readonly checkpointEvery: number;
}

/** Seconds between lines of the log, and between lines on a stderr that shows no progress bar. */
const LOG_EVERY = 10;
const TELL_EVERY = 60;
/** Held-out images of a validation, and timesteps for each. */
const VALIDATION_IMAGES = 256;
const VALIDATION_STRATA = 10;
/** Pictures drawn from the model at each validation, and steps for each. */
const SAMPLES = 16;
const SAMPLE_STEPS = 50;

/** The state of a new run that begins with a model's weights. @throws CodecError('model') */
async function startOf(from: string, unet: UNetConfig, record: RunRecord, schedule: Schedule) {
  const model = await loadWeights(from);
  try {
    return startFrom(model, unet, record, schedule);
  } catch (cause) {
    const config = join(model.directory, CONFIG_FILE);
    throw new CodecError(
      'model',
      `--from ${from}: its config.json is of another architecture; give it as --config, too: --config ${config}`,
      { cause },
    );
  }
}

export async function runSession(options: SessionOptions): Promise<void> {
  const { console, engine, files, limits } = options;
  const { side, seed } = options.record.options;
  const schedule = createSchedule(paperSchedule);
  const unet = parseConfig(options.record.config);
  if (side % strideOf(unet) !== 0) {
    throw new CodecError('usage', `--crop: expected a multiple of ${strideOf(unet)} for this network, got ${side}`);
  }
  const start = options.from === undefined ? undefined : await startOf(options.from, unet, options.record, schedule);
  let record = start?.record ?? options.record;
  const data = await openTrainingData(record.data, { side, seed });
  let trainer: Awaited<ReturnType<typeof createTrainer>> | undefined;
  const stop = listenForSignals(console);
  try {
    tellSkipped(data, console);
    const given = options.state ?? start?.state;
    trainer = await createTrainer(engine, unet, schedule, record.options, ...(given ? [given] : []));
    const { state, parameters } = trainer;
    console.note(
      `${data.description}; ${(state.parameters.length / 1e6).toFixed(2)} M parameters; ${engine.name}: ${engine.description}`,
    );
    await files.log({ type: 'start', step: state.step, record, engine: engine.description, platform: platform() });

    const save = async (seconds: number) => {
      record = { ...record, seconds };
      await writeCheckpoint(files.checkpoint, { record, state }, parameters);
    };
    // A full disk may be emptied again: the run goes on, and says so.
    const attempt = async (what: string, work: () => Promise<void>) => {
      await work().catch((error: unknown) => {
        if (!(error instanceof CodecError && error.code === 'file')) throw error;
        progress.stop();
        console.error(error);
        console.note(`the run goes on without that ${what}`);
      });
    };
    const network = () => ({
      engine,
      network: createUNet(unet, toTensors(state.ema, parameters)),
      schedule,
      parameterization: record.options,
    });
    const validationImages = await data.validation(VALIDATION_IMAGES);
    const validate = async ({ step, seconds }: Pick<RunProgress, 'step' | 'seconds'>) => {
      const bound = await measureBound(validationImages, network(), { strata: VALIDATION_STRATA });
      await files.log({ type: 'validation', step, images: step * record.options.batch, seconds, bound });
      const pictures = await sample(network(), {
        count: SAMPLES,
        width: side,
        height: side,
        steps: SAMPLE_STEPS,
        seed,
      });
      const sheet = await contactSheet(pictures.map((image) => ({ image, label: '' })));
      await files.write(join('training', `samples-${String(step).padStart(7, '0')}.png`), await encodePng(sheet));
      await files.write(join('training', 'log.svg'), trainingPlot(await files.readLog()));
      return bound;
    };

    // If not even the first one can be written, nobody should train for hours.
    await save(record.seconds);
    let progress = console.progress('training');
    let told = performance.now();
    const onStep = (now: RunProgress) => {
      const status = describeProgress(now, limits);
      progress.update(now.fraction, status);
      if (process.stderr.isTTY || performance.now() - told < TELL_EVERY * 1000) return;
      told = performance.now();
      console.note(status);
    };
    const { batch } = record.options;
    const logStep = (now: RunProgress) => files.log({ type: 'step', images: now.step * batch, ...now });
    const { reason, seconds } = await runTraining(trainer, data, {
      batch,
      limits,
      secondsBefore: record.seconds,
      signal: stop.signal,
      onStep,
      recurring: [
        { every: LOG_EVERY, run: (now) => attempt('line of the log', () => logStep(now)) },
        { every: options.checkpointEvery, run: (now) => attempt('checkpoint', () => save(now.seconds)) },
        {
          every: options.validateEvery,
          run: (now) =>
            attempt('validation', async () => {
              progress.stop();
              progress = console.progress('training');
              const bound = await validate(now);
              console.note(`step ${now.step}: ${describeBound(bound)} on ${validationImages.length} held-out images`);
            }),
        },
      ],
    }).finally(() => progress.stop());
    await save(seconds);
    // Nothing is lost any more: the checkpoint makes the model, too.
    stop.forget();
    await files.log({ type: 'stop', step: state.step, images: state.step * batch, seconds, reason });
    if (reason === 'signal') {
      console.note(
        `stopped at step ${state.step}, checkpoint written; go on with --resume, or make the model of it with --resume --steps ${state.step}`,
      );
      return;
    }
    const bound = await validate({ step: state.step, seconds });
    await finishModel({
      console,
      engine,
      files,
      data,
      record,
      state,
      parameters,
      validation: bound,
    });
  } finally {
    stop.forget();
    await trainer?.dispose();
    await data.dispose();
  }
}

function tellSkipped(data: TrainingData, console: Console): void {
  const MOST = 10;
  for (const { path, reason } of data.skipped.slice(0, MOST)) console.note(`skipped ${path}: ${reason}`);
  if (data.skipped.length > MOST) console.note(`skipped ${data.skipped.length} files in all`);
}

/** The first signal ends the run in good order; a second one ends it at once. */
function listenForSignals(console: Console) {
  const controller = new AbortController();
  const signals = ['SIGINT', 'SIGTERM'] as const;
  const listener = () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
    console.note('stopping after this step; again to stop at once');
  };
  for (const signal of signals) process.on(signal, listener);
  return {
    signal: controller.signal,
    forget() {
      for (const signal of signals) process.off(signal, listener);
    },
  };
}

export function describeBound(bound: Bound): string {
  return `bound ${bound.total.value.toFixed(3)} ± ${bound.total.standardError.toFixed(3)} bits/dim`;
}

function describeProgress(now: RunProgress, { steps, seconds }: RunLimits): string {
  const left = Math.min(
    steps === undefined ? Infinity : ((steps - now.step) / Math.max(1, now.step)) * now.seconds,
    seconds === undefined ? Infinity : seconds - now.seconds,
  );
  const rate = now.imagesPerSecond.toPrecision(3);
  return `step ${now.step}, ${rate} images/s, loss ${now.smoothLoss.toPrecision(4)}, gradient ${now.smoothGradientNorm.toPrecision(3)}, ${formatDuration(left)} left`;
}
