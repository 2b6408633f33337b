/**
 * What flipped bits do to files of equal size: ours with and without checksums, JPEG and WebP.
 *
 *   npm run bench robustness -- [options] [IMAGES...]
 *
 * IMAGES               photographs, as `ddpm-codec rd` takes them; their middle 192x128 is used (default fixtures/images/budgie.webp)
 * --trials N           trials of small pictures at each rate (default 200)
 * --photo-trials N     trials of photographs at each rate (default 20)
 * --positions N        positions of the single flipped bit (default 200)
 * --jobs N             decodings side by side (default 1)
 * --figures DIRECTORY  where bit-errors.svg, flipped-bit.svg and flipped-bit.webp go (default: none are drawn)
 * --out FILE           where the results go as JSON (default stdout)
 *
 * Small pictures are the first 8 of CIFAR-10's test set, at 200 bytes each with model `cifar10`. Photographs have 1000 bytes with model
 * `photo`. Effort is 1. Our files have that many bytes or a few less. JPEG and WebP have the best quality that fits; JPEG has no file of
 * 200 bytes. Each bit of a file, including the header's, is flipped with the rate's probability, by a seed. Chance decides which trials have
 * no flipped bit; these are not decoded again.
 *
 * Our files are decoded with `tolerant`. Without it, a file with wrong checksums is refused. JPEG and WebP are decoded by sharp with `failOn:
 * 'none'`, which returns what libjpeg-turbo makes of a damaged file in spite of its warnings. A file counts as decodable when it gives a
 * picture of the right size. `psnr` is the mean over the decodable files; `psnrOfAll` counts a grey picture for each of the others.
 */
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { writeAtomically } from '../dist/cli/output.js';
import { integerStream, uniforms } from '../dist/common/random.js';
import { mapAhead } from '../dist/common/side-by-side.js';
import { crop } from '../dist/image/crop.js';
import {
  CodecError,
  decode,
  encode,
  encodeImage,
  openEngine,
  openImageSet,
  openModel,
  psnr,
  readImage,
} from '../dist/index.js';
import { labelledTable } from '../dist/node/image/contact-sheet.js';

import { baselineVersions, encodeWithin, findBaseline } from '../dist/report/baselines.js';
import { linePlot } from '../dist/report/line-plot.js';
import { failGracefully, machine, progress, putJson } from './shared.mjs';

failGracefully();
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    trials: { type: 'string', default: '200' },
    'photo-trials': { type: 'string', default: '20' },
    positions: { type: 'string', default: '200' },
    jobs: { type: 'string', default: '1' },
    figures: { type: 'string' },
    out: { type: 'string' },
  },
});
const RATES = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2];
const SMALL = { side: 32, count: 8, bytes: 200, file: 'cifar10-test-0-15.png', model: 'cifar10' };
const PHOTO = { width: 192, height: 128, bytes: 1000, file: 'budgie.webp', model: 'photo' };
/** Sizes end our files, not this error. */
const NO_ERROR = 0.01;
const GREY = 128;
/** Larger pictures mean that the header is wrong. */
const MOST_PIXELS = 2 ** 20;
/** Position of the flipped bit for each column of pictures, as a share of the file. */
const SHARES = [0.03, 0.1, 0.3, 0.6, 0.9];
/** Our files with checksums are decoded for only one in this many of the positions, because every picture takes a second. */
const CHECKED_EVERY = 5;

/**
 * @typedef {import('../dist/index.js').RgbImage} RgbImage
 * @typedef {import('../dist/index.js').Model} Model
 * @typedef {object} Coded a picture's file in one codec
 * @property {Codec} codec
 * @property {string} name of the picture
 * @property {RgbImage} image
 * @property {Uint8Array} bytes
 * @property {number} psnr
 * @property {(bytes: Uint8Array) => Promise<RgbImage | undefined>} decode undefined where there is no picture of the right size
 */
/** @typedef {keyof typeof CODECS} Codec */
const CODECS = /** @type {const} */ ({
  ours: 'ddpm-codec',
  checked: 'ddpm-codec --checksums',
  jpeg: 'JPEG',
  webp: 'WebP',
});
const codecs = /** @type {Codec[]} */ (Object.keys(CODECS));

