/**
 * Pictures of known test sets, on which results are reported: Kodak's and those of CIFAR-10's test split. They are
 * recognised by their pixels and left out of training.
 */
import type { RgbImage, Size } from '../image/image.js';
import { CIFAR10_SIDE } from './cifar10.js';
import { pixelHash } from './pixel-hash.js';
import { CIFAR10_TEST_HASHES, KODAK_HASHES } from './test-picture-hashes.js';

/**
 * Bytes kept of each hash: the chance that any of a million other pictures is mistaken for one of the ten thousand is
 * one in a hundred.
 */
export const CIFAR10_HASH_BYTES = 5;
const KODAK_SIDES = [512, 768];

const HEX = new RegExp(`.{${2 * CIFAR10_HASH_BYTES}}`, 'g');
let cifar10: ReadonlySet<string> | undefined;

/** Whether a picture of this size may be a test picture. */
export function mayBeTestPicture({ width, height }: Size): boolean {
  return isOfKodak({ width, height }) || (width === CIFAR10_SIDE && height === CIFAR10_SIDE);
}

function isOfKodak({ width, height }: Size): boolean {
  return KODAK_SIDES.includes(width) && KODAK_SIDES.includes(height);
}

/** Name of a test picture, for people; undefined for any other. */
export function testPictureOf(image: RgbImage): string | undefined {
  if (!mayBeTestPicture(image)) return undefined;
  if (isOfKodak(image)) {
    const index = KODAK_HASHES.indexOf(pixelHash(image));
    return index < 0 ? undefined : `kodim${String(index + 1).padStart(2, '0')} of Kodak`;
  }
  cifar10 ??= new Set(Buffer.from(CIFAR10_TEST_HASHES, 'base64').toString('hex').match(HEX));
  return cifar10.has(pixelHash(image).slice(0, 2 * CIFAR10_HASH_BYTES))
    ? 'an image of the test split of CIFAR-10'
    : undefined;
}
