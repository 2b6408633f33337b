/**
 * The demo: runs the real command on a photograph, then decodes the one file at three rates and in full.
 * Run with `npm run demo`; leaves everything in demo-output/.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { readImage, rmse } from '../dist/index.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const output = join(root, 'demo-output');
const command = join(root, 'bin/ddpm-codec.js');
const photo = join(output, 'photo.png');
const file = join(output, 'photo.ddc');
const WIDTH = 256;
/** Shares of the file's rate to decode, besides the whole file. */
const SHARES = [1 / 8, 1 / 4, 1 / 2];

/**
 * Runs ddpm-codec with --json, passes its messages on, and returns its result.
 * @param {string[]} args
 */
function ddpmCodec(...args) {
  console.log(`\n$ ddpm-codec ${args.map((arg) => arg.replace(`${root}`, '')).join(' ')}`);
  const stdout = execFileSync(process.execPath, [command, ...args, '--json', '--force'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  return JSON.parse(stdout);
}

mkdirSync(output, { recursive: true });
await sharp(join(root, 'fixtures/images/budgie.webp')).resize(WIDTH).png().toFile(photo);
const original = await readImage(photo);

const [encoded] = ddpmCodec('encode', photo, '-o', file, '--target-rmse', '5').images;
console.log(
  `${original.width}x${original.height} pixels, ${encoded.bytes} bytes, ${encoded.bitsPerDim.toFixed(4)} bits/dim, ` +
    `RMSE ${encoded.rmse.toFixed(2)}, ${encoded.seconds.toFixed(1)} s on ${encoded.engine}`,
);

const rows = [];
const rates = SHARES.map((share) => Number((share * encoded.bitsPerDim).toPrecision(2)));
for (const rate of [...rates, undefined]) {
  const target = join(output, rate === undefined ? 'whole.png' : `rate-${rate}.png`);
  const extra = rate === undefined ? ['--progressive', join(output, 'progressive')] : ['--rate', String(rate)];
  const [decoded] = ddpmCodec('decode', file, '-o', target, ...extra).images;
  rows.push({
    asked: rate ?? 'all',
    bytes: decoded.bytesUsed,
    'bits/dim': decoded.bitsPerDim.toFixed(4),
    RMSE: rmse(await readImage(target), original).toFixed(2),
    seconds: decoded.seconds.toFixed(1),
  });
}
console.log('\nDecoded from that one file:');
console.table(rows);
console.log(`Pictures: ${output}\nContact sheet: ${join(output, 'progressive/contact-sheet.png')}`);
