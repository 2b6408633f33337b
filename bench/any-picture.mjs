/**
 * Checks that pictures that are not photographs get what was asked for. A seed draws the target RMSE and the effort of each picture.
 *
 *   npm run build && node bench/any-picture.mjs [options] [IMAGES...]
 *
 * IMAGES        pictures to try at every target, at both efforts and lossless; given as for `ddpm-codec rd`
 * --cases N     number of generated pictures (default 500)
 * --from N      number of the first picture (default 0)
 * --seed TEXT   default any-picture
 * --threads N   threads of the engine (default 2)
 * --points      also checks that each point of a file is at most 1 % worse than the one before; costs one more decoding
 * --out FILE    where the results go as JSON (default: a table on stdout)
 *
 * Each file must have an RMSE of at most the target. A picture with at most 16 colours also has a size limit: 16 bytes more than the
 * smaller of three bytes per pixel and 1.2 times the PNG. Exit code 1 when a file fails.
 */
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { integerStream } from '../dist/common/random.js';
import { decode, encode, openDecoder, openEngine, openImageSet, rmse } from '../dist/index.js';
import { drawText } from '../dist/node/image/font.js';
import { failGracefully, machine, modelOpener, progress, saveJson } from './shared.mjs';

failGracefully();
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    cases: { type: 'string', default: '500' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string', default: 'any-picture' },
    threads: { type: 'string', default: '2' },
    points: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
});
const TARGETS = [1, 3, 5, 10];
const EFFORTS = [1, 5];
/** One picture in ten has larger sides than this. */
const SMALL_SIDE = 64;
const LARGE_SIDE = 256;
/** A picture with at most this many colours must come close to its PNG in size. */
const FEW_COLOURS = 16;

const engine = await openEngine('onnx', { threads: Number(values.threads) });
const modelFor = modelOpener('auto');

/** @typedef {{ width: number, height: number, data: Uint8Array }} Picture */

/**
 * The picture with this number, its kind, and the settings to try it at.
 * @param {number} index
 */
function makeCase(index) {
  const stream = integerStream(`${values.seed}/${index}`);
  const below = (/** @type {number} */ n) => Math.floor(((stream() >>> 0) / 2 ** 32) * n);
  const one = (/** @type {readonly number[]} */ of) => of[below(of.length)];
  const side = index % 10 === 9 ? LARGE_SIDE : SMALL_SIDE;
  const width = 1 + below(side);
  const height = 1 + below(side);
  const colour = () => [below(256), below(256), below(256)];
  const [paper, ink] = [colour(), colour()];
  /** @type {Record<string, () => (x: number, y: number) => number[]>} colour of a pixel */
  const kinds = {
    flat: () => () => paper,
    'two colours': () => {
      const [left, top] = [below(width), below(height)];
      return (x, y) => (x >= left && y >= top ? ink : paper);
    },
    'two colours, random': () => () => (one([0, 1]) === 0 ? paper : ink),
    'gradient near black': () => {
      const [right, down] = [below(4) - 1.5, below(4) - 1.5];
      return (x, y) => [0, 1, 2].map((c) => Math.max(0, Math.min(24, Math.round(6 + c + (right * x + down * y) / 8))));
    },
    'gradient near white': () => {
      const [right, down] = [below(4) - 1.5, below(4) - 1.5];
      return (x, y) =>
        [0, 1, 2].map((c) => Math.max(231, Math.min(255, Math.round(248 - c + (right * x + down * y) / 8))));
    },
    checkers: () => {
      const size = 1 + below(8);
      return (x, y) => ((Math.floor(x / size) + Math.floor(y / size)) % 2 === 0 ? paper : ink);
    },
    text: () =>
      withInk(
        (mark) => {
          for (let top = 1; top < height; top += 11) {
            const text = String.fromCharCode(...Array.from({ length: Math.ceil(width / 6) }, () => 97 + below(26)));
            drawText(text, 1, (x, y) => mark(x + 1, y + top));
          }
        },
        below(2) === 0
          ? [
              [255, 255, 255],
              [0, 0, 0],
            ]
          : [paper, ink],
      ),
    plot: () =>
      withInk(
        (mark) => {
          const phase = below(7);
          for (let x = 0; x < width; x++) {
            const y = Math.round(height * (0.5 + 0.4 * Math.sin(phase + (6 * x) / width)));
            for (let step = -1; step <= 1; step++) mark(x, y + step);
            mark(x, height - 2);
          }
          for (let y = 0; y < height; y++) mark(1, y);
        },
        [[255, 255, 255], ink],
      ),
    noise: () => () => colour(),
    'noise of few colours': () => {
      const few = Array.from({ length: 2 + below(15) }, colour);
      return () => few[below(few.length)];
    },
    'faint noise': () => () => paper.map((sample) => Math.max(0, Math.min(255, sample + below(9) - 4))),
  };
  /**
   * @param {(mark: (x: number, y: number) => void) => void} draw
   * @param {number[][]} colours of paper and ink
   */
  function withInk(draw, [ground, pen]) {
    const marked = new Uint8Array(width * height);
    draw((x, y) => {
      if (x >= 0 && y >= 0 && x < width && y < height) marked[y * width + x] = 1;
    });
    return (/** @type {number} */ x, /** @type {number} */ y) => (marked[y * width + x] ? pen : ground);
  }
  const names = Object.keys(kinds);
  const kind = names[index % names.length];
  const at = kinds[kind]();
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) data.set(at(i % width, Math.floor(i / width)), 3 * i);
  return { name: `${kind} ${index}`, kind, image: { width, height, data }, target: one(TARGETS), effort: one(EFFORTS) };
}

