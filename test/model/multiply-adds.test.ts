/** Predicted multiply-adds, compared with those of the kernels that really run. */
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, sizeOf } from '../../src/engine/engine.js';
import { parseConfig } from '../../src/model/config.js';
import { evaluationMultiplyAdds, networkMultiplyAdds, updateMultiplyAdds } from '../../src/model/multiply-adds.js';
import { createUNet } from '../../src/model/unet.js';
import { listParameters } from '../../src/model/unet-parameters.js';
import { openEngine } from '../../src/node/engine/index.js';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine('wasm');
});
afterAll(() => engine.dispose());

const CONFIG = {
  block_out_channels: [16, 24, 32],
  norm_num_groups: 8,
  layers_per_block: 2,
  down_block_types: ['DownBlock2D', 'AttnDownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'AttnUpBlock2D', 'UpBlock2D'],
};

/** Counts multiply-adds from the shapes that the kernels receive. */
async function counted(json: object, width: number, height: number): Promise<number> {
  const config = parseConfig(json);
  const tensors = new Map(
    listParameters(config).map(({ name, shape }) => [name, { shape, data: new Float32Array(sizeOf(shape)) }]),
  );
  const network = createUNet(config, tensors);
  const { kernels } = await tf.profile(async () => {
    // Compiling evaluates the network once.
    await (await engine.compile(network.fn, [[1, height, width, 3], [1]], network.constants)).dispose();
    return [];
  });
  return kernels.reduce((sum, { name, inputShapes, outputShapes }) => {
    const [first, second] = inputShapes.map((shape) => shape ?? []);
    const [output] = outputShapes;
    // x and a filter [height, width, in, out]: each output value takes one column of the filter.
    if (['Conv2D', 'FusedConv2D'].includes(name)) return sum + sizeOf(output) * (sizeOf(second) / second[3]);
    // Each value of a meets one row of b, whichever of the two is transposed.
    if (['BatchMatMul', '_FusedMatMul'].includes(name)) return sum + sizeOf(first) * output[output.length - 1];
    return sum;
  }, 0);
}

describe('networkMultiplyAdds', () => {
  it.each([
    ['a network', {}],
    ['heads of attention', { attention_head_dim: 8 }],
    ['patches', { patch_size: 2 }],
    ['time that scales', { resnet_time_scale_shift: 'scale_shift' }],
  ])('of %s are those of its kernels', async (_, more) => {
    const json = { ...CONFIG, ...more };
    expect(networkMultiplyAdds(parseConfig(json), { width: 32, height: 16 })).toBe(await counted(json, 32, 16));
  });
});

it('a picture is asked for in windows, which overlap', () => {
  const config = parseConfig(CONFIG);
  const one = networkMultiplyAdds(config, { width: 32, height: 32 });
  const tiling = { tile: 32, overlap: 8 };
  expect(evaluationMultiplyAdds(config, { width: 30, height: 32 }, tiling, undefined)).toBe(one);
  expect(evaluationMultiplyAdds(config, { width: 56, height: 56 }, tiling, undefined)).toBe(4 * one);
  const update = { features: 16, kept: 4, width: 8 };
  const kept = 9 * 16 * 4 * 32 * 32;
  expect(evaluationMultiplyAdds(config, { width: 32, height: 32 }, tiling, update)).toBe(one + kept);
});

it('an update works at half the size, on windows that overlap by what it sees', () => {
  const each = (9 * (36 * 8 + 3 * 8 * 8 + 8 * 12) + 16 * 8) / 4;
  const update = { features: 16, kept: 4, width: 8 };
  expect(updateMultiplyAdds(update, { width: 32, height: 16 })).toBe(each * 52 * 36);
  expect(updateMultiplyAdds(update, { width: 300, height: 16 })).toBe(each * 2 * (150 + 20) * 36);
});
