/** A file at every point where it can be truncated: a slider, the picture beside another one, and downloads. */
import { type RgbImage, repairHeader, toRgba, truncate } from 'ddpm-codec/browser';
import { Comparison } from './comparison.js';
import { inNumbers } from './distance.js';
import { save } from './download.js';
import { canvasOf, encoded } from './drawing.js';
import { button, element, html, input } from './elements.js';
import { say } from './messages.js';
import { pngOf } from './png.js';
import { type Point, Points } from './points.js';
import { RealismDial } from './realism.js';
import { showSide } from './stage.js';
import { inBytes, sentence } from './words.js';

const slider = input('slider');
const numbers = html('numbers');
const left = element('left', HTMLSelectElement);
const rightName = html('right-name');
const facts = html('facts');

/** The picture on the left. */
type Side = 'original' | 'whole' | 'mean' | 'jpeg' | 'webp';

const LABELS: Readonly<Record<Side, string>> = {
  original: 'Original',
  whole: 'Whole file',
  mean: 'These bytes, realism 0',
  jpeg: 'JPEG',
  webp: 'WebP',
};

let shown: Viewer | undefined;

/** Closes the viewer, and removes its message. */
export function closeViewer(): void {
  shown?.close();
  shown = undefined;
  html('viewer').hidden = true;
  say('');
}

export class Viewer {
  readonly #name: string;
  readonly #points: Points;
  readonly #comparison: Comparison | undefined;
  readonly #dial: RealismDial;
  readonly #sides = new Map<Side, RgbImage>();
  /** The point at the slider's position, with the dial's realism. */
  #seen: ReturnType<RealismDial['apply']> | undefined;
  #file: Uint8Array | undefined;
  #isWhole = false;
  /** Whether the slider stays at the end; so it does until the user moves it. */
  #follows = true;

