/**
 * Loads the images of an evaluation, cropped and of one size. Images that cannot be used are reported, counted and left
 * out.
 */

import { CodecError } from '../../common/errors.js';
import type { ImageSet, NamedImage } from '../../data/image-set.js';
import { cutMiddle } from '../../image/crop.js';
import type { RgbImage } from '../../image/image.js';
import { type Console, describeError } from '../console.js';
import { aboutFile } from '../jobs.js';

export interface ImageLoader {
  /** Images left out so far, each once. */
  readonly skipped: readonly { readonly name: string; readonly error: string }[];
  /** The images of a set, one by one. */
  load(set: ImageSet, onProgress?: (fraction: number) => void): AsyncGenerator<RgbImage>;
  /**
   * All images of a set.
   * @param like sets the size that all of them must have; the first image's size by default
   * @throws CodecError `image` when one has another size, or none can be used
   */
  loadAll(set: ImageSet, like?: RgbImage): Promise<{ readonly names: string[]; readonly images: RgbImage[] }>;
}

/** @param crop side in pixels of the middle part to use of each image; the whole image by default */
export function imageLoader(crop: number | undefined, console: Console): ImageLoader {
  const skipped = new Map<string, string>();

  async function* loadNamed(set: ImageSet, onProgress?: (fraction: number) => void): AsyncGenerator<NamedImage> {
    for (let i = 0; i < set.length; i++) {
      const loaded = await aboutFile(set.names[i], async () => cut((await set.load(i)).image, crop)).catch((error) => {
        // A set of a single image has nothing left to measure.
        if (!(error instanceof CodecError) || set.length === 1) throw error;
        if (!skipped.has(set.names[i])) console.error(error);
        skipped.set(set.names[i], describeError(error));
        return undefined;
      });
      if (loaded) yield { name: set.names[i], image: loaded };
      onProgress?.((i + 1) / set.length);
    }
  }

  return {
    get skipped() {
      return [...skipped].map(([name, error]) => ({ name, error }));
    },
    async *load(set, onProgress) {
      for await (const { image } of loadNamed(set, onProgress)) yield image;
    },
    async loadAll(set, like) {
      const names: string[] = [];
      const images: RgbImage[] = [];
      for await (const { name, image } of loadNamed(set)) {
        const { width, height } = like ?? images[0] ?? image;
        if (image.width !== width || image.height !== height) {
          throw new CodecError(
            'image',
            `${name}: expected ${width}x${height} pixels as before it, got ${image.width}x${image.height}; --crop N takes the middle NxN of each`,
          );
        }
        names.push(name);
        images.push(image);
      }
      if (images.length === 0) throw new CodecError('image', `none of the ${set.length} images could be used`);
      return { names, images };
    },
  };
}

function cut(image: RgbImage, side: number | undefined): RgbImage {
  if (side === undefined) return image;
  if (image.width >= side && image.height >= side) return cutMiddle(image, side);
  throw new CodecError('image', `${image.width}x${image.height} pixels, smaller than --crop ${side}`);
}