/**
 * Encodes everything to compare, in the order of codecs and pictures.
 * @param {readonly { name: string, image: RgbImage }[]} pictures
 * @param {Model} model
 * @param {number} maxBytes
 */
async function encodeAll(pictures, model, maxBytes) {
  /** @type {Coded[]} */
  const all = [];
  for (const codec of codecs) {
    for (const { name, image } of pictures) {
      const isOurs = codec === 'ours' || codec === 'checked';
      const bytes = isOurs
        ? (await encode(image, model, { maxBytes, targetRmse: NO_ERROR, effort: 1, checksums: codec === 'checked' }))
            .bytes
        : await encodeTheirs(image, codec, maxBytes);
      if (bytes === undefined) continue;
      const decodeAny = isOurs ? (/** @type {Uint8Array} */ file) => decodeOurs(file, model) : decodeTheirs;
      const decode = async (/** @type {Uint8Array} */ file) => {
        const picture = await decodeAny(file);
        return picture?.width === image.width && picture.height === image.height ? picture : undefined;
      };
      const whole = await decode(bytes);
      if (whole === undefined) throw new Error(`${name}: ${CODECS[codec]} does not decode`);
      all.push({ codec, name, image, bytes, psnr: psnr(whole, image), decode });
    }
  }
  return all;
}

/**
 * @param {RgbImage} image
 * @param {'jpeg' | 'webp'} codec
 * @param {number} maxBytes
 */
async function encodeTheirs(image, codec, maxBytes) {
  const found = await encodeWithin(image, findBaseline(codec), maxBytes);
  // Copied, because a slice of a Buffer is not a copy.
  return found && new Uint8Array(found.file);
}

/** @param {Uint8Array} bytes @param {Model} model */
async function decodeOurs(bytes, model) {
  try {
    return (await decode(bytes, model, { tolerant: true, maxPixels: MOST_PIXELS })).image;
  } catch (error) {
    // Any other error is a defect.
    if (error instanceof CodecError && (error.code === 'format' || error.code === 'model')) return undefined;
    throw error;
  }
}

/** @param {Uint8Array} bytes @returns {Promise<RgbImage | undefined>} */
async function decodeTheirs(bytes) {
  try {
    const { data, info } = await sharp(bytes, { failOn: 'none', limitInputPixels: MOST_PIXELS })
      .toColourspace('srgb')
      .removeAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return info.channels === 3 ? { width: info.width, height: info.height, data } : undefined;
  } catch {
    return undefined;
  }
}

/** @param {RgbImage} image */
const greyLike = ({ width, height }) => ({ width, height, data: new Uint8Array(width * height * 3).fill(GREY) });

/** @param {Uint8Array} bytes @param {readonly number[]} bits */
function flipped(bytes, bits) {
  const damaged = bytes.slice();
  for (const bit of bits) damaged[bit >> 3] ^= 128 >> (bit & 7);
  return damaged;
}

/** @param {readonly number[]} numbers */
const meanOf = (numbers) => (numbers.length === 0 ? null : numbers.reduce((a, b) => a + b) / numbers.length);

/**
 * One trial: the PSNR, undefined where there is no picture, and the number of flipped bits.
 * @param {Coded} coded
 * @param {number} rate
 * @param {number} trial
 */
async function tryRate({ codec, name, image, bytes, psnr: unharmed, decode }, rate, trial) {
  const uniform = uniforms(integerStream(`robustness/${codec}/${name}/${rate}/${trial}`));
  const bits = Array.from({ length: bytes.length * 8 }, (_, bit) => bit).filter(() => uniform() < rate);
  if (bits.length === 0) return { flips: 0, psnr: unharmed, psnrOfAll: unharmed };
  const picture = await decode(flipped(bytes, bits));
  const quality = picture && psnr(picture, image);
  return { flips: bits.length, psnr: quality, psnrOfAll: quality ?? psnr(greyLike(image), image) };
}

/**
 * @param {string} label
 * @param {readonly Coded[]} all
 * @param {number} trials for each codec and rate
 */
