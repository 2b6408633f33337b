/** `ddpm-codec page`: what it writes and serves. Tests of the page itself are in test/web. */

import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hexSha256 } from '../../src/common/bytes.js';
import { loadModelInfo } from '../../src/node/models.js';
import { callMain, EXECUTABLE } from '../helpers/cli.js';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-page-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

test('writes all that a web server needs, and names each file of a model by its hash', async () => {
  const out = join(directory, 'public');
  const { code, stdout, stderr } = await callMain(['page', '-o', out, '--models', 'cifar10', '--json']);
  expect([code, stderr]).toEqual([0, '']);
  const files = (await readdir(out, { recursive: true })).filter((name) => name.includes('.'));
  expect(JSON.parse(stdout)).toMatchObject({ directory: out, files: files.length, models: 'cifar10' });
  expect(files).toEqual(expect.arrayContaining(['index.html', join('models', 'index.json')]));
  expect(files.filter((name) => /\.wasm$/.test(name))).toHaveLength(2);
  const [model, ...others] = JSON.parse(await readFile(join(out, 'models/index.json'), 'utf8'));
  expect(others).toEqual([]);
  expect(model).toMatchObject({ name: 'cifar10', id: (await loadModelInfo('cifar10')).id, url: 'cifar10/' });
  for (const { name, bytes, sha256 } of model.files) {
    const content = await readFile(join(out, 'models', model.url, name));
    expect([content.length, await hexSha256(content)]).toEqual([bytes, sha256]);
  }

  expect(JSON.parse(stdout).page).toBe('index.html');

  const again = await callMain(['page', '-o', out, '--models', 'cifar10']);
  expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('exists already; use --force')]);
  expect((await callMain(['page', '-o', out, '--models', 'cifar10', '--force', '--quiet'])).code).toBe(0);
});

test('says how a file that was written with the page is shown', async () => {
  const file = join(directory, 'c d.ddc');
  await writeFile(file, 'a file');
  const args = ['page', file, '-o', join(directory, 'shown'), '--models', 'cifar10'];
  const page = 'index.html?file=files%2Fc%2520d.ddc';
  expect((await callMain(args)).stdout).toContain(`for any web server; ${page} shows the file\n`);
  expect(JSON.parse((await callMain([...args, '--force', '--json'])).stdout)).toMatchObject({ page });
  expect(await readFile(join(directory, 'shown/files/c d.ddc'), 'utf8')).toBe('a file');
});

test('serves the page with a file until it is interrupted', async () => {
  const file = join(directory, 'a b#50%.ddc');
  await writeFile(file, 'a file');
  const [command, ...args] = [...EXECUTABLE, 'page', file, '--no-open', '--models', 'cifar10'];
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const line = await new Promise<string>((resolve) => child.stdout.once('data', (data) => resolve(String(data))));
  const url = new URL(line.split(' ')[0]);
  expect(url.searchParams.get('file')).toBe('files/a%20b%2350%25.ddc');
  const page = await fetch(url);
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
  expect(await (await fetch(new URL(url.searchParams.get('file')!, url))).text()).toBe('a file');
  expect((await fetch(new URL('models/photo/config.json', url))).status).toBe(404);
  child.kill('SIGINT');
  expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(0);
});

test.each([
  [['--port', '65536'], 2, /--port: expected an integer from 0 to 65535, got 65536/],
  [['--models', 'photo,,'], 2, /--models: expected names or directories with commas between/],
  [['--models', 'nothing'], 2, /nothing/],
  [['--models', 'cifar10,cifar10'], 2, /models`?: expected models of different names/],
  [['-o', '-'], 2, /-o -: expected the name of a directory/],
  [['nothing.ddc'], 1, /nothing\.ddc: no such file/],
])('%j is refused', async (args, expected, message) => {
  const { code, stderr } = await callMain(['page', '--no-open', ...args], directory);
  expect([code, stderr]).toEqual([expected, expect.stringMatching(message)]);
});
