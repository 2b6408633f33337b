/** `--device auto`: what may compute on a GPU, and what the CPU does in any case. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readImage } from '../../src/node/image/read.js';
import { callMain } from '../helpers/cli.js';
import { cifarTestImages, toSharp } from '../helpers/fixtures.js';

const AUTO = ['--device', 'auto'];
const TRIED = /device auto: the CPU computes|, WebGPU, |, CUDA, /;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-test-'));
  await writeFile(
    join(directory, 'a.png'),
    await toSharp((await cifarTestImages())[0])
      .png()
      .toBuffer(),
  );
  await run('encode', 'a.png', '-o', 'a.ddc');
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function run(...args: string[]): Promise<string> {
  const { code, stderr } = await callMain(args, directory);
  expect(code, stderr).toBe(0);
  return stderr;
}

test('files are written with the CPU, and have the same bytes', async () => {
  const said = await run('encode', 'a.png', '-o', 'auto.ddc', ...AUTO);
  expect(said).toMatch(/, CPU, /);
  expect(said).not.toMatch(TRIED);
  expect(await readFile(join(directory, 'auto.ddc'))).toEqual(await readFile(join(directory, 'a.ddc')));
});

test('a lossy file is decoded with a GPU, or it is said why not', async ({ skip }) => {
  await run('decode', 'a.ddc', '-o', 'a-decoded.png');
  const said = await run('decode', 'a.ddc', '-o', 'auto.png', ...AUTO);
  expect(said).toMatch(TRIED);
  if (!said.includes('the CPU computes')) skip('there is a GPU here');
  expect(await readFile(join(directory, 'auto.png'))).toEqual(await readFile(join(directory, 'a-decoded.png')));
});

test('half precision is for the GPU: what the CPU does has none', async () => {
  const said = await run('encode', 'a.png', '-o', 'half.ddc', ...AUTO, '--precision', 'fp16');
  expect(said).toMatch(/, CPU, /);
  expect(await readFile(join(directory, 'half.ddc'))).toEqual(await readFile(join(directory, 'a.ddc')));
});

test('the samples of a lossless file are the CPU’s work', async () => {
  await run('encode', 'a.png', '-o', 'lossless.ddc', '--lossless');
  const said = await run('decode', 'lossless.ddc', '-o', 'lossless.png', ...AUTO, '--precision', 'fp16');
  expect(said).toMatch(/, CPU, /);
  expect(said).not.toMatch(TRIED);
  const names = ['a.png', 'lossless.png'].map((name) => join(directory, name));
  const [original, decoded] = await Promise.all(names.map((name) => readImage(name)));
  expect(decoded).toEqual(original);
});

test('rd decides once, for all of its processes', async ({ skip }) => {
  const options = ['--effort', '1', '--target-rmse', '20', '--points', '2', '--jobs', '2', '--precision', 'fp16'];
  const said = await run('rd', 'a.png', '-o', 'report', ...options, ...AUTO);
  if (!said.includes('the CPU computes')) skip('there is a GPU here');
  expect(said.match(/device auto/g)).toHaveLength(1);
});
