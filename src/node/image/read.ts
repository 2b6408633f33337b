/**
 * Reads pictures of six file formats as 8-bit sRGB.
 *
 * sharp (libvips) decodes and manages colours. This module decides what is accepted, and reports every fault of a file
 * as a {@link CodecError}.
 */
import sharp, { type Metadata } from 'sharp';
import { checkBytes, checkOptions, checkText } from '../../common/arguments.js';
import { CodecError, invalidArgument } from '../../common/errors.js';
import { flatten, fromRgba } from '../../image/alpha.js';
import type { RgbImage } from '../../image/image.js';
import { readRegularFile } from '../read.js';
import { type ColourSpace, DISPLAY_P3 } from './colour-space.js';
import { pngColourSpace } from './png-colours.js';

/** Maximum size of a picture in pixels: 8192 x 8192, 192 MB in memory. */
export const MAX_INPUT_PIXELS = 2 ** 26;

/** File name extensions of the readable formats, in lower case. Files are recognised by their content, not by these. */
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

/** sharp's names of the readable formats; AVIF is distinguished from other HEIF files by its compression. */
const SHARP_FORMATS = new Set<string>(['png', 'jpeg', 'webp', 'tiff', 'gif', 'heif']);

export interface ReadImageOptions {
  /**
   * A CSS colour (name, #rgb, #rrggbb, rgb(), hsl()) to put under transparent pixels. Without it the picture keeps its
   * opacity in a plane beside its colours.
   */
  readonly background?: string | undefined;
}

/**
 * Reads a picture: of an animation the first frame, of a document the first page. EXIF orientation is applied, and
 * grey, palette, 16-bit and CMYK become 8-bit RGB. Colours other than sRGB are converted to it: those of an embedded
 * ICC profile, and those of PNG's cICP, gAMA and cHRM as browsers show them.
 *
 * @throws CodecError `file` when the file is missing or unreadable; `image` when it is not a picture, is truncated or
 *   corrupt, has more than 2^26 pixels (8192 x 8192), has samples other than unsigned with 8 or 16 bits, or has colours
 *   of high dynamic range by cICP; `usage` when the path is not a string or the background is not a colour.
 */
export async function readImage(path: string, options: ReadImageOptions = {}): Promise<RgbImage> {
  checkText('path', path, 'a string (`readImageBytes` takes the content of a file)');
  const background = await backgroundOf(options);
  return decodeImage(await readRegularFile(path), path, background);
}

const READ_ARGUMENTS = { background: { type: 'own' } } as const;

async function backgroundOf(options: ReadImageOptions): Promise<readonly [number, number, number] | undefined> {
  checkOptions('readImage', READ_ARGUMENTS, options);
  return options.background === undefined ? undefined : parseColour(options.background);
}

/**
 * Reads a picture from the bytes of its file.
 * @param bytes are copied at once
 * @param name of the picture in messages
 * @throws CodecError as {@link readImage}
 */
export async function readImageBytes(
  bytes: Uint8Array,
  name: string,
  options: ReadImageOptions = {},
): Promise<RgbImage> {
  checkBytes('bytes', bytes);
  checkText('name', name);
  const copy = Buffer.from(bytes);
  return decodeImage(copy, name, await backgroundOf(options));
}

/** Advice for a transparent picture, where the user can name a background. */
const NAME_BACKGROUND = 'name the colour under them with `background`';
/** Advice where the user cannot. */
export const GIVE_COLOUR = 'give them a colour first, in a program for pictures';

/**
 * Refuses a transparent picture: we cannot guess what it should look like.
 * @param name of the picture in messages
 * @param advice what the user can do
 * @throws CodecError `image` for a transparent one
 */
export function opaque(image: RgbImage, name: string, advice = NAME_BACKGROUND): RgbImage {
  if (image.alpha === undefined) return image;
  throw new CodecError('image', `${name}: has transparent pixels; ${advice}`);
}

/**
 * The red, green and blue of a CSS colour, 0..255 each.
 * @throws CodecError `usage` when it is not a colour or not an opaque one
 */
export async function parseColour(text: string): Promise<readonly [number, number, number]> {
  try {
    checkText('background', text);
    const pixel = await sharp({ create: { width: 1, height: 1, channels: 4, background: text } })
      .raw()
      .toBuffer();
    if (pixel[3] === 255) return [pixel[0], pixel[1], pixel[2]];
  } catch {
    // Reported below, together with colours that are not opaque.
  }
  throw invalidArgument('`background`', 'an opaque colour such as white, #fff or #336699', text);
}

