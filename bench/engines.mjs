/**
 * Whether files decode the same everywhere: every engine encodes, every engine decodes, and xhat0 of the two is compared
 * at the end of the steps, before rounding. Lossless files must come back exactly. `agreement.ts` has its margin from here.
 * Build first: `npm run build && node bench/engines.mjs [options] [IMAGES...]`, after `ddpm-codec data cifar10`.
 *
 * IMAGES        as `ddpm-codec rd` takes them (default cifar10:test[0:32])
 * --model NAME  default auto
 * --effort N    default 5
 * --out FILE    where the results go as JSON, written after every picture (default: stdout at the end)
 *
 * Files of the same bytes are decoded once on each engine. Differences are in grey levels.
 */
import { parseArgs } from 'node:util';
import { decode, encode, modelForSize, openEngine, openImageSet, openModel } from '../dist/index.js';
import { machine, progress, saveJson } from './shared.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string', default: 'auto' },
    effort: { type: 'string', default: '5' },
    out: { type: 'string' },
  },
});
const images = await openImageSet(positionals.length > 0 ? positionals : ['cifar10:test[0:32]']);

const engines = {
  'onnx, 1 thread': await openEngine('onnx', { threads: 1 }),
  'onnx, 2 threads': await openEngine('onnx', { threads: 2 }),
  wasm: await openEngine('wasm'),
};
const models = new Map();
async function modelOn(engine, image) {
  const name = values.model === 'auto' ? modelForSize(image) : values.model;
  const key = `${name} ${engine}`;
  if (!models.has(key)) models.set(key, await openModel(name, engines[engine]));
  return models.get(key);
}

const results = {
  machine: machine(),
  engines: Object.fromEntries(Object.entries(engines).map(([name, { description }]) => [name, description])),
  options: { model: values.model, effort: Number(values.effort) },
  pairs: [],
};
for (const encoder of Object.keys(engines)) {
  for (const decoder of Object.keys(engines)) {
    results.pairs.push({ encoder, decoder, files: 0, exact: 0, largestDifference: 0, rmsDifference: 0 });
  }
}
const tick = progress('pictures');

for (let i = 0; i < images.length; i++) {
  const { image } = await images.load(i);
  const decoded = new Map();
  for (const encoder of Object.keys(engines)) {
    const { bytes, steps } = await encode(image, await modelOn(encoder, image), {
      lossless: true,
      effort: results.options.effort,
    });
    const end = { maxSteps: steps.length - 1 };
    const own = (await decode(bytes, await modelOn(encoder, image), end)).unrounded;
    for (const decoder of Object.keys(engines)) {
      const key = `${decoder} ${Buffer.from(bytes).toString('latin1')}`;
      if (!decoded.has(key)) {
        const model = await modelOn(decoder, image);
        const whole = await decode(bytes, model, { tolerant: true });
        const exact = whole.lossless && Buffer.compare(whole.image.data, image.data) === 0;
        decoded.set(key, { exact, estimate: (await decode(bytes, model, end)).unrounded });
      }
      const { exact, estimate } = decoded.get(key);
      const pair = results.pairs.find((one) => one.encoder === encoder && one.decoder === decoder);
      const differences = estimate.map((value, k) => Math.abs(value - own[k]) * 127.5);
      pair.largestDifference = Math.max(pair.largestDifference, ...differences);
      const rms = Math.sqrt(differences.reduce((sum, d) => sum + d * d, 0) / differences.length);
      // The largest of the pictures'.
      pair.rmsDifference = Math.max(pair.rmsDifference, rms);
      pair.files++;
      if (exact) pair.exact++;
    }
  }
  if (values.out) await saveJson(values.out, results);
  tick((i + 1) / images.length);
}
if (!values.out) console.log(JSON.stringify(results, null, 2));
console.table(results.pairs);
process.exit(results.pairs.every(({ files, exact }) => files === exact) ? 0 : 1);
