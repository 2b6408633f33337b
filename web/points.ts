/** The pictures of a file at increasing sizes, as many as memory allows. */
import type { BrowserPoint, RgbImage, Size } from 'ddpm-codec/browser';
import { type Distance, distance } from './distance.js';

/** A picture, and how much of the file it needs. */
export interface Point {
  readonly bytes: number;
  readonly steps: number;
  readonly image: RgbImage;
  /** Whether samples are sent already, so that the decoder's realism has no effect. */
  readonly hasSamples: boolean;
  /** Distance from the original, where there is one. */
  readonly distance?: Distance;
}

/** Converts a point of a decoder. */
export function pointOf({ bytesUsed, stepsUsed, knownSamples, image }: BrowserPoint): Omit<Point, 'distance'> {
  return { bytes: bytesUsed, steps: stepsUsed, image, hasSamples: knownSamples > 0 };
}

/** Maximum bytes of all pictures together. */
const MEMORY = 400e6;
const MOST_POINTS = 24;
const POINTS_OF_A_FILE = 12;

const capacity = ({ width, height }: Size) =>
  Math.max(3, Math.min(MOST_POINTS, Math.floor(MEMORY / (3 * width * height))));

/** Position of a size on the slider: at low rates a byte makes a larger difference. */
const position = ({ bytes }: Point) => Math.sqrt(bytes);

/** The sizes at which to decode a file of this many bytes. */
export function sizesFor(size: Size, bytes: number): number[] {
  const count = Math.min(POINTS_OF_A_FILE, capacity(size));
  return Array.from({ length: count }, (_, i) => Math.ceil(bytes * ((i + 1) / count) ** 2));
}

export class Points {
  readonly #all: Point[] = [];
  readonly #original: RgbImage | undefined;

  constructor(original?: RgbImage) {
    this.#original = original;
  }

  /** In ascending order of size. */
  get all(): readonly Point[] {
    return this.#all;
  }

  /** Adds a point; of two with the same size the newer one stays. */
  add(point: Omit<Point, 'distance'>): void {
    const at = this.#all.findIndex(({ bytes }) => bytes >= point.bytes);
    const full: Point = { ...point, ...(this.#original && { distance: distance(this.#original, point.image) }) };
    if (at === -1) this.#all.push(full);
    else this.#all.splice(at, this.#all[at].bytes === point.bytes ? 1 : 0, full);
    if (this.#all.length > capacity(point.image)) this.#all.splice(this.#leastMissed(), 1);
  }

  /** Index of the point whose neighbours are closest to each other; never the first or the last. */
  #leastMissed(): number {
    const gap = (i: number) => position(this.#all[i + 1]) - position(this.#all[i - 1]);
    let least = 1;
    for (let i = 2; i < this.#all.length - 1; i++) if (gap(i) < gap(least)) least = i;
    return least;
  }
}
