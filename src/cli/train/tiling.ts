/** The windows of a model that `train` or `model import` makes, and the crops that it can be trained on. */
import { CodecError } from '../../common/errors.js';
import type { Tiling } from '../../model/windows.js';

/** Least side of a tile in pixels, before rounding: smaller windows have too much edge. */
export const LEAST_TILE = 64;
const OVERLAP = 8;

/** Windows as large as what the network was trained on, or larger. @param side of its pictures or crops, in pixels */
export function tilingFor(side: number, stride: number): Tiling {
  return { tile: Math.ceil(Math.max(LEAST_TILE, side) / stride) * stride, overlap: OVERLAP };
}

/** @throws CodecError('usage') where crops of this side do not fit the network */
export function checkCrop(side: number, stride: number): void {
  if (side % stride === 0) return;
  throw new CodecError('usage', `--crop: expected a multiple of ${stride} for this network, got ${side}`);
}
