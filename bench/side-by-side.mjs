/**
 * Shows one picture coded by us and by other codecs, none of them with more bytes than ours.
 *
 *   npm run build && node bench/side-by-side.mjs IMAGE --rate R -o OUT.png [options]
 *
 * --rate R           largest rate of our file, in bits/dim
 * --model NAME       as for `ddpm-codec encode` (default auto)
 * --baselines LIST   default avif,webp,jpeg
 * --crop X,Y,W,H     show only this part, in pixels from the top left; bytes and PSNR are still of the whole picture
 * --force            replace OUT.png
 *
 * A codec whose lowest quality is still larger than our file is shown at that quality, and its label says so.
 */
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { bytesForRate } from '../dist/cli/args.js';
import { checkWritable, writeAtomically } from '../dist/cli/output.js';
import { CodecError, decode, encode, encodePng, openEngine, psnr, readImage } from '../dist/index.js';
import { contactSheet } from '../dist/node/image/contact-sheet.js';
import { decodeBaseline, encodeBaseline, encodeWithin, findBaseline } from '../dist/report/baselines.js';
import { failGracefully, modelOpener } from './shared.mjs';

failGracefully();
/** Pictures up to this side are shown at their own size; Kodak's have 768. */
const LARGEST_SIDE = 1024;
const LOWEST_QUALITY = 1;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rate: { type: 'string' },
    output: { type: 'string', short: 'o' },
    model: { type: 'string', default: 'auto' },
    baselines: { type: 'string', default: 'avif,webp,jpeg' },
    crop: { type: 'string' },
    force: { type: 'boolean', default: false },
  },
});
const rate = Number(values.rate);
if (positionals.length !== 1 || !(rate > 0) || values.output === undefined) {
  throw new CodecError('usage', 'expected IMAGE --rate R -o OUT.png, R in bits/dim');
}
await checkWritable(values.output, values);
const codecs = values.baselines.split(',').map(findBaseline);
const original = await readImage(positionals[0]);

/** Our file, and the picture that its decoder gives. */
async function ours() {
  const engine = await openEngine('auto');
  const model = await modelOpener(values.model)(original, engine);
  const { bytes } = await encode(original, model, { maxBytes: bytesForRate(rate, original) });
  const { image } = await decode(bytes, model);
  await model.dispose();
  await engine.dispose();
  return { name: `ddpm-codec (${model.name})`, bytes: bytes.length, image };
}

/** @param {import('../dist/report/baselines.js').Baseline} codec @param {number} maxBytes */
async function theirs(codec, maxBytes) {
  const found = await encodeWithin(original, codec, maxBytes);
  const file = found?.file ?? (await encodeBaseline(original, codec, LOWEST_QUALITY));
  const name = found === undefined ? `${codec.label}, at its least` : codec.label;
  return { name, bytes: file.length, image: await decodeBaseline(file, codec) };
}

/**
 * The part of a picture that is displayed.
 * @param {import('../dist/index.js').RgbImage} image
 */
async function shown(image) {
  if (values.crop === undefined) return image;
  const [left, top, width, height] = values.crop.split(',').map(Number);
  const { data } = await sharp(image.data, { raw: { width: image.width, height: image.height, channels: 3 } })
    .extract({ left, top, width, height })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width, height, data };
}

const first = await ours();
const entries = [first];
for (const codec of codecs) entries.push(await theirs(codec, first.bytes));
const tiles = [{ image: await shown(original), label: 'original' }];
for (const { name, bytes, image } of entries) {
  const label = `${name}: ${bytes} bytes, ${psnr(original, image).toFixed(2)} dB`;
  tiles.push({ image: await shown(image), label });
  console.error(label);
}
await writeAtomically(values.output, await encodePng(await contactSheet(tiles, LARGEST_SIDE)), values);
