/**
 * Directories of pictures. sharp decodes files off the main thread when they are first needed. Decoded pictures stay in
 * memory as long as there is room: a small set is decoded once, a large one repeatedly.
 */
import { readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import sharp from 'sharp';
import { counted } from '../common/counted.js';
import { CodecError } from '../common/errors.js';
import type { RgbImage } from '../image/image.js';
import { exists, isDirectory, publicPath, reasonOf } from '../node/files.js';
import { GIVE_COLOUR, opaque, READABLE_EXTENSIONS, readImage } from '../node/image/read.js';
import { checkReadable } from '../node/read.js';
import type { ImageSource, SkippedFile } from './source.js';
import { mayBeTestPicture, testPictureOf } from './test-pictures.js';

/** Default limit of decoded images in memory, in bytes. */
const MEMORY = 1.5 * 2 ** 30;
const MOST_HALVINGS = 2;
/** Number of files checked concurrently when a directory is opened. */
const AT_ONCE = 8;

/**
 * @param side of the crops; smaller pictures are left out, and so are those of known test sets
 * @throws CodecError('file') when the directory cannot be read or holds no usable picture
 */
export async function openFolder(
  directory: string,
  { side, memory = MEMORY }: { readonly side: number; readonly memory?: number },
): Promise<ImageSource> {
  const paths = await listPictures(directory);
  const skipped: SkippedFile[] = [];
  const usable: string[] = [];
  for (let first = 0; first < paths.length; first += AT_ONCE) {
    const group = paths.slice(first, first + AT_ONCE);
    const reasons = await Promise.all(group.map((path) => whyUnusable(path, side)));
    group.forEach((path, i) => {
      const reason = reasons[i];
      if (reason === undefined) usable.push(path);
      else skipped.push({ path, reason });
    });
  }
  if (usable.length === 0) {
    const found =
      paths.length === 0
        ? `no pictures (${READABLE_EXTENSIONS.join(', ')})`
        : `${counted(paths.length, 'picture')}, none usable, the first because: ${skipped[0].reason}`;
    throw new CodecError('file', `${directory}: expected pictures of at least ${side}x${side} pixels, found ${found}`);
  }

  /** Decoded images, the most recently used last. */
  const kept = new Map<number, { images: Promise<readonly RgbImage[] | undefined>; bytes: number }>();
  let bytesKept = 0;

  /** Images that cannot be decoded; each is tried once. */
  const broken = new Set<number>();

  async function decode(index: number): Promise<readonly RgbImage[] | undefined> {
    if (broken.has(index)) return undefined;
    try {
      const path = usable[index];
      return pyramid(opaque(await readImage(path), path, GIVE_COLOUR), side);
    } catch (error) {
      broken.add(index);
      skipped.push({ path: usable[index], reason: reasonWithoutPath(usable[index], error) });
      return undefined;
    }
  }

  return {
    name: publicPath(directory),
    count: usable.length,
    skipped,
    scales(index) {
      const known = kept.get(index);
      const entry = known ?? { images: decode(index), bytes: 0 };
      kept.delete(index);
      kept.set(index, entry);
      if (!known) {
        void entry.images.then((images) => {
          entry.bytes = (images ?? []).reduce((sum, { data }) => sum + data.length, 0);
          bytesKept += entry.bytes;
          for (const [oldest, { bytes }] of kept) {
            if (bytesKept <= memory || oldest === index) break;
            kept.delete(oldest);
            bytesKept -= bytes;
          }
        });
      }
      return entry.images;
    },
  };
}

async function listPictures(directory: string): Promise<string[]> {
  if ((await exists(directory)) && !(await isDirectory(directory))) {
    throw new CodecError('file', `${directory}: expected cifar10 or a directory of pictures, but this is a file`);
  }
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch((cause: unknown) => {
    throw new CodecError('file', `${directory}: expected cifar10 or a directory of pictures: ${reasonOf(cause)}`, {
      cause,
    });
  });
  return entries
    .filter((entry) => !entry.isDirectory() && READABLE_EXTENSIONS.includes(extname(entry.name).toLowerCase()))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

async function whyUnusable(path: string, side: number): Promise<string | undefined> {
  try {
    await checkReadable(path);
    const { width, height } = await sharp(path).metadata();
    if (width >= side && height >= side)
      return mayBeTestPicture({ width, height }) ? await whyTestPicture(path) : undefined;
    return `${width}x${height} pixels, smaller than a crop (${side}x${side}); a lower \`crop\` takes it in`;
  } catch (error) {
    return reasonWithoutPath(path, error);
  }
}

async function whyTestPicture(path: string): Promise<string | undefined> {
  const known = testPictureOf(await readImage(path));
  return known === undefined ? undefined : `${known}, on which results are reported`;
}

/** The reason why a picture with readable metadata cannot be used for training. */
function reasonWithoutPath(path: string, error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message;
}

/** The image, its half and its quarter, as long as a crop fits. */
function pyramid(image: RgbImage, side: number): RgbImage[] {
  const images = [image];
  while (images.length <= MOST_HALVINGS) {
    const last = images[images.length - 1];
    if (Math.min(last.width, last.height) >> 1 < side) break;
    images.push(halved(last));
  }
  return images;
}

/** Half the size; each pixel is the mean of four. */
export function halved({ width, height, data }: RgbImage): RgbImage {
  const [columns, rows] = [width >> 1, height >> 1];
  const half = new Uint8Array(columns * rows * 3);
  const row = width * 3;
  for (let y = 0, to = 0; y < rows; y++) {
    for (let x = 0, from = 2 * y * row; x < columns; x++, from += 6) {
      for (let c = 0; c < 3; c++, to++) {
        const at = from + c;
        half[to] = (data[at] + data[at + 3] + data[at + row] + data[at + row + 3] + 2) >> 2;
      }
    }
  }
  return { width: columns, height: rows, data: half };
}
