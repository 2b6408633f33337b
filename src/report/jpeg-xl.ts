/**
 * JPEG XL by wasm-vips: libvips, which sharp also uses, compiled to WebAssembly with libjxl. libjxl is a separate file
 * of that package. It is loaded when the first picture is coded.
 */
import { createRequire } from 'node:module';
import type Vips from 'wasm-vips';
import { CodecError } from '../common/errors.js';
import type { RgbImage } from '../image/image.js';

/** Options for libjxl besides the quality. */
export interface JpegXlSettings {
  /** 1..9. */
  readonly effort: number;
  /** Lossless, regardless of the quality. */
  readonly lossless: boolean;
}

/** Version of libjxl, for the record. */
export function jpegXlVersion(): string {
  return createRequire(import.meta.url)('wasm-vips/versions').jxl;
}

/**
 * Encodes a bare codestream, without the boxes of a container.
 * @param quality 1..100, converted to a distance like `cjxl -q` (JxlEncoderDistanceFromQuality): 0.1 + 0.09 (100 -
 *   quality) from 30 on, below it (53 quality² / 3000 - 1.15 quality + 25); 100 is lossless
 */
export async function encodeJpegXl(image: RgbImage, settings: JpegXlSettings, quality: number): Promise<Buffer> {
  const vips = await loadJpegXl();
  const { width, height, data } = image;
  const pixels = vips.Image.newFromMemory(data, width, height, 3, vips.BandFormat.uchar);
  const picture = pixels.copy({ interpretation: 'srgb' });
  try {
    return Buffer.from(picture.jxlsaveBuffer({ ...settings, Q: quality, keep: 'none' }));
  } finally {
    picture.delete();
    pixels.delete();
  }
}

/**
 * The picture in a file of {@link encodeJpegXl}.
 * @throws CodecError `image` when it is not one of three 8-bit channels
 */
export async function decodeJpegXl(file: Uint8Array): Promise<RgbImage> {
  const vips = await loadJpegXl();
  const picture = vips.Image.jxlloadBuffer(file);
  try {
    const { width, height, bands, format } = picture;
    if (bands !== 3 || format !== 'uchar') {
      throw new CodecError('image', `decoded: expected 3 channels of uchar, got ${bands} of ${format}`);
    }
    return { width, height, data: picture.writeToMemory() as Uint8Array };
  } finally {
    picture.delete();
  }
}

let opened: Promise<typeof Vips> | undefined;

/** Loads libjxl, once per process. Otherwise the first picture pays for loading. */
export function loadJpegXl(): Promise<typeof Vips> {
  opened ??= import('wasm-vips').then((module) => module.default({ dynamicLibraries: ['vips-jxl.wasm'] }));
  return opened;
}
