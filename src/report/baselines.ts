/**
 * The codecs that ours is compared with: JPEG, WebP, AVIF and PNG by sharp, JPEG XL by wasm-vips. Of the settings that
 * each offers, we use those that need the fewest bits for an RMSE. Measured on Kodak's photographs 5, 15 and 23, in
 * mean bits/dim at RMSE 5:
 *
 * - JPEG: mozjpeg with 4:2:0 0.391; without mozjpeg 0.423; 4:4:4 0.449 with and 0.443 without. From about RMSE 3 on,
 *   subsampled chroma costs more than it saves. There `jpeg444` (mozjpeg's trellis, the tables of the JPEG standard) is
 *   better: 0.759 against 0.769 with the same tables.
 * - WebP, always 4:2:0: effort 6 0.274, with the slower, sharper subsampling 0.270.
 * - AVIF, 4:4:4, effort 6: tuned for PSNR 0.186, with 10 bits inside 0.183; by default (tuned for the eye) 0.206.
 * - JPEG XL, 4:4:4, tuned for the eye, which libvips cannot change: effort 7 0.319; efforts 8 and 9 take four times as
 *   long for the same within 0.3 %; effort 4 0.335.
 *
 * sharp's binaries lack JPEG XL. Of the packages with libjxl, `wasm-vips` has the newest version (0.12.0), is
 * maintained by a maintainer of libvips, and runs in Node without native code; `icodec` has 0.11.0, `@jsquash/jxl` one
 * of 2022.
 */
import sharp, { type AvifOptions, type JpegOptions, type PngOptions, type WebpOptions } from 'sharp';
import { CodecError, invalidArgument } from '../common/errors.js';
import type { RgbImage } from '../image/image.js';
import { decodeJpegXl, encodeJpegXl, type JpegXlSettings, jpegXlVersion, loadJpegXl } from './jpeg-xl.js';
import { payloadBytes } from './payload.js';
import { type RatePoint, ratePoint } from './rate-point.js';

export type Baseline = Codec & (SharpCodec | JpegXlCodec);

interface Codec {
  readonly name: string;
  /** For a legend. */
  readonly label: string;
  /**
   * Qualities of a sweep, ascending, from an RMSE of 10 or more on most photographs to one below 3; within 1..100.
   * Lossless codecs have 100 alone.
   */
  readonly qualities: readonly number[];
}

interface SharpCodec {
  /** The format's name in sharp. */
  readonly format: 'jpeg' | 'webp' | 'avif' | 'png';
  /** Options for sharp besides the quality. */
  readonly settings: JpegOptions | WebpOptions | AvifOptions | PngOptions;
}

interface JpegXlCodec {
  readonly format: 'jxl';
  readonly settings: JpegXlSettings;
}

/** A point of a sweep. */
export interface BaselinePoint extends RatePoint {
  readonly quality: number;
  /** Size of the file without its container; see {@link payloadBytes}. */
  readonly payloadBytes: number;
  /** Wall-clock time. */
  readonly encodeSeconds: number;
  /** Wall-clock time. */
  readonly decodeSeconds: number;
}

/** Bounds of the quality, the same for all of these encoders. */
const QUALITIES = { least: 1, most: 100 };

const JPEG_QUALITIES = [4, 7, 11, 16, 23, 32, 42, 52, 62, 72, 80, 86, 91, 94, 96, 98];

export const BASELINES: readonly Baseline[] = [
  {
    name: 'jpeg',
    label: 'JPEG 4:2:0 (mozjpeg)',
    format: 'jpeg',
    settings: { mozjpeg: true, chromaSubsampling: '4:2:0' },
    qualities: JPEG_QUALITIES,
  },
  {
    name: 'jpeg444',
    label: 'JPEG 4:4:4 (mozjpeg)',
    format: 'jpeg',
    settings: {
      chromaSubsampling: '4:4:4',
      trellisQuantisation: true,
      overshootDeringing: true,
      optimiseScans: true,
      quantisationTable: 0,
    },
    qualities: JPEG_QUALITIES,
  },
  {
    name: 'webp',
    label: 'WebP',
    format: 'webp',
    settings: { effort: 6, smartSubsample: true },
    qualities: [1, 4, 9, 16, 25, 37, 50, 62, 72, 79, 84, 88, 92, 95, 98],
  },
  {
    name: 'avif',
    label: 'AVIF 4:4:4 (libaom)',
    format: 'avif',
    settings: { effort: 6, chromaSubsampling: '4:4:4', tune: 'psnr', bitdepth: 10 },
    qualities: [1, 4, 8, 14, 21, 28, 36, 43, 50, 57, 63, 69, 75, 80, 85],
  },
  {
    name: 'jxl',
    label: 'JPEG XL 4:4:4 (libjxl)',
    format: 'jxl',
    settings: { effort: 7, lossless: false },
    qualities: [5, 10, 15, 20, 26, 34, 43, 52, 61, 69, 76, 82, 87, 91, 94, 96, 98],
  },
  {
    name: 'png',
    label: 'PNG (lossless)',
    format: 'png',
    settings: { compressionLevel: 9, effort: 10, adaptiveFiltering: true, palette: false },
    qualities: [100],
  },
  {
    name: 'webp-lossless',
    label: 'WebP lossless',
    format: 'webp',
    settings: { effort: 6, lossless: true },
    qualities: [100],
  },
  {
    name: 'jxl-lossless',
    label: 'JPEG XL lossless (libjxl)',
    format: 'jxl',
    settings: { effort: 9, lossless: true },
    qualities: [100],
  },
];

