/** `ddpm-codec encode --lossless`, and what the other commands say about such files. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { crop } from '../../src/image/crop.js';
import { rmse } from '../../src/image/metrics.js';
import { readImage } from '../../src/node/image/read.js';
import { callMain, callMainJson, ddpmCodecJson, expectRefusal } from '../helpers/cli.js';
import { cifarTestImages, syntheticImage, toSharp } from '../helpers/fixtures.js';

let directory: string;
// biome-ignore lint/suspicious/noExplicitAny: a JSON document under test
let encoded: any;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-test-'));
  await writeFile(join(directory, 'a.png'), await toSharp(syntheticImage(14, 9)).png().toBuffer());
  [encoded] = (await ddpmCodecJson(['encode', 'a.png', '-o', 'a.ddc', '--lossless'], directory)).images;
});

afterAll(() => rm(directory, { recursive: true, force: true }));

const samples = (file: string) => sharp(join(directory, file)).removeAlpha().raw().toBuffer();

it('writes a file that gives the picture back, sample by sample', async () => {
  expect(encoded).toMatchObject({ rmse: 0, psnr: null, options: { lossless: true } });
  expect(encoded.tailBytes).toBeGreaterThan(0);
  const [decoded] = (await ddpmCodecJson(['decode', 'a.ddc', '-o', 'b.png'], directory)).images;
  expect(decoded).toMatchObject({ lossless: true, complete: true, knownSamples: 14 * 9 * 3 });
  expect(await samples('b.png')).toEqual(await samples('a.png'));
  const { stdout } = await callMain(['verify', 'a.ddc', '--against', 'a.png'], directory);
  expect(stdout).toMatch(/whole, lossless by its checksum[\s\S]*RMSE 0\.000, the same picture/);
});

it('is progressive to its end', async () => {
  const cut = encoded.bytes - Math.round(encoded.tailBytes / 2);
  expect((await callMain(['truncate', 'a.ddc', '-o', 'cut.ddc', '--bytes', `${cut}`], directory)).code).toBe(0);
  const { stdout } = await callMain(['decode', 'cut.ddc', '-o', 'cut.png'], directory);
  expect(stdout).toMatch(/\d+ % of the samples/);
  const [report] = (await callMainJson(['decode', 'cut.ddc', '-o', 'cut.png', '--force'], directory)).images;
  expect(report).toMatchObject({ lossless: false, complete: false, bytesUsed: cut });
  const info = await callMain(['info', 'cut.ddc'], directory);
  expect(info.stdout).toMatch(
    new RegExp(`samples +lossless, as a drawing[\\s\\S]*truncated: .*whole file ${encoded.bytes} bytes`),
  );
});

it('a damaged one is refused, or written with a warning', async () => {
  const bytes = await readFile(join(directory, 'a.ddc'));
  bytes[bytes.length - Math.round(encoded.tailBytes / 2)] ^= 16;
  await writeFile(join(directory, 'bad.ddc'), bytes);
  expectRefusal(
    await callMain(['decode', 'bad.ddc', '-o', 'bad.png', '--quiet'], directory),
    1,
    /bad\.ddc: .*checksum.*--tolerant/,
  );
  const tolerant = await callMain(['decode', 'bad.ddc', '-o', 'bad.png', '--tolerant'], directory);
  expect(tolerant).toMatchObject({ code: 0, stderr: expect.stringMatching(/bad\.ddc: .*checksum/) });
  expect((await callMain(['verify', 'bad.ddc'], directory)).code).toBe(1);
});

it('limits are refused with it', async () => {
  for (const limit of ['--max-rate', '--max-bytes', '--target-rmse']) {
    const run = await callMain(['encode', 'a.png', '-o', 'c.ddc', '--lossless', limit, '5'], directory);
    expectRefusal(run, 2, new RegExp(`${limit}: cannot be combined with --lossless`));
  }
});

it('metadata and checksums are shown, and damage is told with the last sound step, or mended', async () => {
  const photo = crop((await cifarTestImages())[0], { left: 8, top: 8, width: 16, height: 16 });
  await writeFile(join(directory, 'm.png'), await toSharp(photo).png().toBuffer());
  const options = ['--target-rmse', '6', '--checksums', '--metadata', '--comment', 'from the\tattic'];
  const [report] = (await callMainJson(['encode', 'm.png', '-o', 'm.ddc', ...options], directory)).images;
  expect(report.options).toMatchObject({ checksums: true, metadata: { source: 'm.png', comment: 'from the\tattic' } });
  const { stdout } = await callMain(['info', 'm.ddc'], directory);
  expect(stdout).toMatch(
    /checksums +yes\n *source +m\.png\n *comment +from the\\u0009attic\n *software +ddpm-codec \d/,
  );
  const bytes = await readFile(join(directory, 'm.ddc'));
  bytes[Math.floor(report.steps[3].bits / 8)] ^= 1;
  await writeFile(join(directory, 'bad.ddc'), bytes);
  const refused = await callMain(['decode', 'bad.ddc', '-o', 'back.png', '--quiet'], directory);
  expectRefusal(refused, 1, /bad\.ddc: the file is damaged after step \d+, byte \d+/);
  const [tolerant] = (await callMainJson(['decode', 'bad.ddc', '-o', 'back.png', '--tolerant'], directory)).images;
  expect(tolerant).toMatchObject({ damaged: true, complete: true, stepsUsed: report.steps.length - 1 });
  expect(rmse(await readImage(join(directory, 'back.png')), photo)).toBeCloseTo(report.rmse, 1);
  // Also damage the header, from which the model is found.
  bytes[4] ^= 16;
  await writeFile(join(directory, 'bad.ddc'), bytes);
  const header = await callMain(['decode', 'bad.ddc', '-o', 'head.png', '--quiet'], directory);
  expectRefusal(header, 1, /bad\.ddc: .*header is damaged.*/);
  const mend = ['decode', 'bad.ddc', '-o', 'head.png', '--tolerant', '--progressive', 'way'];
  const [both] = (await callMainJson(mend, directory)).images;
  expect(both).toMatchObject({ damaged: true, complete: true, stepsUsed: report.steps.length - 1 });
  expect(await samples('head.png')).toEqual(await samples('back.png'));
});
