/** A dial between the picture of least error and the most realistic one of the same bytes. */
import type { RgbImage } from 'ddpm-codec/browser';
import { theCodec } from './codec.js';
import { distance } from './distance.js';
import { html, input } from './elements.js';
import { run, stop } from './jobs.js';
import { unsay } from './messages.js';
import type { Point } from './points.js';
import { Progress } from './progress.js';
import { sentence } from './words.js';

const section = html('dial');
const dial = input('realism');
const value = html('realism-value');

/** Milliseconds without a movement before the most realistic picture is made: that takes longer than decoding does. */
const PAUSE = 300;
/** Of the most realistic pictures together. */
const MEMORY = 100e6;

/** What the dial needs of a file. */
export interface Dialled {
  readonly original: RgbImage | undefined;
  /** The file, and how much of it a point takes. */
  bytesOf(point: Point): { readonly file: Uint8Array; readonly maxBytes: number };
  /** Told when there is something else to show. */
  onChange(): void;
}

export class RealismDial {
  readonly #of: Dialled;
  /** Those of realism 1 that have been made, the one that was shown last at the end. */
  readonly #pictures = new Map<Point, RgbImage>();
  #mixed: { readonly point: Point; readonly realism: number; readonly result: Point } | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What is wanted, or being made. */
  #making: { readonly point: Point } | undefined;
  /** What went wrong with the last one, as it was said. */
  #fault = '';

  constructor(of: Dialled) {
    this.#of = of;
    section.hidden = true;
    set(0);
    dial.oninput = () => {
      set(dial.valueAsNumber);
      of.onChange();
    };
  }

  /** From now on it can be used. */
  offer(): void {
    section.hidden = false;
    this.#of.onChange();
  }

  /** Nothing more is made. */
  close(): void {
    section.hidden = true;
    clearTimeout(this.#timer);
    this.#making = undefined;
  }

  /** Whether it is turned, at a point where that makes a difference. */
  isTurned(point: Point): boolean {
    return !section.hidden && !point.isExact && dial.valueAsNumber > 0;
  }

  /**
   * A point as the dial wants it, where the pictures for it are there; they are made otherwise.
   * @returns the point itself where it does not, or not yet
   */
  apply(point: Point): { readonly point: Point; readonly realism: number } {
    dial.disabled = point.isExact;
    value.textContent = point.isExact ? 'exact' : dial.value;
    const realism = this.isTurned(point) ? dial.valueAsNumber : 0;
    const flow = realism > 0 ? this.#pictures.get(point) : undefined;
    this.#want(realism > 0 && !flow ? point : undefined);
    if (!flow) return { point, realism: 0 };
    this.#keep(point, flow);
    if (this.#mixed?.point !== point || this.#mixed.realism !== realism) {
      this.#mixed = { point, realism, result: this.#mix(point, flow, realism) };
    }
    return { point: this.#mixed.result, realism };
  }

  #mix(point: Point, flow: RgbImage, realism: number): Point {
    const image = between(point.image, flow, realism);
    const { original } = this.#of;
    return { ...point, image, ...(original && { distance: distance(original, image) }) };
  }

  /** Makes the picture of a point after a while, unless another one is wanted before. */
  #want(point: Point | undefined): void {
    if (point === this.#making?.point) return;
    clearTimeout(this.#timer);
    const wasRunning = this.#making !== undefined;
    const making = point && { point };
    this.#making = making;
    if (wasRunning) stop();
    if (making) this.#timer = setTimeout(() => void run((signal) => this.#make(making, signal)), PAUSE);
  }

  async #make(making: { readonly point: Point }, signal: AbortSignal): Promise<void> {
    const { point } = making;
    unsay(this.#fault);
    const progress = new Progress('The most realistic picture of these bytes');
    let said = 'Stopped';
    try {
      const codec = await theCodec();
      const { file, maxBytes } = this.#of.bytesOf(point);
      const { image } = await codec.decode(file, {
        maxBytes,
        realism: 1,
        tolerant: true,
        signal,
        onDownload: (download) => progress.download(download),
        onProgress: (fraction) => progress.work(fraction),
      });
      this.#keep(point, image);
      said = 'Done';
    } catch (error) {
      if (!signal.aborted) this.#fault = sentence(error);
      throw error;
    } finally {
      progress.end(said);
      if (this.#making === making) {
        this.#making = undefined;
        // Who stops it does not want it.
        if (!this.#pictures.has(point)) set(0);
        this.#of.onChange();
      }
    }
  }

  #keep(point: Point, image: RgbImage): void {
    this.#pictures.delete(point);
    this.#pictures.set(point, image);
    const most = Math.max(1, Math.floor(MEMORY / image.data.length));
    const [oldest] = this.#pictures.keys();
    if (this.#pictures.size > most) this.#pictures.delete(oldest);
  }
}

function set(realism: number): void {
  dial.value = String(realism);
  value.textContent = String(realism);
}

/** On the straight line between the pictures of realism 0 and 1. */
function between(mean: RgbImage, flow: RgbImage, realism: number): RgbImage {
  const data = new Uint8ClampedArray(mean.data.length);
  for (let i = 0; i < data.length; i++) data[i] = mean.data[i] + realism * (flow.data[i] - mean.data[i]);
  return { ...mean, data: new Uint8Array(data.buffer) };
}
