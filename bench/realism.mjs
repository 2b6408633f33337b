/**
 * Compares pictures along the dial of `decode --realism` with other pictures made from the same bits: error, distance from the originals, specks.
 * Build first: `npm run build && npm run bench realism -- [options] IMAGES...`
 *
 * IMAGES          as `ddpm-codec rd` takes them; with --features all must have one size
 * --features FILE a network for KID (docs/EVALUATION.md); without it there is no KID
 * --rates LIST    bits per dimension at which each file is cut off (default 0.02,0.05,0.1)
 * --realisms LIST default 0,0.25,0.5,0.75,1
 * --others        also DDIM steps, ancestral sampling, and the flow with a scaled score (arXiv 2603.04005)
 * --effort N      default 5
 * --model NAME    default auto
 * --sheet FILE    a PNG with the pictures of the first eight images, one row for each image and rate
 * --out FILE      where the results go as JSON (default: stdout)
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { between } from '../dist/codec/decoder/reconstruction.js';
import { fromUnit } from '../dist/image/pixels.js';
import { encode, encodePng, openDecoder, openFeatureNetwork, openImageSet, rmse } from '../dist/index.js';
import { flowCoefficients } from '../dist/model/schedule.js';
import { openEngine } from '../dist/node/engine/index.js';
import { labelledTable } from '../dist/node/image/contact-sheet.js';
import { kernelDistance } from '../dist/report/kid.js';
import { failGracefully, machine, modelOpener, progress, putJson } from './shared.mjs';

failGracefully();
/**
 * @typedef {import('../dist/index.js').RgbImage} RgbImage
 * @typedef {import('../dist/index.js').Model} Model
 */

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    features: { type: 'string' },
    rates: { type: 'string', default: '0.02,0.05,0.1' },
    realisms: { type: 'string', default: '0,0.25,0.5,0.75,1' },
    others: { type: 'boolean', default: false },
    effort: { type: 'string', default: '5' },
    model: { type: 'string', default: 'auto' },
    sheet: { type: 'string' },
    out: { type: 'string' },
  },
});
const images = await openImageSet(positionals);
const rates = values.rates.split(',').map(Number);
const realisms = values.realisms.split(',').map(Number);
const effort = Number(values.effort);
/** 1 is the flow itself, for comparison. The scaled flows are solved like it, without a corrector. */
const SCALES = [1, 1.03, 1.1, 1.25];
const PICTURED = 8;
/** A pixel is a speck when one of its channels is farther than this from the median of its 3x3 neighbourhood. */
const SPECK = 40;

const engine = await openEngine('auto', { threads: 2 });
const modelFor = modelOpener(values.model);
const network = values.features === undefined ? undefined : await openFeatureNetwork(values.features, 2);

/** @type {Map<string, Float32Array[]>} features by rate and kind, and of the originals */
const features = new Map();
/** @type {Map<string, { rmse: number, specks: number }[]>} */
const measured = new Map();
/** @type {{ label: string, pictures: RgbImage[] }[]} */
const sheet = [];
/** @type {number[]} */
const specksOfOriginals = [];

const tick = progress('realism');
for (let index = 0; index < images.length; index++) {
  const { image } = await images.load(index);
  const model = await modelFor(image, engine);
  const dims = image.width * image.height * 3;
  const { bytes } = await encode(image, model, {
    effort,
    targetRmse: 0.01,
    maxBytes: Math.ceil((Math.max(...rates) * dims) / 8) + 1,
  });
  specksOfOriginals.push(specks(image));
  await keep('original', image);
  for (const rate of rates) {
    const pictures = await picturesAt(bytes.subarray(0, Math.floor((rate * dims) / 8)), model);
    if (index < PICTURED)
      sheet.push({ label: `${rate} bits/dim`, pictures: [image, ...pictures.map(([, picture]) => picture)] });
    for (const [kind, picture] of pictures) {
      const key = `${rate} ${kind}`;
      measured.set(key, [...(measured.get(key) ?? []), { rmse: rmse(picture, image), specks: specks(picture) }]);
      await keep(key, picture);
    }
  }
  tick((index + 1) / images.length);
}

