/** `ddpm-codec verify` on whole, truncated and damaged files. */
import { appendFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readHeader, writeHeader } from '../../src/codec/format/header.js';
import { callMain, callMainJson, ddpmCodec, ddpmCodecJson, ddpmCodecPiped, expectRefusal } from '../helpers/cli.js';
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
  const told = await callMain(['verify', 'damaged.ddc', '--json'], directory);
  expect(told).toMatchObject({ code: 1, stderr: expect.stringMatching(/^ddpm-codec: damaged\.ddc: .*checksum/) });
  expect(JSON.parse(told.stdout)).toEqual({
    ...{ input: 'damaged.ddc', bytes: whole.length },
    problems: [expect.stringMatching(/^\.ddc header is damaged/)],
  });
});

it('refuses what makes no sense', async () => {
  const run = (...args: string[]) => callMain(['verify', ...args], directory);
  expectRefusal(await run('a.ddc', '--max-rmse', '3'), 2, /expected --against with it/);
  expectRefusal(await run('a.ddc', '--against', 'a.png', '--max-rmse', '-1'), 2, /--max-rmse: expected a number/);
  expectRefusal(await run('a.ddc', '--background', 'white'), 2, /--background: expected --against with it/);
  expectRefusal(await run('-', '--against', '-'), 2, /--against: standard input is the file to verify/);
  expectRefusal(await run('missing.ddc'), 1, /missing\.ddc: no such file/);
  expectRefusal(await run('a.png'), 1, /not a \.ddc file/);
  // Refused before the file is decoded.
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
  const told = await callMain(['verify', 'flipped.ddc', '--json'], directory);
  expect(told).toMatchObject({ code: 1, stderr });
  expect(JSON.parse(told.stdout)).toMatchObject({
    ...{ input: 'flipped.ddc', width: 16, height: 12, bytes: bytes.length, bytesWhenComplete: bytes.length },
    ...{ checksums: true, model: { name: 'cifar10' } },
    problems: [expect.stringMatching(/; decode --tolerant gives the picture as it is/)],
  });
});

describe('what is wrong at the end of a file', () => {
  const run = (...args: string[]) => callMain(args, directory);

  beforeAll(async () => {
    const encode = ['encode', 'a.png', '-o', 'told.ddc', '--target-rmse', '20', '--effort', '1', '--comment', 'a note'];
    await callMainJson(encode, directory);
    const damaged = await readFile(join(directory, 'told.ddc'));
    // Damage a letter of the comment.
    damaged[damaged.lastIndexOf('note')] ^= 1;
    await writeFile(join(directory, 'untold.ddc'), damaged);
    await writeFile(join(directory, 'longer.ddc'), Buffer.concat([damaged, Buffer.alloc(1000)]));
  });

  it('is told by verify, which ends with 1', async () => {
    expect(await run('verify', 'told.ddc')).toMatchObject({ code: 0 });
    const one = await run('verify', 'untold.ddc', '--json');
    expect(one).toMatchObject({ code: 1, stderr: 'ddpm-codec: untold.ddc: its metadata are damaged\n' });
    expect(JSON.parse(one.stdout)).toMatchObject({ complete: true, metadataDamaged: true, trailingBytes: 0 });
    const both = await run('verify', 'longer.ddc', '-q');
    const expected = 'ddpm-codec: longer.ddc: its metadata are damaged; 1000 bytes after its end\n';
    expect(both).toEqual({ code: 1, stdout: '', stderr: expected });
  });

  it('is told by info', async () => {
    const sound = await callMainJson(['info', 'told.ddc'], directory);
    expect(sound).toMatchObject({ damaged: [], trailingBytes: 0, metadata: { comment: 'a note' } });
    const told = await run('info', 'longer.ddc');
    expect(told).toMatchObject({ code: 0, stderr: '' });
    expect(told.stdout).toMatch(/^state +complete, .* and 1000 bytes after its end\ndamaged +metadata$/m);
    const document = await callMainJson(['info', 'longer.ddc'], directory);
    expect(document).toMatchObject({ damaged: ['metadata'], trailingBytes: 1000, complete: true });
    expect(document.metadata).toBeUndefined();
  });

  it('is told by decode, from a file and as it comes', async () => {
    const files = await run('decode', 'longer.ddc', '-o', 'longer.png');
    expect(files.code).toBe(0);
    expect(files.stderr).toMatch(/longer\.ddc: its metadata are damaged; the picture is no worse for it\n/);
    expect(files.stderr).toMatch(/longer\.ddc: 1000 bytes after its end; the picture is no worse for it\n/);
    const bytes = await readFile(join(directory, 'longer.ddc'));
    const streamed = await ddpmCodecPiped(['decode', '-', '-o', 'piped.png', '--json'], directory, bytes);
    const [report] = JSON.parse(streamed.stdout.toString()).images;
    expect(report).toMatchObject({ complete: true, metadataDamaged: true, trailingBytes: 1000 });
  });

  it('and info tells of steps and alpha planes, too', async () => {
    await writeFile(join(directory, 'g.png'), await toSharp(syntheticImage(16, 12)).ensureAlpha(0.5).png().toBuffer());
    await callMainJson(['encode', 'g.png', '-o', 'g.ddc', '--checksums', '--target-rmse', '20'], directory);
    const whole = await readFile(join(directory, 'g.ddc'));
    const { headerBytes, alphaBytes, damaged } = await callMainJson(['info', 'g.ddc'], directory);
    expect(damaged).toEqual([]);
    for (const [place, part, message] of [
      [headerBytes + alphaBytes - 1, 'alpha', /^damaged +alpha plane$/m],
      [headerBytes + alphaBytes + 5, 'steps', /^damaged +steps: verify says after which$/m],
    ] as const) {
      const broken = Buffer.from(whole);
      broken[place] ^= 1;
      await writeFile(join(directory, 'broken.ddc'), broken);
      expect(await callMainJson(['info', 'broken.ddc'], directory)).toMatchObject({ damaged: [part] });
      expect(await run('info', 'broken.ddc')).toMatchObject({ code: 0, stdout: expect.stringMatching(message) });
      // A file that ends before the checksum cannot have a wrong one.
      await truncate(join(directory, 'broken.ddc'), place);
      expect(await callMainJson(['info', 'broken.ddc'], directory)).toMatchObject({ damaged: [], complete: false });
    }
  });
});
