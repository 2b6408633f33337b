/**
 * Faults of the machine during a run: a full disk, a directory that disappears, permissions, a kill, two runs at once, sources that change.
 * Nothing is half-written, sources stay as they were, and one line says what happened.
 */
import { spawnSync } from 'node:child_process';
import { rmSync, watch, writeFileSync } from 'node:fs';
import {
  chmod,
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packagedModels } from '../../src/node/model-places.js';
import { isTemporary } from '../../src/node/write.js';
import {
  callMain,
  callMainJson,
  ddpmCodec,
  ddpmCodecInto,
  ddpmCodecMeanwhile,
  ddpmCodecStarted,
  ddpmCodecUnprivileged,
  expectRefusal,
} from '../helpers/cli.js';
import { syntheticImage, toSharp } from '../helpers/fixtures.js';
import { TINY_CONFIG } from '../helpers/training-directory.js';

const NETWORK = resolve('fixtures/reference/unet-tiny');
/** Coding that takes a second. */
const QUICK = ['--model', 'pilot', '--target-rmse', '20', '--effort', '1'];
/** Coding that takes many times as long as noticing its start and reacting to it. */
const LONG = ['encode', 'a.png', '--effort', '8'];

let directory: string;
let picture: Buffer;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-test-'));
  picture = await toSharp(syntheticImage(16, 12)).png().toBuffer();
  await writeFile(join(directory, 'a.png'), picture);
  await chmod(join(directory, 'a.png'), 0o444);
});

afterAll(() => rm(directory, { recursive: true, force: true }));

/** A new named directory below the test's, with these files. All files hold the same picture. */
async function below(name: string, ...files: string[]): Promise<string> {
  await mkdir(join(directory, name));
  for (const file of files) await writeFile(join(directory, name, file), picture);
  return name;
}

const names = async (name: string) => (await readdir(join(directory, name))).sort();

/** Starts a run and kills it while it writes a file for `name`. The run may end before that. */
async function killWhenWriting(args: readonly string[], out: string, name: string, signal: NodeJS.Signals) {
  const isWriting = (one: string) => isTemporary(one) && one.startsWith(`.${name}.`);
  const before = new Set(await readdir(out));
  await ddpmCodecStarted(args, directory, (child) => {
    const watcher = watch(out, (_, file) => {
      if (!file || before.has(file) || !isWriting(file)) return;
      watcher.close();
      child.kill(signal);
    });
    child.on('close', () => watcher.close());
  });
}

it('a read-only source is read, and stays as it was', async () => {
  const before = await stat(join(directory, 'a.png'));
  const { code } = await ddpmCodec(['encode', 'a.png', '-o', 'a.ddc', ...QUICK], directory);
  expect(code).toBe(0);
  const after = await stat(join(directory, 'a.png'));
  expect([after.mtimeMs, after.mode]).toEqual([before.mtimeMs, before.mode]);
  expect(await readFile(join(directory, 'a.png'))).toEqual(picture);
});

it('an output directory that goes away is told, and not made anew', async () => {
  const out = await below('gone');
  const run = await ddpmCodecMeanwhile([...LONG, '-o', 'gone/a.ddc'], directory, () => {
    rmSync(join(directory, out), { recursive: true });
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
    const run = await ddpmCodecMeanwhile([...LONG, '-o', `${out}/a.ddc`], directory, (child) => child.kill(signal));
    // A process without a handler yet is ended by the signal itself.
    expect([code, null]).toContain(run.code);
    if (run.code === null) expect(run.signal).toBe(signal);
    expect(run.stdout).toBe('');
    expect(await names(out)).toEqual([]);
    expect(await readFile(join(directory, 'a.png'))).toEqual(picture);
  });
});

it('of two runs with one output one wins, whole', async () => {
  const out = await below('race');
  const args = ['encode', 'a.png', '-o', `${out}/a.ddc`, '--quiet', ...QUICK];
  const runs = await Promise.all([ddpmCodec(args, directory), ddpmCodec(args, directory)]);
  const lost = runs.filter(({ code }) => code !== 0);
  expect(runs.filter(({ code }) => code === 0).length).toBe(1);
  expect(lost.map(({ code, stderr }) => [code, stderr])).toEqual([
    [1, expect.stringMatching(/race\/a\.ddc: exists already; use --force/)],
  ]);
  expect(await names(out)).toEqual(['a.ddc']);
  expect((await callMain(['verify', `${out}/a.ddc`], directory)).code).toBe(0);
});

