/** Consoles that are full, broken or closed, and signals: work is completed or stops cleanly, and the exit code says which. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lockDirectory } from '../../src/node/lock.js';
import { callMain, ddpmCodec, EXECUTABLE, expectRefusal } from '../helpers/cli.js';
import { syntheticImage, toSharp } from '../helpers/fixtures.js';
import { waitUntil } from '../helpers/waiting.js';

const QUICK = ['--model', 'pilot', '--target-rmse', '14', '--effort', '1'];
const NAMES = ['a', 'b', 'c', 'd', 'e'];

let directory: string;
/** The coded file of a.png. */
let coded: Buffer;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-lost-'));
  for (const [i, name] of NAMES.entries()) {
    const picture = await toSharp(syntheticImage(16 + i, 24 - i))
      .png()
      .toBuffer();
    await writeFile(join(directory, `${name}.png`), picture);
  }
  expect(await ddpmCodec(['encode', 'a.png', '-o', 'a.ddc', ...QUICK], directory)).toMatchObject({ code: 0 });
  coded = await readFile(join(directory, 'a.ddc'));
});

afterAll(() => rm(directory, { recursive: true, force: true }));

/** Runs the executable through a shell; `redirected` follows its arguments. */
function inShell(args: readonly string[], redirected: string) {
  // In a pipe, this keeps the exit code of its first program.
  const script = `{ "$@"; echo $? > code; } ${redirected}`;
  const { signal, stdout, stderr } = spawnSync('sh', ['-c', script, 'sh', ...EXECUTABLE, ...args], {
    cwd: directory,
    encoding: 'utf8',
  });
  expect(signal).toBeNull();
  return { stdout, stderr };
}

const exitCode = async () => Number(await readFile(join(directory, 'code'), 'utf8'));

describe.runIf(existsSync('/dev/full'))('a console that takes nothing', () => {
  it.each(['2>/dev/full', '>/dev/full', '>/dev/full 2>/dev/full', '2>&1 | true', '>&- 2>&-'])(
    'ends no work and changes nothing that is written: %s',
    async (redirected) => {
      await rm(join(directory, 'b.ddc'), { force: true });
      inShell(['encode', 'a.png', '-o', 'b.ddc', ...QUICK], redirected);
      expect(await exitCode()).toBe(0);
      expect(await readFile(join(directory, 'b.ddc'))).toEqual(coded);
    },
  );

  it('is told by the exit code where a document or a file was to go there, behind the work', async () => {
    await rm(join(directory, 'b.ddc'), { force: true });
    const document = inShell(['encode', 'a.png', '-o', 'b.ddc', ...QUICK, '--json'], '>/dev/full');
    expect(await exitCode()).toBe(1);
    expect(document.stderr).toBe('ddpm-codec: standard output: cannot write: no space left on the device\n');
    expect(await readFile(join(directory, 'b.ddc'))).toEqual(coded);
    const file = inShell(['encode', 'a.png', '-o', '-', ...QUICK, '--quiet'], '>/dev/full');
    expect(await exitCode()).toBe(1);
    expect(file.stderr).toMatch(/^ddpm-codec: a\.png: standard output: cannot write: no space left on the device\n$/);
  });

  it.each(['info a.ddc', 'verify a.ddc', 'model info pilot', '--help', '--version'])(
    'fails what only tells: %s',
    async (line) => {
      inShell(line.split(' '), '>/dev/full');
      expect(await exitCode()).toBe(1);
    },
  );

  it.each(['>/dev/full', '>/dev/full 2>/dev/full', '| true', '2>&1 | true'])(
    'ends no batch, whose pictures are coded side by side: %s',
    async (redirected) => {
      await rm(join(directory, 'many'), { recursive: true, force: true });
      inShell(['encode', ...NAMES.map((name) => `${name}.png`), '-o', 'many', ...QUICK], redirected);
      expect(await exitCode()).toBe(0);
      expect((await readdir(join(directory, 'many'))).sort()).toEqual(NAMES.map((name) => `${name}.png.ddc`));
      expect(await readFile(join(directory, 'many/a.png.ddc'))).toEqual(coded);
    },
  );
});

it.runIf(process.platform === 'linux')(
  "a report is of one process at a time, and what a killed one left is in nobody's way",
  async () => {
    const out = join(directory, 'held');
    const rd = ['rd', 'a.png', '-o', out, '--model', 'none', '--baselines', 'jpeg'];
    expect(await callMain([...rd, '--quiet'], directory)).toMatchObject({ code: 0 });
    const merge = ['rd', 'merge', 'held', '-o', 'merged'];
    await mkdir(join(directory, 'merged'));
    const locks = [await lockDirectory(out), await lockDirectory(join(directory, 'merged'))];
    const held = new RegExp(`: in use by process ${process.pid} on .* since 20.*; wait for its end`);
    for (const args of [rd, [...rd, '--force'], merge]) expectRefusal(await callMain(args, directory), 1, held);
    expect(await readdir(join(directory, 'merged'))).toEqual(['.lock']);
    for (const lock of locks) lock.release();

    const gone = { pid: process.pid, host: hostname(), since: '2026-01-02T03:04:05.678Z', began: 'another', id: '' };
    for (const name of ['held', 'merged']) await writeFile(join(directory, name, '.lock'), JSON.stringify(gone));
    for (const args of [rd, merge]) expect(await callMain([...args, '--quiet'], directory)).toMatchObject({ code: 0 });
    expect(await readdir(join(directory, 'merged'))).not.toContain('.lock');
  },
);

describe('a signal', () => {
  it('ends a run that has something to remove by itself, whatever native threads are at', async () => {
    const args = ['rd', 'a.png', 'b.png', '-o', 'report', '--model', 'pilot', '--target-rmse', '3', '--effort', '9'];
    const [program, ...rest] = [...EXECUTABLE, ...args];
    const child = spawn(program, rest, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve(signal ?? code)));
    await waitUntil(() => existsSync(join(directory, 'report/images')));
    child.kill('SIGHUP');
    expect([await ended, stderr]).toEqual(['SIGHUP', '']);
    expect((await readdir(join(directory, 'report'))).sort()).toEqual(['images', 'run.json']);
  });
});
