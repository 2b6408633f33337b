/** Weights for a network that is larger than the one they come from. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gaussians, integerStream } from '../../../src/common/random.js';
import type { Engine } from '../../../src/engine/engine.js';
import { parseConfig, strideOf, type UNetConfig } from '../../../src/model/config.js';
import { compileNetwork } from '../../../src/model/network.js';
import { growWeights } from '../../../src/model/training/growth.js';
import { initialize } from '../../../src/model/training/initialization.js';
import { presets } from '../../../src/model/training/presets.js';
import { toTensors } from '../../../src/model/training/state.js';
import { createUNet } from '../../../src/model/unet.js';
import { countParameters, listParameters } from '../../../src/model/unet-parameters.js';
import { openEngine } from '../../../src/node/engine/index.js';

function configOf(channels: readonly number[], layers: number, attentionAt = channels.length - 1): UNetConfig {
  const down = channels.map((_, level) => (level === attentionAt ? 'AttnDownBlock2D' : 'DownBlock2D'));
  const up = channels.map((_, level) => (level === attentionAt ? 'AttnUpBlock2D' : 'UpBlock2D')).toReversed();
  return parseConfig({
    ...presets.small.config,
    ...{ block_out_channels: channels, layers_per_block: layers, norm_num_groups: 4 },
    ...{ down_block_types: down, up_block_types: up },
  });
}

/** Weights without zeros, like those of a trained network. */
function tensorsOf(config: UNetConfig) {
  const parameters = listParameters(config);
  const gaussian = gaussians(integerStream('growth'));
  return toTensors(
    initialize(parameters, 'old').map((value) => value + 0.1 * gaussian()),
    parameters,
  );
}

function grow(from: UNetConfig, to: UNetConfig) {
  const { weights, taken } = growWeights(from, tensorsOf(from), to, 'new');
  return { tensors: toTensors(weights, listParameters(to)), taken };
}

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine('onnx', { threads: 1 });
});
afterAll(() => engine.dispose());

async function outputOf(config: UNetConfig, tensors: ReturnType<typeof tensorsOf>): Promise<Float32Array> {
  const side = 4 * strideOf(config);
  const compiled = compileNetwork(engine, createUNet(config, tensors), [1, side, side]);
  const xt = Float32Array.from({ length: side * side * 3 }, gaussians(integerStream('input')));
  const output = await compiled.run(xt, [300]);
  await compiled.dispose();
  return output;
}

describe('a network with more layers per block', () => {
  test.each([
    ['two levels', [8, 12], 1, 2],
    ['three levels', [8, 8, 16], 1, 3],
    ['two layers to begin with', [8, 12], 2, 4],
  ])('computes the same, of %s', async (_, channels, layers, more) => {
    const [from, to] = [configOf(channels, layers), configOf(channels, more)];
    const { tensors, taken } = grow(from, to);
    expect(taken).toBe(countParameters(from));
    const [before, after] = [await outputOf(from, tensorsOf(from)), await outputOf(to, tensors)];
    const largest = Math.max(...before.map(Math.abs));
    expect(Math.max(...after.map((value, i) => Math.abs(value - before[i])))).toBeLessThan(1e-5 * largest);
  });

  test('computes the same where attention is added, too', async () => {
    const from = configOf([8, 12], 1);
    const to = { ...from, downAttention: [true, true], upAttention: [true, true] };
    const { tensors, taken } = grow(from, to);
    expect(taken).toBe(countParameters(from));
    const [before, after] = [await outputOf(from, tensorsOf(from)), await outputOf(to, tensors)];
    expect(Math.max(...after.map((value, i) => Math.abs(value - before[i])))).toBeLessThan(1e-5);
  });

  test('learns in what is added, too: not all of it is 0', () => {
    const { tensors } = grow(configOf([8, 12], 1), configOf([8, 12], 2));
    expect(tensors.get('down_blocks.0.resnets.1.conv1.weight')!.data.some((value) => value !== 0)).toBe(true);
    expect(tensors.get('up_blocks.0.resnets.1.conv1.weight')!.data.some((value) => value !== 0)).toBe(true);
  });
});

describe('a network with another level', () => {
  const [from, to] = [configOf([8, 12], 1), configOf([8, 12, 16], 1, 2)];
  const old = tensorsOf(from);
  const { tensors, taken } = grow(from, to);
  const of = (name: string, all = tensors) => all.get(name)!.data;

  test('has the outer levels as they were', () => {
    expect(of('conv_in.weight')).toEqual(of('conv_in.weight', old));
    expect(of('down_blocks.1.resnets.0.conv1.weight')).toEqual(of('down_blocks.1.resnets.0.conv1.weight', old));
    expect(of('up_blocks.2.resnets.1.conv2.weight')).toEqual(of('up_blocks.1.resnets.1.conv2.weight', old));
    expect(of('up_blocks.1.upsamplers.0.conv.bias')).toEqual(of('up_blocks.0.upsamplers.0.conv.bias', old));
    expect(taken).toBeGreaterThan(0.5 * countParameters(from));
    expect(taken).toBeLessThan(countParameters(from));
  });

  test('and what its first block on the way up had of the skip', () => {
    const [now, before] = ['up_blocks.1.resnets.0', 'up_blocks.0.resnets.0'];
    expect(of(`${now}.norm1.weight`).slice(-12)).toEqual(of(`${before}.norm1.weight`, old).slice(-12));
    const row = (values: Float32Array, size: number, r: number) =>
      values.slice((r + 1) * size - 12 * 9, (r + 1) * size);
    // 16 channels from below instead of 12, and 12 from the skip.
    expect(row(of(`${now}.conv1.weight`), 28 * 9, 5)).toEqual(row(of(`${before}.conv1.weight`, old), 24 * 9, 5));
    expect(of(`${now}.conv2.weight`)).toEqual(of(`${before}.conv2.weight`, old));
  });
});

test('one of the same architecture has all', () => {
  const config = configOf([8, 12], 1);
  const { tensors, taken } = grow(config, config);
  expect(taken).toBe(countParameters(config));
  expect(tensors).toEqual(tensorsOf(config));
});

test('a wider level takes over what is beside it', () => {
  const { tensors, taken } = grow(configOf([8, 12], 1), configOf([8, 16], 1));
  expect(taken).toBeGreaterThan(0);
  expect(tensors.get('conv_in.weight')).toEqual(tensorsOf(configOf([8, 12], 1)).get('conv_in.weight'));
  // Layers with another number of channels take over nothing.
  expect(new Set(tensors.get('up_blocks.0.resnets.0.norm1.weight')!.data)).toEqual(new Set([1]));
});

test.each([
  ['levels', configOf([8], 1)],
  ['layers', configOf([8, 12], 1)],
])('refuses fewer %s', (_, to) => {
  const from = configOf([8, 12], 2);
  expect(() => growWeights(from, tensorsOf(from), to, 'new')).toThrow(
    /expected at least the levels and layers per block/,
  );
});