it('a batch goes on behind a bad file, and counts it', async () => {
  const batch = await below('batch', 'a.png', 'c.png');
  await writeFile(join(directory, batch, 'b.png'), picture.subarray(0, 60));
  const run = await ddpmCodec(['encode', batch, '-o', 'coded/', '--quiet', ...QUICK], directory);
  expect(run.code).toBe(1);
  expect(run.stderr).toMatch(/batch\/b\.png: /);
  expect(run.stderr).toMatch(/1 of 3/);
  expect(await names('coded')).toEqual(['a.png.ddc', 'c.png.ddc']);
});

it('a file that goes away or changes while a batch runs is what it is when its turn comes, and whole', async () => {
  const out = await below('changing', 'b.png', 'c.png');
  const args = ['encode', 'a.png', 'changing/b.png', 'changing/c.png', '-o', `${out}/`, ...QUICK, '--threads', '1'];
  const run = await ddpmCodecMeanwhile(args, directory, () => {
    rmSync(join(directory, out, 'c.png'));
  });
  expect(run.code).toBe(1);
  expect(run.stderr).toMatch(/changing\/c\.png: no such file or directory\n.*1 of 3 files failed/s);
  expect(await names(out)).toEqual(['a.png.ddc', 'b.png', 'b.png.ddc']);
});

it('a source that is replaced behind the start of a run does not change its result', async () => {
  const out = await below('replaced', 'a.png');
  const other = await toSharp(syntheticImage(31, 17)).png().toBuffer();
  const run = await ddpmCodecMeanwhile(['encode', `${out}/a.png`, '-o', `${out}/a.ddc`, ...QUICK], directory, () => {
    writeFileSync(join(directory, out, 'a.png'), other);
  });
  expect(run.code).toBe(0);
  expect(other.equals(await readFile(join(directory, out, 'a.png')))).toBe(true);
  await callMainJson(['encode', 'a.png', '-o', `${out}/same.ddc`, ...QUICK], directory);
  expect(await readFile(join(directory, out, 'a.ddc'))).toEqual(await readFile(join(directory, out, 'same.ddc')));
});

it('with --force two runs with one output both end well, and it is whole', async () => {
  const out = await below('forced');
  const args = ['encode', 'a.png', '-o', `${out}/a.ddc`, '--force', '--quiet', ...QUICK];
  const runs = await Promise.all([ddpmCodec(args, directory), ddpmCodec([...args, '--seed', '1'], directory)]);
  expect(runs).toEqual([0, 1].map(() => ({ code: 0, stdout: '', stderr: '' })));
  expect(await names(out)).toEqual(['a.ddc']);
  expect((await callMain(['verify', `${out}/a.ddc`], directory)).code).toBe(0);
});

describe.each(['SIGTERM', 'SIGKILL'] as const)('%s while a file is written', (signal) => {
  it('leaves it whole or not at all', async () => {
    const out = await below(`writing-${signal}`);
    const model = 'diffusion_pytorch_model.safetensors';
    // 11 MB of weights, so that writing takes long enough to be noticed. Runs that end too soon prove nothing.
    const args = ['model', 'export', 'pilot', '--out', out, '--force'];
    for (let tries = 0; tries < 3; tries++) {
      await killWhenWriting(args, join(directory, out), model, signal);
      const left = (await names(out)).filter((name) => isTemporary(name));
      if (signal === 'SIGTERM') expect(left).toEqual([]);
      for (const name of left) expect(name).toMatch(/^\.[\w.]+\.(json|safetensors)\./);
    }
    // Leftovers get in nobody's way and do not count as files of the model.
    expect((await ddpmCodec(args, directory)).code).toBe(0);
    const whole = (await names(out)).filter((name) => !isTemporary(name));
    expect(whole).toEqual(['config.json', model, 'model_index.json', 'scheduler_config.json']);
  });
});

