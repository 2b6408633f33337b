/**
 * The order in which a drawing's pixels are sent: coarse to fine. The first pixel is the one in the upper left corner.
 * Then passes insert, in turn, rows between the known rows and columns between the known columns, until there is no
 * room left. So a prefix of a file shows the whole picture coarsely, and most pixels have known neighbours on opposite
 * sides.
 */
import type { Size } from '../../image/image.js';

/** A decoder makes a new point of a drawing after this many pixels. */
export const POINT_PIXELS = 64;

/** Pixels (x, y) with x = left, left + across, ... and y = top, top + down, ..., in rows from the top. */
export interface Pass {
  readonly top: number;
  readonly left: number;
  readonly down: number;
  readonly across: number;
  /** Offset in columns and rows from a pixel to the known pixels on both sides of it. */
  readonly along: { readonly dx: number; readonly dy: number };
  /** Offset from a pixel to the next one of the pass in the other direction. */
  readonly beside: { readonly dx: number; readonly dy: number };
  /** After the pass, the known pixels form a grid with this spacing of columns and rows. */
  readonly after: { readonly across: number; readonly down: number };
}

/** The passes of a picture that contain pixels. */
export function passesOf({ width, height }: Size): Pass[] {
  let side = 1;
  while (side < Math.max(width, height)) side *= 2;
  const none = { dx: 0, dy: 0 };
  const after = { across: side, down: side };
  const passes: Pass[] = [{ top: 0, left: 0, down: side, across: side, along: none, beside: none, after }];
  for (; side > 1; side /= 2) {
    const half = side / 2;
    const rows = { along: { dx: 0, dy: half }, beside: { dx: side, dy: 0 }, after: { across: side, down: half } };
    const columns = { along: { dx: half, dy: 0 }, beside: { dx: 0, dy: half }, after: { across: half, down: half } };
    passes.push({ top: half, left: 0, down: side, across: side, ...rows });
    passes.push({ top: 0, left: half, down: half, across: side, ...columns });
  }
  return passes.filter(({ top, left }) => top < height && left < width);
}

/** Number of pixels of a pass in a picture. */
export function pixelsOf({ top, left, down, across }: Pass, { width, height }: Size): number {
  return Math.ceil((width - left) / across) * Math.ceil((height - top) / down);
}
