/** Pictures for tests: those shipped in `fixtures/images`, and generated ones. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp, { type Sharp } from 'sharp';
import { onTestFinished } from 'vitest';
import { integerStream } from '../../src/common/random.js';
import { toRgba } from '../../src/image/alpha.js';
import type { RgbImage } from '../../src/image/image.js';
import { readImage } from '../../src/node/image/read.js';

const IMAGES = fileURLToPath(new URL('../../fixtures/images/', import.meta.url));

/** A photograph of 500 x 333. */
export const PHOTO = join(IMAGES, 'budgie.webp');

const CIFAR_SIDE = 32;

/** CIFAR-10 test images 0..15, 32 x 32. */
export async function cifarTestImages(): Promise<RgbImage[]> {
  const { data, height } = await readImage(join(IMAGES, 'cifar10-test-0-15.png'));
  const bytes = CIFAR_SIDE * CIFAR_SIDE * 3;
  return Array.from({ length: height }, (_, i) => ({
    width: CIFAR_SIDE,
    height: CIFAR_SIDE,
    data: data.slice(i * bytes, (i + 1) * bytes),
  }));
}

/** A picture with smooth colour gradients and a diagonal edge, the same every time. */
export function syntheticImage(width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 3;
      data[at] = Math.round((255 * (x + 1)) / (width + 1));
      data[at + 1] = Math.round((255 * (y + 1)) / (height + 1));
      data[at + 2] = x * height > y * width ? 200 : 60;
    }
  }
  return { width, height, data };
}

/** The picture seen through a disc with a soft edge. Outside it, colours stay as they are but are invisible. */
export function withDisc(image: RgbImage): RgbImage {
  const { width, height } = image;
  const alpha = Uint8Array.from({ length: width * height }, (_, i) => {
    const radius = Math.hypot((i % width) / width - 0.45, Math.floor(i / width) / height - 0.5);
    return Math.max(0, Math.min(255, Math.round(255 * (3 - 8 * radius))));
  });
  return { ...image, alpha };
}

/** A picture with film grain, mostly the same in all channels, and the same every time. */
export function grained(image: RgbImage): RgbImage {
  const next = integerStream('grain');
  // The sum of four uniform numbers is nearly Gaussian, with variance 1 / 3.
  const gaussian = () => Array.from({ length: 4 }, () => (next() >>> 0) / 2 ** 32).reduce((a, b) => a + b, -2) * 1.73;
  const grey = Float64Array.from({ length: image.width * image.height }, gaussian);
  const data = image.data.map((value, i) =>
    Math.max(0, Math.min(255, Math.round(value + 10 * grey[Math.floor(i / 3)] + 3 * gaussian()))),
  );
  return { ...image, data };
}

/** An image as a sharp pipeline, ready to write in any format. */
export function toSharp(image: RgbImage): Sharp {
  const { width, height, data, alpha } = image;
  return sharp(alpha ? toRgba(image) : data, { raw: { width, height, channels: alpha ? 4 : 3 } });
}

/** An empty directory, removed when the test is over. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-test-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}
