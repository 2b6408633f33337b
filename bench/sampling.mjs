/**
 * How much noise is left in samples, by sampler, variance and number of steps, compared with real pictures.
 * Build first: `npm run build && node bench/sampling.mjs [options]`, after `ddpm-codec data cifar10`.
 *
 * --model NAME   default cifar10
 * --count N      pictures for each row (default 16)
 * --steps LIST   default 50,250,1000
 * --out FILE     where the results go as JSON, written after every row (default: stdout at the end)
 * --sheets DIR   also writes a contact sheet for each row
 *
 * Reports two numbers, in grey levels of a single pixel. `diagonal` is the RMS of the finest diagonal Haar coefficients
 * (a - b - c + d) / 2 of all 2x2 squares; white noise contributes its standard deviation to it, and edges little. `variation` is
 * the mean difference of neighbours. All rows draw the same noise.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeAtomically } from '../dist/cli/output.js';
import { CIFAR10_SIDE, cifar10Image, openCifar10 } from '../dist/data/cifar10.js';
import { encodePng, openEngine, openModel, sample } from '../dist/index.js';
import { contactSheet } from '../dist/node/image/contact-sheet.js';
import { failGracefully, machine, progress, resultsJson, saveJson } from './shared.mjs';

failGracefully();
/**
 * @typedef {Pick<import('../dist/index.js').SamplerOptions, 'sampler' | 'variance' | 'steps'>} Way
 * @typedef {Way & { what: string, diagonal: number, variation: number }} Row
 */

const REAL = 2000;
/** @type {readonly Way[]} */
const WAYS = [
  { sampler: 'ddpm', variance: 'beta' },
  { sampler: 'ddpm', variance: 'beta-tilde' },
  { sampler: 'ddpm', variance: 'optimal' },
  { sampler: 'ddim' },
];

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'cifar10' },
    count: { type: 'string', default: '16' },
    steps: { type: 'string', default: '50,250,1000' },
    threads: { type: 'string', default: '1' },
    out: { type: 'string' },
    sheets: { type: 'string' },
  },
});

const size = { width: CIFAR10_SIDE, height: CIFAR10_SIDE };
const { images } = await openCifar10('test');
const real = Array.from({ length: REAL }, (_, i) => cifar10Image(images, i));
const engine = await openEngine('auto', { threads: Number(values.threads) });
const model = await openModel(values.model, engine);
/** @type {Row[]} */
const rows = [{ what: `CIFAR-10 test, ${REAL} images`, ...roughness(real) }];
const results = {
  machine: machine(),
  engine: engine.description,
  model: model.name,
  count: Number(values.count),
  rows,
};
if (values.sheets) await mkdir(values.sheets, { recursive: true });

for (const steps of values.steps.split(',').map(Number)) {
  for (const way of WAYS) {
    const what = [way.sampler, way.variance, steps].filter(Boolean).join(', ');
    const options = { ...size, ...way, steps, count: results.count, seed: 'bench', onProgress: progress(what) };
    const pictures = await sample({ ...model, engine }, options);
    rows.push({ what, ...way, steps, ...roughness(pictures) });
    if (values.sheets) {
      const sheet = await contactSheet(pictures.map((image) => ({ image, label: '' })));
      const name = `${what.replaceAll(', ', '-')}.png`;
      await writeAtomically(join(values.sheets, name), await encodePng(sheet), { force: true });
    }
    if (values.out) await saveJson(values.out, results);
  }
}
await model.dispose();
await engine.dispose();
for (const { what, diagonal, variation } of rows)
  console.error(`${what}: ${diagonal.toFixed(2)}, ${variation.toFixed(2)}`);
if (!values.out) process.stdout.write(resultsJson(results));

/**
 * Means over pictures.
 * @param {readonly import('../dist/index.js').RgbImage[]} pictures
 */
function roughness(pictures) {
  let diagonal = 0;
  let variation = 0;
  for (const { width, height, data } of pictures) {
    let squares = 0;
    let differences = 0;
    for (let y = 0; y + 1 < height; y++) {
      for (let i = y * width * 3; i < (y * width + width - 1) * 3; i++) {
        const [a, b, c, d] = [data[i], data[i + 3], data[i + 3 * width], data[i + 3 * width + 3]];
        squares += ((a - b - c + d) / 2) ** 2;
        differences += (Math.abs(a - b) + Math.abs(a - c)) / 2;
      }
    }
    const count = (height - 1) * (width - 1) * 3;
    diagonal += Math.sqrt(squares / count) / pictures.length;
    variation += differences / count / pictures.length;
  }
  return { diagonal, variation };
}