const originals = features.get('original');
const points = [...measured].map(([key, each]) => {
  const [rate, ...kind] = key.split(' ');
  const mean = (/** @type {(one: { rmse: number, specks: number }) => number} */ of) =>
    each.reduce((sum, one) => sum + of(one), 0) / each.length;
  const own = features.get(key);
  return {
    bitsPerDim: Number(rate),
    picture: kind.join(' '),
    rmse: Math.sqrt(mean((one) => one.rmse ** 2)),
    specks: mean((one) => one.specks),
    // Images whose specks exceed the original's by more than a thousandth of its pixels.
    specked: each.filter((one, i) => one.specks > specksOfOriginals[i] + 0.001).length,
    ...(originals && own && { kid: kernelDistance(originals, own) }),
  };
});
const results = {
  machine: machine(),
  engine: engine.description,
  options: { images: images.length, model: values.model, effort, rates },
  specksOfOriginals: specksOfOriginals.reduce((sum, one) => sum + one, 0) / specksOfOriginals.length,
  points,
};
await putJson(values.out, results);
if (values.sheet !== undefined) {
  const kinds = [
    'original',
    ...[...measured.keys()]
      .filter((key) => key.startsWith(`${rates[0]} `))
      .map((key) => key.slice(String(rates[0]).length + 1)),
  ];
  const table = await labelledTable({
    rows: sheet.map(({ pictures }) => pictures),
    rowLabels: sheet.map(({ label }) => label),
    columnLabels: kinds,
  });
  await writeFile(values.sheet, await encodePng(table));
}
await network?.dispose();
await engine.dispose();

/**
 * All kinds of pictures that a file gives.
 * @param {Uint8Array} bytes
 * @param {Model} model
 * @returns {Promise<[kind: string, picture: RgbImage][]>}
 */
async function picturesAt(bytes, model) {
  const decoder = openDecoder(model);
  for await (const _ of decoder.push(bytes));
  const point = decoder.end();
  const { image, unrounded } = await point.reconstruct(0);
  const mean = unrounded.slice();
  const toImage = (/** @type {Float32Array} */ data) => ({ ...image, data: fromUnit(data) });
  const { unrounded: flow } = await point.reconstruct(1);
  /** @type {[string, RgbImage][]} */
  const pictures = realisms.map((realism) => [`realism ${realism}`, toImage(between(mean, flow, realism))]);
  if (!values.others) return pictures;
  pictures.push(['sample', (await point.reconstruct('sample')).image]);
  pictures.push(['DDIM', toImage(await scaledFlow(decoder, model, { scale: 1, order: 1 }))]);
  for (const scale of SCALES)
    pictures.push([`score scaled by ${scale}`, toImage(await scaledFlow(decoder, model, { scale, order: 2 }))]);
  return pictures;
}

/**
 * The flow dx = -c (x - xhat0) d(log sigma), in units in which the picture has factor 1 in x_t. c = 1 is the probability-flow ODE.
 * For Gaussian data, c = 2 gives the mean.
 * @param {import('../dist/index.js').Decoder} decoder at its end
 * @param {Model} model
 * @param {{ scale: number, order: 1 | 2 }} how
 */
async function scaledFlow(decoder, model, { scale, order }) {
  const { chain, layout } = /** @type {any} */ (decoder).progress;
  const { schedule, denoiser } = model;
  const asking = [...layout.written.slice(chain.step), ...layout.unwritten].filter((step) => step.asks);
  const place = { width: chain.size.width, height: chain.size.height, detail: layout.header.detail };
  const ask = async (/** @type {Float32Array} */ xt, /** @type {number} */ t) =>
    (await denoiser.predictX0({ ...place, xt, t }, { best: true })).slice();
  let state = Float32Array.from(chain.state);
  let t = chain.t;
  /** @type {{ xhat0: Float32Array, length: number } | undefined} */
  let last;
  for (const { s } of asking) {
    const xhat0 = await ask(state, t);
    const length = Math.log(schedule.snr[s] / schedule.snr[t]) / 2;
    const ahead = last && order === 2 ? length / (2 * last.length) : 0;
    const before = last?.xhat0 ?? xhat0;
    // The remaining share of x - xhat0.
    const left = flowCoefficients(schedule, t, s).xt * Math.exp((1 - scale) * length);
    const [at, as] = [t, s].map((timestep) => Math.sqrt(schedule.alphasCumprod[timestep]));
    state = state.map((value, i) => {
      const drawn = xhat0[i] + ahead * (xhat0[i] - before[i]);
      return as * drawn + left * (value - at * drawn);
    });
    last = { xhat0, length };
    t = s;
  }
  return ask(state, t);
}

/** @param {string} key @param {RgbImage} picture */
async function keep(key, picture) {
  if (!network) return;
  const [{ features: row }] = await network.evaluate([picture]);
  features.set(key, [...(features.get(key) ?? []), row]);
}

/** @param {RgbImage} picture @returns share of its pixels that are specks */
function specks({ width, height, data }) {
  let count = 0;
  const within = (/** @type {number} */ i, /** @type {number} */ length) => Math.min(length - 1, Math.max(0, i));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const isSpeck = [0, 1, 2].some((c) => {
        const around = [-1, 0, 1].flatMap((dy) =>
          [-1, 0, 1].map((dx) => data[(within(y + dy, height) * width + within(x + dx, width)) * 3 + c]),
        );
        return Math.abs(around.sort((a, b) => a - b)[4] - data[(y * width + x) * 3 + c]) > SPECK;
      });
      if (isSpeck) count++;
    }
  }
  return count / (width * height);
}
