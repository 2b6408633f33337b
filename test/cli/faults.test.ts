/**
 * What the machine does to a run: a full disk, a directory that goes away, a kill, two runs at once. Nothing is half-written,
 * sources stay as they were, and one line says what happened.
 */
import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ddpmCodec, ddpmCodecMeanwhile } from '../helpers/cli.js';
import { syntheticImage, toSharp } from '../helpers/fixtures.js';

let directory: string;
let picture: Buffer;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-test-'));
  picture = await toSharp(syntheticImage(40, 30)).png().toBuffer();
  await writeFile(join(directory, 'a.png'), picture);
  await chmod(join(directory, 'a.png'), 0o444);
});

afterAll(() => rm(directory, { recursive: true, force: true }));

/** A new directory below the test's, by name. */
async function below(name: string): Promise<string> {
  await mkdir(join(directory, name));
  return name;
}

const names = (name: string) => readdir(join(directory, name));

it('a read-only source is read, and stays as it was', async () => {
  const before = await stat(join(directory, 'a.png'));
  const { code } = await ddpmCodec(['encode', 'a.png', '-o', 'a.ddc', '--target-rmse', '20'], directory);
  expect(code).toBe(0);
  const after = await stat(join(directory, 'a.png'));
  expect([after.mtimeMs, after.mode]).toEqual([before.mtimeMs, before.mode]);
  expect(await readFile(join(directory, 'a.png'))).toEqual(picture);
});

it('an output directory that goes away is told, and not made anew', async () => {
  const out = await below('gone');
  const run = await ddpmCodecMeanwhile(['encode', 'a.png', '-o', 'gone/a.ddc'], directory, () => {
    spawnSync('rm', ['-r', join(directory, out)]);
  });
  expect(run.code).toBe(1);
  expect(run.stderr).toMatch(/gone\/a\.ddc: cannot write in .*gone: no such file or directory\n$/);
  await expect(stat(join(directory, out))).rejects.toThrow(/ENOENT/);
});

describe.each([
  ['SIGTERM', 143],
  ['SIGINT', 130],
  ['SIGKILL', null],
] as const)('%s in the middle', (signal, code) => {
  it('leaves nothing behind', async () => {
    const out = await below(signal);
    const run = await ddpmCodecMeanwhile(['encode', 'a.png', '-o', `${out}/a.ddc`], directory, (child) => {
      setTimeout(() => child.kill(signal), 50);
    });
    // A process that does not listen is ended by the signal itself.
    expect([code, null]).toContain(run.code);
    if (run.code === null) expect(run.signal).toBe(signal);
    expect(run.stdout).toBe('');
    expect(await names(out)).toEqual([]);
    expect(await readFile(join(directory, 'a.png'))).toEqual(picture);
  });
});

it('of two runs with one output one wins, whole', async () => {
  const out = await below('race');
  const args = ['encode', 'a.png', '-o', `${out}/a.ddc`, '--target-rmse', '12', '--quiet'];
  const runs = await Promise.all([ddpmCodec(args, directory), ddpmCodec(args, directory)]);
  const lost = runs.filter(({ code }) => code !== 0);
  expect(runs.filter(({ code }) => code === 0).length).toBe(1);
  expect(lost.map(({ code, stderr }) => [code, stderr])).toEqual([
    [1, expect.stringMatching(/race\/a\.ddc: exists already; use --force/)],
  ]);
  expect(await names(out)).toEqual(['a.ddc']);
  expect((await ddpmCodec(['verify', `${out}/a.ddc`], directory)).code).toBe(0);
});

it('a batch goes on behind a bad file, and counts it', async () => {
  const batch = await below('batch');
  for (const name of ['a.png', 'c.png']) await writeFile(join(directory, batch, name), picture);
  await writeFile(join(directory, batch, 'b.png'), picture.subarray(0, 60));
  const run = await ddpmCodec(['encode', batch, '-o', 'coded/', '--target-rmse', '20', '--quiet'], directory);
  expect(run.code).toBe(1);
  expect(run.stderr).toMatch(/batch\/b\.png: /);
  expect(run.stderr).toMatch(/1 of 3/);
  expect((await names('coded')).sort()).toEqual(['a.png.ddc', 'c.png.ddc']);
});

describe('a full disk', () => {
  let mounted = false;

  beforeAll(async () => {
    await below('full');
    mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', join(directory, 'full')]).status === 0;
  });

  afterAll(() => {
    if (mounted) spawnSync('umount', [join(directory, 'full')]);
  });

  it('is told, and what did not fit is gone', async (context) => {
    if (!mounted) context.skip('no file system can be mounted here');
    await writeFile(join(directory, 'full', 'other'), new Uint8Array(4096));
    const run = await ddpmCodec(['encode', 'a.png', '-o', 'full/a.ddc', '--target-rmse', '20', '--quiet'], directory);
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/full\/a\.ddc: cannot write in .*full: no space left on the device\n$/);
    expect(await names('full')).toEqual(['other']);
  });
});
