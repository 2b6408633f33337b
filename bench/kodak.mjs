/**
 * Rate and distortion on photographs: whole .ddc files, cut off after each of their steps, against JPEG, WebP and AVIF.
 *
 *   npm run bench kodak -- --images DIR [options]
 *
 * --images DIR       pictures, such as the 24 of Kodak's test set; at least 161 pixels a side for MS-SSIM
 * --model NAME       as for `ddpm-codec encode`, or none for the other codecs alone (default auto)
 * --out FILE         results as JSON, taken up again if it is there (default bench/results/kodak.json)
 * --limit N          the first N pictures, by name (default all)
 * --baselines LIST   of jpeg, jpeg444, webp, avif; or none (default jpeg,webp,avif)
 * --target-rmse R    where our files end, grey levels (default 2.9)
 * --effort N         of our files, 1..9 (default that of the encoder)
 *
 * FILE holds a curve for each picture and codec, written after each of them, and a summary of all that it holds. What is
 * there already is kept; if it was made with another model, other options or other versions, nothing is done. Next to it,
 * in a directory named after it with `-curves`, are the mean curves in the form of CompressAI's published results.
 */
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { FORMAT_VERSION } from '../dist/codec/format.js';
import { makeDirectory } from '../dist/files.js';
import { READABLE_EXTENSIONS } from '../dist/image/read.js';
import { CodecError, openEngine, openModel, readImage } from '../dist/index.js';
import { baselineVersions, findBaseline, sweepBaseline } from '../dist/report/baselines.js';
import { sweepProgressive } from '../dist/report/progressive-sweep.js';
import { compressAiCurves, OURS, showSummary, summarise } from './kodak-summary.mjs';
import { failGracefully, loadJson, machine, packageVersion, progress, saveJson } from './shared.mjs';

failGracefully();
const { values } = parseArgs({
  options: {
    images: { type: 'string' },
    model: { type: 'string', default: 'auto' },
    out: { type: 'string', default: 'bench/results/kodak.json' },
    limit: { type: 'string', default: 'Infinity' },
    baselines: { type: 'string', default: 'jpeg,webp,avif' },
    'target-rmse': { type: 'string', default: '2.9' },
    effort: { type: 'string' },
  },
});
if (values.images === undefined) throw new CodecError('usage', '--images: expected a directory of pictures');

/** Pictures of the directory, in order of name. */
async function listPictures(directory, limit) {
  const names = await readdir(directory).catch((error) => {
    throw new CodecError('file', `${directory}: cannot be read (${error.code})`);
  });
  const pictures = names.filter((name) => READABLE_EXTENSIONS.includes(extname(name).toLowerCase())).sort();
  if (pictures.length === 0) throw new CodecError('image', `${directory}: no pictures in it`);
  return pictures.slice(0, limit);
}

/** Our codec in the form of {@link otherCodec}; nothing is opened before a picture needs it. */
async function ourCodec() {
  const encoding = { targetRmse: Number(values['target-rmse']) };
  if (values.effort !== undefined) encoding.effort = Number(values.effort);
  const engine = await openEngine('auto');
  const model = await openModel(values.model, engine);
  return {
    name: OURS,
    made: {
      label: `ddpm-codec, ${model.name}`,
      format: FORMAT_VERSION,
      model: model.name,
      modelId: model.id.slice(0, 12),
      ...encoding,
    },
    conditions: { engine: engine.description },
    sweep: (image, onProgress) => sweepProgressive(image, model, encoding, onProgress),
    async close() {
      await model.dispose();
      await engine.dispose();
    },
  };
}

function otherCodec(name) {
  const codec = findBaseline(name);
  const { label, format, settings, qualities } = codec;
  return {
    name,
    made: { label, format, settings, qualities, versions: baselineVersions() },
    conditions: {},
    async sweep(image, onProgress) {
      let done = 0;
      const points = await sweepBaseline(image, codec, () => onProgress(++done / qualities.length));
      return { points };
    },
    async close() {},
  };
}