/** Versions of sharp and of the encoding libraries, for the record. */
export function baselineVersions(): Record<string, string> {
  const { sharp: wrapper, vips, mozjpeg, webp, aom, heif, png } = sharp.versions;
  const versions = { sharp: wrapper, vips, mozjpeg, webp, aom, heif, png, jxl: jpegXlVersion() };
  return Object.fromEntries(Object.entries(versions).filter((entry): entry is [string, string] => !!entry[1]));
}

/**
 * The codec of this name.
 * @throws CodecError `usage` when there is none
 */
export function findBaseline(name: string): Baseline {
  const found = BASELINES.find((one) => one.name === name);
  if (found === undefined) throw unknownBaseline(name);
  return found;
}

/**
 * The codecs of a list of names. The name of a format, such as jpeg, stands for all codecs of that format.
 * @throws CodecError `usage` for a name that is neither
 */
export function findBaselines(names: readonly string[]): Baseline[] {
  const found = names.flatMap((name) => {
    const those = BASELINES.filter((one) => one.format === name || one.name === name);
    if (those.length === 0) throw unknownBaseline(name);
    return those;
  });
  return BASELINES.filter((one) => found.includes(one));
}

function unknownBaseline(name: string): CodecError {
  return invalidArgument('`baselines`', BASELINES.map((one) => one.name).join(', '), name);
}

/**
 * Encodes a picture at every quality of the codec, and measures the decoded files.
 * @param onPoint called after each quality, with the decoded picture
 */
export async function sweepBaseline(
  image: RgbImage,
  codec: Baseline,
  onPoint: (point: BaselinePoint, decoded: RgbImage) => void | Promise<void> = () => {},
): Promise<BaselinePoint[]> {
  // Loaded up front so that the time counts for no point.
  if (codec.format === 'jxl') await loadJpegXl();
  const points: BaselinePoint[] = [];
  for (const quality of codec.qualities) {
    const start = performance.now();
    const file = await encodeBaseline(image, codec, quality);
    const encoded = performance.now();
    const decoded = await decodeBaseline(file, codec);
    const end = performance.now();
    const seconds = { encodeSeconds: (encoded - start) / 1000, decodeSeconds: (end - encoded) / 1000 };
    const payload = payloadBytes(file, codec.format);
    points.push({ quality, ...ratePoint(image, decoded, file.length), payloadBytes: payload, ...seconds });
    await onPoint(points[points.length - 1], decoded);
  }
  return points;
}

/** The file of an encoder with a size limit. */
export interface SizedFile {
  readonly quality: number;
  readonly file: Buffer;
}

/**
 * The file with the highest quality of at most this many bytes; `undefined` when even the lowest quality is larger.
 * Found by bisection, so where an encoder's files shrink as quality rises, a better file may be missed.
 */
export async function encodeWithin(image: RgbImage, codec: Baseline, maxBytes: number): Promise<SizedFile | undefined> {
  let best: SizedFile | undefined;
  let low = QUALITIES.least;
  let high = QUALITIES.most;
  while (low <= high) {
    const quality = (low + high) >> 1;
    const file = await encodeBaseline(image, codec, quality);
    if (file.length <= maxBytes) {
      best = { quality, file };
      low = quality + 1;
    } else high = quality - 1;
  }
  return best;
}

/**
 * The picture in a file that this codec wrote.
 * @throws CodecError `image` when it is not one of three 8-bit channels
 */
export async function decodeBaseline(file: Uint8Array, { format }: Baseline): Promise<RgbImage> {
  if (format === 'jxl') return decodeJpegXl(file);
  if (format === 'avif') return decodeAvif(file);
  const { data, info } = await sharp(file)
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  checkChannels(info.channels);
  return { width: info.width, height: info.height, data };
}

/** Rounds the 10 bits of a sample to 8. libvips drops the last two, which makes the picture 3/8 of a grey level darker. */
async function decodeAvif(file: Uint8Array): Promise<RgbImage> {
  const { data, info } = await sharp(file)
    .toColourspace('rgb16')
    .raw({ depth: 'ushort' })
    .toBuffer({ resolveWithObject: true });
  checkChannels(info.channels);
  const samples = new Uint16Array(data.buffer, data.byteOffset, data.length / 2);
  const rounded = Uint8Array.from(samples, (sample) => Math.min(255, (sample + 128) >> 8));
  return { width: info.width, height: info.height, data: rounded };
}

function checkChannels(channels: number): void {
  if (channels !== 3) throw new CodecError('image', `decoded: expected 3 channels, got ${channels}`);
}

/** The bytes of a picture's file. The same picture and quality give the same bytes. */
export async function encodeBaseline(image: RgbImage, codec: Baseline, quality: number): Promise<Buffer> {
  if (codec.format === 'jxl') return encodeJpegXl(image, codec.settings, quality);
  const { format, settings } = codec;
  const { width, height, data } = image;
  const pixels = sharp(data, { raw: { width, height, channels: 3 } });
  // For PNG a quality would mean a palette.
  return pixels.toFormat(format, format === 'png' ? settings : { ...settings, quality }).toBuffer();
}
