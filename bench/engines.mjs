/**
 * Whether files decode the same everywhere. Every engine encodes and every engine decodes. The decoder's results are compared
 * with those of the engine that encoded: x_t at every step, xhat0 after the last step before rounding, and its 8-bit picture.
 * Lossless files must come back exactly; pictures of the steps alone within 0.01 grey levels RMS.
 * `agreement.ts` takes its margin from here.
 * Build first: `npm run build && node bench/engines.mjs [options] [IMAGES...]`, after `ddpm-codec data cifar10`.
 *
 * IMAGES        as `ddpm-codec rd` takes them (default cifar10:test[0:32]); pictures of several windows also compare batches
 * --crop N      take the middle N x N pixels of larger pictures
 * --model NAME  default auto
 * --effort N    default 5
 * --out FILE    where the results go as JSON, written after every picture (default: stdout at the end)
 *
 * Files with the same bytes are decoded once on each engine. Differences are in grey levels: 127.5 times the difference in [-1, 1].
 */
import { parseArgs } from 'node:util';
import { cutMiddle } from '../dist/image/crop.js';
import { decode, encode, openEngine, openImageSet } from '../dist/index.js';
import { publicPath } from '../dist/node/files.js';
import { failGracefully, machine, modelOpener, progress, resultsJson, saveJson } from './shared.mjs';

failGracefully();
/**
 * @typedef {import('../dist/index.js').Model} Model
 * @typedef {{ states: Float32Array[], unrounded: Float32Array, picture: Uint8Array }} Decoding
 */

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    crop: { type: 'string', default: '1024' },
    model: { type: 'string', default: 'auto' },
    effort: { type: 'string', default: '5' },
    out: { type: 'string' },
  },
});
const texts = positionals.length > 0 ? positionals : ['cifar10:test[0:32]'];
const images = await openImageSet(texts);
const effort = Number(values.effort);

/** Largest RMS difference allowed between engines for a picture of the steps. */
const MOST_RMS = 0.01;
const WINDOWS_AT_ONCE = 4;

const onnx = await openEngine('onnx', { threads: 1 });
/** @type {Record<string, import('../dist/index.js').Engine>} */
const encoders = {
  'onnx, 1 thread': onnx,
  'onnx, 2 threads': await openEngine('onnx', { threads: 2 }),
  wasm: await openEngine('wasm'),
};
/** @type {typeof encoders} */
const decoders = { ...encoders, [`onnx, ${WINDOWS_AT_ONCE} windows at once`]: { ...onnx, batch: WINDOWS_AT_ONCE } };
const modelFor = modelOpener(values.model);

/**
 * Decodes the steps: the states given to the network, and xhat0 at the end.
 * @param {Uint8Array} bytes
 * @param {Model} model
 * @param {number} maxSteps
 * @returns {Promise<Decoding>}
 */
async function decodeSteps(bytes, model, maxSteps) {
  /** @type {Float32Array[]} */
  const states = [];
  /** @type {Model['denoiser']} */
  const denoiser = {
    ...model.denoiser,
    predictX0(picture, ...others) {
      states.push(picture.xt.slice());
      return model.denoiser.predictX0(picture, ...others);
    },
  };
  const { unrounded, image } = await decode(bytes, { ...model, denoiser }, { maxSteps });
  return { states, unrounded, picture: image.data };
}

/**
 * |a - b| in grey levels, sorted.
 * @param {Float32Array} a
 * @param {Float32Array} b as many
 */
const differencesOf = (a, b) => a.map((value, i) => Math.abs(value - b[i]) * 127.5).sort();
const largestOf = (/** @type {Float32Array} */ sorted) => sorted[sorted.length - 1];
const rms = (/** @type {Float32Array} */ differences) =>
  Math.sqrt(differences.reduce((sum, d) => sum + d * d, 0) / differences.length);

const pairs = Object.keys(encoders).flatMap((encoder) =>
  Object.keys(decoders).map((decoder) => ({
    encoder,
    decoder,
    files: 0,
    lossless: 0,
    largestDifference: 0,
    largestRms: 0,
    largestStateDifference: 0,
    differingBytes: 0,
    bytes: 0,
    differences: /** @type {Float32Array[]} */ ([]),
  })),
);

/** @param {import('../dist/index.js').RgbImage} image */
async function measure(image) {
  /** @type {Map<string, Decoding & { exact: boolean }>} */
  const decoded = new Map();
  /** @param {string} decoder @param {Uint8Array} bytes @param {number} maxSteps */
  const decodeOnce = async (decoder, bytes, maxSteps) => {
    const key = `${decoder} ${Buffer.from(bytes).toString('latin1')}`;
    const known = decoded.get(key);
    if (known !== undefined) return known;
    const model = await modelFor(image, decoders[decoder]);
    const { lossless, image: whole } = await decode(bytes, model, { tolerant: true });
    const exact = lossless && Buffer.compare(whole.data, image.data) === 0;
    const decoding = { exact, ...(await decodeSteps(bytes, model, maxSteps)) };
    decoded.set(key, decoding);
    return decoding;
  };
  for (const encoder of Object.keys(encoders)) {
    const { bytes, steps } = await encode(image, await modelFor(image, encoders[encoder]), { lossless: true, effort });
    const own = await decodeOnce(encoder, bytes, steps.length - 1);
    for (const pair of pairs.filter((one) => one.encoder === encoder)) {
      const other = await decodeOnce(pair.decoder, bytes, steps.length - 1);
      const differences = differencesOf(other.unrounded, own.unrounded);
      pair.files++;
      if (other.exact) pair.lossless++;
      pair.largestDifference = Math.max(pair.largestDifference, largestOf(differences));
      pair.largestRms = Math.max(pair.largestRms, rms(differences));
      for (const [i, state] of other.states.entries()) {
        const largest = largestOf(differencesOf(state, own.states[i]));
        pair.largestStateDifference = Math.max(pair.largestStateDifference, largest);
      }
      pair.differingBytes += other.picture.filter((value, i) => value !== own.picture[i]).length;
      pair.bytes += other.picture.length;
      pair.differences.push(differences);
    }
  }
}

const QUANTILES = [0.5, 0.9, 0.99, 0.999, 0.9999];

/** Quantiles of the differences of xhat0 over all pictures. */
function summary() {
  return pairs.map(({ differences, ...pair }) => {
    const all = Float32Array.from(differences.flatMap((one) => [...one])).sort();
    const quantiles = QUANTILES.map((share) => [share, all[Math.floor(share * all.length)]]);
    return { ...pair, quantiles: Object.fromEntries(quantiles) };
  });
}

const results = () => ({
  machine: machine(),
  engines: Object.fromEntries(Object.entries(encoders).map(([name, { description }]) => [name, description])),
  options: { images: texts.map(publicPath), crop: Number(values.crop), model: values.model, effort },
  pairs: summary(),
});
const tick = progress('pictures');
for (let i = 0; i < images.length; i++) {
  await measure(cutMiddle((await images.load(i)).image, Number(values.crop)));
  if (values.out) await saveJson(values.out, results());
  tick((i + 1) / images.length);
}
if (!values.out) process.stdout.write(resultsJson(results()));
console.table(summary().map(({ quantiles, ...pair }) => pair));
const good = pairs.every(({ files, lossless, largestRms }) => files === lossless && largestRms <= MOST_RMS);
process.exit(good ? 0 : 1);