/** The earlier state of the results, if it is of the same codecs, or a new one. */
async function openResults(codecs) {
  const earlier = await loadJson(values.out);
  const results = earlier ?? {
    name: 'kodak',
    description: 'Rate and distortion of whole files on photographs; bpp in bits per pixel, RMSE in grey levels',
    codecs: {},
    images: [],
  };
  for (const { name, made } of codecs) {
    const before = results.codecs[name]?.made;
    if (before !== undefined && JSON.stringify(before) !== JSON.stringify(made)) {
      const found = `${JSON.stringify(before)}, not with ${JSON.stringify(made)}`;
      throw new CodecError('file', `${values.out}: its ${name} was made with ${found}; name another file with --out`);
    }
    results.codecs[name] = { made };
  }
  return results;
}

/** The entry of a picture, its pixels told by a hash so that results of another picture are not taken for its own. */
function entryOf(results, name, image) {
  const pixels = createHash('sha256').update(image.data).digest('hex').slice(0, 16);
  let entry = results.images.find((one) => one.name === name);
  if (entry === undefined) {
    entry = { name, width: image.width, height: image.height, pixels, curves: {} };
    results.images.push(entry);
    results.images.sort((a, b) => (a.name < b.name ? -1 : 1));
  }
  if (entry.pixels !== pixels) {
    throw new CodecError('image', `${name}: another picture than that of the same name in ${values.out}`);
  }
  return entry;
}

/** Seconds that the sweeps in `waiting` will take, from the mean of those done; `least` where some are not known. */
function foretell(times, waiting) {
  const known = waiting.filter((name) => times[name] !== undefined);
  const mean = (list) => list.reduce((sum, x) => sum + x, 0) / list.length;
  return { seconds: known.reduce((sum, name) => sum + mean(times[name]), 0), least: known.length < waiting.length };
}

const pictures = await listPictures(values.images, Number(values.limit));
const names = values.baselines === 'none' ? [] : values.baselines.split(',');
const codecs = [...(values.model === 'none' ? [] : [await ourCodec()]), ...names.map(otherCodec)];
const results = await openResults(codecs);

const conditions = { version: await packageVersion(), node: process.version, machine: machine() };
const stem = (file) => basename(file, extname(file));
const done = (file, name) => results.images.find((one) => one.name === stem(file))?.curves[name] !== undefined;
const waiting = pictures.flatMap((file) => codecs.map(({ name }) => name).filter((name) => !done(file, name)));
const times = {};
for (const [i, file] of pictures.entries()) {
  const image = await readImage(join(values.images, file));
  const entry = entryOf(results, stem(file), image);
  for (const codec of codecs.filter(({ name }) => !done(file, name))) {
    const { name } = codec;
    waiting.shift();
    const label = `${entry.name} (${i + 1} of ${pictures.length}), ${name}`;
    const tell = progress(label);
    const start = performance.now();
    const seconds = () => (performance.now() - start) / 1000;
    const curve = await codec.sweep(image, (fraction) =>
      tell(fraction, (seconds() / fraction) * (1 - fraction) + foretell(times, waiting).seconds),
    );
    times[name] = [...(times[name] ?? []), seconds()];
    entry.curves[name] = { conditions: { ...conditions, ...codec.conditions }, ...curve };
    results.summary = summarise(results);
    await saveJson(values.out, results);
    const left = foretell(times, waiting);
    const minutes = `${left.least ? 'at least ' : ''}${(left.seconds / 60).toFixed(0)} min`;
    console.error(`${label}: ${seconds().toFixed(0)} s; ${waiting.length} curves, ${minutes} left`);
  }
}
for (const codec of codecs) await codec.close();

results.summary = summarise(results);
await saveJson(values.out, results);
const directory = `${values.out.slice(0, values.out.length - extname(values.out).length)}-curves`;
await makeDirectory(directory);
for (const [name, curve] of Object.entries(compressAiCurves(results))) {
  await saveJson(join(directory, `${name}.json`), curve);
}
console.error(showSummary(results));
