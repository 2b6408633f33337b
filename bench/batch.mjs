/**
 * What batching gains. Encodes and decodes CIFAR-10 test images one after the other and side by side, in turns, in one
 * process. Checks that the files are the same and shows where the processor time goes. Prints JSON.
 *
 *   npm run bench batch [-- IMAGES [MODEL]]     default 64 images, the shipped cifar10 model
 */
import { availableParallelism } from 'node:os';
import { mapAhead } from '../dist/common/side-by-side.js';
import { calibrate, decode, encode, openEngine, openImageSet, openModel } from '../dist/index.js';
import { failGracefully, machine, resultsJson } from './shared.mjs';

failGracefully();
/** @typedef {{ seconds: number, cpuSeconds: number }} Time */

const TURNS = 4;

const images = Number(process.argv[2] ?? 64);
const set = await openImageSet([`cifar10:test[0:${images}]`]);
const pictures = await Promise.all(set.names.map(async (_, i) => (await set.load(i)).image));
const training = await openImageSet(['cifar10:train[0:8]']);
const toCalibrate = await Promise.all(training.names.map(async (_, i) => (await training.load(i)).image));
const engine = await openEngine('onnx');
const model = await openModel(process.argv[3] ?? 'cifar10', engine);

const cpuSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

/**
 * Runs `work` on every item, with up to `ahead` further items in flight, and returns the results.
 * @template T, R
 * @param {readonly T[]} items
 * @param {number} ahead
 * @param {(item: T) => Promise<R>} work
 */
async function all(items, ahead, work) {
  /** @type {R[]} */
  const results = [];
  for await (const result of mapAhead(items, ahead, work)) results.push(result);
  return results;
}

/**
 * Adds the time and the processor time that `work` takes to `sum`.
 * @template T
 * @param {Time} sum
 * @param {() => Promise<T>} work
 */
async function timed(sum, work) {
  const [start, cpu] = [performance.now(), cpuSeconds()];
  const result = await work();
  sum.seconds += (performance.now() - start) / 1000;
  sum.cpuSeconds += cpuSeconds() - cpu;
  return result;
}

/**
 * Runs `work` on every item: a share of the items one by one, then the same share side by side.
 * @template T
 * @param {readonly T[]} items
 * @param {(item: T) => Promise<{ data: Uint8Array }>} work
 */
async function compare(items, work) {
  const sums = { alone: { seconds: 0, cpuSeconds: 0 }, together: { seconds: 0, cpuSeconds: 0 } };
  /** @type {{ data: Uint8Array }[]} */
  const results = [];
  let same = true;
  for (let turn = 0; turn < TURNS; turn++) {
    const share = items.filter((_, i) => i % TURNS === turn);
    const alone = await timed(sums.alone, () => all(share, 0, work));
    const together = await timed(sums.together, () => all(share, engine.parallelism, work));
    same &&= alone.every(({ data }, i) => Buffer.compare(data, together[i].data) === 0);
    results.push(...alone);
  }
  const perSecond = { alone: items.length / sums.alone.seconds, together: items.length / sums.together.seconds };
  return { results, same, ...sums, perSecond, speedup: perSecond.together / perSecond.alone };
}

let evaluations = 0;
const coding = async (/** @type {import('../dist/index.js').RgbImage} */ picture) => {
  const { bytes, networkEvaluations } = await encode(picture, model);
  evaluations += networkEvaluations;
  return { data: bytes };
};
const decoding = async (/** @type {{ data: Uint8Array }} */ { data }) => ({
  data: (await decode(data, model)).image.data,
});

// Set up both ways to run the network before anything is timed.
await all(pictures.slice(0, 3), 0, coding);
await all(pictures.slice(0, 3), engine.parallelism, coding);
evaluations = 0;
const { results: files, ...encoded } = await compare(pictures, coding);
const evaluationsPerImage = evaluations / (2 * images);
const { results: _, ...decoded } = await compare(files, decoding);
const serial = { ...model, denoiser: { ...model.denoiser, parallelism: 0 } };
const calibrated = [
  { seconds: 0, cpuSeconds: 0 },
  { seconds: 0, cpuSeconds: 0 },
];
const profiles = [];
for (const [i, one] of [serial, model].entries()) {
  profiles.push(await timed(calibrated[i], () => calibrate(toCalibrate, one)));
}
process.stdout.write(
  resultsJson({
    name: 'batch',
    machine: machine(),
    threads: availableParallelism(),
    engine: engine.description,
    model: model.name,
    images,
    evaluationsPerImage,
    encode: encoded,
    decode: decoded,
    calibrate: {
      same: JSON.stringify(profiles[0]) === JSON.stringify(profiles[1]),
      alone: calibrated[0],
      together: calibrated[1],
      speedup: calibrated[0].seconds / calibrated[1].seconds,
    },
  }),
);
await model.dispose();
await engine.dispose();
