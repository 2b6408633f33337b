/**
 * A training run: takes steps until it has to stop, and does periodic tasks in between. It knows the clock; the trainer
 * does not.
 */
import type { StepReport, Trainer } from './descent.js';

/** The source of a run's images. It depends only on the step, so that a run can be resumed anywhere. */
export interface BatchSource {
  /** Crops for one step (numbered from 0): count * side * side * 3 grey levels. */
  batch(step: number, count: number): Promise<Uint8Array>;
}

export interface RunLimits {
  /** Total steps, including those of earlier sessions. */
  readonly steps?: number | undefined;
  /** Total seconds of training, including those of earlier sessions. */
  readonly seconds?: number | undefined;
}

export interface RunProgress extends StepReport {
  /** Total seconds of training. */
  readonly seconds: number;
  /** Recent images per second. */
  readonly imagesPerSecond: number;
  /** Loss and gradient norm, smoothed over about the last 100 steps. */
  readonly smoothLoss: number;
  readonly smoothGradientNorm: number;
  /** Fraction of the run that is done, 0..1; 0 without limits. */
  readonly fraction: number;
}

/** A periodic task, with its interval in seconds. It is awaited and does not count as training time. */
export interface Recurring {
  readonly every: number;
  run(progress: RunProgress): Promise<void>;
}

export type StopReason = 'steps' | 'time' | 'signal';

/** Weight of the newest value in smoothed values. */
const SMOOTHING = 0.01;

/**
 * Trains until a limit is reached or `signal` is aborted.
 * @param secondsBefore training time of earlier sessions
 * @throws what the trainer or the data throw; the trainer's state is then that of the last good step
 */
export async function runTraining(
  trainer: Pick<Trainer, 'state' | 'step'>,
  data: BatchSource,
  options: {
    readonly batch: number;
    readonly limits: RunLimits;
    readonly secondsBefore: number;
    readonly signal: AbortSignal;
    readonly onStep: (progress: RunProgress) => void;
    readonly recurring: readonly Recurring[];
  },
): Promise<{ reason: StopReason; seconds: number }> {
  const { batch, limits, signal, onStep, recurring } = options;
  let seconds = options.secondsBefore;
  let smoothLoss: number | undefined;
  let smoothGradientNorm: number | undefined;
  let stepSeconds: number | undefined;
  const due = recurring.map(({ every }) => seconds + every);
  const smooth = (before: number | undefined, value: number, weight: number) =>
    before === undefined ? value : before + weight * (value - before);
  const stopReason = (): StopReason | undefined => {
    if (signal.aborted) return 'signal';
    if (limits.steps !== undefined && trainer.state.step >= limits.steps) return 'steps';
    if (limits.seconds !== undefined && seconds >= limits.seconds) return 'time';
    return undefined;
  };
  const fractionDone = () =>
    Math.max(trainer.state.step / (limits.steps ?? Infinity), seconds / (limits.seconds ?? Infinity));

  let next = stopReason() === undefined ? data.batch(trainer.state.step, batch) : undefined;
  for (;;) {
    const reason = stopReason();
    if (reason !== undefined || next === undefined) {
      // A batch that was fetched ahead may fail; it is no longer needed.
      await next?.catch(() => {});
      return { reason: reason ?? 'steps', seconds };
    }
    const start = performance.now();
    const images = await next;
    next = data.batch(trainer.state.step + 1, batch);
    next.catch(() => {});
    const report = await trainer.step(images, fractionDone());
    const took = (performance.now() - start) / 1000;
    seconds += took;
    smoothLoss = smooth(smoothLoss, report.loss, SMOOTHING);
    smoothGradientNorm = smooth(smoothGradientNorm, report.gradientNorm, SMOOTHING);
    stepSeconds = smooth(stepSeconds, took, 0.05);
    const progress: RunProgress = {
      ...report,
      seconds,
      imagesPerSecond: batch / stepSeconds,
      smoothLoss,
      smoothGradientNorm,
      fraction: fractionDone(),
    };
    onStep(progress);
    for (const [i, { every, run }] of recurring.entries()) {
      if (seconds < due[i]) continue;
      await run(progress);
      due[i] = seconds + every;
    }
  }
}