/** @param {Picture} image */
function countColours({ data }) {
  const colours = new Set();
  for (let i = 0; i < data.length; i += 3) colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
  return colours.size;
}

/**
 * Sizes of lossless files as sharp makes them: the smaller of the PNGs with and without a palette, WebP and AVIF. WebP and AVIF are null
 * where they do not support the picture's sides.
 * @param {Picture} image
 */
async function otherBytes({ width, height, data }) {
  const raw = { width, height, channels: /** @type {3} */ (3) };
  const sizeOf = async (/** @type {import('sharp').Sharp} */ picture) =>
    picture.toBuffer().then(
      ({ length }) => length,
      () => null,
    );
  const webp = await sizeOf(sharp(data, { raw }).webp({ lossless: true, effort: 6 }));
  const avif = await sizeOf(sharp(data, { raw }).avif({ lossless: true, effort: 6 }));
  return { png: await pngBytes({ width, height, data }), webp, avif };
}

/** @param {Picture} image */
async function pngBytes({ width, height, data }) {
  const raw = { width, height, channels: /** @type {3} */ (3) };
  const sizes = [];
  for (const palette of [false, true]) {
    if (palette && countColours({ width, height, data }) > 256) continue;
    sizes.push((await sharp(data, { raw }).png({ palette, compressionLevel: 9 }).toBuffer()).length);
  }
  return Math.min(...sizes);
}

/**
 * Largest factor by which the RMSE rises from one point to the next.
 * @param {Uint8Array} bytes
 * @param {Picture} image
 * @param {import('../dist/index.js').Model} model
 */
async function largestRise(bytes, image, model) {
  let before = Number.POSITIVE_INFINITY;
  let rise = 0;
  for await (const point of openDecoder(model).push(bytes)) {
    const distance = rmse((await point.reconstruct()).image, image);
    if (before > 0) rise = Math.max(rise, distance / before);
    else if (distance > 0) rise = Number.POSITIVE_INFINITY;
    before = distance;
  }
  return rise;
}

const cases = [];
if (positionals.length > 0) {
  const images = await openImageSet(positionals);
  for (let i = 0; i < images.length; i++) {
    const { name, image } = await images.load(i);
    for (const target of [0, ...TARGETS])
      for (const effort of EFFORTS) cases.push({ name: basename(name), kind: 'given', image, target, effort });
  }
}
const first = Number(values.from);
for (let i = 0; i < Number(values.cases); i++) cases.push(makeCase(first + i));

/** @type {Record<string, any>[]} */
const results = [];
let failures = 0;
const tell = progress('pictures');
for (const [i, { name, kind, image, target, effort }] of cases.entries()) {
  const model = await modelFor(image, engine);
  const goal = target === 0 ? { lossless: true } : { targetRmse: target };
  const { bytes, networkEvaluations, tailBytes } = await encode(image, model, { ...goal, effort });
  const distance = rmse((await decode(bytes, model)).image, image);
  const { width, height, data } = image;
  const colours = countColours(image);
  const others = kind === 'given' ? await otherBytes(image) : { png: await pngBytes(image) };
  // A lossless file has a checksum.
  const most = target > 0 && colours <= FEW_COLOURS ? Math.min(data.length, 1.2 * others.png) + 16 : null;
  const rise = values.points ? await largestRise(bytes, image, model) : undefined;
  const isGood =
    distance <= target && (most === null || bytes.length <= most) && (rise === undefined || rise <= 1.0101);
  if (!isGood) {
    failures++;
    console.error(
      `${name}, ${width}x${height}, target ${target}, effort ${effort}: RMSE ${distance.toFixed(2)}, ` +
        `${bytes.length} bytes of at most ${most?.toFixed(0)}, rise ${rise?.toFixed(3)}`,
    );
  }
  results.push({
    name,
    kind,
    width,
    height,
    colours,
    target,
    effort,
    rmse: distance,
    bytes: bytes.length,
    tailBytes,
    ...others,
    ...(most !== null && { mostBytes: Math.floor(most) }),
    networkEvaluations,
    ...(rise !== undefined && { rise }),
  });
  tell((i + 1) / cases.length);
}

const kinds = [...new Set(results.map(({ kind }) => kind))];
const summary = kinds.map((kind) => {
  const of = results.filter((one) => one.kind === kind);
  const sum = (/** @type {'bytes' | 'png' | 'networkEvaluations'} */ what) =>
    of.reduce((total, one) => total + one[what], 0);
  return {
    kind,
    pictures: of.length,
    missed: of.filter((one) => one.rmse > one.target).length,
    'largest RMSE / target': Math.max(...of.map((one) => (one.rmse === 0 ? 0 : one.rmse / one.target))),
    bytes: sum('bytes'),
    PNG: sum('png'),
    evaluations: Math.round(sum('networkEvaluations')),
  };
});
console.table(summary);
console.log(`${results.length} files, ${failures} that did not come to what they must`);
if (values.out) {
  const options = { targets: TARGETS, efforts: EFFORTS, seed: values.seed, from: first };
  await saveJson(values.out, { machine: machine(), engine: engine.description, options, summary, results });
}
process.exit(failures > 0 ? 1 : 0);
