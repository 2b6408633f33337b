/** The work of networks, in multiply-adds of convolutions and matrix products, which papers call MACs. */

import { type Shape, sizeOf } from '../engine/engine.js';
import type { Size } from '../image/image.js';
import { strideOf, type UNetConfig } from './config.js';
import { listParameters } from './unet-parameters.js';
import { listUpdateParameters, PIXELS_OF_PLACE, type UpdateShape } from './update.js';
import { updateWindows } from './updates.js';
import { layWindows, type Tiling, type Windows, windowsOf } from './windows.js';

/**
 * Multiply-adds of one evaluation of a network.
 * @param size of its input, multiples of the network's stride
 */
export function networkMultiplyAdds(config: UNetConfig, { width, height }: Size): number {
  const positions = (level: number) => (width * height) / (config.patchSize * 2 ** level) ** 2;
  return sum(
    listParameters(config).map(({ name, kind, shape }) => {
      if (kind === 'vector') return 0;
      // Layers of the timestep run only once.
      if (/^time_embedding\.|\.time_emb_proj\./.test(name)) return sizeOf(shape);
      const places = positions(levelOf(name, config));
      // Each position's query is multiplied with all keys, and its scores with all values.
      const attention = name.endsWith('.to_q.weight') ? 2 * places ** 2 * shape[0] : 0;
      return places * sizeOf(shape) + attention;
    }),
  );
}

/** How often the picture has been halved where a parameter is used. */
function levelOf(name: string, { blockOutChannels }: UNetConfig): number {
  const lowest = blockOutChannels.length - 1;
  const [, direction, number] = /^(down|up)_blocks\.(\d+)\./.exec(name) ?? [];
  if (direction === undefined) return name.startsWith('mid_block.') ? lowest : 0;
  if (direction === 'down') return Number(number) + (name.includes('.downsamplers.') ? 1 : 0);
  return lowest - Number(number) - (name.includes('.upsamplers.') ? 1 : 0);
}

/**
 * Multiply-adds of an evaluation of a picture at its own size: of all windows, including the data that an update keeps.
 * @param update of a model that has one
 */
export function evaluationMultiplyAdds(
  config: UNetConfig,
  size: Size,
  tiling: Tiling,
  update: UpdateShape | undefined,
): number {
  const [across, down] = [size.width, size.height].map((length) => layWindows(length, strideOf(config), tiling));
  const windows = windowsOf(across, down);
  const kept = update === undefined ? 0 : sizeOf(convolutionsOf(update)[0]);
  return windows.windows.length * networkMultiplyAdds(config, windows) + kept * pixelsOf(windows);
}

/** Multiply-adds of moving xhat0 of a picture once. */
export function updateMultiplyAdds(update: UpdateShape, size: Size): number {
  const [, ...convolutions] = convolutionsOf(update);
  return (sum(convolutions.map(sizeOf)) * pixelsOf(updateWindows(size))) / PIXELS_OF_PLACE;
}

/** The convolution of `keep` comes first. */
function convolutionsOf(update: UpdateShape): Shape[] {
  return listUpdateParameters(update)
    .filter(({ kind }) => kind === 'conv')
    .map(({ shape }) => shape);
}

function pixelsOf({ windows, width, height }: Windows): number {
  return windows.length * width * height;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
