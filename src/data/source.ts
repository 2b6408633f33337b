/** A set of images to train on. */
import type { RgbImage } from '../image/image.js';

export interface ImageSource {
  /** Name for people: 'CIFAR-10', 'photos/'. */
  readonly name: string;
  /** Number of usable images. */
  readonly count: number;
  /**
   * The image at full size, and at half and quarter size as long as both sides are at least a crop's; undefined when
   * the image turns out to be broken. A broken image is undefined every time.
   */
  scales(index: number): Promise<readonly RgbImage[] | undefined>;
  /** Files that were left out, with reasons. More may be added as files are decoded. */
  readonly skipped: readonly SkippedFile[];
}

export interface SkippedFile {
  readonly path: string;
  readonly reason: string;
}
