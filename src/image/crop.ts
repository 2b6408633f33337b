/** Cropping pictures. */
import type { RgbImage, Size } from './image.js';

/** A part of a picture, in pixels. */
export interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The middle of a picture, at most `most` pixels a side. */
export function middleOf(picture: Size, most: number): Rectangle {
  const width = Math.min(picture.width, most);
  const height = Math.min(picture.height, most);
  return { left: (picture.width - width) >> 1, top: (picture.height - height) >> 1, width, height };
}

/**
 * Copies a rectangle of interleaved values, three per pixel.
 * @param columns width of the picture that the values belong to
 * @param into width * height * 3 values
 * @returns `into`
 */
export function cropInto<Values extends Uint8Array | Float32Array>(
  values: Values,
  columns: number,
  { left, top, width, height }: Rectangle,
  into: Values,
): Values {
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * columns + left) * 3;
    into.set(values.subarray(from, from + width * 3), y * width * 3);
  }
  return into;
}

/** A rectangle of a picture. It has to lie inside the picture. */
export function crop(image: RgbImage, part: Rectangle): RgbImage {
  const { width, height } = part;
  const data = cropInto(image.data, image.width, part, new Uint8Array(width * height * 3));
  return { width, height, data, ...(image.alpha && { alpha: cropPlane(image.alpha, image.width, part) }) };
}

function cropPlane(plane: Uint8Array, columns: number, { left, top, width, height }: Rectangle): Uint8Array {
  const part = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const from = (top + y) * columns + left;
    part.set(plane.subarray(from, from + width), y * width);
  }
  return part;
}

/** The middle of a picture, at most `most` pixels a side. */
export function cutMiddle(image: RgbImage, most: number): RgbImage {
  return crop(image, middleOf(image, most));
}
