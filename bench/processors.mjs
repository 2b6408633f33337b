/**
 * Whether another processor reads the same from a file, and writes the same: one writes lossless files, the other reads them.
 * Build first: `npm run build`, after `ddpm-codec data cifar10`.
 *
 *   node bench/processors.mjs write DIR [options]
 *   node bench/processors.mjs read DIR [options]     on another machine, or as `qemu-x86_64 -cpu Haswell node bench/processors.mjs read DIR`
 *
 * --images N         CIFAR-10 test images (default 3); for write
 * --crop N           their middle N x N pixels (default 8, an emulator is slow); for write
 * --model NAME       default cifar10; for write
 * --engine NAME      default onnx, on one thread
 * --processor NAME   what to call this one (default its own name; an emulator shows that of its host)
 *
 * Reading prints JSON: how many files came back exactly, in what xhat0 differs after the steps (grey levels, before rounding), and
 * how many files have the same bytes when their pictures are encoded again.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cutMiddle } from '../dist/image/crop.js';
import { CodecError, decode, encode, openEngine, openImageSet, openModel, readInfo } from '../dist/index.js';
import { makeDirectory } from '../dist/node/files.js';
import { engineName, failGracefully, median, oneOf, resultsJson, saveJson } from './shared.mjs';

failGracefully();
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    images: { type: 'string', default: '3' },
    crop: { type: 'string', default: '8' },
    model: { type: 'string', default: 'cifar10' },
    engine: { type: 'string', default: 'onnx' },
    processor: { type: 'string' },
  },
});
const [mode, directory] = positionals;
if (directory === undefined) throw new CodecError('usage', 'expected write DIR or read DIR');
const writing = oneOf('first argument', ['write', 'read'], mode) === 'write';
const about = join(directory, 'about.json');

const name = engineName(values.engine);
const engine = await openEngine(name, name === 'onnx' ? { threads: 1 } : {});
const here = {
  processor: values.processor ?? cpus()[0].model.trim(),
  architecture: process.arch,
  node: process.version,
  engine: engine.description,
};
/** @typedef {{ model: string, images: number, crop: number }} Options */
/** @type {{ options: Options, writtenOn: typeof here }} */
const { options, writtenOn } = writing
  ? {
      options: { model: values.model, images: Number(values.images), crop: Number(values.crop) },
      writtenOn: here,
    }
  : JSON.parse(await readFile(about, 'utf8'));
const model = await openModel(options.model, engine);
const set = await openImageSet([`cifar10:test[0:${options.images}]`]);

/** @param {Uint8Array} bytes @returns xhat0 at the end of the steps */
async function estimateOf(bytes) {
  const { steps = [] } = readInfo(bytes, model);
  return (await decode(bytes, model, { maxSteps: steps.length - 1 })).unrounded;
}

if (writing) await makeDirectory(directory);
let [exact, sameBytes] = [0, 0];
/** @type {number[]} */
const differences = [];
for (let i = 0; i < options.images; i++) {
  const image = cutMiddle((await set.load(i)).image, options.crop);
  const [file, estimate] = ['ddc', 'f32'].map((extension) => join(directory, `${i}.${extension}`));
  const { bytes: encoded } = await encode(image, model, { lossless: true });
  const bytes = writing ? encoded : await readFile(file);
  const unrounded = await estimateOf(bytes);
  if (writing) {
    await writeFile(file, bytes);
    await writeFile(estimate, unrounded);
    continue;
  }
  const { lossless, image: decoded } = await decode(bytes, model, { tolerant: true });
  if (lossless && Buffer.compare(decoded.data, image.data) === 0) exact++;
  if (Buffer.compare(encoded, bytes) === 0) sameBytes++;
  // Copied, since a small file shares its memory with others.
  const theirs = new Float32Array(Uint8Array.from(await readFile(estimate)).buffer);
  for (const [k, value] of unrounded.entries()) differences.push(127.5 * Math.abs(value - theirs[k]));
}
await model.dispose();
await engine.dispose();
if (writing) await saveJson(about, { options, writtenOn });
else {
  const difference = { median: median(differences), largest: Math.max(...differences) };
  process.stdout.write(resultsJson({ options, writtenOn, readOn: here, exact, sameBytes, difference }));
}