  /**
   * @param name of the picture, for saved files
   * @param original shown while there is nothing else, and used for comparison
   */
  constructor(name: string, original?: RgbImage) {
    closeViewer();
    shown = this;
    this.#name = name;
    this.#points = new Points(original);
    this.#dial = new RealismDial({
      original,
      bytesOf: (point) => ({ file: this.#file!, maxBytes: this.#bytesOf(point) }),
      onChange: () => this.#show(),
    });
    html('viewer').hidden = false;
    html('viewer-name').textContent = name;
    html('file-facts').hidden = true;
    slider.max = '0';
    slider.oninput = () => {
      this.#follows = false;
      this.#show();
    };
    left.onchange = () => this.#showSides();
    onClick('download-file', () => this.#saveFile());
    onClick('download-picture', () => this.#savePicture());
    if (original) {
      this.#sides.set('original', original);
      this.#comparison = new Comparison(original, (format, image) => this.#setSide(format, image));
    }
    this.#offerSides(original ? ['original', 'mean', 'jpeg', 'webp'] : ['whole', 'mean']);
    this.#show();
  }

  /** Number of pictures. */
  get count(): number {
    return this.#points.all.length;
  }

  /** Stops all updates. */
  close(): void {
    this.#comparison?.close();
    this.#dial.close();
  }

  /**
   * Sets the file for saving.
   * @param isWhole whether the last picture uses all of it, including bytes that do not affect pictures
   */
  setFile(file: Uint8Array, isWhole = false): void {
    this.#file = file;
    this.#isWhole = isWhole;
    this.#show();
  }

  /** Makes the dial of realism available: from now on the file can be decoded. */
  offerRealism(): void {
    if (shown === this && this.#file && this.#present) this.#dial.offer();
  }

  /** Adds a picture. Points may come in any order. */
  add(point: Omit<Point, 'distance'>): void {
    const present = this.#present;
    this.#points.add(point);
    const { all } = this.#points;
    if (!this.#sides.has('original')) this.#sides.set('whole', all[all.length - 1].image);
    slider.max = String(all.length - 1);
    const same = present && all.findIndex(({ bytes }) => bytes >= present.bytes);
    slider.value = String(this.#follows || same === undefined ? all.length - 1 : same);
    this.#show();
  }

  /** Lists facts about the file. */
  describe(entries: readonly (readonly [name: string, value: string])[]): void {
    const nodes = entries.flatMap(([name, value]) => {
      const term = document.createElement('dt');
      const description = document.createElement('dd');
      term.textContent = name;
      description.textContent = value;
      return [term, description];
    });
    facts.replaceChildren(...nodes);
    html('file-facts').hidden = false;
  }

  get #present(): Point | undefined {
    return this.#points.all[Number(slider.value)];
  }

  #show(): void {
    const present = this.#present;
    html('cut').hidden = present === undefined;
    html('others').hidden = present === undefined || !this.#comparison;
    button('download-file').hidden = present === undefined || !this.#file;
    button('download-picture').hidden = present === undefined;
    this.#seen = present && this.#dial.apply(present);
    this.#setSide('mean', present && this.#dial.isTurned(present) ? present.image : undefined);
    if (!present || !this.#seen) return;
    const { point } = this.#seen;
    const bytes = this.#bytesOf(present);
    const text = describe({ ...point, bytes });
    numbers.textContent = text.join(' · ');
    slider.setAttribute('aria-valuetext', text.join(', '));
    button('download-file').textContent = `Download .ddc, ${inBytes(bytes)}`;
    void this.#comparison?.show(point);
  }

  #showSides(): void {
    const present = this.#present;
    const image = this.#seen?.point.image ?? this.#sides.get('original');
    if (!image) return;
    const chosen = left.value as Side;
    const other = this.#sides.get(chosen) ?? image;
    const realism = this.#seen?.realism ? `, realism ${this.#seen.realism}` : '';
    const name = present ? `ddpm-codec, ${inBytes(this.#bytesOf(present))}${realism}` : LABELS.original;
    rightName.textContent = other === image ? name : `Right: ${name}`;
    showSide('left', other, LABELS[chosen]);
    showSide('right', image, name);
  }

  #setSide(side: Side, image: RgbImage | undefined): void {
    if (image) this.#sides.set(side, image);
    else this.#sides.delete(side);
    const [option] = [...left.options].filter(({ value }) => value === side);
    option.disabled = !image;
    if (!image && left.value === side) left.selectedIndex = 0;
    this.#showSides();
  }

  #offerSides(sides: readonly Side[]): void {
    left.replaceChildren(...sides.map((side) => new Option(LABELS[side], side)));
    for (const option of left.options) option.disabled = !['original', 'whole'].includes(option.value);
  }

  #saveFile(): void {
    const point = this.#present;
    if (!point || !this.#file) return;
    const cut = truncate(repairHeader(this.#file), this.#bytesOf(point));
    save(new Blob([cut as Uint8Array<ArrayBuffer>]), `${this.#nameAt(point)}.ddc`);
  }

  async #savePicture(): Promise<void> {
    const [present, seen] = [this.#present, this.#seen];
    if (!present || !seen) return;
    const name = `${this.#nameAt(present)}${seen.realism > 0 ? `-realism-${seen.realism}` : ''}.png`;
    const png = await pngFile(seen.point.image);
    if (png) save(png, name);
  }

  #bytesOf(point: Point): number {
    return this.#isWhole && this.#isLast(point) ? this.#file!.length : point.bytes;
  }

  #isLast(point: Point): boolean {
    return point === this.#points.all[this.#points.all.length - 1];
  }

  #nameAt(point: Point): string {
    return this.#isLast(point) ? this.#name : `${this.#name}-${point.bytes}`;
  }
}

/** A picture as a PNG file; null where the browser cannot write it. */
async function pngFile(image: RgbImage): Promise<Blob | null> {
  return image.alpha ? pngOf(toRgba(image), image) : encoded(canvasOf(image), 'image/png');
}

/** Sets what a button does. Its errors are shown on the page. */
function onClick(id: string, work: () => void | Promise<void>): void {
  button(id).onclick = async () => {
    try {
      await work();
    } catch (error) {
      say(sentence(error));
    }
  };
}

function describe({ bytes, image, distance, steps }: Point): string[] {
  const pixels = image.width * image.height;
  return [
    inBytes(bytes),
    `${((8 * bytes) / (3 * pixels)).toFixed(3)} bits/dim`,
    `${((8 * bytes) / pixels).toFixed(3)} bpp`,
    ...(distance ? [inNumbers(distance)] : []),
    ...(steps > 0 ? [`${steps} ${steps === 1 ? 'step' : 'steps'}`] : []),
  ];
}
