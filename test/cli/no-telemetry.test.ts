/** Commands leave nothing behind but their outputs and contact nobody: neither our code nor the packages that we load. */
import { spawn, spawnSync } from 'node:child_process';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { EXECUTABLE } from '../helpers/cli.js';
import { syntheticImage, temporaryDirectory, toSharp } from '../helpers/fixtures.js';
import { TINY_CONFIG } from '../helpers/training-directory.js';

const TRAIN = ['train', '--data', 'pictures', '--out', 'trained', '--config', 'tiny.json', '--crop', '8'];

const COMMANDS: readonly (readonly string[])[] = [
  ['encode', 'pictures/0.png', '-o', 'a.ddc', '--target-rmse', '20', '--effort', '1'],
  ['decode', 'a.ddc', '-o', 'a.png'],
  ['rd', 'one', '-o', 'report', '--target-rmse', '20', '--effort', '1'],
  [...TRAIN, '--batch', '4', '--steps', '2', '--engine', 'onnx'],
];

/** Whether system calls can be traced here. */
const hasStrace = spawnSync('strace', ['-e', 'trace=connect', 'true']).status === 0;

test('encode, decode, rd and train leave nothing in the home, cache and temporary directories, and connect to nothing', async () => {
  const directory = await temporaryDirectory();
  const places = ['home', 'tmp', 'cache'].map((name) => join(directory, name));
  for (const place of [...places, join(directory, 'pictures'), join(directory, 'one')]) await mkdir(place);
  for (let i = 0; i < 8; i++) {
    const picture = await toSharp(syntheticImage(12 + 4 * (i % 2), 12))
      .png()
      .toBuffer();
    await writeFile(join(directory, 'pictures', `${i}.png`), picture);
  }
  await cp(join(directory, 'pictures', '0.png'), join(directory, 'one', '0.png'));
  await writeFile(join(directory, 'tiny.json'), JSON.stringify(TINY_CONFIG));
  // ONNX Runtime is silent by itself where CI is set. A user's machine sets none of these variables.
  const { CI: _, ORT_DISABLE_TELEMETRY: __, ...environment } = process.env;
  const [HOME, TMPDIR, XDG_CACHE_HOME] = places;
  const calls = join(directory, 'calls');
  const watch = hasStrace ? ['strace', '-f', '-e', 'trace=connect', '-o', calls] : [];
  for (const command of COMMANDS) {
    const [program, ...args] = [...watch, ...EXECUTABLE, ...command];
    const child = spawn(program, args, {
      cwd: directory,
      env: { ...environment, HOME, TMPDIR, XDG_CACHE_HOME },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect({ code, stderr }).toMatchObject({ code: 0 });
    for (const place of places) expect(await readdir(place), `${command[0]} in ${place}`).toEqual([]);
    if (hasStrace) expect(await readFile(calls, 'utf8')).not.toMatch(/AF_INET/);
  }
});
