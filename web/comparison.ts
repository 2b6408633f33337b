/**
 * Shows how far a file's picture is from the original, and what other formats achieve with the same number of bytes.
 */
import type { RgbImage } from 'ddpm-codec/browser';
import { inNumbers } from './distance.js';
import { draw, errorMap } from './drawing.js';
import { canvas, html } from './elements.js';
import { type Other, type OtherFormat, otherFiles } from './others.js';
import type { Point } from './points.js';
import { inBytes } from './words.js';

const NAMES = { jpeg: 'JPEG', webp: 'WebP' } as const;
const FORMATS = ['jpeg', 'webp'] as const;
/** Milliseconds that the slider must rest before other formats are tried. */
const PAUSE = 150;

export class Comparison {
  readonly #original: RgbImage;
  readonly #files: ReturnType<typeof otherFiles>;
  readonly #onOther: (format: OtherFormat, image: RgbImage | undefined) => void;
  #latest = new AbortController();
  #shown: Point | undefined;

  /** @param onOther called with the picture of a format; undefined while there is none */
  constructor(original: RgbImage, onOther: (format: OtherFormat, image: RgbImage | undefined) => void) {
    this.#original = original;
    this.#files = otherFiles(original);
    this.#onOther = onOther;
  }

  /** Updates the comparison for a point. */
  async show(point: Point): Promise<void> {
    if (point === this.#shown) return;
    this.close();
    this.#shown = point;
    const { image, bytes } = point;
    const { signal } = this.#latest;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
    if (signal.aborted) return;
    draw(canvas('error-canvas'), errorMap(this.#original, image));
    for (const format of FORMATS) await this.#try(format, bytes, signal);
  }

  /** Stops updates until the next `show`. */
  close(): void {
    this.#latest.abort();
    this.#latest = new AbortController();
  }

  async #try(format: OtherFormat, bytes: number, signal: AbortSignal): Promise<void> {
    try {
      const other = await this.#files[format].atMost(bytes, signal);
      if (signal.aborted) return;
      if (other) draw(canvas(`${format}-canvas`), other.image);
      html(`${format}-text`).textContent = describe(format, other);
      canvas(`${format}-canvas`).hidden = other === undefined;
      this.#onOther(format, other?.image);
    } catch (error) {
      if (!signal.aborted) html(`${format}-text`).textContent = `${NAMES[format]}: ${error}`;
    }
  }
}

function describe(format: OtherFormat, other: Other | undefined): string {
  const name = NAMES[format];
  if (!other) return `This browser's canvas writes no ${name}.`;
  const numbers = `${inBytes(other.bytes)} · ${inNumbers(other.distance)}`;
  return `${name}: ${numbers}${other.fits ? '' : '. It cannot be made smaller here.'}`;
}
