/**
 * CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test images of 32x32 pixels. The cache directory has one file
 * per split, with 3072 bytes for each image: rows from the top, pixels interleaved R, G, B.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { object, optional, string } from 'valibot';
import { CodecError } from '../common/errors.js';
import { checked } from '../common/foreign.js';
import type { RgbImage } from '../image/image.js';
import { exists } from '../node/files.js';
import { readJsonFile, readRegularFile } from '../node/read.js';
import { cacheDirectory } from './cache.js';

export type Cifar10Split = 'train' | 'test';

export const CIFAR10_SIDE = 32;
/** Bytes per image. */
export const CIFAR10_IMAGE = CIFAR10_SIDE * CIFAR10_SIDE * 3;
export const CIFAR10_COUNTS: Readonly<Record<Cifar10Split, number>> = { train: 50_000, test: 10_000 };

/** Image `index` of a split, as a view. */
export function cifar10Image(images: Uint8Array, index: number): RgbImage {
  const data = images.subarray(index * CIFAR10_IMAGE, (index + 1) * CIFAR10_IMAGE);
  return { width: CIFAR10_SIDE, height: CIFAR10_SIDE, data };
}

/** Hex SHA-256 of the images of each split. */
export type Checksums = Readonly<Record<Cifar10Split, string>>;

const CHECKSUMS = object({ train: optional(string()), test: optional(string()) });

export function cifar10File(split: Cifar10Split, cache = cacheDirectory()): string {
  return join(cache, 'cifar10', `${split}.bin`);
}

/** File with the checksums that the images had when they were stored. */
export function checksumsFile(cache = cacheDirectory()): string {
  return join(cache, 'cifar10', 'checksums.json');
}

/**
 * The images of a split, one after the other.
 * @throws CodecError('file') when they have not been fetched or are damaged
 */
export async function openCifar10(
  split: Cifar10Split,
  { cache }: { readonly cache?: string | undefined } = {},
): Promise<{ readonly count: number; readonly images: Uint8Array }> {
  const path = cifar10File(split, cache);
  if (!(await exists(path))) {
    throw new CodecError('file', `CIFAR-10 is not at hand (no ${path}); fetch it with "ddpm-codec data cifar10"`);
  }
  const images = await readRegularFile(path);
  const expected = CIFAR10_COUNTS[split] * CIFAR10_IMAGE;
  const what =
    images.length === expected
      ? await whatIsWrong(images, split, cache)
      : `expected ${expected} bytes, got ${images.length}`;
  if (what !== undefined) {
    throw new CodecError('file', `${path}: damaged (${what}); run "ddpm-codec data cifar10 --force"`);
  }
  return { count: CIFAR10_COUNTS[split], images };
}

async function whatIsWrong(images: Uint8Array, split: Cifar10Split, cache?: string): Promise<string | undefined> {
  const path = checksumsFile(cache);
  try {
    const checksums = checked(CHECKSUMS, await readJsonFile(path), path, 'file');
    const isSame = createHash('sha256').update(images).digest('hex') === checksums[split];
    return isSame ? undefined : 'its checksum is wrong';
  } catch (error) {
    if (error instanceof CodecError) return error.message;
    throw error;
  }
}
