/** Images with transparency. */
import { checkArgument, checkList } from '../common/arguments.js';
import { CodecError, invalidArgument } from '../common/errors.js';
import { checkImage, MAX_SIDE, type RgbImage } from './image.js';

const OPAQUE = 255;
/** Pixels that nobody sees are mid-grey. */
const UNSEEN = 128;

/**
 * A picture from pixels with opacity, such as those of a canvas.
 * @param width in pixels
 * @param rgba height * width * 4 bytes, not premultiplied
 * @returns a picture without an alpha plane where all pixels are opaque
 * @throws CodecError('usage') for a wrong number of bytes
 */
export function fromRgba(rgba: Uint8Array | Uint8ClampedArray, width: number): RgbImage {
  checkArgument('width', { type: 'number', integer: true, least: 1, most: MAX_SIDE }, width);
  const isBytes = rgba instanceof Uint8Array || rgba instanceof Uint8ClampedArray;
  if (!isBytes || rgba.length === 0 || rgba.length % (4 * width) !== 0) {
    throw invalidArgument('rgba', `a Uint8Array of rows of ${4 * width} bytes`, rgba);
  }
  const pixels = rgba.length / 4;
  const data = new Uint8Array(pixels * 3);
  const alpha = new Uint8Array(pixels);
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < 3; c++) data[3 * i + c] = rgba[4 * i + c];
    alpha[i] = rgba[4 * i + 3];
  }
  return { width, height: pixels / width, data, ...(!isOpaque(alpha) && { alpha }) };
}

/** Pixels with opacity, as a canvas takes them: height * width * 4 bytes, not premultiplied. */
export function toRgba(image: RgbImage): Uint8Array {
  checkImage(image);
  const { data, alpha } = image;
  const rgba = new Uint8Array((data.length / 3) * 4);
  for (let from = 0, to = 0; from < data.length; from += 3, to += 4) {
    for (let c = 0; c < 3; c++) rgba[to + c] = data[from + c];
    rgba[to + 3] = alpha ? alpha[from / 3] : OPAQUE;
  }
  return rgba;
}

/**
 * A picture composited over a background colour, in sRGB values as browsers do.
 * @param background R, G, B, 0..255 each
 * @returns a picture without transparency; the same picture if it had none
 * @throws CodecError('usage') for an invalid picture or colour
 */
export function flatten(image: RgbImage, background: readonly [number, number, number]): RgbImage {
  checkImage(image);
  checkList('background', background, 'a list of red, green and blue');
  for (let c = 0; c < 3; c++) checkArgument('background', { type: 'number', least: 0, most: 255 }, background[c]);
  const { width, height, alpha } = image;
  if (alpha === undefined) return image;
  const data = image.data.map((sample, i) => {
    const opacity = alpha[Math.floor(i / 3)];
    return Math.round((opacity * sample + (OPAQUE - opacity) * background[i % 3]) / OPAQUE);
  });
  return { width, height, data };
}

/** @throws CodecError('image') for a picture with an alpha plane; `what` names the work that cannot use one */
export function checkOpaque({ alpha }: RgbImage, what: string): void {
  if (alpha === undefined) return;
  throw new CodecError('image', `${what}: expected a picture without transparency; \`flatten\` puts a colour under it`);
}

/**
 * Whether all pixels are opaque.
 * @param alpha one byte per pixel
 */
export function isOpaque(alpha: Uint8Array): boolean {
  return alpha.every((opacity) => opacity === OPAQUE);
}

/** One resolution of the picture in {@link spreadColours}. */
interface Level {
  readonly width: number;
  readonly height: number;
  readonly colours: Uint8Array;
  /** 0 for pixels whose colour is still unknown. */
  readonly isKnown: Uint8Array;
}

/**
 * Fills fully transparent pixels smoothly with the colours of the visible pixels around them, so that they cost a codec
 * little. The picture is halved until every pixel is known. On the way back, unknown pixels are taken from the smaller
 * picture (pull-push; Gortler et al. 1996, "The Lumigraph").
 */
export function spreadColours(image: RgbImage, alpha: Uint8Array): RgbImage {
  const { width, height } = image;
  const levels: Level[] = [{ width, height, colours: image.data.slice(), isKnown: alpha }];
  for (let last = levels[0]; last.width * last.height > 1; last = levels[levels.length - 1]) levels.push(halved(last));
  const smallest = levels[levels.length - 1];
  if (!smallest.isKnown[0]) smallest.colours.fill(UNSEEN);
  for (let i = levels.length - 2; i >= 0; i--) fillFrom(levels[i + 1], levels[i]);
  return { ...image, data: levels[0].colours };
}

/** The mean of the known pixels in each 2x2 block. */
function halved({ width, height, colours, isKnown }: Level): Level {
  const [columns, rows] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const sums = new Uint16Array(columns * rows * 3);
  const counts = new Uint8Array(columns * rows);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!isKnown[i]) continue;
      const to = (y >> 1) * columns + (x >> 1);
      counts[to]++;
      for (let c = 0; c < 3; c++) sums[3 * to + c] += colours[3 * i + c];
    }
  }
  const means = Uint8Array.from(sums, (sum, i) => Math.round(sum / Math.max(1, counts[Math.floor(i / 3)])));
  return { width: columns, height: rows, colours: means, isKnown: counts };
}

/** Fills unknown pixels by linear interpolation of a picture of half the size, in which all pixels are known. */
function fillFrom(half: Level, { width, height, colours, isKnown }: Level): void {
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (isKnown[i]) continue;
      const [row, column] = [y >> 1, x >> 1];
      // The nearer pixel has three times the weight. Past the edge it replaces the other one as well.
      const otherRow = Math.min(half.height - 1, Math.max(0, row + (y & 1 ? 1 : -1)));
      const otherColumn = Math.min(half.width - 1, Math.max(0, column + (x & 1 ? 1 : -1)));
      for (let c = 0; c < 3; c++) {
        const at = (r: number, k: number) => half.colours[3 * (r * half.width + k) + c];
        const sum = 9 * at(row, column) + 3 * (at(otherRow, column) + at(row, otherColumn)) + at(otherRow, otherColumn);
        colours[3 * i + c] = (sum + 8) >> 4;
      }
    }
  }
}
