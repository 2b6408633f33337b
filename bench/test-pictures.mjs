/**
 * Writes `src/data/test-picture-hashes.ts`: hashes that identify the pictures of Kodak and of CIFAR-10's test split, so that nobody trains on
 * the pictures that results are reported on.
 *
 *   npm run build && ddpm-codec data cifar10 && node bench/test-pictures.mjs KODAK_DIRECTORY
 *
 * KODAK_DIRECTORY holds kodim01.png to kodim24.png.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cifar10Image, openCifar10 } from '../dist/data/cifar10.js';
import { pixelHash } from '../dist/data/pixel-hash.js';
import { CIFAR10_HASH_BYTES } from '../dist/data/test-pictures.js';
import { readImage } from '../dist/index.js';
import { failGracefully } from './shared.mjs';

failGracefully();
const { positionals } = parseArgs({ allowPositionals: true });
if (positionals.length !== 1) throw new Error('expected the directory of Kodak, see the beginning of this file');

const kodak = [];
for (let i = 1; i <= 24; i++) {
  kodak.push(pixelHash(await readImage(join(positionals[0], `kodim${String(i).padStart(2, '0')}.png`))));
}
const { images, count } = await openCifar10('test');
const hashes = Array.from({ length: count }, (_, i) =>
  Buffer.from(pixelHash(cifar10Image(images, i)), 'hex').subarray(0, CIFAR10_HASH_BYTES),
).sort(Buffer.compare);
const lines =
  Buffer.concat(hashes)
    .toString('base64')
    .match(/.{1,110}/g) ?? [];
await writeFile(
  fileURLToPath(new URL('../src/data/test-picture-hashes.ts', import.meta.url)),
  `/** Made by \`node bench/test-pictures.mjs\`. */

/** Of kodim01 to kodim24. */
export const KODAK_HASHES: readonly string[] = [
${kodak.map((hash) => `  '${hash}',`).join('\n')}
];

/** Of the images of CIFAR-10's test split the first bytes, sorted, in base64. */
export const CIFAR10_TEST_HASHES =
${lines.map((line) => `  '${line}'`).join(' +\n')};
`,
);
