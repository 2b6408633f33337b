/** Everything around the steps of a training run: Ctrl-C, checkpoints, the log, the progress bar. */
import { platform } from 'node:os';
import { counted } from '../../common/counted.js';
import { CodecError } from '../../common/errors.js';
import type { TrainingData } from '../../data/training-data.js';
import type { Engine } from '../../engine/engine.js';
import type { Trainer } from '../../model/training/descent.js';
import {
  type BatchSource,
  type Recurring,
  type RunLimits,
  type RunProgress,
  runTraining,
} from '../../model/training/run.js';
import { stopInOrder } from '../../node/process.js';
import { type Console, formatDuration } from '../console.js';
import { openProgress } from '../progress.js';
import type { RunFiles } from './files.js';

export interface WatchedTraining {
  readonly engine: Engine;
  readonly trainer: Pick<Trainer, 'state' | 'step'>;
  readonly data: BatchSource;
  readonly batch: number;
  readonly limits: RunLimits;
  /** Seconds of training in earlier sessions. */
  readonly secondsBefore: number;
  /** In seconds. */
  readonly checkpointEvery: number;
  /** Written to the log. */
  readonly record: object;
  /** Writes a checkpoint. @param seconds of training in total */
  readonly write: (seconds: number) => Promise<void>;
  readonly onStep?: (now: RunProgress) => void;
  /** Remaining time of the whole command, in seconds. */
  readonly secondsLeft: (now: RunProgress) => number;
  /**
   * Other recurring work. A checkpoint is written before it. A full disk does not end the run; `what` is then skipped.
   */
  readonly further?: readonly (Recurring & { readonly what: string })[];
}

export interface Watch {
  /**
   * After Ctrl-C it also says where the training stopped, and prints the run's document.
   * @returns isDone: whether a limit ended the training, rather than Ctrl-C; the checkpoint then has all steps
   */
  train(training: WatchedTraining): Promise<{ readonly isDone: boolean; readonly seconds: number }>;
  forget(): void;
}

/** Seconds between lines of the log. */
const LOG_EVERY = 10;

/**
 * Handles Ctrl-C from now on: the first one ends the training after the current step.
 * @param resumedAt step of the checkpoint on disk
 * @param resume options that continue the run
 */
export function openWatch(
  { console, files }: { readonly console: Console; readonly files: RunFiles },
  resumedAt: number | undefined,
  resume: string,
): Watch {
  let trainer: WatchedTraining['trainer'] | undefined;
  /** Step of the checkpoint on disk. */
  let saved = resumedAt;
  const stop = stopInOrder(
    () => console.note('stopping after this step; again to stop at once, without the steps since the last checkpoint'),
    () => console.note(`stopped at once; ${describeLoss(trainer?.state.step, saved, resume)}`),
  );
  return {
    forget: () => stop.forget(),
    async train(training) {
      const { engine, data, batch, limits, secondsBefore, record, write, onStep, secondsLeft, further = [] } = training;
      trainer = training.trainer;
      const { state } = trainer;
      if (resumedAt !== undefined && limits.seconds !== undefined && secondsBefore >= limits.seconds) {
        console.note(
          `the run has had its ${formatDuration(limits.seconds)}: nothing is trained now; --hours is of the whole run, so give more to go on`,
        );
      }
      const save = async (seconds: number) => {
        await write(seconds);
        saved = state.step;
      };
      // If even the first checkpoint cannot be written, nobody should train for hours.
      await files.begin(() => save(secondsBefore));
      await files.log({ type: 'start', step: state.step, record, engine: engine.description, platform: platform() });
      let progress = openProgress(console, 'training');
      // A full disk may be cleared: the run reports the error and goes on.
      const attempt = async (what: string, work: () => Promise<void>) => {
        await work().catch((error: unknown) => {
          if (!(error instanceof CodecError && error.code === 'file')) throw error;
          progress.stop();
          console.error(error);
          console.note(`the run goes on without that ${what}`);
        });
      };
      const saveNow = (now: RunProgress) => attempt('checkpoint', () => save(now.seconds));
      const { reason, seconds } = await runTraining(trainer, data, {
        batch,
        limits,
        secondsBefore,
        signal: stop.signal,
        onStep: (now) => {
          progress.update(now.fraction, describeProgress(now, secondsLeft(now)));
          onStep?.(now);
        },
        recurring: [
          {
            every: LOG_EVERY,
            run: (now) =>
              attempt('line of the log', () => files.log({ type: 'step', images: now.step * batch, ...now })),
          },
          { every: training.checkpointEvery, run: saveNow },
          ...further.map(({ every, what, run }) => ({
            every,
            run: async (now: RunProgress) => {
              // The work may take minutes; with the checkpoint, a kill in the meantime loses no steps.
              await saveNow(now);
              await attempt(what, async () => {
                progress.stop();
                progress = openProgress(console, 'training');
                await run(now);
              });
            },
          })),
        ],
      }).finally(() => progress.stop());
      await save(seconds);
      // From here on nothing can be lost: the checkpoint suffices to make the model.
      stop.forget();
      await attempt('line of the log', () =>
        files.log({ type: 'stop', step: state.step, images: state.step * batch, seconds, reason }),
      );
      if (reason === 'signal') {
        console.note(
          `stopped at step ${state.step}, checkpoint written; go on with ${resume}, or make the model of it with ${resume} --steps ${state.step}`,
        );
        console.document({ model: files.directory, stopped: true, steps: state.step, seconds });
      }
      return { isDone: reason !== 'signal', seconds };
    },
  };
}