async function measureRates(label, all, trials) {
  const tell = progress(label);
  const rows = [];
  for (const [i, codec] of codecs.entries()) {
    const files = all.filter((one) => one.codec === codec);
    if (files.length === 0) continue;
    for (const [j, bitErrorRate] of RATES.entries()) {
      const results = [];
      const numbers = Array.from({ length: trials }, (_, trial) => trial);
      const attempt = (/** @type {number} */ trial) => tryRate(files[trial % files.length], bitErrorRate, trial);
      for await (const result of mapAhead(numbers, jobs - 1, attempt)) {
        results.push(result);
        tell((i + (j + results.length / trials) / RATES.length) / codecs.length);
      }
      const decoded = results.flatMap(({ psnr }) => (psnr === undefined ? [] : [psnr]));
      rows.push({
        codec,
        bitErrorRate,
        trials,
        withFlips: results.filter(({ flips }) => flips > 0).length,
        decodable: decoded.length / trials,
        psnr: meanOf(decoded),
        psnrOfAll: meanOf(results.map(({ psnrOfAll }) => psnrOfAll)),
      });
    }
  }
  return rows;
}

/**
 * One flipped bit, at positions spread evenly over a file.
 * @param {Coded} coded
 * @param {number} count
 */
async function measurePositions({ codec, image, bytes, decode }, count) {
  const tell = progress(`one bit, ${CODECS[codec]}`);
  const all = Array.from({ length: count }, (_, k) => Math.floor(((k + 0.5) / count) * bytes.length * 8));
  const points = [];
  for await (const point of mapAhead(all, jobs - 1, async (bit) => {
    const picture = await decode(flipped(bytes, [bit]));
    return { bit, decodable: picture !== undefined, psnr: psnr(picture ?? greyLike(image), image) };
  })) {
    points.push(point);
    tell(points.length / count);
  }
  return { codec, points };
}

/** @param {readonly Coded[]} all */
const filesOf = (all) =>
  all.map(({ codec, name, bytes, psnr }) => ({ codec, picture: name, bytes: bytes.length, psnr }));

const fixture = (/** @type {string} */ name) => fileURLToPath(new URL(`../fixtures/images/${name}`, import.meta.url));
const [trials, photoTrials, positions, jobs] = /** @type {const} */ ([
  'trials',
  'photo-trials',
  'positions',
  'jobs',
]).map((name) => {
  const number = Number(values[name]);
  if (Number.isInteger(number) && number >= 1) return number;
  throw new CodecError('usage', `--${name}: expected an integer from 1, got ${values[name]}`);
});

const rows = await readImage(fixture(SMALL.file));
const samples = SMALL.side ** 2 * 3;
const small = Array.from({ length: SMALL.count }, (_, i) => ({
  name: `cifar10-test-${i}`,
  image: { width: SMALL.side, height: SMALL.side, data: rows.data.slice(i * samples, (i + 1) * samples) },
}));
const images = await openImageSet(positionals.length > 0 ? positionals : [fixture(PHOTO.file)]);
/** @type {{ name: string, image: RgbImage }[]} */
const photographs = [];
for (let i = 0; i < images.length; i++) {
  const { name, image } = await images.load(i);
  const { width, height } = PHOTO;
  const [left, top] = [(image.width - width) >> 1, (image.height - height) >> 1];
  if (left < 0 || top < 0) throw new CodecError('usage', `${name}: expected at least ${width}x${height} pixels`);
  photographs.push({ name: basename(name), image: crop(image, { left, top, width, height }) });
}

const engine = await openEngine('onnx', { threads: 1 });
const models = { small: await openModel(SMALL.model, engine), photo: await openModel(PHOTO.model, engine) };
const files = {
  small: await encodeAll(small, models.small, SMALL.bytes),
  photo: await encodeAll(photographs, models.photo, PHOTO.bytes),
};
const rates = {
  small: await measureRates('small pictures', files.small, trials),
  photo: await measureRates('photographs', files.photo, photoTrials),
};
/** Files of the picture of a ship. */
const shown = files.small.filter(({ name }) => name === small[1].name);
/** @type {Awaited<ReturnType<typeof measurePositions>>[]} */
const oneBit = [];
for (const coded of shown) {
  const count = coded.codec === 'checked' ? Math.ceil(positions / CHECKED_EVERY) : positions;
  oneBit.push(await measurePositions(coded, count));
}

