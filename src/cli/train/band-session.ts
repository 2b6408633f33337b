/**
 * `ddpm-codec train --band`: one session of training weights for a band of noise levels, and the model's copy with
 * these weights.
 */
import { bandFile, type WeightsBand } from '../../codec/bands.js';
import { hexSha256 } from '../../common/bytes.js';
import { isObject } from '../../common/foreign.js';
import { measureBandRate } from '../../model/band-rate.js';
import { type Band, isSameBand, nameOfBand } from '../../model/bands.js';
import { strideOf } from '../../model/config.js';
import { createDenoiser } from '../../model/denoiser.js';
import { estimate } from '../../model/likelihood.js';
import { readSafetensors } from '../../model/safetensors.js';
import type { RunRecord } from '../../model/training/checkpoint.js';
import { allWeights } from '../../model/training/export.js';
import { stateFrom } from '../../model/training/state.js';
import { createTrainer } from '../../model/training/trainer.js';
import { createUNet } from '../../model/unet.js';
import { listParameters, matchParameters } from '../../model/unet-parameters.js';
import { loadModelInfo, UPDATE_FILE, WEIGHTS_FILE } from '../../node/models.js';
import { openProgress } from '../progress.js';
import { type CopySessionOptions, runCopySession } from './copy-session.js';
import { costOfBandRate } from './extent.js';
import { type ModelContents, readModelContents, writeModelCopy } from './model-copy.js';
import { checkCrop } from './tiling.js';
import { createWarmupNote } from './watch.js';

export interface BandSessionOptions extends CopySessionOptions<RunRecord> {
  readonly band: Band;
}

export async function runBandSession(options: BandSessionOptions): Promise<void> {
  const { console, engine, files, model, band, record } = options;
  const { config, schedule, bands = [] } = model;
  checkCrop(record.options.side, strideOf(config));
  const contents = await readModelContents(model);
  const earlier = bands.some((other) => isSameBand(other, band)) ? bandFile(band) : WEIGHTS_FILE;
  const tensors = matchParameters(listParameters(config), readSafetensors(contents.get(earlier)!));
  const firstState = () => stateFrom(schedule, allWeights({ config, tensors }).weights, record.options);
  const name = nameOfBand(band, ' to ');
  await runCopySession(options, {
    resume: `--band ${nameOfBand(band, ':')} --resume`,
    open: () => createTrainer(engine, config, schedule, record.options, options.state ?? firstState()),
    describe: () => `weights of ${model.name} for t = ${name}, begun with ${earlier}`,
    begin: () => createWarmupNote(options, record.options).foresee,
    measured: (of) => `its rate is measured on ${of}, before and after`,
    costOf: costOfBandRate,
    async finish({ weights, crops, about: trained }) {
      const progress = openProgress(console, 'measuring the rate');
      const rateOf = async (file: Uint8Array, from: number) => {
        const network = createUNet(config, readSafetensors(file));
        // A crop is one window.
        const tiling = { tile: record.options.side, overlap: 0 };
        const denoiser = createDenoiser(engine, network, schedule, tiling, model.parameterization);
        const onProgress = (fraction: number) => progress.update(from + fraction / 2);
        return measureBandRate(crops, { denoiser, schedule }, band, { onProgress }).finally(() => denoiser.dispose());
      };
      const rates = await (async () =>
        compare(await rateOf(contents.get(earlier)!, 0), await rateOf(weights, 0.5)))().finally(() => progress.stop());
      const about = { ...band, ...trained, rates };
      await writeCopy(options, contents, weights, about);
      const { id } = await loadModelInfo(files.directory);
      console.document({ model: files.directory, id, ...about });
      console.result(
        `${files.directory}: ${model.name} with weights for t = ${name}; rate of the band on ${about.measuredOn} ${rates.before} -> ${rates.after} bits/dim (${describeChange(rates)})`,
      );
      if (model.updates) {
        console.note(`${UPDATE_FILE} is of the weights before, and left out; train another with --update`);
      }
    },
  });
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
