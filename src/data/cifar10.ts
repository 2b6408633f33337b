/**
 * CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test images of 32x32 pixels. Kept in the cache directory as one
 * file per split, image after image, 3072 bytes each: rows from the top, pixels interleaved R, G, B.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CodecError } from '../common/errors.js';
import type { RgbImage } from '../image/image.js';
import { cacheDirectory } from './cache.js';

export type Cifar10Split = 'train' | 'test';

export const CIFAR10_SIDE = 32;
/** Bytes of an image. */
export const CIFAR10_IMAGE = CIFAR10_SIDE * CIFAR10_SIDE * 3;
export const CIFAR10_COUNTS: Readonly<Record<Cifar10Split, number>> = { train: 50_000, test: 10_000 };

/** Image `index` of a split, a view of its images. */
export function cifar10Image(images: Uint8Array, index: number): RgbImage {
  const data = images.subarray(index * CIFAR10_IMAGE, (index + 1) * CIFAR10_IMAGE);
  return { width: CIFAR10_SIDE, height: CIFAR10_SIDE, data };
}

/** Hex SHA-256 of the images of each split. */
export type Checksums = Readonly<Record<Cifar10Split, string>>;

export function cifar10File(split: Cifar10Split, cache = cacheDirectory()): string {
  return join(cache, 'cifar10', `${split}.bin`);
}

/** Where the checksums are kept that the images had when they were stored. */
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
  const images = await readFile(path).catch((cause: unknown) => {
    throw new CodecError('file', `CIFAR-10 is not at hand (no ${path}); fetch it with "ddpm-codec data cifar10"`, {
      cause,
    });
  });
  const expected = CIFAR10_COUNTS[split] * CIFAR10_IMAGE;
  const checksums = JSON.parse(await readFile(checksumsFile(cache), 'utf8').catch(() => '{}')) as Partial<Checksums>;
  const isWhole = images.length === expected;
  if (!isWhole || createHash('sha256').update(images).digest('hex') !== checksums[split]) {
    const what = isWhole ? 'its checksum is wrong' : `expected ${expected} bytes, got ${images.length}`;
    throw new CodecError('file', `${path}: damaged (${what}); run "ddpm-codec data cifar10 --force"`);
  }
  return { count: CIFAR10_COUNTS[split], images };
}