if (values.figures !== undefined) await drawFigures(values.figures);
const setsOf = (/** @type {'small' | 'photo'} */ set) => ({
  model: { name: models[set].name, id: models[set].id.slice(0, 12) },
  files: filesOf(files[set]),
  rates: rates[set],
});
const results = {
  description: 'Flipped bits: share of trials that give a picture of the right size, and PSNR in dB',
  machine: machine(),
  engine: engine.description,
  baselines: baselineVersions(),
  small: setsOf('small'),
  photographs: setsOf('photo'),
  oneBit: { picture: small[1].name, codecs: oneBit },
};
for (const model of Object.values(models)) await model.dispose();
await engine.dispose();
for (const [set, table] of Object.entries(rates)) {
  console.error(`\n${set === 'small' ? 'small pictures' : 'photographs'}: decodable, mean PSNR of those, of all`);
  for (const { codec, bitErrorRate, withFlips, decodable, psnr, psnrOfAll } of table) {
    const numbers = [psnr, psnrOfAll].map((number) => number?.toFixed(2) ?? '-').join('  ');
    const share = `${(100 * decodable).toFixed(1)} %`.padStart(7);
    console.error(`  ${CODECS[codec].padEnd(24)}${bitErrorRate}  ${share}  ${numbers}  (${withFlips} with flips)`);
  }
}
await putJson(values.out, results);

/** @param {string} directory that exists */
async function drawFigures(directory) {
  const write = (/** @type {string} */ name, /** @type {Uint8Array} */ bytes) =>
    writeAtomically(join(directory, name), bytes, { force: true });
  const kindOf = (/** @type {Codec} */ codec) =>
    codec === 'ours' || codec === 'checked' ? /** @type {const} */ ('ours') : /** @type {const} */ ('measured');
  const figure = (/** @type {import('../dist/report/line-plot.js').LinePlot} */ plot) => {
    const svg = linePlot(plot);
    if (svg === undefined) throw new Error('a figure without points');
    return Buffer.from(svg);
  };
  const psnrAxis = { title: 'PSNR, dB', type: /** @type {const} */ ('linear') };
  await write(
    'bit-errors.svg',
    figure({
      x: { title: 'bit error rate', type: 'log' },
      y: psnrAxis,
      lines: codecs.map((codec) => ({
        label: CODECS[codec],
        kind: kindOf(codec),
        points: rates.photo.flatMap((row) =>
          row.codec === codec && row.psnrOfAll !== null ? [{ x: row.bitErrorRate, y: row.psnrOfAll }] : [],
        ),
      })),
    }),
  );
  await write(
    'flipped-bit.svg',
    figure({
      x: { title: 'place of the one flipped bit in the file, %', type: 'linear', domain: [0, 100] },
      y: psnrAxis,
      lines: oneBit.map(({ codec, points }) => {
        const bits = shown.find((coded) => coded.codec === codec)?.bytes.length ?? Number.NaN;
        const label = CODECS[codec];
        return {
          label,
          kind: kindOf(codec),
          points: points.map(({ bit, psnr }) => ({ x: (12.5 * bit) / bits, y: psnr })),
        };
      }),
    }),
  );
  const table = [];
  const ofPhoto = files.photo.filter(({ name }) => name === photographs[0].name);
  for (const { image, bytes, decode } of ofPhoto) {
    const row = [(await decode(bytes)) ?? greyLike(image)];
    for (const share of SHARES) {
      row.push((await decode(flipped(bytes, [Math.floor(share * bytes.length * 8)]))) ?? greyLike(image));
    }
    table.push(row);
  }
  const sheet = await labelledTable({
    rows: table,
    rowLabels: ofPhoto.map(({ codec }) => CODECS[codec].replace('ddpm-codec', 'ours')),
    columnLabels: ['no bit', ...SHARES.map((share) => `at ${100 * share} %`)],
  });
  await write('flipped-bit.webp', await encodeImage(sheet, 'webp'));
}
