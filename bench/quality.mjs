/**
 * How good models are on CIFAR-10, side by side: the bound on test and training images, and the rates of real files.
 * Build first: `npm run build && node bench/quality.mjs [options] MODEL [MODEL...]`, after `ddpm-codec data cifar10`.
 *
 * --images N    test images for the bound (default 10000: all; 0 for no bound on them)
 * --train N     training images for the bound (default 2000; 0 for no bound on them)
 * --strata N    timesteps for each of them, besides t = 1 (default 4)
 * --files N     test images that are encoded and decoded (default 64; 0 for none)
 * --out FILE    where the results go as JSON; written after every part, so that nothing is lost (default: stdout at the end)
 *
 * Rates are of whole files. The RMSE is measured on what the decoder makes of the file, truncated after each of its steps.
 * Bits at an RMSE are interpolated between the two nearest steps, as in `ddpm-codec rd`. All models see the same images and noise.
 */
import { parseArgs } from 'node:util';
import { cifar10Image, openCifar10 } from '../dist/data/cifar10.js';
import { measureBound, openEngine, openModel, readHeader } from '../dist/index.js';
import { sweepProgressive } from '../dist/report/progressive-sweep.js';
import { average, bitsPerDimAt } from '../dist/report/rate-curve.js';
import { failGracefully, machine, progress, resultsJson, saveJson } from './shared.mjs';

/**
 * @typedef {import('../dist/index.js').Bound} Bound
 * @typedef {import('../dist/index.js').Model} Model
 * @typedef {{ value: number, standardError: number | null }} Estimate
 * @typedef {object} Result
 * @property {string} model
 * @property {string} id
 * @property {Model['parameterization']} parameterization
 * @property {Bound} [test]
 * @property {Bound} [train]
 * @property {number} [files]
 * @property {number} [format] of the files
 * @property {{ rmse: number, bitsPerDim: Estimate }[]} [rates]
 */

failGracefully();
const LEVELS = [15, 10, 7, 5, 3];
/** Files are encoded a little beyond the last level. */
const TARGET = 2.8;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    images: { type: 'string', default: '10000' },
    train: { type: 'string', default: '2000' },
    strata: { type: 'string', default: '4' },
    files: { type: 'string', default: '64' },
    out: { type: 'string' },
  },
});
const names = positionals.length > 0 ? positionals : ['cifar10'];
const strata = Number(values.strata);
const counts = { test: Number(values.images), train: Number(values.train), files: Number(values.files) };

const engine = await openEngine('auto');
/** @type {Result[]} */
const models = [];
const results = {
  machine: machine(),
  engine: engine.description,
  strata,
  models,
};

const save = async () => void (values.out && (await saveJson(values.out, results)));

const splits = { test: await openCifar10('test'), train: await openCifar10('train') };
/** @type {readonly (keyof typeof splits)[]} */
const SPLITS = ['test', 'train'];

/**
 * Images spread evenly over a split, or all of it in order when all are asked for.
 * @param {keyof typeof splits} split
 * @param {number} count
 */
function pictures(split, count) {
  const { images, count: all } = splits[split];
  const length = Math.min(count, all);
  return Array.from({ length }, (_, i) => cifar10Image(images, Math.floor((i * all) / length)));
}

/**
 * Mean and standard error, as the bounds report them.
 * @param {readonly number[]} numbers
 * @returns {Estimate}
 */
function estimate(numbers) {
  const found = average(numbers);
  if (found === null) throw new Error('nothing to average');
  return { value: found.mean, standardError: found.standardError };
}

/**
 * @param {Model} model
 * @param {number} count
 * @param {(fraction: number) => void} onProgress
 */
async function measureFiles(model, count, onProgress) {
  let format = 0;
  const atLevels = LEVELS.map(() => /** @type {number[]} */ ([]));
  for (let i = 0; i < count; i++) {
    // The first images of the test set, the same ones for everybody.
    const image = cifar10Image(splits.test.images, i);
    const {
      bytes,
      curves: [points],
    } = await sweepProgressive(image, model, { targetRmse: TARGET });
    format = readHeader(bytes).header.version;
    for (const [k, level] of LEVELS.entries()) {
      const rate = bitsPerDimAt(points, level);
      if (rate === null) throw new Error(`a curve does not cross RMSE ${level}`);
      atLevels[k].push(rate);
    }
    onProgress((i + 1) / count);
  }
  const rates = LEVELS.map((level, k) => ({ rmse: level, bitsPerDim: estimate(atLevels[k]) }));
  return { files: count, format, rates };
}

for (const name of names) {
  const model = await openModel(name, engine);
  const { network, schedule, parameterization } = model;
  const diffusion = { engine, network, schedule, parameterization };
  /** @type {Result} */
  const result = { model: model.name, id: model.id.slice(0, 12), parameterization };
  models.push(result);
  for (const split of SPLITS) {
    if (counts[split] === 0) continue;
    const onProgress = progress(`${model.name}, bound on ${split} images`);
    result[split] = await measureBound(pictures(split, counts[split]), diffusion, { strata, onProgress });
    await save();
  }
  if (counts.files > 0) {
    Object.assign(result, await measureFiles(model, counts.files, progress(`${model.name}, files`)));
    await save();
  }
  await model.dispose();
}
await engine.dispose();

/** @param {Estimate} estimate */
const show = ({ value, standardError }) => `${value.toFixed(4)} ± ${standardError?.toFixed(4) ?? '?'}`;
for (const { model, files, rates, ...bounds } of models) {
  console.error(`\n${model}, bits/dim`);
  for (const split of SPLITS) {
    const bound = bounds[split];
    if (bound === undefined) continue;
    const { prior, diffusion, decoder, total, images } = bound;
    const parts = [prior, diffusion, decoder].map(show).join(', ');
    console.error(`  bound on ${images} ${split} images: ${show(total)} (L_T, L_1:T-1, L_0: ${parts})`);
  }
  for (const { rmse: level, bitsPerDim } of rates ?? [])
    console.error(`  RMSE ${level}: ${show(bitsPerDim)} (${files} files)`);
}
if (!values.out) process.stdout.write(resultsJson(results));
