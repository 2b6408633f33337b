/**
 * Codes small random pictures losslessly and decodes them: all sizes from 1x1 to 40x40 or a given side. Kinds are noise, one colour, ramps,
 * few colours, parts of photographs, and those with grain, which are sent as steps and residuals. Writes on `onnx`; reads on `onnx` and
 * `wasm`. Pictures are seeded, so each can be made again from its number.
 *
 *   npm run build && node bench/round-trip.mjs [options]
 *
 * --cases N     default 10000
 * --from N      number of the first (default 0), to continue an interrupted run
 * --model NAME  shipped model or directory (default pilot). The tail is what is tested, so a small network will do. A network whose states
 *               an update moves between evaluations has more steps in which engines differ.
 * --side N      largest side, in pixels (default 40); use smaller ones for large networks on `wasm`
 * --kinds LIST  noise, flat, ramp, extremes, photograph, grain, few colours; separated by commas (default all but grain)
 * --engines A,B engines that read each file (default onnx,wasm)
 * --seed TEXT   default round-trip
 *
 * Exit code 1 when a picture does not come back exactly.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { integerStream } from '../dist/common/random.js';
import { decode, encode, openEngine, openModel, readImage } from '../dist/index.js';
import { engineName, failGracefully, progress } from './shared.mjs';

failGracefully();
const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '10000' },
    from: { type: 'string', default: '0' },
    model: { type: 'string', default: 'pilot' },
    side: { type: 'string', default: '40' },
    kinds: { type: 'string', default: 'noise,flat,ramp,extremes,photograph,few colours' },
    engines: { type: 'string', default: 'onnx,wasm' },
    seed: { type: 'string', default: 'round-trip' },
  },
});
const first = Number(values.from);
const count = Number(values.cases);
const MOST = Number(values.side);

const photo = await readImage(fileURLToPath(new URL('../fixtures/images/budgie.webp', import.meta.url)));
const models = [];
for (const name of values.engines.split(',')) {
  models.push(await openModel(values.model, await openEngine(engineName(name))));
}
const writer = await openModel(values.model, await openEngine('onnx', { threads: 1 }));

/**
 * The picture with this number, and its kind.
 * @param {number} index
 */
function makePicture(index) {
  const stream = integerStream(`${values.seed}/${index}`);
  const below = (/** @type {number} */ n) => Math.floor(((stream() >>> 0) / 2 ** 32) * n);
  const [width, height] = [1 + below(MOST), 1 + below(MOST)];
  const length = width * height * 3;
  const [left, top] = [below(photo.width - width), below(photo.height - height)];
  const colours = Array.from({ length: 2 + below(6) }, () => [below(256), below(256), below(256)]);
  const slopes = [below(9) - 4, below(9) - 4, below(256)];
  /** @type {Record<string, (i: number) => number>} value of a sample */
  const kinds = {
    noise: () => below(256),
    flat: (i) => colours[0][i % 3],
    ramp: (i) => (slopes[2] + slopes[0] * (Math.floor(i / 3) % width) + slopes[1] * Math.floor(i / 3 / width)) & 255,
    extremes: () => 255 * below(2),
    photograph: (i) =>
      photo.data[((top + Math.floor(i / 3 / width)) * photo.width + left + (Math.floor(i / 3) % width)) * 3 + (i % 3)],
    grain: (i) => Math.max(0, Math.min(255, kinds.photograph(i) + below(7) + below(7) - 6)),
  };
  const names = values.kinds.split(',');
  const kind = names[below(names.length)];
  if (kind !== 'few colours' && !(kind in kinds)) throw new Error(`--kinds: expected some of those above, got ${kind}`);
  if (kind !== 'few colours')
    return { kind, image: { width, height, data: Uint8Array.from({ length }, (_, i) => kinds[kind](i)) } };
  const data = new Uint8Array(length);
  for (let i = 0; i < length; i += 3) data.set(colours[below(colours.length)], i);
  return { kind, image: { width, height, data } };
}

/** @type {Record<string, { pictures: number, samples: number, bytes: number }>} */
const kinds = {};
let failures = 0;
const tell = progress('round trips');
let stopped = false;
process.once('SIGINT', () => {
  stopped = true;
});
let index = first;
for (; index < first + count && !stopped; index++) {
  const { kind, image } = makePicture(index);
  const { bytes } = await encode(image, writer, { lossless: true, effort: 1, seed: index });
  for (const model of models) {
    const { image: decoded, lossless } = await decode(bytes, model, { tolerant: true });
    if (lossless && Buffer.compare(decoded.data, image.data) === 0) continue;
    failures++;
    console.error(
      `picture ${index} (${kind}, ${image.width}x${image.height}) does not come back from ${values.engines}`,
    );
  }
  kinds[kind] ??= { pictures: 0, samples: 0, bytes: 0 };
  kinds[kind].pictures++;
  kinds[kind].samples += image.data.length;
  kinds[kind].bytes += bytes.length;
  tell((index - first + 1) / count);
}
console.table(
  Object.fromEntries(
    Object.entries(kinds).map(([kind, { pictures, samples, bytes }]) => [
      kind,
      { pictures, 'bits/dim': (8 * bytes) / samples },
    ]),
  ),
);
console.log(`${index - first} pictures, read on ${values.engines}: ${failures} failures; next --from ${index}`);
process.exit(failures > 0 ? 1 : 0);
