/**
 * How well models denoise photographs, in the measure of the denoising literature and in bits. An ideal coder's rate at an
 * RMSE is half the integral of the denoising error over the signal-to-noise ratio, so the first explains the second.
 *
 *   npm run bench denoising -- --images DATA [options] MODEL [MODEL...]
 *
 * --images DATA    as for ddpm-codec rd: a directory of pictures such as Kodak's, never ones that a model was trained on
 * --crop N         side of the central crops over which the integral is taken (default 256, 0 for whole pictures)
 * --sigmas LIST    noise added to the whole pictures, in grey levels (default 15,25,50)
 * --out FILE       results as JSON, written after every model (default stdout)
 *
 * PSNR is 10 log10(255^2 / mean squared error) of xhat0 before rounding, over the three channels, averaged over pictures. It is
 * interpolated linearly in log sigma between the two timesteps whose noise is closest to sigma. All models see the same noise.
 */
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { PHOTO_MODEL } from '../dist/codec/model-choice.js';
import { integerStream } from '../dist/common/random.js';
import { openImageSet } from '../dist/data/image-set.js';
import { cutMiddle } from '../dist/image/crop.js';
import { psnrOfRmse } from '../dist/image/metrics.js';
import { toUnit } from '../dist/image/pixels.js';
import { CodecError, openEngine, openModel } from '../dist/index.js';
import { denoisingError } from '../dist/model/denoising.js';
import { average, bitsPerDimAt } from '../dist/report/rate-curve.js';
import { independentCurve } from '../dist/report/theory.js';
import { failGracefully, machine, progress, resultsJson, saveJson } from './shared.mjs';

failGracefully();
const LEVELS = [15, 10, 7, 5, 3];
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    images: { type: 'string' },
    crop: { type: 'string', default: '256' },
    sigmas: { type: 'string', default: '15,25,50' },
    out: { type: 'string' },
  },
});
if (values.images === undefined) throw new CodecError('usage', '--images: expected a directory of pictures');
const crop = Number(values.crop) || Number.POSITIVE_INFINITY;
const sigmas = values.sigmas.split(',').map(Number);
const names = positionals.length > 0 ? positionals : [PHOTO_MODEL];

/**
 * @typedef {import('../dist/index.js').Model} Model
 * @typedef {{ mean?: number, perImage: (number | null)[] }} Row
 * @typedef {{ model: string, id: string, psnr: (Row & { sigma: number })[], idealBitsPerDim: (Row & { rmse: number })[] }} Result
 */

/**
 * Noise at t, in grey levels, of a picture that is not scaled: x_t / sqrt(abar_t) = x_0 + sigma noise.
 * @param {Model['schedule']} schedule
 * @param {number} t
 */
const sigmaAt = (schedule, t) => 127.5 / Math.sqrt(schedule.snr[t]);

/**
 * PSNR of xhat0 at a noise level.
 * @param {import('../dist/index.js').RgbImage} image
 * @param {number} sigma
 * @param {Model} model
 * @param {string} name
 */
async function denoisingPsnr(image, sigma, model, name) {
  const { schedule } = model;
  let t = 1;
  while (t < schedule.timesteps && sigmaAt(schedule, t) < sigma) t++;
  const x0 = toUnit(image.data);
  const psnr = async (/** @type {number} */ step) => {
    const stream = integerStream(`denoising/${name}/${step}`);
    const error = await denoisingError({ ...image, x0 }, step, model, stream);
    return psnrOfRmse(127.5 * Math.sqrt(error / x0.length));
  };
  const [low, high] = [Math.max(1, t - 1), t].map((step) => sigmaAt(schedule, step));
  const share = high === low ? 0 : Math.log(sigma / low) / Math.log(high / low);
  return (1 - share) * (await psnr(Math.max(1, t - 1))) + share * (await psnr(t));
}

const engine = await openEngine('auto');
const images = await openImageSet([values.images]);
/** @type {Result[]} */
const models = [];
const results = {
  description: 'Denoising of photographs: PSNR of whole pictures in dB, ideal bits/dim at an RMSE of their middles',
  images: images.names.map((name) => basename(name)),
  crop: Number.isFinite(crop) ? crop : null,
  machine: machine(),
  engine: engine.description,
  models,
};
for (const modelName of names) {
  const model = await openModel(modelName, engine);
  const tell = progress(model.name);
  const psnrs = sigmas.map(() => /** @type {number[]} */ ([]));
  const rates = LEVELS.map(() => /** @type {(number | null)[]} */ ([]));
  for (let i = 0; i < images.length; i++) {
    const { name, image } = await images.load(i);
    for (const [k, sigma] of sigmas.entries()) psnrs[k].push(await denoisingPsnr(image, sigma, model, name));
    const curve = await independentCurve(cutMiddle(image, crop), model, integerStream(`denoising/${name}`));
    for (const [k, level] of LEVELS.entries()) rates[k].push(bitsPerDimAt(curve, level));
    tell((i + 1) / images.length);
  }
  const psnr = sigmas.map((sigma, k) => ({ sigma, ...average(psnrs[k]), perImage: psnrs[k] }));
  const idealBitsPerDim = LEVELS.map((rmse, k) => ({ rmse, ...average(rates[k]), perImage: rates[k] }));
  models.push({ model: model.name, id: model.id.slice(0, 12), psnr, idealBitsPerDim });
  await model.dispose();
  const psnrLine = psnr.map(({ sigma, mean }) => `${sigma}: ${mean?.toFixed(3)}`).join(', ');
  const idealLine = idealBitsPerDim.map(({ rmse, mean }) => `${rmse}: ${mean?.toFixed(3)}`).join(', ');
  console.error(`${model.name}: PSNR at sigma ${psnrLine} dB; ideal at RMSE ${idealLine} bits/dim`);
  if (values.out !== undefined) await saveJson(values.out, results);
}
await engine.dispose();
if (values.out === undefined) process.stdout.write(resultsJson(results));
