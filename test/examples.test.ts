/** examples/node, run as their comments describe. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { decode } from '../src/codec/decoder/decode.js';
import { openEngine } from '../src/node/engine/index.js';
import { readImage } from '../src/node/image/read.js';
import { openModelFor } from '../src/node/models.js';
import { temporaryDirectory } from './helpers/fixtures.js';

const GOLDEN = 'fixtures/golden';
const FILE = 'photo-70x66.ddc';

/** Starts the server on a free port. @returns its address */
async function serve(): Promise<string> {
  const server: ChildProcess = spawn(process.execPath, ['examples/node/serve.mjs', GOLDEN, '0']);
  onTestFinished(() => void server.kill());
  return new Promise((resolve, reject) => {
    server.stdout!.on('data', (line) => resolve(String(line).trim()));
    server.stderr!.on('data', (line) => reject(new Error(String(line))));
  });
}

it('serve.mjs gives the beginning of a file that a client asks for', async () => {
  const origin = await serve();
  const file = await readFile(join(GOLDEN, FILE));
  const get = async (path: string) => {
    const response = await fetch(`${origin}/${path}`);
    return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()) };
  };
  expect(await get(FILE)).toEqual({ status: 200, bytes: file });
  const most = Math.floor((0.1 * 70 * 66 * 3) / 8);
  expect(await get(`${FILE}?rate=0.1`)).toEqual({ status: 200, bytes: file.subarray(0, most) });
  expect(await get(`${FILE}?rate=0`)).toMatchObject({ status: 400 });
  expect(await get('..%2f..%2fpackage.json')).toMatchObject({ status: 404 });
  expect(await get('README.md')).toMatchObject({ status: 404 });
});

it('watch.mjs writes pictures of a file while it comes, the last of all of it', async () => {
  const directory = await temporaryDirectory();
  const origin = await serve();
  const { stdout } = await promisify(execFile)(process.execPath, [
    'examples/node/watch.mjs',
    `${origin}/${FILE}`,
    directory,
  ]);
  const names = (await readdir(directory)).sort();
  expect(names.length).toBeGreaterThan(3);
  expect(stdout.trim().split('\n')).toHaveLength(names.length);
  const file = await readFile(join(GOLDEN, FILE));
  const engine = await openEngine();
  const { image, bytesUsed } = await decode(file, await openModelFor(file, engine));
  expect(names.at(-1)).toBe(`${String(bytesUsed).padStart(8, '0')}.png`);
  expect(await readImage(join(directory, names.at(-1)!))).toEqual(image);
  await engine.dispose();
});
