/** A picture's sides in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Pictures of up to so many pixels are small: one window of a network at most, few bits, and time for all that saves some. */
const SMALL_PIXELS = 64 * 64;

export function isSmall({ width, height }: Size): boolean {
  return width * height <= SMALL_PIXELS;
}

/** An image in memory: 8-bit sRGB, rows from the top, pixels interleaved R, G, B. */
export interface RgbImage extends Size {
  /** width * height * 3 bytes. */
  readonly data: Uint8Array;
  /**
   * Opacity, a byte for each pixel: 0 transparent, 255 opaque; colours are not premultiplied. There is none where all is opaque. What
   * stands in `data` for pixels that are fully transparent has no meaning.
   */
  readonly alpha?: Uint8Array;
}
