/** The same picture in other formats at about the same size, as written by the browser's canvas. */
import { flatten, type RgbImage, readPicture } from 'ddpm-codec/browser';
import { type Distance, distance } from './distance.js';
import { canvasOf, encoded } from './drawing.js';

export type OtherFormat = 'jpeg' | 'webp';

/** A file of another format. */
export interface Other {
  readonly image: RgbImage;
  readonly bytes: number;
  readonly distance: Distance;
  /** False where even the canvas's smallest file is larger than requested. */
  readonly fits: boolean;
}

const BEST = 100;
const WHITE = [255, 255, 255] as const;

export function otherFiles(original: RgbImage): Record<OtherFormat, OtherFiles> {
  // JPEG has no transparency.
  const opaque = flatten(original, WHITE);
  const canvas = canvasOf(original);
  return {
    jpeg: new OtherFiles('jpeg', opaque, opaque === original ? canvas : canvasOf(opaque)),
    webp: new OtherFiles('webp', original, canvas),
  };
}

/** Finds files of a format, and remembers earlier attempts. */
class OtherFiles {
  readonly #type: string;
  readonly #original: RgbImage;
  readonly #canvas: HTMLCanvasElement;
  readonly #tried = new Map<number, Blob>();

  /** @param canvas with the original */
  constructor(format: OtherFormat, original: RgbImage, canvas: HTMLCanvasElement) {
    this.#type = `image/${format}`;
    this.#original = original;
    this.#canvas = canvas;
  }

  /**
   * The file of the highest quality within this size, or else the smallest file.
   * @returns undefined where the canvas does not write the format
   * @throws the signal's reason
   */
  async atMost(bytes: number, signal: AbortSignal): Promise<Other | undefined> {
    let [low, high] = [0, BEST];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      const blob = await this.#at(middle);
      signal.throwIfAborted();
      if (!blob) return undefined;
      if (blob.size <= bytes) low = middle;
      else high = middle - 1;
    }
    const blob = await this.#at(low);
    if (!blob) return undefined;
    const image = await readPicture(blob);
    signal.throwIfAborted();
    return { image, bytes: blob.size, distance: distance(this.#original, image), fits: blob.size <= bytes };
  }

  /** @param quality 0..100 */
  async #at(quality: number): Promise<Blob | undefined> {
    const known = this.#tried.get(quality);
    if (known) return known;
    const blob = await encoded(this.#canvas, this.#type, quality / BEST);
    // A canvas writes PNG instead of formats that it does not know.
    if (blob?.type !== this.#type) return undefined;
    this.#tried.set(quality, blob);
    return blob;
  }
}
