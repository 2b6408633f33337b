/**
 * Cuts one file of a picture off at several rates, and shows the remaining pictures on a sheet. README's sheet is made with:
 *
 *   npm run bench truncations -- fixtures/images/budgie.webp -o docs/images/truncations.webp
 *
 * --rates LIST   bits/dim to cut off at, besides the whole file (default 0.01,0.03,0.1)
 * --force        replace OUT
 */
import { parseArgs } from 'node:util';
import { bytesForRate } from '../dist/cli/args.js';
import { checkWritable, writeAtomically } from '../dist/cli/output.js';
import { CodecError, decode, encode, openEngine, openModelFor, readImage, rmse } from '../dist/index.js';
import { contactSheet } from '../dist/node/image/contact-sheet.js';
import { toSharp } from '../dist/node/image/write.js';
import { failGracefully } from './shared.mjs';

failGracefully();

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    output: { type: 'string', short: 'o' },
    rates: { type: 'string', default: '0.01,0.03,0.1' },
    force: { type: 'boolean', default: false },
  },
});
const [path] = positionals;
if (positionals.length !== 1 || values.output === undefined) throw new CodecError('usage', 'expected IMAGE -o OUT');
await checkWritable(values.output, values);
const original = await readImage(path);
const engine = await openEngine('auto');
const model = await openModelFor(original, engine);
const { bytes } = await encode(original, model, { targetRmse: 3 });
const ends = [...values.rates.split(',').map((rate) => bytesForRate(Number(rate), original)), bytes.length];
const tiles = [];
for (const end of ends) {
  const { image, bytesUsed, bitsPerDim } = await decode(bytes.subarray(0, end), model);
  const label = `${bytesUsed} bytes, ${bitsPerDim.toFixed(3)} bits/dim, RMSE ${rmse(original, image).toFixed(1)}`;
  console.log(label);
  tiles.push({ image, label });
}
await model.dispose();
await engine.dispose();
// The sheet is for looking at, not for measuring.
const sheet = await toSharp(await contactSheet(tiles))
  .webp({ quality: 90 })
  .toBuffer();
await writeAtomically(values.output, sheet, values);
