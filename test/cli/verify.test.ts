/** `ddpm-codec verify` on whole, cut off and damaged files. */
import { appendFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { callMain, ddpmCodec, ddpmCodecJson, expectRefusal } from '../helpers/cli.js';
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
  expectRefusal(await run('a.ddc', '--against', 'a.png', '--max-rmse', '0'), 2, /--max-rmse: expected a number/);
  expectRefusal(await run('missing.ddc'), 1, /missing\.ddc: no such file/);
  expectRefusal(await run('a.png'), 1, /not a \.ddc file/);
  const other = await run('a.ddc', '--against', 'other.png', '--quiet');
  expect(other).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/other\.png: cannot compare 16x13 with 16x12/),
  });
});
