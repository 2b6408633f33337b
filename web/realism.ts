/** A dial between the picture of least error and the most realistic one, from the same bytes. */
import { MAX_PAGE_PIXELS, type RgbImage } from 'ddpm-codec/browser';
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

/** Milliseconds that the dial must rest before the most realistic picture is made, which takes longer than decoding. */
const PAUSE = 300;
/** Maximum bytes of all most realistic pictures together. */
const MEMORY = 100e6;

/** What the dial needs to know about a file. */
export interface Dialled {
  readonly original: RgbImage | undefined;
  /** The file, and how much of it a point uses. */
  bytesOf(point: Point): { readonly file: Uint8Array; readonly maxBytes: number };
  /** Called when the picture to show has changed. */
  onChange(): void;
}

export class RealismDial {
  readonly #of: Dialled;
  /** Finished pictures of realism 1, the most recently shown last. */
  readonly #pictures = new Map<Point, RgbImage>();
  #mixed: { readonly point: Point; readonly realism: number; readonly result: Point } | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The point whose picture is wanted or being made. */
  #making: { readonly point: Point } | undefined;
  /** The error message about the last picture. */
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

  /** Makes the dial available. */
  offer(): void {
    section.hidden = false;
    this.#of.onChange();
  }

  /** Stops making pictures, and hides the dial. */
  close(): void {
    section.hidden = true;
    clearTimeout(this.#timer);
    this.#making = undefined;
  }

  /** Whether the dial is turned, and makes a difference at this point. */
  isTurned(point: Point): boolean {
    return !section.hidden && !point.hasSamples && dial.valueAsNumber > 0;
  }

  /**
   * The point with the dial's realism. If its picture is missing, it is made.
   * @returns the point itself at realism 0, or while the picture is missing
   */
  apply(point: Point): { readonly point: Point; readonly realism: number } {
    dial.disabled = point.hasSamples;
    value.textContent = point.hasSamples ? 'no effect' : dial.value;
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

  /** Makes the picture of a point after a pause, unless another one is wanted by then. */
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
        maxPixels: MAX_PAGE_PIXELS,
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
        // Whoever stops it does not want it.
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

/** Interpolates linearly between the pictures of realism 0 and 1. */
function between(mean: RgbImage, flow: RgbImage, realism: number): RgbImage {
  const data = new Uint8ClampedArray(mean.data.length);
  for (let i = 0; i < data.length; i++) data[i] = mean.data[i] + realism * (flow.data[i] - mean.data[i]);
  return { ...mean, data: new Uint8Array(data.buffer) };
}
