/**
 * What the sessions of `train --update` and `train --band` have in common: something beside a model's network is
 * trained, and a copy of the model with it is written once it is.
 */
import { counted } from '../../common/counted.js';
import { openTrainingData } from '../../data/training-data.js';
import type { Engine } from '../../engine/engine.js';
import type { RgbImage } from '../../image/image.js';
import type { RunRecord, UpdateRecord } from '../../model/training/checkpoint.js';
import type { Trainer } from '../../model/training/descent.js';
import { weightsFile } from '../../model/training/export.js';
import type { RunLimits, RunProgress } from '../../model/training/run.js';
import type { TrainerState } from '../../model/training/state.js';
import { writeCheckpoint } from '../../node/checkpoint-file.js';
import type { ModelInfo } from '../../node/models.js';
import type { Console } from '../console.js';
import { cropsToMeasureOn } from './extent.js';
import type { RunFiles } from './files.js';
import { createSkippedNotes, openWatch, secondsLeftWith } from './watch.js';

export interface CopySessionOptions<Recorded extends RunRecord | UpdateRecord> {
  readonly console: Console;
  readonly engine: Engine;
  readonly files: RunFiles;
  readonly model: ModelInfo;
  readonly record: Recorded;
  /** State to continue from. */
  readonly state?: TrainerState;
  readonly limits: RunLimits;
  /** In seconds. */
  readonly checkpointEvery: number;
}

/** What is trained. */
export interface CopyTraining {
  /** Options that continue the run. */
  readonly resume: string;
  readonly open: () => Promise<Trainer>;
  /** Names it in a sentence. @param parameters number of its parameters */
  readonly describe: (parameters: number) => string;
  /** Called when training begins. @returns what is called after each step */
  readonly begin?: () => (now: RunProgress) => void;
  /** Follows 'now'; `of` says of which crops. */
  readonly measured: (of: string) => string;
  /** Cost of that measurement, in training crops that would take as long, by the number of crops trained on. */
  readonly costOf: (trained: number) => number;
  /** Measures it and writes the copy. */
  readonly finish: (trained: Trained) => Promise<void>;
}

/** The end of the training. */
export interface Trained {
  readonly weights: Uint8Array;
  readonly crops: readonly RgbImage[];
  /** For `codec.json`. */
  readonly about: {
    readonly steps: number;
    readonly images: number;
    readonly hours: number;
    readonly trainedOn: string;
    readonly commands: readonly string[];
    /** Description of the crops, after a preposition. */
    readonly measuredOn: string;
  };
}

/** Trains until a limit is reached, then measures and finishes; after Ctrl-C the checkpoint is all that is written. */
export async function runCopySession<Recorded extends RunRecord | UpdateRecord>(
  options: CopySessionOptions<Recorded>,
  { resume, open, describe, begin, measured, costOf, finish }: CopyTraining,
): Promise<void> {
  const { console, engine, files, limits, checkpointEvery } = options;
  let { record } = options;
  const { batch, side, seed } = record.options;
  const data = await openTrainingData(record.data, { side, seed });
  let trainer: Trainer | undefined;
  const watch = openWatch(options, options.state?.step, resume);
  try {
    trainer = await open();
    const { state, parameters } = trainer;
    // Fail now, not after an hour, where data cannot be read.
    await data.batch(state.step, batch);
    const tellSkipped = createSkippedNotes(data, console);
    tellSkipped();
    console.note(`${data.description}; ${describe(state.parameters.length)}; ${engine.name}: ${engine.description}`);
    const { isDone, seconds } = await watch.train({
      ...{ engine, trainer, data, batch, limits, record, checkpointEvery },
      ...(begin && { onStep: begin() }),
      secondsBefore: record.seconds,
      write: async (seconds) => {
        record = { ...record, seconds };
        await writeCheckpoint(files.checkpoint, { record, state }, parameters);
      },
      secondsLeft: secondsLeftWith(limits, batch, costOf),
    });
    tellSkipped();
    if (!isDone) return;
    const images = state.step * batch;
    const { crops, of } = await cropsToMeasureOn(data, images);
    console.note(`trained for ${counted(state.step, 'step')}; now ${measured(of)}`);
    await finish({
      weights: weightsFile(state, parameters),
      crops,
      about: {
        ...{ steps: state.step, images, hours: Number((seconds / 3600).toPrecision(4)) },
        ...{ trainedOn: data.description, commands: record.commands, measuredOn: of },
      },
    });
  } finally {
    watch.forget();
    await trainer?.dispose();
    await data.dispose();
  }
}
