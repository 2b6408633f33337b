/** `ddpm-codec train --update`: one session of training a model's update, and the model's copy with this update. */
import { bandFile, createBandedUNet } from '../../codec/bands.js';
import { counted } from '../../common/counted.js';
import { wholeRange } from '../../model/bands.js';
import { strideOf } from '../../model/config.js';
import { tryNetwork } from '../../model/network.js';
import { readSafetensors } from '../../model/safetensors.js';
import { createSchedule } from '../../model/schedule.js';
import type { UpdateRecord } from '../../model/training/checkpoint.js';
import { createUpdateTrainer } from '../../model/training/update-trainer.js';
import { createUpdate } from '../../model/update.js';
import { measureUpdateGain, type UpdateGain } from '../../model/update-gain.js';
import { loadModelInfo, UPDATE_FILE, WEIGHTS_FILE } from '../../node/models.js';
import { table } from '../console.js';
import { openProgress } from '../progress.js';
import { type CopySessionOptions, runCopySession } from './copy-session.js';
import { costOfGain } from './extent.js';
import { readModelContents, writeModelCopy } from './model-copy.js';
import { checkCrop } from './tiling.js';

export async function runUpdateSession(options: CopySessionOptions<UpdateRecord>): Promise<void> {
  const { console, engine, files, model, record, state } = options;
  // An update takes pixels in pairs along both axes.
  checkCrop(record.options.side, Math.max(2, strideOf(model.config)));
  const contents = await readModelContents(model);
  const read = (name: string) => contents.get(name)!;
  const network = createBandedUNet(engine, model.config, read(WEIGHTS_FILE), model.bands, async (band) =>
    read(bandFile(band)),
  );
  const frozen = {
    engine,
    network,
    schedule: createSchedule(model.scheduleConfig),
    parameterization: model.parameterization,
  };
  await tryNetwork(engine, network, wholeRange(frozen.schedule));
  await runCopySession(options, {
    resume: '--update --resume',
    open: () => createUpdateTrainer(engine, frozen, record.options, record.shape, state),
    describe: (parameters) => `an update of ${model.name} with ${counted(parameters, 'parameter')}`,
    measured: (of) => `the update is measured on ${of}`,
    costOf: costOfGain,
    async finish({ weights, crops, about: trained }) {
      const progress = openProgress(console, 'measuring the update');
      const update = createUpdate(readSafetensors(weights), network.featureChannels);
      const gains = await measureUpdateGain(crops, frozen, update, {
        // A crop is one window, so that losses between windows do not count against the update.
        tiling: { tile: record.options.side, overlap: 0 },
        onProgress: progress.update,
      }).finally(() => progress.stop());
      const about = { ...trained, gains: gains.map(rounded) };
      await writeModelCopy(options, contents, { [UPDATE_FILE]: weights }, { about: { update: about } });
      const { id } = await loadModelInfo(files.directory);
      console.document({ model: files.directory, id, ...about });
      console.result([
        `${files.directory}: ${model.name} with an update; of what the network would gain by being asked anew it has, on ${about.measuredOn}:`,
        ...tableOf(gains),
      ]);
    },
  });
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
