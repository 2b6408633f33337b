import { checkObject } from '../common/arguments.js';
import { CodecError, invalidArgument } from '../common/errors.js';

/** Largest width and height of a picture. */
export const MAX_SIDE = 2 ** 24;

/** A picture's sides in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/**
 * Images of up to this many pixels are small: they fit in one window of a network, have few bits, and leave time for
 * everything that saves bits.
 */
const SMALL_PIXELS = 64 * 64;

export function isSmall({ width, height }: Size): boolean {
  return width * height <= SMALL_PIXELS;
}

/** An image in memory: 8-bit sRGB, rows from the top, pixels interleaved R, G, B. */
export interface RgbImage extends Size {
  /** width * height * 3 bytes. */
  readonly data: Uint8Array;
  /**
   * Opacity, one byte per pixel: 0 transparent, 255 opaque; colours are not premultiplied. Absent where all pixels are
   * opaque. The values in `data` of fully transparent pixels have no meaning.
   */
  readonly alpha?: Uint8Array;
}

/** @throws CodecError('image') for pictures of different sizes */
export function checkSameSize(a: Size, b: Size): void {
  if (a.width === b.width && a.height === b.height) return;
  throw new CodecError('image', `cannot compare ${a.width}x${a.height} with ${b.width}x${b.height} pixels`);
}

/**
 * Checks a picture from a caller.
 * @param name of the argument in messages
 * @throws CodecError('usage') for an invalid picture
 */
export function checkImage(image: unknown, name = 'image'): asserts image is RgbImage {
  checkSides(image, name);
  const { width, height, data, alpha } = image as Size & Readonly<Record<string, unknown>>;
  if (!(data instanceof Uint8Array) || data.length !== width * height * 3) {
    throw invalidArgument(`${name} data`, `a Uint8Array of ${width * height * 3} samples`, data);
  }
  if (alpha !== undefined && !(alpha instanceof Uint8Array && alpha.length === width * height)) {
    throw invalidArgument(`${name} alpha`, `none or a Uint8Array of ${width * height} samples`, alpha);
  }
}

/** @throws CodecError('usage') unless width and height are valid for a picture */
export function checkSides(size: unknown, name = 'size'): asserts size is Size {
  checkObject(name, size, 'an object with width and height');
  for (const side of ['width', 'height'] as const) {
    const value = (size as Partial<Record<keyof Size, unknown>>)[side];
    const isSide = typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_SIDE;
    if (!isSide) throw invalidArgument(`${name} ${side}`, `an integer from 1 to ${MAX_SIDE}`, value);
  }
}
