/** `ddpm-codec train --update`: one session of training a model's update, and the model's copy with this update. */
import { bandFile, createBandedUNet } from '../../codec/bands.js';
import { counted } from '../../common/counted.js';
import { CodecError } from '../../common/errors.js';
import { openTrainingData } from '../../data/training-data.js';
import type { Engine } from '../../engine/engine.js';
import { wholeRange } from '../../model/bands.js';
import { tryNetwork } from '../../model/network.js';
import { readSafetensors } from '../../model/safetensors.js';
import { createSchedule } from '../../model/schedule.js';
import type { UpdateRecord } from '../../model/training/checkpoint.js';
import { weightsFile } from '../../model/training/export.js';
import type { RunLimits } from '../../model/training/run.js';
import type { TrainerState } from '../../model/training/state.js';
import { createUpdateTrainer } from '../../model/training/update-trainer.js';
import { createUpdate } from '../../model/update.js';
import { measureUpdateGain, type UpdateGain } from '../../model/update-gain.js';
import { writeCheckpoint } from '../../node/checkpoint-file.js';
import { loadModelInfo, type ModelInfo, UPDATE_FILE, WEIGHTS_FILE } from '../../node/models.js';
import { type Console, table } from '../console.js';
import { openProgress } from '../progress.js';
import { costOfGain, cropsToMeasureOn } from './extent.js';
import type { RunFiles } from './files.js';
import { readModelContents, writeModelCopy } from './model-copy.js';
import { createSkippedNotes, openWatch, secondsLeftWith } from './watch.js';

export interface UpdateSessionOptions {
  readonly console: Console;
  readonly engine: Engine;
  readonly files: RunFiles;
  readonly model: ModelInfo;
  readonly record: UpdateRecord;
  /** State to continue from. */
  readonly state?: TrainerState;
  readonly limits: RunLimits;
  /** In seconds. */
  readonly checkpointEvery: number;
}

export async function runUpdateSession(options: UpdateSessionOptions): Promise<void> {
  const { console, engine, files, model, limits } = options;
  let { record } = options;
  const { batch, side, seed } = record.options;
  const contents = await readModelContents(model);
  const read = (name: string) => contents.get(name)!;
  const network = createBandedUNet(engine, model.config, read(WEIGHTS_FILE), model.bands, async (band) =>
    read(bandFile(band)),
  );
  if (side % network.stride !== 0) {
    throw new CodecError('usage', `--crop: expected a multiple of ${network.stride} for this network, got ${side}`);
  }
  const frozen = {
    engine,
    network,
    schedule: createSchedule(model.scheduleConfig),
    parameterization: model.parameterization,
  };
  await tryNetwork(engine, network, wholeRange(frozen.schedule));
  const data = await openTrainingData(record.data, { side, seed });
  let trainer: Awaited<ReturnType<typeof createUpdateTrainer>> | undefined;
  const watch = openWatch(options, options.state?.step, '--update --resume');
  try {
    trainer = await createUpdateTrainer(engine, frozen, record.options, record.shape, options.state);
    const { state, parameters } = trainer;
    // Fail now, not after an hour, where data cannot be read.
    await data.batch(state.step, batch);
    const tellSkipped = createSkippedNotes(data, console);
    tellSkipped();
    console.note(
      `${data.description}; an update of ${model.name} with ${counted(state.parameters.length, 'parameter')}; ${engine.name}: ${engine.description}`,
    );
    const { isDone, seconds } = await watch.train({
      ...{ engine, trainer, data, batch, limits, record },
      secondsBefore: record.seconds,
      checkpointEvery: options.checkpointEvery,
      write: async (seconds) => {
        record = { ...record, seconds };
        await writeCheckpoint(files.checkpoint, { record, state }, parameters);
      },
      secondsLeft: secondsLeftWith(limits, batch, costOfGain),
    });
    tellSkipped();
    if (!isDone) return;
    const update = weightsFile(state, parameters);
    const { crops, of } = await cropsToMeasureOn(data, state.step * batch);
    console.note(`trained for ${counted(state.step, 'step')}; now the update is measured on ${of}`);
    const progress = openProgress(console, 'measuring the update');
    const gains = await measureUpdateGain(
      crops,
      frozen,
      createUpdate(readSafetensors(update), network.featureChannels),
      {
        // A crop is one window, so that losses between windows do not count against the update.
        tiling: { tile: side, overlap: 0 },
        onProgress: progress.update,
      },
    ).finally(() => progress.stop());
    const about = {
      steps: state.step,
      images: state.step * batch,
      hours: Number((seconds / 3600).toPrecision(4)),
      trainedOn: data.description,
      commands: record.commands,
      measuredOn: of,
      gains: gains.map(rounded),
    };
    await writeModelCopy(options, contents, { [UPDATE_FILE]: update }, { about: { update: about } });
    const { id } = await loadModelInfo(files.directory);
    console.document({ model: files.directory, id, ...about });
    console.result([
      `${files.directory}: ${model.name} with an update; of what the network would gain by being asked anew it has, on ${of}:`,
      ...tableOf(gains),
    ]);
  } finally {
    watch.forget();
    await trainer?.dispose();
    await data.dispose();
  }
}

function rounded({ timestep, ratio, before, asked, updated, share }: UpdateGain): UpdateGain {
  const round = (value: number) => Number(value.toPrecision(4));
  const errors = { before: round(before), asked: round(asked), updated: round(updated) };
  return { timestep, ratio, ...errors, share: share === null ? null : round(share) };
}

/** A row for each timestep, a column for each ratio. */
function tableOf(gains: readonly UpdateGain[]): string[] {
  const ratios = [...new Set(gains.map(({ ratio }) => ratio))];
  const rows = [...new Set(gains.map(({ timestep }) => timestep))].map((t) => {
    const row = gains.filter(({ timestep }) => timestep === t);
    return [t.toString(), row[0].before.toFixed(2), ...row.map(({ share }) => percent(share))];
  });
  return table([['t', 'RMSE', ...ratios.map((ratio) => `snr x ${ratio}`)], ...rows], []);
}

function percent(share: number | null): string {
  return share === null ? '-' : `${Math.round(100 * share)} %`;
}
