import { checkObject } from '../common/arguments.js';
import { CodecError, invalidArgument } from '../common/errors.js';

/** Largest width and height of a picture. */
export const MAX_SIDE = 2 ** 24;

/** A picture's sides in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Pictures of up to so many pixels are small: one window of a network at most, few bits, and time for all that saves some. */
const SMALL_PIXELS = 64 * 64;

export function isSmall({ width, height }: Size): boolean {
  return width * height <= SMALL_PIXELS;
}

/** An image in memory: 8-bit sRGB, rows from the top, pixels interleaved R, G, B. */
export interface RgbImage extends Size {
  /** width * height * 3 bytes. */
  readonly data: Uint8Array;
  /**
   * Opacity, a byte for each pixel: 0 transparent, 255 opaque; colours are not premultiplied. There is none where all is opaque. What
   * stands in `data` for pixels that are fully transparent has no meaning.
   */
  readonly alpha?: Uint8Array;
}

/** @throws CodecError('image') for pictures that have not the same size */
export function checkSameSize(a: Size, b: Size): void {
  if (a.width === b.width && a.height === b.height) return;
  throw new CodecError('image', `cannot compare ${a.width}x${a.height} with ${b.width}x${b.height} pixels`);
}

/**
 * Checks what somebody gives for a picture.
 * @param name of the argument in messages
 * @throws CodecError('usage') for what is none
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

/** @throws CodecError('usage') for what has no width and height that a picture can have */
export function checkSides(size: unknown, name = 'size'): asserts size is Size {
  checkObject(name, size, 'an object with width and height');
  for (const side of ['width', 'height'] as const) {
    const value = (size as Partial<Record<keyof Size, unknown>>)[side];
    const isSide = typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_SIDE;
    if (!isSide) throw invalidArgument(`${name} ${side}`, `an integer from 1 to ${MAX_SIDE}`, value);
  }
}
