/**
 * At which sizes a picture is best denoised. Compares the squared error and work of xhat0 by the model's pyramid with those of the
 * network at the picture's own size alone.
 *
 *   npm run bench sizes -- --images DATA [options] [MODEL]
 *
 * --images DATA    as for ddpm-codec rd: pictures that the pyramid was not calibrated on
 * --crop N         side of the central crops (default 376, which is two whole windows of photo2)
 * --timesteps LIST (default 120,160,210,260,320,400,500,620)
 * --out FILE       results as JSON (default stdout)
 *
 * At each timestep all use the same noise. `usual` is the chain for a picture of unknown detail, `chain` the one for the picture's own
 * detail, and `shown` the picture that is displayed. Means over pictures are geometric.
 */
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { PHOTO_MODEL } from '../dist/codec/model-choice.js';
import { integerStream } from '../dist/common/random.js';
import { openImageSet } from '../dist/data/image-set.js';
import { cutMiddle } from '../dist/image/crop.js';
import { toUnit } from '../dist/image/pixels.js';
import { CodecError, openEngine, openModel } from '../dist/index.js';
import { createDenoiser } from '../dist/model/denoiser.js';
import { measureDetail, putNoise, squaredDifference } from '../dist/model/denoising.js';
import { withPyramid, workAt } from '../dist/model/pyramid.js';
import { failGracefully, geometricMean, machine, progress, putJson } from './shared.mjs';

failGracefully();
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    images: { type: 'string' },
    crop: { type: 'string', default: '376' },
    timesteps: { type: 'string', default: '120,160,210,260,320,400,500,620' },
    out: { type: 'string' },
  },
});
if (values.images === undefined) throw new CodecError('usage', '--images: expected a directory of pictures');
const timesteps = values.timesteps.split(',').map(Number);

/**
 * @typedef {{ error: number, work: number }} Estimate
 * @typedef {{ t: number, usual: Estimate, chain: Estimate, shown: Estimate }} Row
 */

/**
 * A denoiser that runs only once for each picture size and timestep.
 * @param {import('../dist/model/denoiser.js').Denoiser} denoiser
 * @returns {import('../dist/model/denoiser.js').Denoiser}
 */
function remembering(denoiser) {
  /** @type {Map<string, Promise<Float32Array>>} */
  const known = new Map();
  return {
    ...denoiser,
    async predictX0(picture, { into = new Float32Array(picture.xt.length) } = {}) {
      const key = `${picture.width} ${picture.t}`;
      const xhat0 = known.get(key) ?? denoiser.predictX0(picture);
      known.set(key, xhat0);
      into.set(await xhat0);
      return into;
    },
  };
}

const engine = await openEngine('auto');
const model = await openModel(positionals[0] ?? PHOTO_MODEL, engine);
const { schedule, pyramid, network, tiling, parameterization } = model;
if (!pyramid) throw new CodecError('usage', `${model.name}: expected a model with a pyramid`);
const alone = createDenoiser(engine, network, schedule, tiling, parameterization);
const images = await openImageSet([values.images]);
const tell = progress('sizes');
/** @type {{ name: string, detail?: number, rows: Row[] }[]} */
const pictures = [];
for (let i = 0; i < images.length; i++) {
  const { name, image } = await images.load(i);
  const { data, width, height } = cutMiddle(image, Number(values.crop));
  const x0 = toUnit(data);
  const { detail } = await measureDetail([{ x0, width, height }], model);
  const rows = [];
  for (const t of timesteps) {
    const once = remembering(alone);
    const blended = withPyramid(once, schedule, pyramid);
    const noisy = putNoise({ x0, width, height }, t, schedule, integerStream(`sizes/${name}/${t}`));
    const errorOf = async (/** @type {Promise<Float32Array>} */ xhat0) => squaredDifference(x0, await xhat0);
    const itself = await errorOf(once.predictX0(noisy));
    const by = async (/** @type {number | undefined} */ detail, best = false) => ({
      error: (await errorOf(blended.predictX0({ ...noisy, detail }, { best }))) / itself,
      work: workAt(pyramid, schedule, { width, height, t, detail }, best),
    });
    rows.push({ t, usual: await by(undefined), chain: await by(detail), shown: await by(detail, true) });
    tell((i + rows.length / timesteps.length) / images.length);
  }
  pictures.push({ name: basename(name), ...(detail !== undefined && { detail }), rows });
}
const means = timesteps.map((t, k) => {
  const mean = (/** @type {'usual' | 'chain' | 'shown'} */ way) => {
    const all = pictures.map(({ rows }) => rows[k][way]);
    const error = geometricMean(all.map(({ error }) => error));
    return { error, work: all.reduce((sum, { work }) => sum + work, 0) / all.length };
  };
  return { t, usual: mean('usual'), chain: mean('chain'), shown: mean('shown') };
});
for (const { t, ...ways } of means) {
  const columns = Object.entries(ways).map(
    ([way, { error, work }]) => `${way} ${(100 * (error - 1)).toFixed(1)} % at ${work.toFixed(2)}`,
  );
  console.error(`t = ${t}: ${columns.join(', ')}`);
}
const results = {
  description: 'Squared error of xhat0 over that of the network at the full size alone, and work in evaluations',
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
