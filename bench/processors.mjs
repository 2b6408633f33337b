/**
 * Whether another processor decodes the same. One machine writes lossy and lossless files and their decoded results; another reads them.
 * Build first: `npm run build`, for writing after `ddpm-codec data cifar10`.
 *
 *   node bench/processors.mjs write DIR [options]
 *   node bench/processors.mjs read DIR FILE [options]     on another machine, or emulated, see docs/LOSSLESS.md
 *
 * --images N         the first N CIFAR-10 test images (default 16); for read, at most as many as were written
 * --model NAME       default cifar10; for write
 * --effort N         default 1; for write
 * --target-rmse X    target of the lossy files (default 10); for write
 * --engine NAME      default onnx, on one thread
 * --processor NAME   name to report for this processor (default its own name; an emulator shows its host's)
 *
 * An emulator is slow, so reading rewrites FILE after every coded file. For each kind of file it holds: how many 8-bit pictures equal
 * the writer's, how many samples differ, and how much xhat0 differs at the end of the steps (grey levels, before rounding).
 */
import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CodecError, encode, openDecoder, openEngine, openImageSet, openModel } from '../dist/index.js';
import { makeDirectory } from '../dist/node/files.js';
import { engineName, failGracefully, median, oneOf, progress, saveJson } from './shared.mjs';

failGracefully();
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    images: { type: 'string', default: '16' },
    model: { type: 'string', default: 'cifar10' },
    effort: { type: 'string', default: '1' },
    'target-rmse': { type: 'string', default: '10' },
    engine: { type: 'string', default: 'onnx' },
    processor: { type: 'string' },
  },
});
const [mode, directory, results] = positionals;
const writing = oneOf('first argument', ['write', 'read'], mode) === 'write';
if (directory === undefined || writing === (results !== undefined)) {
  throw new CodecError('usage', 'expected write DIR or read DIR FILE');
}
const about = join(directory, 'about.json');

const name = engineName(values.engine);
const engine = await openEngine(name, name === 'onnx' ? { threads: 1 } : {});
const here = {
  processor: values.processor ?? cpus()[0].model.trim(),
  architecture: process.arch,
  node: process.version,
  engine: engine.description,
};
/** Compares the results of two machines for files of one kind. */
class Comparison {
  pictures = 0;
  same = 0;
  differingSamples = 0;
  /** @type {number[]} grey levels */
  differences = [];

  /**
   * @param {Uint8Array} picture @param {Uint8Array} theirs
   * @param {Float32Array} estimate in [-1, 1] @param {Float32Array} theirEstimate
   */
  add(picture, theirs, estimate, theirEstimate) {
    const differing = picture.filter((value, at) => value !== theirs[at]).length;
    this.pictures++;
    if (differing === 0) this.same++;
    this.differingSamples += differing;
    for (const [at, value] of estimate.entries()) this.differences.push(127.5 * Math.abs(value - theirEstimate[at]));
  }

  get summary() {
    const { pictures, same, differingSamples, differences } = this;
    if (pictures === 0) return { pictures };
    const largest = differences.reduce((a, b) => Math.max(a, b));
    return { pictures, same, differingSamples, difference: { median: median(differences), largest } };
  }
}

/** @typedef {'lossy' | 'lossless'} Kind */
/** @type {readonly Kind[]} */
const KINDS = ['lossy', 'lossless'];

await (writing ? write() : read());
await engine.dispose();

/** Writes the files, their decoded results, and the options that reading uses. */
async function write() {
  const options = {
    model: values.model,
    images: Number(values.images),
    effort: Number(values.effort),
    targetRmse: Number(values['target-rmse']),
  };
  const model = await openModel(options.model, engine);
  const set = await openImageSet([`cifar10:test[0:${options.images}]`]);
  await makeDirectory(directory);
  /** @type {Record<Kind, { steps: number[], bytes: number[] }>} */
  const files = { lossy: { steps: [], bytes: [] }, lossless: { steps: [], bytes: [] } };
  for (let i = 0; i < options.images; i++) {
    const { image } = await set.load(i);
    for (const kind of KINDS) {
      const ends = kind === 'lossless' ? { lossless: true } : { targetRmse: options.targetRmse };
      const { bytes } = await encode(image, model, { effort: options.effort, ...ends });
      const { steps, picture, estimate } = await decodeBoth(bytes, model);
      if (kind === 'lossless' && Buffer.compare(picture, image.data) !== 0) throw new Error(`${i}: not exact`);
      files[kind].steps.push(steps);
      files[kind].bytes.push(bytes.length);
      await writeFile(fileOf(i, kind, 'ddc'), bytes);
      await writeFile(fileOf(i, kind, 'rgb'), picture);
      await writeFile(fileOf(i, kind, 'f32'), estimate);
    }
  }
  await model.dispose();
  await saveJson(about, { options, files, writtenOn: here });
}

/** Decodes the files and compares the results with the writer's. */
async function read() {
  const { options, files, writtenOn } = JSON.parse(await readFile(about, 'utf8'));
  const images = Math.min(Number(values.images), options.images);
  const model = await openModel(options.model, engine);
  const tell = progress('read');
  const found = { lossy: new Comparison(), lossless: new Comparison() };
  for (let i = 0; i < images; i++) {
    for (const [k, kind] of KINDS.entries()) {
      const { picture, estimate } = await decodeBoth(await readFile(fileOf(i, kind, 'ddc')), model);
      const theirs = await readFile(fileOf(i, kind, 'f32'));
      // Copied, since a small file's buffer is part of a shared one.
      const theirEstimate = new Float32Array(Uint8Array.from(theirs).buffer);
      found[kind].add(picture, await readFile(fileOf(i, kind, 'rgb')), estimate, theirEstimate);
      const { lossy, lossless } = found;
      const compared = { lossy: lossy.summary, lossless: lossless.summary };
      await saveJson(results, { options, files, writtenOn, readOn: here, ...compared });
      tell((2 * i + k + 1) / (2 * images));
    }
  }
  await model.dispose();
}

/**
 * The picture of a whole file, and xhat0 at the end of its steps.
 * @param {Uint8Array} bytes
 * @param {import('../dist/index.js').Model} model
 */
async function decodeBoth(bytes, model) {
  const decoder = openDecoder(model, { tolerant: true });
  /** @type {Float32Array | undefined} */
  let estimate;
  for await (const point of decoder.push(bytes)) {
    const atEnd = point.stepsUsed === decoder.layout?.written.length && point.knownSamples === 0;
    if (atEnd) estimate = (await point.reconstruct()).unrounded.slice();
  }
  if (estimate === undefined) throw new Error('expected a file with all of its steps');
  const end = decoder.end();
  const { image } = await end.reconstruct();
  return { steps: end.stepsUsed, picture: image.data, estimate };
}

/** @param {number} index @param {Kind} kind @param {string} extension */
function fileOf(index, kind, extension) {
  return join(directory, `${index}-${kind}.${extension}`);
}
