/**
 * `ddpm-codec train --band`: one session of training weights for a band of noise levels, and the model's copy with
 * these weights.
 */
import { bandFile, type WeightsBand } from '../../codec/bands.js';
import { hexSha256 } from '../../common/bytes.js';
import { counted } from '../../common/counted.js';
import { CodecError } from '../../common/errors.js';
import { isObject } from '../../common/foreign.js';
import { openTrainingData } from '../../data/training-data.js';
import type { Engine } from '../../engine/engine.js';
import { measureBandRate } from '../../model/band-rate.js';
import { type Band, isSameBand, nameOfBand } from '../../model/bands.js';
import { strideOf } from '../../model/config.js';
import { createDenoiser } from '../../model/denoiser.js';
import { estimate } from '../../model/likelihood.js';
import { readSafetensors } from '../../model/safetensors.js';
import type { RunRecord } from '../../model/training/checkpoint.js';
import { allWeights, weightsFile } from '../../model/training/export.js';
import type { RunLimits } from '../../model/training/run.js';
import { stateFrom, type TrainerState } from '../../model/training/state.js';
import { createTrainer } from '../../model/training/trainer.js';
import { createUNet } from '../../model/unet.js';
import { listParameters, matchParameters } from '../../model/unet-parameters.js';
import { writeCheckpoint } from '../../node/checkpoint-file.js';
import { loadModelInfo, type ModelInfo, UPDATE_FILE, WEIGHTS_FILE } from '../../node/models.js';
import type { Console } from '../console.js';
import { openProgress } from '../progress.js';
import { costOfBandRate, cropsToMeasureOn } from './extent.js';
import type { RunFiles } from './files.js';
import { type ModelContents, readModelContents, writeModelCopy } from './model-copy.js';
import { createSkippedNotes, createWarmupNote, openWatch, secondsLeftWith } from './watch.js';

export interface BandSessionOptions {
  readonly console: Console;
  readonly engine: Engine;
  readonly files: RunFiles;
  readonly model: ModelInfo;
  readonly band: Band;
  readonly record: RunRecord;
  /** State to continue from. */
  readonly state?: TrainerState;
  readonly limits: RunLimits;
  /** In seconds. */
  readonly checkpointEvery: number;
}

