/** Requests for more than any machine has are refused before memory is allocated, with a message. */
import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { decode } from '../../src/codec/decoder/decode.js';
import { openDecoder } from '../../src/codec/decoder/decoder.js';
import { type Header, writeHeader } from '../../src/codec/format/header.js';
import { readInfo, truncate } from '../../src/codec/format/info.js';
import { concat } from '../../src/common/bytes.js';
import { openBlurModel } from '../helpers/blur-model.js';
import { callMain, EXECUTABLE, expectRefusal } from '../helpers/cli.js';
import { temporaryDirectory } from '../helpers/fixtures.js';

const model = await openBlurModel();
const header: Header = {
  version: 7,
  stateBits: 9,
  modelId: model.id.slice(0, 6),
  width: 2 ** 24,
  height: 2 ** 24,
  plan: { first: 0, second: 0, load: 1, pace: 1 },
  seed: 1,
};
const MOST = String(Number.MAX_SAFE_INTEGER);
const KINDS: readonly [string, Partial<Header>][] = [
  ['bare', {}],
  ['with an alpha plane', { alpha: true, checksums: true }],
  ['with a tail and metadata', { tail: true, metadata: true }],
  ['a thin one', { width: 2 ** 24, height: 2 ** 5 }],
];

describe.each(KINDS)('a header of a huge picture, %s', (_, more) => {
  const bytes = concat(writeHeader({ ...header, ...more }), new Uint8Array(300).fill(5));
  const tooLarge = /image size: expected at most 268435456 pixels, got 16777216x/;
  const options = { maxPixels: Number.MAX_SAFE_INTEGER };

  test('in the library', async () => {
    await expect(decode(bytes, model, options)).rejects.toThrow(tooLarge);
    await expect(decode(new Blob([bytes]).stream(), model, options)).rejects.toThrow(tooLarge);
    const decoder = openDecoder(model, options);
    await expect(decoder.push(bytes).next()).rejects.toThrow(tooLarge);
    expect(readInfo(bytes, model)).toMatchObject({ width: 2 ** 24 });
    expect(truncate(bytes, 100)).toHaveLength(100);
  });

  test('on the command line', async () => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'huge.ddc'), bytes);
    const run = (...args: string[]) => callMain(args, directory);
    expectRefusal(await run('verify', 'huge.ddc', '--max-pixels', MOST), 1, /huge\.ddc: .*pixels/);
    expectRefusal(await run('decode', 'huge.ddc', '-o', 'x.png', '--max-pixels', MOST), 1, /huge\.ddc: .*pixels/);
    expect((await run('truncate', 'huge.ddc', '--bytes', '100', '-o', 'cut.ddc')).code).toBe(0);
    expect((await run('info', 'huge.ddc')).code).toBe(0);
  });
});

test('a picture file that says it is huge', async () => {
  const directory = await temporaryDirectory();
  const chunk = (type: string, data: Uint8Array) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    checksum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, checksum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(100_000, 0);
  head.writeUInt32BE(100_000, 4);
  head.set([8, 2], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const data = deflateSync(Buffer.alloc(1000));
  const png = Buffer.concat([signature, chunk('IHDR', head), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
  await writeFile(join(directory, 'huge.png'), png);
  const message = /huge\.png: too large; expected at most 67108864 pixels \(8192 x 8192\), scale it down first/;
  expectRefusal(await callMain(['encode', 'huge.png', '-o', 'x.ddc'], directory), 1, message);
});

test.each([
  [['sample', '--size', '99999999x99999999']],
  [['sample', '--size', '0x0']],
  [['sample', '--count', '1000000000000']],
  [['sample', '--count', '-1']],
  [['sample', '--steps', '1000000000']],
  [['interpolate', 'a.png', 'b.png', '--lambda', '1000000000000']],
])('%j', async (args) => {
  const directory = await temporaryDirectory();
  const { code, stderr } = await callMain([...args, '-o', join(directory, 'out')], directory);
  expect([code, stderr]).toEqual([2, expect.stringMatching(/^ddpm-codec: .*expected.*\n$/)]);
});

test.skipIf(process.platform === 'win32')('a working directory that was deleted', async () => {
  const directory = join(await temporaryDirectory(), 'gone');
  await mkdir(directory);
  const command = ['sh', '-c', 'rmdir "$PWD" && exec "$@"', 'sh', ...EXECUTABLE, 'info', '/nowhere.ddc'];
  const { status: code, stderr } = spawnSync(command[0], command.slice(1), { cwd: directory, encoding: 'utf8' });
  expect([code, stderr]).toEqual([
    1,
    'ddpm-codec: the working directory: no such file or directory; it was deleted, change to one that is there\n',
  ]);
});
