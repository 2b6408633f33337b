/** What goes on around the steps of every training: Ctrl-C, checkpoints, the log, the progress bar. */
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
  /** Of earlier sessions. */
  readonly secondsBefore: number;
  /** Seconds. */
  readonly checkpointEvery: number;
  /** For the log. */
  readonly record: object;
  /** Writes a checkpoint. @param seconds of training in all */
  readonly write: (seconds: number) => Promise<void>;
  readonly onStep?: (now: RunProgress) => void;
  /** How long the whole command will yet take, in seconds. */
  readonly secondsLeft: (now: RunProgress) => number;
  /** Further things to do every so often. A full disk does not end the run; `what` is then missing, and a checkpoint is written before. */
  readonly further?: readonly (Recurring & { readonly what: string })[];
}

export interface Watch {
  /** @returns whether a limit was reached, and not Ctrl-C pressed; all steps are then in the checkpoint */
  train(training: WatchedTraining): Promise<{ readonly isDone: boolean; readonly seconds: number }>;
  forget(): void;
}

/** Seconds between lines of the log. */
const LOG_EVERY = 10;

/**
 * Waits for Ctrl-C from now on: the first one ends the training after a step.
 * @param resumedAt step of the checkpoint on disk
 * @param resume options that go on with the run
 */
export function openWatch(
  { console, files }: { readonly console: Console; readonly files: RunFiles },
  resumedAt: number | undefined,
  resume: string,
): Watch {
  let trainer: WatchedTraining['trainer'] | undefined;
  /** The step of the checkpoint on disk. */
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
      // If not even the first one can be written, nobody should train for hours.
      await files.begin(() => save(secondsBefore));
      await files.log({ type: 'start', step: state.step, record, engine: engine.description, platform: platform() });
      let progress = openProgress(console, 'training');
      // A full disk may be emptied again: the run goes on, and says so.
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
              // It may take minutes, in which nobody has to wait with a kill.
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
      // Nothing is lost any more: the checkpoint makes the model, too.
      stop.forget();
      await attempt('line of the log', () =>
        files.log({ type: 'stop', step: state.step, images: state.step * batch, seconds, reason }),
      );
      if (reason === 'signal') {
        console.note(
          `stopped at step ${state.step}, checkpoint written; go on with ${resume}, or make the model of it with ${resume} --steps ${state.step}`,
        );
      }
      return { isDone: reason !== 'signal', seconds };
    },
  };
}

/** Names files that were left out since the last call; of many the first ones and their number. */
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

/** Seconds after which it can be told how many steps a run of some hours will have. */
const FORESEEABLE = 10;

/** Says, once and as soon as it is known, that a run is over before its learning rate has risen. */
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
    /** Of a run that has so many steps in all. */
    tell,
    /** Of one that goes on: how many it will have follows from how far it is. */
    foresee({ seconds, step, fraction }: RunProgress): void {
      if (limits.seconds !== undefined && seconds - record.seconds > FORESEEABLE) tell(step / fraction);
    },
  };
}

/** What a run that ends now, after so many steps, loses. */
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

/** Seconds until a limit is reached and what follows is done. @param costOf that, in crops that could be trained on meanwhile, by how many were */
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
