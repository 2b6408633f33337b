/** The windows of a model that `train` or `model import` makes. */
import type { Tiling } from '../../model/windows.js';

/** Least side of a tile in pixels, before rounding: smaller windows have too much edge. */
export const LEAST_TILE = 64;
const OVERLAP = 8;

/** Windows as large as what the network was trained on, or larger. @param side of its pictures or crops, in pixels */
export function tilingFor(side: number, stride: number): Tiling {
  return { tile: Math.ceil(Math.max(LEAST_TILE, side) / stride) * stride, overlap: OVERLAP };
}
