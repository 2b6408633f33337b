/**
 * Compares lossless files with PNG, WebP and JPEG XL: mean bits per dimension of whole files, and where the bits of ours go.
 * Build first: `npm run build && node bench/lossless.mjs [options] [IMAGES...]`, after `ddpm-codec data cifar10`.
 *
 * IMAGES        as `ddpm-codec rd` takes them (default cifar10:test[0:256])
 * --model NAME  default auto
 * --effort N    effort of our encoder (default 5)
 * --engines A,B engines that also decode each file, besides the one that wrote it, such as wasm (default none)
 * --threads N   threads of the engines (default 2)
 * --out FILE    where the results go as JSON, written after every picture (default: stdout at the end)
 *
 * Decodes every file and compares it with its picture, sample by sample. A difference ends the run.
 */
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { decode, encode, openEngine, openImageSet } from '../dist/index.js';
import { baselineVersions, findBaseline, sweepBaseline } from '../dist/report/baselines.js';
import { engineName, failGracefully, machine, modelOpener, progress, resultsJson, saveJson } from './shared.mjs';

failGracefully();
/**
 * @typedef {Record<typeof MEASURES[number], number> & { others: Record<string, number> }} Measures
 * @typedef {Measures & { name: string, model: string }} Row
 */

/** What is reported for every picture and for their mean. */
const MEASURES = /** @type {const} */ ([
  'bitsPerDim',
  'header',
  'steps',
  'tail',
  't',
  'rmseBeforeTail',
  'encodeSeconds',
  'decodeSeconds',
]);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string', default: 'auto' },
    effort: { type: 'string', default: '5' },
    engines: { type: 'string', default: '' },
    threads: { type: 'string', default: '2' },
    out: { type: 'string' },
  },
});
const images = await openImageSet(positionals.length > 0 ? positionals : ['cifar10:test[0:256]']);
const effort = Number(values.effort);
const threads = Number(values.threads);

const OTHERS = ['png', 'webp-lossless', 'jxl-lossless'].map(findBaseline);

const engine = await openEngine('onnx', { threads });
/** @type {import('../dist/index.js').Engine[]} */
const others = [];
for (const name of values.engines.split(',').filter(Boolean)) {
  others.push(await openEngine(engineName(name), name === 'onnx' ? { threads: 1 } : {}));
}
const modelFor = modelOpener(values.model);

/** @type {Row[]} */
const rows = [];
const results = () => ({
  machine: machine(),
  engine: engine.description,
  decodedOn: [engine, ...others].map(({ description }) => description),
  versions: baselineVersions(),
  options: { model: values.model, effort },
  images: rows,
  means: means(rows),
});
/** @param {number} bytes @param {import('../dist/index.js').RgbImage} image */
const bitsPerDim = (bytes, { data }) => (8 * bytes) / data.length;
const tick = progress('pictures');

for (let i = 0; i < images.length; i++) {
  const { name, image } = await images.load(i);
  const model = await modelFor(image, engine);
  const start = performance.now();
  const encoded = await encode(image, model, { lossless: true, effort });
  const encodeSeconds = (performance.now() - start) / 1000;
  const before = performance.now();
  for (const on of [engine, ...others]) {
    const { image: decoded, lossless } = await decode(encoded.bytes, await modelFor(image, on));
    if (!lossless || Buffer.compare(decoded.data, image.data) !== 0)
      throw new Error(`${name}: not exact on ${on.name}`);
  }
  const decodeSeconds = (performance.now() - before) / 1000 / (1 + others.length);
  const header = encoded.steps[0].bits / 8;
  /** @type {Record<string, number>} */
  const sizes = {};
  for (const codec of OTHERS) {
    const [{ bitsPerDim: rate, rmse }] = await sweepBaseline(image, codec);
    if (rmse !== 0) throw new Error(`${name}: ${codec.label} is not lossless`);
    sizes[codec.name] = rate;
  }
  const last = encoded.steps[encoded.steps.length - 1];
  rows.push({
    name: basename(name),
    model: model.name,
    bitsPerDim: bitsPerDim(encoded.bytes.length, image),
    header: bitsPerDim(header, image),
    steps: bitsPerDim(encoded.bytes.length - header - encoded.tailBytes, image),
    tail: bitsPerDim(encoded.tailBytes, image),
    t: last.t,
    rmseBeforeTail: last.rmse,
    encodeSeconds,
    decodeSeconds,
    others: sizes,
  });
  if (values.out) await saveJson(values.out, results());
  tick((i + 1) / images.length);
}
if (!values.out) process.stdout.write(resultsJson(results()));
console.error(means(rows));
process.exit(0);

/**
 * Mean of every measure over the pictures.
 * @param {readonly Row[]} of
 */
function means(of) {
  const mean = (/** @type {(row: Row) => number} */ measure) =>
    of.reduce((sum, row) => sum + measure(row), 0) / of.length;
  return {
    ...Object.fromEntries(MEASURES.map((key) => [key, mean((row) => row[key])])),
    others: Object.fromEntries(OTHERS.map(({ name }) => [name, mean(({ others: sizes }) => sizes[name])])),
  };
}
