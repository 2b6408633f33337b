/** A set of images to train on. */
import type { RgbImage } from '../image/image.js';

export interface ImageSource {
  /** For people: 'CIFAR-10', 'photos/'. */
  readonly name: string;
  /** Images that can be used. */
  readonly count: number;
  /**
   * The image at full size and at half and quarter size as far as both sides stay at least a crop's; undefined when it
   * turns out to be broken, which is always so for the same image.
   */
  scales(index: number): Promise<readonly RgbImage[] | undefined>;
  /** Files that were left out, and why. More may come as files are decoded. */
  readonly skipped: readonly SkippedFile[];
}

export interface SkippedFile {
  readonly path: string;
  readonly reason: string;
}
