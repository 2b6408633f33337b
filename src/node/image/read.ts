/**
 * Reading pictures: any of six file formats to 8-bit sRGB.
 *
 * sharp (libvips) does the decoding and the colour management. This module decides what is accepted, and turns every
 * way in which a file can be bad into one {@link CodecError}.
 */
import sharp, { type Metadata } from 'sharp';
import { CodecError, invalidArgument } from '../../common/errors.js';
import type { RgbImage } from '../../image/image.js';
import { readRegularFile } from '../files.js';

/** Largest picture that is read, in pixels: 8192 x 8192, 192 MB in memory. */
export const MAX_INPUT_PIXELS = 2 ** 26;

/** File name extensions of the formats that are read, lower case. A file is recognised by its content, not by these. */
export const READABLE_EXTENSIONS: readonly string[] = [
  '.png',
  '.jpg',
  '.jpeg',
  '.webp',
  '.tif',
  '.tiff',
  '.gif',
  '.avif',
];

const READABLE_FORMATS = 'PNG, JPEG, WebP, TIFF, GIF or AVIF';

/** sharp's names of the formats that are read; AVIF is told from other HEIF by its compression. */
const SHARP_FORMATS = new Set<string>(['png', 'jpeg', 'webp', 'tiff', 'gif', 'heif']);

export interface ReadImageOptions {
  /**
   * A CSS colour (name, #rgb, #rrggbb, rgb(), hsl()) to put under transparent pixels. Without it a picture with
   * pixels that are not opaque is refused, because what they should look like is not for a codec to guess.
   */
  readonly background?: string | undefined;
}

/**
 * Reads a picture. The first frame of an animation and the first page of a document count; EXIF orientation is
 * applied, an embedded ICC profile is converted to sRGB, and grey, palette, 16-bit and CMYK become 8-bit RGB.
 *
 * @throws CodecError `file` when the file is missing or unreadable; `image` when it is not a picture, is truncated or
 *   corrupt, has more than {@link MAX_INPUT_PIXELS} pixels, or is transparent and no background is given; `usage`
 *   when the background is not a colour.
 */
export async function readImage(path: string, options: ReadImageOptions = {}): Promise<RgbImage> {
  const background = options.background === undefined ? undefined : await parseColour(options.background);
  return decodeImage(await readRegularFile(path), path, background);
}

/**
 * Reads a picture from the bytes of its file.
 * @param name of the picture in messages
 * @throws CodecError as {@link readImage}
 */
export async function readImageBytes(bytes: Buffer, name: string, options: ReadImageOptions = {}): Promise<RgbImage> {
  const background = options.background === undefined ? undefined : await parseColour(options.background);
  return decodeImage(bytes, name, background);
}

/**
 * The red, green and blue of a CSS colour, 0..255 each.
 * @throws CodecError `usage` when it is not a colour or not an opaque one
 */
export async function parseColour(text: string): Promise<readonly [number, number, number]> {
  try {
    const pixel = await sharp({ create: { width: 1, height: 1, channels: 4, background: text } })
      .raw()
      .toBuffer();
    if (pixel[3] === 255) return [pixel[0], pixel[1], pixel[2]];
  } catch {
    // Reported below, with the colours that are not opaque.
  }
  throw invalidArgument('background', 'an opaque colour such as white, #fff or #336699', text);
}

async function decodeImage(
  bytes: Buffer,
  path: string,
  background: readonly [number, number, number] | undefined,
): Promise<RgbImage> {
  let metadata: Metadata;
  let decoded: { data: Buffer; info: { width: number; height: number; channels: number } };
  try {
    // 'warning' is what it takes for libjpeg to refuse damaged entropy-coded data.
    const image = sharp(bytes, { failOn: 'warning', limitInputPixels: MAX_INPUT_PIXELS, autoOrient: true });
    metadata = await image.metadata();
    if (!isReadable(metadata)) {
      throw new CodecError('image', `${path}: expected ${READABLE_FORMATS}, got ${metadata.format}; convert it first`);
    }
    decoded = await image.toColourspace('srgb').raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
  } catch (error) {
    throw error instanceof CodecError ? error : decodingError(path, error);
  }
  const { width, height, channels } = decoded.info;
  const data = withoutAlpha(decoded.data, width * height, channels, background);
  if (data === undefined) {
    throw new CodecError('image', `${path}: has transparent pixels; name the colour under them with \`background\``);
  }
  return { width, height, data };
}

function isReadable(metadata: Metadata): boolean {
  return SHARP_FORMATS.has(metadata.format) && (metadata.format !== 'heif' || metadata.compression === 'av1');
}

/**
 * Pixels in RGB from pixels in RGB or RGBA, composed over the background in sRGB values as browsers do.
 * `undefined` when there is none and a pixel is not opaque. (sharp's `flatten` would turn the background grey under a
 * grey picture.)
 */
function withoutAlpha(
  pixels: Uint8Array,
  count: number,
  channels: number,
  background: readonly [number, number, number] | undefined,
): Uint8Array | undefined {
  if (channels === 3) return new Uint8Array(pixels.buffer, pixels.byteOffset, count * 3);
  const rgb = new Uint8Array(count * 3);
  for (let i = 0; i < count; i++) {
    const alpha = pixels[4 * i + 3];
    if (alpha !== 255 && background === undefined) return undefined;
    for (let c = 0; c < 3; c++) {
      const under = background?.[c] ?? 0;
      rgb[3 * i + c] = Math.round((alpha * pixels[4 * i + c] + (255 - alpha) * under) / 255);
    }
  }
  return rgb;
}

function decodingError(path: string, error: unknown): CodecError {
  const reason = error instanceof Error ? error.message : String(error);
  if (/unsupported image format|Buffer is empty/.test(reason)) {
    return new CodecError('image', `${path}: not a picture; expected ${READABLE_FORMATS}`, { cause: error });
  }
  if (/exceeds pixel limit/.test(reason)) {
    const limit = `at most ${MAX_INPUT_PIXELS} pixels (8192 x 8192)`;
    return new CodecError('image', `${path}: too large; expected ${limit}, scale it down first`, { cause: error });
  }
  // libvips reports a line per failed attempt; the last one is the decoder's own verdict.
  const lines = reason.split('\n').filter((line) => line.trim() !== '');
  const verdict = (lines.at(-1) ?? 'unknown reason').trim();
  return new CodecError('image', `${path}: truncated or corrupt (${verdict})`, { cause: error });
}
