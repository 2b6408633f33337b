/**
 * Compares the network with an independent PyTorch implementation (float32, CPU), on random weights and on the
 * shipped ones; see fixtures/reference/README.md.
 */
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import type { TensorFunction } from '../../src/engine/engine.js';
import { registerGradients } from '../../src/engine/gradients.js';
import { parseConfig } from '../../src/model/config.js';
import { readMetadata, readSafetensors, type Tensors } from '../../src/model/safetensors.js';
import { createUNet } from '../../src/model/unet.js';
import { toEngineLayout } from '../../src/model/unet-parameters.js';
import { openEngine } from '../../src/node/engine/index.js';

const WEIGHTS = 'diffusion_pytorch_model.safetensors';

function load(directory: string, io = `${directory}/io.safetensors`) {
  const config = parseConfig(JSON.parse(readFileSync(`${directory}/config.json`, 'utf8')));
  const network = createUNet(config, readSafetensors(readFileSync(`${directory}/${WEIGHTS}`)));
  const values = readSafetensors(readFileSync(io));
  return { network, values, ...readIo(values) };
}

function readIo(values: Tensors) {
  const { shape } = values.get('sample')!;
  return {
    shape: [shape[0], shape[2], shape[3], shape[1]],
    sample: toNhwc(values.get('sample')!.data, shape),
    timestep: values.get('timestep')!.data,
    output: toNhwc(values.get('output')!.data, values.get('output')!.shape),
  };
}

function toNhwc(data: Float32Array, [batch, channels, height, width]: readonly number[]): Float32Array {
  const pixels = height * width;
  return Float32Array.from(data, (_, i) => {
    const c = i % channels;
    const p = Math.floor(i / channels) % pixels;
    const n = Math.floor(i / (channels * pixels));
    return n < batch ? data[(n * channels + c) * pixels + p] : Number.NaN;
  });
}

/** Root mean square of the difference, relative to that of the expected values. */
function relativeError(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length);
  let error = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    error += (actual[i] - expected[i]) ** 2;
    norm += expected[i] ** 2;
  }
  return Math.sqrt(error / norm);
}

/** The options that the networks above lack. Each has one file for everything, with the weights under `unet.`. */
function loadOption(file: string) {
  const bytes = readFileSync(file);
  const values = readSafetensors(bytes);
  const weights = new Map(
    [...values].flatMap(([name, tensor]) => (name.startsWith('unet.') ? [[name.slice(5), tensor] as const] : [])),
  );
  const network = createUNet(parseConfig(JSON.parse(readMetadata(bytes).config)), weights);
  return { network, ...readIo(values) };
}

const NETWORKS = [
  ['fixtures/reference/unet-tiny', undefined],
  ['fixtures/reference/unet-tiny-deep', undefined],
  ['fixtures/reference/unet-tiny-oldnames', undefined],
  ['models/pilot', 'fixtures/reference/pilot-io.safetensors'],
] as const;

describe.each(['onnx', 'wasm'] as const)('engine %s', (engineName) => {
  test.each(NETWORKS)('%s gives the reference output', async (directory, io) => {
    const { network, shape, sample, timestep, output } = load(directory, io);
    const engine = await openEngine(engineName);
    const compiled = await engine.compile(network.fn, [shape, [shape[0]]], network.constants);
    const [actual] = await compiled.run([sample, timestep]);
    expect(relativeError(actual, output)).toBeLessThan(1e-5);
    await compiled.dispose();
  });

  test.each(['scale-shift', 'modern', 'deep'])('option set %s gives the reference output', async (name) => {
    const file = `fixtures/reference/options/${name}.safetensors`;
    const { network, shape, sample, timestep, output } = loadOption(file);
    const engine = await openEngine(engineName);
    const compiled = await engine.compile(network.fn, [shape, [shape[0]]], network.constants);
    const [actual] = await compiled.run([sample, timestep]);
    expect(relativeError(actual, output)).toBeLessThan(1e-5);
    await compiled.dispose();
  });
});

test.each(['onnx', 'wasm'] as const)(
  'engine %s gives the reference loss and gradients of every parameter',
  async (name) => {
    registerGradients();
    const { network, values, shape, sample, timestep } = load('fixtures/reference/unet-tiny');
    const target = toNhwc(values.get('target')!.data, values.get('target')!.shape);
    const lossAndGradients: TensorFunction = ([x, t, y, ...weights]: tf.Tensor[]) => {
      const loss = (...w: tf.Tensor[]) =>
        tf.mean(tf.squaredDifference(network.fn([x, t], w)[0] as tf.Tensor, y)) as tf.Scalar;
      const { value, grads } = tf.valueAndGrads(loss)(weights);
      return [value, ...grads];
    };
    const engine = await openEngine(name);
    const compiled = await engine.compile(lossAndGradients, [
      shape,
      [shape[0]],
      shape,
      ...network.constants.map((tensor) => tensor.shape),
    ]);
    const inputs = [sample, timestep, target, ...network.constants.map(({ data }) => data)];
    const [loss, ...gradients] = await compiled.run(inputs);
    expect(relativeError(loss, values.get('loss')!.data)).toBeLessThan(1e-5);
    expect(gradients.length).toBe(network.parameters.length);
    network.parameters.forEach((parameter, i) => {
      const expected = toEngineLayout(parameter, values.get(`grad.${parameter.name}`)!).data;
      // A key's bias shifts all scores of a query alike. Its true gradient is 0, and the rest is rounding.
      if (parameter.name.endsWith('to_k.bias')) {
        expect(Math.max(...gradients[i].map(Math.abs))).toBeLessThan(1e-6);
      } else {
        expect(relativeError(gradients[i], expected), parameter.name).toBeLessThan(1e-4);
      }
    });
  },
);

test('the network refuses weights that do not fit its architecture, by name', () => {
  const directory = 'fixtures/reference/unet-tiny';
  const json = JSON.parse(readFileSync(`${directory}/config.json`, 'utf8'));
  const tensors = readSafetensors(readFileSync(`${directory}/${WEIGHTS}`));
  const config = parseConfig(json);
  const without = new Map(tensors);
  without.delete('conv_in.bias');
  expect(() => createUNet(config, without)).toThrow(/expected a tensor conv_in\.bias/);
  expect(() => createUNet(config, new Map([...tensors, ['stray', tensors.get('conv_in.bias')!]]))).toThrow(/stray/);
  const wider = parseConfig({ ...json, block_out_channels: [16, 64] });
  expect(() => createUNet(wider, tensors)).toThrow(/expected shape/);
});
