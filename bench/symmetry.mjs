/**
 * What a second estimate is worth. Compares the squared error of the mean of xhat0 for a picture and for the mirrored or turned picture
 * with that of one estimate, all as for pictures that are shown.
 *
 *   npm run bench symmetry -- --images DATA [options] [MODEL]
 *
 * --images DATA    as for ddpm-codec rd: pictures that the network was not trained on
 * --crop N         side of the central crops (default 256)
 * --timesteps LIST (default 8,25,80,150,300,450)
 * --out FILE       results as JSON (default stdout)
 *
 * `all` is the mean over the picture and those mirrored, turned, and both. At each timestep all use the same noise. Means over pictures
 * are geometric.
 */
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { PHOTO_MODEL } from '../dist/codec/model-choice.js';
import { integerStream } from '../dist/common/random.js';
import { openImageSet } from '../dist/data/image-set.js';
import { cutMiddle } from '../dist/image/crop.js';
import { toUnit } from '../dist/image/pixels.js';
import { CodecError, openEngine, openModel } from '../dist/index.js';
import { putNoise, squaredDifference } from '../dist/model/denoising.js';
import { transform } from '../dist/model/symmetry.js';
import { failGracefully, geometricMean, machine, progress, putJson } from './shared.mjs';

failGracefully();
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    images: { type: 'string' },
    crop: { type: 'string', default: '256' },
    timesteps: { type: 'string', default: '8,25,80,150,300,450' },
    out: { type: 'string' },
  },
});
if (values.images === undefined) throw new CodecError('usage', '--images: expected a directory of pictures');
const timesteps = values.timesteps.split(',').map(Number);

/** @typedef {import('../dist/model/symmetry.js').Symmetry} Symmetry */
/** @type {Readonly<Record<string, readonly Symmetry[]>>} each estimate is of the picture transformed by these, one after the other */
const VIEWS = { itself: [], mirror: ['mirror'], turn: ['turn'], both: ['mirror', 'turn'] };
/** @type {Readonly<Record<string, readonly string[]>>} the estimates of a mean */
const MEANS = { mirror: ['itself', 'mirror'], turn: ['itself', 'turn'], all: Object.keys(VIEWS) };

const engine = await openEngine('auto');
const model = await openModel(positionals[0] ?? PHOTO_MODEL, engine);
const images = await openImageSet([values.images]);
const tell = progress('symmetry');
/** @type {{ name: string, rows: { t: number, rmse: number, errors: Record<string, number> }[] }[]} */
const pictures = [];
for (let i = 0; i < images.length; i++) {
  const { name, image } = await images.load(i);
  const { data, width, height } = cutMiddle(image, Number(values.crop));
  const x0 = toUnit(data);
  const rows = [];
  for (const t of timesteps) {
    const noisy = putNoise({ x0, width, height }, t, model.schedule, integerStream(`symmetry/${name}/${t}`));
    /** @type {Record<string, Float32Array>} */
    const estimates = {};
    for (const [view, symmetries] of Object.entries(VIEWS)) {
      const through = (/** @type {Float32Array} */ picture) => {
        const seen = picture.slice();
        for (const symmetry of symmetries) transform(seen, { width, height }, symmetry);
        return seen;
      };
      estimates[view] = through(await model.denoiser.predictX0({ ...noisy, xt: through(noisy.xt) }, { best: true }));
    }
    const errorOf = (/** @type {readonly string[]} */ views) => {
      const mean = x0.map((_, k) => views.reduce((sum, view) => sum + estimates[view][k], 0) / views.length);
      return squaredDifference(x0, mean) / x0.length;
    };
    const one = errorOf(['itself']);
    const errors = Object.fromEntries(Object.entries(MEANS).map(([name, views]) => [name, errorOf(views) / one]));
    rows.push({ t, rmse: 127.5 * Math.sqrt(one), errors });
    tell((i + rows.length / timesteps.length) / images.length);
  }
  pictures.push({ name: basename(name), rows });
}
const means = timesteps.map((t, k) => {
  const mean = (/** @type {(row: (typeof pictures)[number]['rows'][number]) => number} */ value) =>
    geometricMean(pictures.map(({ rows }) => value(rows[k])));
  const errors = Object.fromEntries(Object.keys(MEANS).map((name) => [name, mean((row) => row.errors[name])]));
  return { t, rmse: mean((row) => row.rmse), errors };
});
for (const { t, rmse, errors } of means) {
  const columns = Object.entries(errors).map(([name, error]) => `${name} ${(100 * (error - 1)).toFixed(2)} %`);
  console.error(`t = ${t}, RMSE ${rmse.toFixed(2)}: ${columns.join(', ')}`);
}
const results = {
  description: 'Squared error of the mean of several estimates over that of one',
  model: { name: model.name, id: model.id.slice(0, 12) },
  crop: Number(values.crop),
  machine: machine(),
  engine: engine.description,
  means,
  pictures,
};
await model.dispose();
await engine.dispose();
await putJson(values.out, results);
