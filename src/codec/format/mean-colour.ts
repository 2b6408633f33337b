/** The optional colour in a header, which is shown before the first step. */
import type { RgbImage } from '../../image/image.js';
import { UNIT_LEVELS } from '../../image/pixels.js';
import type { Header } from './header.js';

/** Largest values of the fields, which have 5, 6 and 5 bits. */
const MOST = [31, 63, 31] as const;
const MID_GREY = [128, 128, 128] as const;

/** The field value nearest to the mean of a picture. */
export function meanColourOf({ data }: RgbImage): number {
  const sums = [0, 0, 0];
  for (let i = 0; i < data.length; i++) sums[i % 3] += data[i];
  const [red, green, blue] = sums.map((sum, c) => Math.round((sum / (data.length / 3) / 255) * MOST[c]));
  return (red << 11) | (green << 5) | blue;
}

/** R, G and B of a field, 0..255; mid-grey without one. */
export function shownColour({ meanColour }: Pick<Header, 'meanColour'>): readonly number[] {
  if (meanColour === undefined) return MID_GREY;
  const fields = [meanColour >>> 11, (meanColour >>> 5) & 63, meanColour & 31];
  return fields.map((value, c) => Math.floor((255 * value) / MOST[c] + 0.5));
}

/** A picture of that colour alone, in [-1, 1]: height * width * 3 values. All 0 without a colour. */
export function blankPicture({
  width,
  height,
  meanColour,
}: Pick<Header, 'width' | 'height' | 'meanColour'>): Float32Array {
  const values = new Float32Array(width * height * 3);
  if (meanColour === undefined) return values;
  const colour = shownColour({ meanColour }).map((level) => UNIT_LEVELS[level]);
  for (let i = 0; i < values.length; i++) values[i] = colour[i % 3];
  return values;
}