async function decodeImage(
  bytes: Buffer,
  path: string,
  background: readonly [number, number, number] | undefined,
): Promise<RgbImage> {
  let decoded: { pixels: Uint8Array; width: number; height: number; channels: number };
  try {
    decoded = await decodePixels(bytes, path);
  } catch (error) {
    throw error instanceof CodecError ? error : decodingError(path, error);
  }
  const { pixels, width, height, channels } = decoded;
  if (channels === 3) return { width, height, data: new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.length) };
  const image = fromRgba(pixels, width);
  // sharp's own `flatten` would make the background grey under a grey picture.
  return background ? flatten(image, background) : image;
}

/** Pixels in 8-bit sRGB with 3 channels, or 4 with opacity. */
async function decodePixels(bytes: Buffer, path: string) {
  // Only from 'warning' on does libjpeg refuse damaged entropy-coded data.
  const options = { failOn: 'warning', limitInputPixels: MAX_INPUT_PIXELS, autoOrient: true } as const;
  const metadata = await sharp(bytes, options).metadata();
  if (!isReadable(metadata)) {
    throw new CodecError('image', `${path}: expected ${READABLE_FORMATS}, got ${metadata.format}; convert it first`);
  }
  const depth = sampleDepth(metadata, path);
  const told = metadata.format === 'png' ? toldColourSpace(bytes, path) : undefined;
  const image = sharp(bytes, { ...options, ignoreIcc: told !== undefined });
  // sharp converts 16-bit RGB with a profile to Display P3 and leaves it there.
  const profiled = depth === 'ushort' && metadata.space === 'rgb16' && metadata.hasProfile ? DISPLAY_P3 : undefined;
  const space = told ?? profiled;
  const colourspace = space !== undefined && depth === 'ushort' ? 'rgb16' : 'srgb';
  const { data, info } = await image
    .toColourspace(colourspace)
    .raw({ depth: colourspace === 'rgb16' ? 'ushort' : 'uchar' })
    .toBuffer({ resolveWithObject: true });
  if (space === undefined) return { ...info, pixels: data };
  const { toSrgb } = await import('./to-srgb.js');
  const samples = colourspace === 'rgb16' ? new Uint16Array(data.buffer, data.byteOffset, data.length / 2) : data;
  return { ...info, pixels: toSrgb(samples, info.channels, space) };
}

/** TIFF has other kinds of samples, but they do not define their values of black and white. */
function sampleDepth({ depth }: Metadata, path: string): 'uchar' | 'ushort' {
  if (depth === 'uchar' || depth === 'ushort') return depth;
  throw new CodecError(
    'image',
    `${path}: expected samples of 8 or 16 bits, unsigned, got ${OTHER_DEPTHS[depth] ?? depth}, where black and white may be any values; convert it first`,
  );
}

/** Sample types by libvips' names. */
const OTHER_DEPTHS: Readonly<Record<string, string>> = {
  char: '8 bits, signed',
  short: '16 bits, signed',
  int: '32 bits, signed',
  uint: '32 bits, unsigned',
  float: 'floating point',
  double: 'floating point',
};

/** The colour space that a PNG file states without a profile. */
function toldColourSpace(bytes: Buffer, path: string): ColourSpace | undefined {
  try {
    return pngColourSpace(bytes);
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    throw new CodecError(error.code, `${path}: ${error.message}`, { cause: error });
  }
}

function isReadable(metadata: Metadata): boolean {
  return SHARP_FORMATS.has(metadata.format) && (metadata.format !== 'heif' || metadata.compression === 'av1');
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
  // libvips reports a line per failed attempt; the last line is the decoder's own message, if there is one.
  const lines = reason.replace(NO_VERDICT, '').split('\n');
  const verdict = lines.map((line) => line.trim().replace(/:$/, '')).findLast((line) => line !== '');
  const told = verdict === undefined ? '' : ` (${verdict})`;
  return new CodecError('image', `${path}: truncated or corrupt${told}`, { cause: error });
}

/** sharp's text before the decoder's message, and libheif's error numbers after it. */
const NO_VERDICT =
  /Input buffer has corrupt header:|Warning treated as error due to failOn setting|\s*\(\d+\.\d+\)\s*$/g;
