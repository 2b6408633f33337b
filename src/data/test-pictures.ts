/** Pictures that results are reported on, known by their pixels: Kodak's, and those of CIFAR-10's test split. Nothing is trained on them. */
import type { RgbImage, Size } from '../image/image.js';
import { CIFAR10_SIDE } from './cifar10.js';
import { pixelHash } from './pixel-hash.js';
import { CIFAR10_TEST_HASHES, KODAK_HASHES } from './test-picture-hashes.js';

/** Kept of each hash: among a million other pictures none is taken for one of ten thousand, but for one chance in a hundred. */
export const CIFAR10_HASH_BYTES = 5;
const KODAK_SIDES = [512, 768];

const HEX = new RegExp(`.{${2 * CIFAR10_HASH_BYTES}}`, 'g');
let cifar10: ReadonlySet<string> | undefined;

/** Whether a picture of this size may be one. */
export function mayBeTestPicture({ width, height }: Size): boolean {
  return isOfKodak({ width, height }) || (width === CIFAR10_SIDE && height === CIFAR10_SIDE);
}

function isOfKodak({ width, height }: Size): boolean {
  return KODAK_SIDES.includes(width) && KODAK_SIDES.includes(height);
}

/** Which test picture it is, for people; undefined for any other. */
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