/** Names files that were left out since the last call; for many, the first ones and their number. */
export function createSkippedNotes(data: TrainingData, console: Console): () => void {
  const MOST = 10;
  let told = 0;
  return () => {
    const { skipped } = data;
    for (const { path, reason } of skipped.slice(told, MOST)) {
      console.note(`skipped ${console.wordsFor(new CodecError('image', `${path}: ${reason}`))}`);
    }
    if (skipped.length > Math.max(told, MOST)) console.note(`skipped ${counted(skipped.length, 'file')} in all`);
    told = skipped.length;
  };
}

/** Seconds after which the total steps of a time-limited run can be estimated. */
const FORESEEABLE = 10;

/** Warns, once and as soon as it is known, that a run ends before its warmup does. */
export function createWarmupNote(
  { console, limits, record }: { console: Console; limits: RunLimits; record: { readonly seconds: number } },
  { warmup }: { readonly warmup: number },
) {
  let told = false;
  const tell = (steps: number) => {
    if (told || steps >= warmup) return;
    told = true;
    console.note(
      `a short run: its learning rate rises over ${warmup} steps, and it has ${Math.round(steps)}; lower --warmup, or train longer`,
    );
  };
  if (limits.steps !== undefined) tell(limits.steps);
  return {
    /** For a run with this many steps in total. */
    tell,
    /** For a run in progress: estimates the total from its progress. */
    foresee({ seconds, step, fraction }: RunProgress): void {
      if (limits.seconds !== undefined && seconds - record.seconds > FORESEEABLE) tell(step / fraction);
    },
  };
}

/** What a run loses if it ends now, at this step. */
function describeLoss(step: number | undefined, saved: number | undefined, resume: string): string {
  if (step === undefined || saved === undefined) return 'nothing had been begun';
  const steps = step - saved;
  const loss = steps === 0 ? 'nothing is' : `${steps} step${steps === 1 ? ' is' : 's are'}`;
  return `${loss} lost: the checkpoint is of step ${saved}, go on from there with ${resume}`;
}

/** Seconds of training until a limit is reached. */
export function trainingLeft(
  limits: RunLimits,
  batch: number,
  { step, seconds, imagesPerSecond }: RunProgress,
): number {
  return Math.min(
    limits.steps === undefined ? Infinity : ((limits.steps - step) * batch) / imagesPerSecond,
    limits.seconds === undefined ? Infinity : Math.max(0, limits.seconds - seconds),
  );
}

/**
 * Seconds until a limit is reached and the work after it is done.
 * @param costOf that work, in training crops that would take as long, by the number of crops trained on
 */
export function secondsLeftWith(
  limits: RunLimits,
  batch: number,
  costOf: (trained: number) => number,
): (now: RunProgress) => number {
  return (now) => {
    const training = trainingLeft(limits, batch, now);
    const trained = now.step * batch + training * now.imagesPerSecond;
    return training + costOf(trained) / now.imagesPerSecond;
  };
}

function describeProgress(now: RunProgress, secondsLeft: number): string {
  const rate = now.imagesPerSecond.toPrecision(3);
  return `step ${now.step}, ${rate} images/s, loss ${now.smoothLoss.toPrecision(4)}, gradient ${now.smoothGradientNorm.toPrecision(3)}, ${formatDuration(secondsLeft)} left`;
}
