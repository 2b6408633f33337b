/** Foreign names, comments and notes: nothing in them may act on a terminal or pass for one of our lines. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { openConsole } from '../../src/cli/console.js';
import { callMain, callMainJson, type RunResult } from '../helpers/cli.js';
import { syntheticImage, toSharp } from '../helpers/fixtures.js';
import { copyOfPilot, edit } from '../helpers/model-copy.js';

/** Sets a window title, erases the screen, reverses text, and fakes lines of our output. */
const HOSTILE = 'a\x1b]0;gone\x07\x1b[2J\x9b2J\u202egnp\u2028\u2029\nddpm-codec: all is well\n\x85\u{e0041}';
const SHOWN = 'a\\u001b]0;gone\\u0007\\u001b[2J\\u009b2J\\u202egnp\\u2028\\u2029';

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-test-'));
  await writeFile(join(directory, 'a.png'), await toSharp(syntheticImage(16, 12)).png().toBuffer());
  const args = ['encode', 'a.png', '-o', 'a.ddc', '--target-rmse', '20', '--effort', '1', '--comment', HOSTILE];
  await callMainJson(args, directory);
});

afterAll(() => rm(directory, { recursive: true, force: true }));

function expectHarmless({ stdout, stderr }: RunResult): void {
  for (const text of [stdout, stderr]) {
    expect(text).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    expect(text).not.toMatch(/^ddpm-codec: all is well/m);
  }
}

it('metadata of a file', async () => {
  const told = await callMain(['info', 'a.ddc'], directory);
  expectHarmless(told);
  expect(told.stdout).toContain(`comment         ${SHOWN}`);
  const document = await callMain(['info', 'a.ddc', '--json'], directory);
  expectHarmless(document);
  expect(JSON.parse(document.stdout).metadata.comment).toBe(HOSTILE);
});

it('names of files, in results and in errors', async () => {
  const decoded = await callMain(['decode', 'a.ddc', '-o', `${HOSTILE}.png`], directory);
  expect(decoded.code, decoded.stderr).toBe(0);
  expectHarmless(decoded);
  expect(decoded.stdout).toContain(`a.ddc -> ${SHOWN}`);
  const missing = await callMain(['info', `${HOSTILE}.ddc`], directory);
  expectHarmless(missing);
  expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining('no such file') });
});

it('what a model says of itself, and the name of its directory', async () => {
  const model = await copyOfPilot();
  await edit(model, 'codec.json', (codec) => {
    codec.about = { trainedOn: HOSTILE };
  });
  for (const option of [[], ['--json']]) {
    const told = await callMain(['model', 'info', model, ...option], directory);
    expect(told.code, told.stderr).toBe(0);
    expectHarmless(told);
    expect(told.stdout).toContain(SHOWN);
  }
});

it('beside a progress bar', () => {
  const { isTTY } = process.stderr;
  const said: string[] = [];
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0);
  try {
    process.stderr.isTTY = true;
    const progress = openConsole({ json: false, quiet: false }).progress(HOSTILE);
    progress.update(0.5, HOSTILE);
    progress.stop();
  } finally {
    process.stderr.isTTY = isTTY;
    write.mockRestore();
  }
  expect(said.join('')).toContain(SHOWN);
  expect(said.join('')).not.toMatch(/[\u0080-\u009f\u202e\u2028\u2029]/);
});