describe('what a killed run left', () => {
  const leftover = '.a.png.ddc.0123456789ab.tmp';

  it('is not taken for a picture or a file, and not for one of a report', async () => {
    const out = await below('left', leftover, 'a.png');
    expectRefusal(await callMain(['decode', out], directory), 1, /left: this directory has no coded pictures/);
    const { images } = await callMainJson(['encode', out, ...QUICK], directory);
    expect(images.map(({ input }: { input: string }) => input)).toEqual(['left/a.png']);
    const report = await below('left-report', '.run.json.0123456789ab.tmp');
    const rd = ['rd', 'a.png', '--model', 'none', '--baselines', 'jpeg', '-o', report, '--quiet'];
    expect(await callMain(rd, directory)).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('permissions', () => {
  const needsUnprivileged = async (args: readonly string[], skip: (note: string) => never) =>
    (await ddpmCodecUnprivileged(args, directory)) ?? skip('root cannot give up its privileges here');

  it('a source that may not be read is told, and a batch goes on', async ({ skip }) => {
    const out = await below('unreadable', 'a.png', 'b.png');
    await chmod(join(directory, out, 'a.png'), 0o000);
    const one = await needsUnprivileged(['encode', `${out}/a.png`, ...QUICK], skip);
    expectRefusal(one, 1, /unreadable\/a\.png: permission denied/);
    const both = await needsUnprivileged(['encode', out, '--quiet', ...QUICK], skip);
    expect(both).toMatchObject({ code: 1, stdout: '' });
    expect(both.stderr).toMatch(/^ddpm-codec: unreadable\/a\.png: permission denied\n.*1 of 2 files failed.*\n$/);
    expect(await names(out)).toEqual(['a.png', 'b.png', 'b.png.ddc']);
  });

  it('a directory that may not be written to is told before any work', async ({ skip }) => {
    const out = await below('readonly');
    await chmod(join(directory, out), 0o555);
    for (const line of [
      'encode a.png -o readonly/a.ddc',
      'encode a.png -o readonly/below/',
      'sample -o readonly/a.png -n 1',
      'interpolate a.png a.png -o readonly/a.png',
      'eval a.png -o readonly/a.json',
      'rd a.png -o readonly',
      'rd a.png -o readonly/below',
      'model export pilot --out readonly',
      'train --data . --out readonly --crop 8',
    ]) {
      expectRefusal(await needsUnprivileged(line.split(' '), skip), 1, /readonly.*: permission denied\n$/);
    }
    expect(await names(out)).toEqual([]);
  });
});

describe('sources are never written to', () => {
  it('whatever --force is given with', async () => {
    const from = await below('sources', 'a.png', 'b.png');
    await cp(NETWORK, join(directory, from, 'network'), { recursive: true });
    await symlink(join(directory, from), join(directory, 'elsewhere'));
    const files = ['a.png', 'b.png', 'network/config.json', 'network/diffusion_pytorch_model.safetensors'];
    const contents = () => Promise.all(files.map((file) => readFile(join(directory, from, file))));
    const before = await contents();
    for (const line of [
      'encode sources/a.png -o elsewhere/a.png',
      'decode sources/a.png -o sources/a.png',
      'truncate sources/a.png -o sources/a.png --bytes 30',
      'interpolate sources/a.png sources/b.png -o elsewhere/b.png',
      'eval sources -o sources/a.png',
      'eval sources/a.png --plot elsewhere/a.png',
      'rd sources -o elsewhere --model none --baselines jpeg',
      'rd sources/a.png -o . --model none --baselines jpeg',
      // With pictures, so that CIFAR-10 need not be available.
      'model import sources/network --out elsewhere/network --calibrate sources',
      'train --data sources --from sources/network --out elsewhere/network --crop 8',
    ]) {
      const refused = await callMain([...line.split(' '), '--force'], directory);
      expectRefusal(refused, 2, /is an input as well|an image to measure/);
    }
    // In a linked checkout the model may be another's.
    const pilot = (await packagedModels()).find(({ name }) => name === 'pilot')!;
    const itself = ['model', 'export', 'pilot', '--out', pilot.directory, '--force'];
    expectRefusal(await callMain(itself, directory), 2, /is an input as well/);
    expect(await contents()).toEqual(before);
    expect(await names(from)).toEqual(['a.png', 'b.png', 'network']);
  });

  it('a report begun anew removes nothing but what one measured', async () => {
    const args = ['--model', 'none', '-o', 'report', '--quiet', '--baselines'];
    expect((await callMain(['rd', 'a.png', ...args, 'jpeg'], directory)).code).toBe(0);
    await writeFile(join(directory, 'report/images/mine.png'), picture);
    expect((await callMain(['rd', 'a.png', ...args, 'webp', '--force'], directory)).code).toBe(0);
    expect(await names('report/images')).toEqual(['00000-a.json', 'mine.png']);
    await writeFile(join(directory, 'report/run.json'), '{"a": 1}');
    expectRefusal(await callMain(['rd', 'a.png', ...args, 'webp'], directory), 1, /run\.json: .*not of a report/);
  });

  it('a directory is not written over', async () => {
    await below('a-directory.json');
    const run = await callMain(['eval', 'a.png', '-o', 'a-directory.json', '--force'], directory);
    expectRefusal(run, 1, /a-directory\.json: expected the name of a file, but this is a directory/);
  });
});

describe('a full disk', () => {
  let mounted = false;

  beforeAll(async () => {
    await below('full');
    const full = join(directory, 'full');
    mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', full]).status === 0;
    if (!mounted) return;
    await cp(NETWORK, join(full, 'network'), { recursive: true });
    await copyFile(join(directory, 'a.png'), join(full, 'a.png'));
    await below('pictures');
    const small = await toSharp(syntheticImage(16, 16)).png().toBuffer();
    for (let i = 0; i < 8; i++) await writeFile(join(directory, 'pictures', `${i}.png`), small);
    await below('batches');
    // The first of the official batches: images of class 0, and black.
    const batch = await open(join(directory, 'batches', 'data_batch_1.bin'), 'w');
    await batch.truncate(10_000 * 3073);
    await batch.close();
    await writeFile(join(directory, 'tiny.json'), JSON.stringify(TINY_CONFIG));
    // dd stops when there is no room left.
    spawnSync('dd', ['if=/dev/zero', `of=${join(full, 'other')}`, 'bs=4096']);
  });

  afterAll(() => {
    if (mounted) spawnSync('umount', [join(directory, 'full')]);
  });

  it('is told by every command, and what did not fit is gone', async ({ skip }) => {
    if (!mounted) skip('no file system can be mounted here');
    const ddc = resolve('fixtures/golden/crop-7x5.ddc');
    for (const line of [
      `encode a.png -o full/a.ddc ${QUICK.join(' ')}`,
      `decode ${ddc} -o full/a-decoded.png`,
      `decode ${ddc} -o decoded.png --progressive full`,
      `truncate ${ddc} -o full/cut.ddc --bytes 30`,
      'sample -o full/sample.png -n 1 --steps 1 --size 8x8 --model pilot',
      'interpolate pictures/0.png pictures/1.png -o full/between.png --t 1 --steps 1 --lambda 2 --model pilot',
      'rd a.png -o full/report --model none --baselines jpeg',
      'model export pilot --out full/exported',
      'calibrate full/network pictures --tile 8 --overlap 0',
      `model import ${NETWORK} --out full/imported --calibrate pictures`,
      'train --data pictures --out full/trained --config tiny.json --crop 8 --batch 4 --steps 1',
      'data cifar10 --from batches --cache full/cache',
    ]) {
      const { code, stdout, stderr } = await callMain([...line.split(' '), '--quiet'], directory);
      expect({ line, code, stdout }).toEqual({ line, code: 1, stdout: '' });
      expect(stderr).toMatch(/^ddpm-codec: [^\n]*full[^\n]*: no space left on the device\n$/);
    }
    const files = (await readdir(join(directory, 'full'), { recursive: true })).filter((name) => /\.\w+$/.test(name));
    const network = (await readdir(NETWORK)).map((name) => `network/${name}`);
    expect(files.sort()).toEqual(['a.png', ...network].sort());
    // A run that did not begin leaves no directory either.
    expect(await names('full')).not.toContain('trained');
    expect(await names('.')).not.toContain('decoded.png');
  });

  it('the report of long work is on stdout before it is written', async ({ skip }) => {
    if (!mounted) skip('no file system can be mounted here');
    const args = ['eval', 'pictures[0:2]', '--crop', '8', '--timesteps', '1', '-o', 'full/eval.json', '--json'];
    const { code, stdout, stderr } = await ddpmCodec([...args, '--model', 'pilot'], directory);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toHaveProperty('likelihood');
    expect(stderr).toMatch(/full\/eval\.json: .*: no space left on the device\n$/);
  });

  it('fails the files that go there, and a batch goes on with the others', async ({ skip }) => {
    if (!mounted) skip('no file system can be mounted here');
    const out = await below('roomy', 'a.png');
    const run = await callMain(['encode', 'full/a.png', `${out}/a.png`, ...QUICK, '--quiet'], directory);
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(
      /^ddpm-codec: full\/a\.png\.ddc: cannot write in .*full: no space left on the device\n.*1 of 2 files failed.*\n$/,
    );
    expect(await names(out)).toEqual(['a.png', 'a.png.ddc']);
  });

  it('behind stdout is told in one line', async ({ skip }) => {
    if (!(await stat('/dev/full').catch(() => undefined))) skip('there is no /dev/full here');
    const args = ['info', resolve('fixtures/golden/crop-7x5.ddc')];
    for (const more of [[], ['--json']]) {
      const { code, stderr } = ddpmCodecInto('/dev/full', [...args, ...more], directory);
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: 'ddpm-codec: standard output: cannot write: no space left on the device\n',
      });
    }
  });
});
