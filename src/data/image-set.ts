/**
 * References to images for measuring: `cifar10:test[0:256]`, a directory, a picture. Only this module parses such
 * references; images are loaded one at a time, on demand.
 */
import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { checkList, checkOptions, checkText } from '../common/arguments.js';
import { CodecError, invalidArgument } from '../common/errors.js';
import type { RgbImage } from '../image/image.js';
import { listFiles } from '../node/files.js';
import { opaque, READABLE_EXTENSIONS, type ReadImageOptions, readImage } from '../node/image/read.js';
import { CIFAR10_COUNTS, type Cifar10Split, cifar10Image, openCifar10 } from './cifar10.js';

/** Syntax of a reference, for help and messages. */
export const IMAGE_SET_SYNTAX = 'cifar10:test, cifar10:train, a directory or a picture; [from:to] behind it is a part';

/** Images in a fixed order. */
export interface ImageSet {
  readonly length: number;
  /** `cifar10-test-17` or the picture's path; all are different. */
  readonly names: readonly string[];
  /**
   * Loads image `index`, 0..length-1.
   * @throws CodecError `file` or `image` as {@link readImage}; `image` for a transparent one without a background
   */
  load(index: number): Promise<NamedImage>;
}

/** An image of a set, with its name in results. */
export interface NamedImage {
  readonly name: string;
  readonly image: RgbImage;
}

/** A parsed reference; it is not known yet whether the images exist. */
export interface ImageReference {
  readonly text: string;
  readonly source: { readonly cifar10: Cifar10Split } | { readonly path: string };
  /** Images `from` up to but excluding `to`, counted from 0; without `to` up to the last one. */
  readonly slice?: { readonly from: number; readonly to?: number };
}

/** How a set of images is opened. */
export interface ImageSetOptions extends ReadImageOptions {
  /** Directory of CIFAR-10; by default the cache directory. */
  readonly cache?: string | undefined;
}

const IMAGE_SET_ARGUMENTS = { background: { type: 'own' }, cache: { type: 'text' } } as const;

const SLICE = /^(.+)\[(\d*):(\d*)\]$/s;

/**
 * Parses a reference: `cifar10:test`, `cifar10:train`, or a path to a directory of pictures or a picture. `[from:to]`
 * selects the images from number `from`, counted from 0, up to but excluding `to`. Either may be left out.
 * @throws CodecError `usage` for anything else
 */
export function parseImageSet(text: string): ImageReference {
  checkText('images', text, IMAGE_SET_SYNTAX);
  const [, base = text, from = '', to = ''] = SLICE.exec(text) ?? [];
  const slice = base === text ? {} : { slice: { from: Number(from), ...(to === '' ? {} : { to: Number(to) }) } };
  if (base === '') throw invalidArgument('images', IMAGE_SET_SYNTAX, text);
  if (!/^cifar10(?![\w./\\-])/.test(base)) return { text, source: { path: base }, ...slice };
  const split = base.slice('cifar10:'.length);
  if (split !== 'test' && split !== 'train') {
    throw new CodecError(
      'usage',
      `${text}: expected cifar10:test or cifar10:train, with [from:to] for a part of it, such as cifar10:test[0:256]`,
    );
  }
  return { text, source: { cifar10: split }, ...slice };
}

/** A reference for others to read: without this machine's directories. */
export function imageSetName(text: string): string {
  const { source } = parseImageSet(text);
  return 'path' in source ? basename(resolve(source.path)) + text.slice(source.path.length) : text;
}

/**
 * Opens the images of several references, one after the other. The pictures of a directory are the files with a
 * readable extension, sorted by name, without subdirectories.
 * @throws CodecError `usage` for a malformed reference, a range that is empty or reaches beyond the last image, and a
 *   repeated image; `file` when CIFAR-10 or a directory or picture is missing, or a directory has no pictures
 */
export async function openImageSet(texts: readonly string[], options: ImageSetOptions = {}): Promise<ImageSet> {
  checkList('images', texts);
  checkOptions('openImageSet', IMAGE_SET_ARGUMENTS, options);
  const references = texts.map(parseImageSet);
  const members: Member[] = [];
  for (const reference of references) members.push(...sliced(await membersOf(reference, options), reference));
  const names = members.map(({ name }) => name);
  if (names.length === 0) throw invalidArgument('images', `at least one of: ${IMAGE_SET_SYNTAX}`, 'none');
  const seen = new Set<string>();
  const twice = names.find((name) => seen.size === seen.add(name).size);
  if (twice !== undefined) throw new CodecError('usage', `${twice}: is named more than once; each image counts once`);
  return {
    length: members.length,
    names,
    async load(index) {
      if (!Object.hasOwn(members, index))
        throw invalidArgument('index', `an integer from 0 to ${members.length - 1}`, index);
      const { name, load } = members[index];
      return { name, image: await load() };
    },
  };
}

interface Member {
  readonly name: string;
  load(): Promise<RgbImage>;
}

async function membersOf({ source }: ImageReference, options: ImageSetOptions): Promise<readonly Member[]> {
  const { background } = options;
  if ('cifar10' in source) {
    const { cifar10: split } = source;
    const { images } = await openCifar10(split, options);
    return Array.from({ length: CIFAR10_COUNTS[split] }, (_, i) => ({
      name: `cifar10-${split}-${i}`,
      load: async () => cifar10Image(images, i),
    }));
  }
  const status = await stat(source.path).catch(() => undefined);
  if (status === undefined) {
    throw new CodecError('file', `${source.path}: no such file or directory; expected ${IMAGE_SET_SYNTAX}`);
  }
  const paths = status.isDirectory() ? await listFiles(source.path, READABLE_EXTENSIONS, 'pictures') : [source.path];
  return paths.map((path) => ({ name: path, load: async () => opaque(await readImage(path, { background }), path) }));
}

function sliced(members: readonly Member[], { text, slice }: ImageReference): readonly Member[] {
  if (slice === undefined) return members;
  const { from, to = members.length } = slice;
  if (to > members.length || from >= to) {
    throw new CodecError(
      'usage',
      `${text}: expected [from:to] with 0 <= from < to <= ${members.length}, the number of images, got [${from}:${to}]`,
    );
  }
  return members.slice(from, to);
}
