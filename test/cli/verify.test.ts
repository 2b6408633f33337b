/** `ddpm-codec verify` on whole, cut off and damaged files. */
import { appendFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readHeader, writeHeader } from '../../src/codec/format/header.js';
import { callMain, callMainJson, ddpmCodec, ddpmCodecJson, expectRefusal } from '../helpers/cli.js';
import { syntheticImage, toSharp } from '../helpers/fixtures.js';

let directory: string;
// biome-ignore lint/suspicious/noExplicitAny: a JSON document under test
let encoded: any;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-test-'));
  await writeFile(join(directory, 'a.png'), await toSharp(syntheticImage(16, 12)).png().toBuffer());
  await writeFile(join(directory, 'other.png'), await toSharp(syntheticImage(16, 13)).png().toBuffer());
  [encoded] = (await ddpmCodecJson(['encode', 'a.png', '-o', 'a.ddc', '--target-rmse', '8'], directory)).images;
});

afterAll(() => rm(directory, { recursive: true, force: true }));

it('a whole file passes, with the distance that its encoder told', async () => {
  const report = await ddpmCodecJson(['verify', 'a.ddc', '--against', 'a.png', '--max-rmse', '8'], directory);
  expect(report).toMatchObject({
    input: 'a.ddc',
    bytes: encoded.bytes,
    bytesWhenComplete: encoded.bytes,
    complete: true,
    trailingBytes: 0,
    stepsUsed: encoded.steps.length - 1,
    problems: [],
    against: { original: 'a.png', rmse: encoded.rmse, msSsim: null },
  });
  const { code, stdout } = await callMain(['verify', 'a.ddc'], directory);
  expect(code).toBe(0);
  expect(stdout).toMatch(/picture +16 x 12\n.*decodes +with model cifar10.*whole/s);
});

it('tells what is wrong, and ends with 1', async () => {
  const whole = await readFile(join(directory, 'a.ddc'));
  await writeFile(join(directory, 'cut.ddc'), whole);
  await truncate(join(directory, 'cut.ddc'), encoded.bytes - 4);
  const cut = await ddpmCodec(['verify', 'cut.ddc', '--json'], directory);
  expect(cut).toMatchObject({ code: 1, stderr: expect.stringContaining(`cut off: ${encoded.bytes - 4} of`) });
  expect(JSON.parse(cut.stdout)).toMatchObject({ complete: false, problems: [expect.stringContaining('cut off')] });
  await writeFile(join(directory, 'long.ddc'), whole);
  await appendFile(join(directory, 'long.ddc'), 'more');
  const long = await callMain(['verify', 'long.ddc', '--json'], directory);
  expect(long).toMatchObject({ code: 1, stderr: 'ddpm-codec: long.ddc: 4 bytes after its end\n' });
  const far = await callMain(['verify', 'a.ddc', '--against', 'a.png', '--max-rmse', '1', '--quiet'], directory);
  expect(far).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/RMSE \d\.\d+ from a\.png, expected at most 1\n/),
  });
  const damaged = Buffer.from(whole);
  damaged[6] ^= 1;
  await writeFile(join(directory, 'damaged.ddc'), damaged);
  expectRefusal(await callMain(['verify', 'damaged.ddc'], directory), 1, /damaged\.ddc: .*checksum/);
});

it('refuses what makes no sense', async () => {
  const run = (...args: string[]) => callMain(['verify', ...args], directory);
  expectRefusal(await run('a.ddc', '--max-rmse', '3'), 2, /expected --against with it/);
  expectRefusal(await run('a.ddc', '--against', 'a.png', '--max-rmse', '-1'), 2, /--max-rmse: expected a number/);
  expectRefusal(await run('a.ddc', '--background', 'white'), 2, /--background: expected --against with it/);
  expectRefusal(await run('-', '--against', '-'), 2, /--against: standard input is the file to verify/);
  expectRefusal(await run('missing.ddc'), 1, /missing\.ddc: no such file/);
  expectRefusal(await run('a.png'), 1, /not a \.ddc file/);
  // Before the file is decoded.
  const other = await run('a.ddc', '--against', 'other.png');
  expectRefusal(other, 1, /other\.png: expected 16x12 pixels as a\.ddc has, got 16x13/);
  expectRefusal(await run('a.ddc', '--max-pixels', '10'), 1, /a\.ddc: image size: expected at most 10 pixels/);
});

it('names the file whose model is not there', async () => {
  const { header } = readHeader(await readFile(join(directory, 'a.ddc')));
  await writeFile(join(directory, 'nobody.ddc'), writeHeader({ ...header, modelId: 'ffffff' }));
  expectRefusal(await callMain(['verify', 'nobody.ddc'], directory), 1, /nobody\.ddc: .*ffffff/);
  const info = await callMain(['info', 'a.ddc', '--model', 'photo'], directory);
  expectRefusal(info, 1, /a\.ddc: /);
});

it('takes a colour for what is transparent in the original', async () => {
  const glass = toSharp(syntheticImage(16, 12)).ensureAlpha(0.5);
  await writeFile(join(directory, 'glass.png'), await glass.png().toBuffer());
  const args = ['verify', 'a.ddc', '--against', 'glass.png'];
  expectRefusal(await callMain(args, directory), 1, /glass\.png: has transparent pixels; .*--background/);
  const { against } = await callMainJson([...args, '--background', 'white'], directory);
  expect(against).toMatchObject({ original: 'glass.png', rmse: expect.any(Number) });
});

it('passes an equal picture at a largest RMSE of 0, and points damage out with an option that there is', async () => {
  const exact = ['encode', 'a.png', '-o', 'exact.ddc', '--lossless', '--checksums', '--effort', '1'];
  await callMainJson(exact, directory);
  const verified = await callMain(['verify', 'exact.ddc', '--against', 'a.png', '--max-rmse', '0', '-q'], directory);
  expect(verified).toMatchObject({ code: 0, stderr: '' });
  const bytes = await readFile(join(directory, 'exact.ddc'));
  bytes[40] ^= 1;
  await writeFile(join(directory, 'flipped.ddc'), bytes);
  const { code, stderr } = await callMain(['verify', 'flipped.ddc', '-q'], directory);
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/flipped\.ddc: .*; decode --tolerant gives the picture as it is/),
  ]);
});