export async function runBandSession(options: BandSessionOptions): Promise<void> {
  const { console, engine, files, model, band, limits } = options;
  const { config, schedule, bands = [] } = model;
  const { batch, side, seed } = options.record.options;
  if (side % strideOf(config) !== 0) {
    throw new CodecError('usage', `--crop: expected a multiple of ${strideOf(config)} for this network, got ${side}`);
  }
  const contents = await readModelContents(model);
  const earlier = bands.some((other) => isSameBand(other, band)) ? bandFile(band) : WEIGHTS_FILE;
  const tensors = matchParameters(listParameters(config), readSafetensors(contents.get(earlier)!));
  const begin = () => stateFrom(schedule, allWeights({ config, tensors }).weights, options.record.options);
  let { record } = options;
  const data = await openTrainingData(record.data, { side, seed });
  let trainer: Awaited<ReturnType<typeof createTrainer>> | undefined;
  const watch = openWatch(options, options.state?.step, `--band ${nameOfBand(band, ':')} --resume`);
  try {
    trainer = await createTrainer(engine, config, schedule, record.options, options.state ?? begin());
    const { state, parameters } = trainer;
    // Fail now, not after an hour, where data cannot be read.
    await data.batch(state.step, batch);
    const tellSkipped = createSkippedNotes(data, console);
    tellSkipped();
    console.note(
      `${data.description}; weights of ${model.name} for t = ${nameOfBand(band, ' to ')}, begun with ${earlier}; ${engine.name}: ${engine.description}`,
    );
    const warnOfWarmup = createWarmupNote(options, record.options);
    const { isDone, seconds } = await watch.train({
      ...{ engine, trainer, data, batch, limits, record },
      onStep: (now) => warnOfWarmup.foresee(now),
      secondsBefore: record.seconds,
      checkpointEvery: options.checkpointEvery,
      write: async (seconds) => {
        record = { ...record, seconds };
        await writeCheckpoint(files.checkpoint, { record, state }, parameters);
      },
      secondsLeft: secondsLeftWith(limits, batch, costOfBandRate),
    });
    tellSkipped();
    if (!isDone) return;
    const weights = weightsFile(state, parameters);
    const { crops, of } = await cropsToMeasureOn(data, state.step * batch);
    console.note(`trained for ${counted(state.step, 'step')}; now its rate is measured on ${of}, before and after`);
    const progress = openProgress(console, 'measuring the rate');
    const rateOf = async (file: Uint8Array, from: number) => {
      const network = createUNet(config, readSafetensors(file));
      // A crop is one window.
      const denoiser = createDenoiser(engine, network, schedule, { tile: side, overlap: 0 }, model.parameterization);
      const onProgress = (fraction: number) => progress.update(from + fraction / 2);
      return measureBandRate(crops, { denoiser, schedule }, band, { onProgress }).finally(() => denoiser.dispose());
    };
    const rates = await (async () =>
      compare(await rateOf(contents.get(earlier)!, 0), await rateOf(weights, 0.5)))().finally(() => progress.stop());
    const about = {
      ...band,
      ...{ steps: state.step, images: state.step * batch, hours: Number((seconds / 3600).toPrecision(4)) },
      ...{ trainedOn: data.description, commands: record.commands, measuredOn: of, rates },
    };
    await writeCopy(options, contents, weights, about);
    const { id } = await loadModelInfo(files.directory);
    console.document({ model: files.directory, id, ...about });
    console.result(
      `${files.directory}: ${model.name} with weights for t = ${nameOfBand(band, ' to ')}; rate of the band on ${of} ${rates.before} -> ${rates.after} bits/dim (${describeChange(rates)})`,
    );
    if (model.updates) {
      console.note(`${UPDATE_FILE} is of the weights before, and left out; train another with --update`);
    }
  } finally {
    watch.forget();
    await trainer?.dispose();
    await data.dispose();
  }
}

async function writeCopy(
  options: BandSessionOptions,
  contents: ModelContents,
  weights: Uint8Array,
  aboutBand: object,
): Promise<void> {
  const { model, band } = options;
  const isOther = (one: Band) => !isSameBand(one, band);
  const others = (model.bands ?? []).filter(isOther);
  const bands: WeightsBand[] = [...others, { ...band, sha256: await hexSha256(weights) }];
  const earlier: unknown[] = isObject(model.about) && Array.isArray(model.about.bands) ? model.about.bands : [];
  const aboutOthers = earlier.filter((one) => isObject(one) && isOther(one as unknown as Band));
  await writeModelCopy(
    options,
    contents,
    { [bandFile(band)]: weights },
    {
      bands: bands.sort((a, b) => a.least - b.least),
      about: { bands: [...aboutOthers, aboutBand], update: undefined },
    },
  );
}

/** Rates of a band before and after, in bits/dim. */
interface Change {
  readonly before: number;
  readonly after: number;
  /** Mean of the pictures' changes, relative to the mean before, and its standard error; null for one picture. */
  readonly change: number;
  readonly standardError: number | null;
}

function compare(before: readonly number[], after: readonly number[]): Change {
  const { value: ofBefore } = estimate(before);
  const { value: change, standardError } = estimate(before.map((value, i) => (after[i] - value) / ofBefore));
  const round = (value: number) => Number(value.toPrecision(5));
  return {
    before: round(ofBefore),
    after: round(estimate(after).value),
    change: round(change),
    standardError: Number.isNaN(standardError) ? null : round(standardError),
  };
}

function describeChange({ change, standardError }: Change): string {
  const percent = (value: number) => (100 * value).toFixed(2);
  const sign = change > 0 ? '+' : '';
  return `${sign}${percent(change)} %${standardError === null ? '' : `, standard error ${percent(standardError)}`}`;
}
