/** Writes pictures, losslessly and without metadata: files hold exactly what the decoder made. */
import { extname } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { checkArgument, checkList, checkObject } from '../../common/arguments.js';
import { CodecError, invalidArgument } from '../../common/errors.js';
import { toRgba } from '../../image/alpha.js';
import { checkImage, type RgbImage, type Size } from '../../image/image.js';

/** Formats for writing pictures. Lossy ones are excluded: they would add their own error to the codec's. */
export type OutputFormat = 'png' | 'webp' | 'tiff';

const FORMAT_OF_EXTENSION: Readonly<Record<string, OutputFormat>> = {
  '.png': 'png',
  '.webp': 'webp',
  '.tif': 'tiff',
  '.tiff': 'tiff',
};

const OUTPUT_FORMAT = { type: 'choice', choices: ['png', 'webp', 'tiff'] } as const;
/** WebP's limit on width and height. */
const MAX_WEBP_SIDE = 16383;
/** WebP's limit on a frame's duration in milliseconds. */
const MAX_DELAY = 2 ** 24 - 1;

/**
 * The format that a file name asks for.
 * @throws CodecError `usage` when its extension is none of .png, .webp, .tif, .tiff
 */
export function outputFormat(path: string): OutputFormat {
  const format = FORMAT_OF_EXTENSION[extname(path).toLowerCase()];
  if (format === undefined) {
    throw new CodecError('usage', `${path}: pictures are written as ${Object.keys(FORMAT_OF_EXTENSION).join(', ')}`);
  }
  return format;
}

/**
 * The bytes of an image file. It is lossless except for the colours of fully transparent pixels. The same pixels give
 * the same bytes.
 * @param image is copied at once
 * @throws CodecError `image` when the format cannot hold a picture of that size; `usage` for an invalid picture or
 *   format
 */
export async function encodeImage(image: RgbImage, format: OutputFormat): Promise<Buffer> {
  checkImage(image);
  checkArgument('format', OUTPUT_FORMAT, format);
  checkFits(image, format);
  const pixels = toSharp(image);
  switch (format) {
    case 'png':
      return pixels.png({ palette: false, compressionLevel: 6 }).toBuffer();
    case 'webp':
      return pixels.webp({ lossless: true }).toBuffer();
    case 'tiff':
      return pixels.tiff({ compression: 'deflate', predictor: 'horizontal' }).toBuffer();
  }
}

/** A picture in sharp's form. */
export function toSharp(image: RgbImage): Sharp {
  const { width, height, data, alpha } = image;
  const raw = { width, height, channels: alpha ? 4 : 3 } as const;
  // The copy is read on another thread, while the caller goes on.
  return sharp(alpha ? toRgba(image) : new Uint8Array(data), { raw, limitInputPixels: false });
}

/** A frame of an animation. */
export interface Frame {
  /** All frames have the same size. */
  readonly image: RgbImage;
  readonly milliseconds: number;
}

/**
 * The bytes of an animated WebP file, lossless, that loops forever.
 * @param frames at least one; they are copied at once
 * @throws CodecError `image` when the format cannot hold pictures of that size; `usage` for invalid frames
 */
export async function encodeAnimation(frames: readonly Frame[]): Promise<Buffer> {
  checkList('frames', frames);
  if (frames.length === 0) throw invalidArgument('frames', 'at least one', 'none');
  for (const frame of frames) {
    checkObject('frame', frame);
    checkImage(frame.image, 'frame');
    checkArgument('milliseconds', { type: 'number', integer: true, least: 0, most: MAX_DELAY }, frame.milliseconds);
  }
  const { width, height } = frames[0].image;
  if (frames.some(({ image }) => image.width !== width || image.height !== height)) {
    throw invalidArgument('frames', `pictures of one size, ${width}x${height}`, 'others');
  }
  checkFits(frames[0].image, 'webp');
  const isTransparent = frames.some(({ image }) => image.alpha !== undefined);
  const stacked = Buffer.concat(frames.map(({ image }) => (isTransparent ? toRgba(image) : image.data)));
  const channels = isTransparent ? 4 : 3;
  const raw = { width, height: height * frames.length, channels, pageHeight: height } as const;
  return sharp(stacked, { raw, limitInputPixels: false })
    .webp({ lossless: true, loop: 0, delay: frames.map(({ milliseconds }) => milliseconds) })
    .toBuffer();
}

/**
 * Reports, before long work, what would make {@link encodeImage} fail afterwards.
 * @throws CodecError `image` when the format cannot hold a picture of that size
 */
export function checkFits({ width, height }: Size, format: OutputFormat): void {
  if (format !== 'webp' || Math.max(width, height) <= MAX_WEBP_SIDE) return;
  throw new CodecError('image', `WebP holds at most ${MAX_WEBP_SIDE} pixels a side, got ${width}x${height}; use .png`);
}

/** The bytes of a PNG file. @throws as {@link encodeImage} */
export async function encodePng(image: RgbImage): Promise<Buffer> {
  return encodeImage(image, 'png');
}
