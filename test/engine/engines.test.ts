/** What every engine promises, and what individual engines promise. */
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { CodecError } from '../../src/common/errors.js';
import type { Engine, TensorFunction } from '../../src/engine/engine.js';
import { TRACING_BACKEND } from '../../src/engine/tracing/backend.js';
import { openEngine } from '../../src/node/engine/index.js';
import { expectClose, numbers } from './compare.js';

const engines: Engine[] = [];
async function open(...args: Parameters<typeof openEngine>): Promise<Engine> {
  const engine = await openEngine(...args);
  engines.push(engine);
  return engine;
}
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.dispose()));
});

/** x W + b, and the sum over rows. */
const affine: TensorFunction = ([x]: tf.Tensor[], [weights, bias]: tf.Tensor[]) => {
  const y = tf.add(tf.matMul(x as tf.Tensor2D, weights as tf.Tensor2D), bias);
  return [y, tf.sum(y, 0)];
};
const CONSTANTS = [
  { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
  { shape: [3], data: Float32Array.of(10, 20, 30) },
];

describe.each(['onnx', 'wasm'] as const)('engine %s', (name) => {
  test('runs a function with constants, again and again', async () => {
    const engine = await open(name);
    expect(engine.name).toBe(name);
    expect(engine.description).toMatch(/\d+\.\d+\.\d+.*\d thread/);
    const compiled = await engine.compile(affine, [[2, 2]], CONSTANTS);
    expect(compiled.outputShapes).toEqual([[2, 3], [3]]);
    const input = Float32Array.of(1, 0, 0, 1);
    const first = await compiled.run([input]);
    expect(first.map((array) => [...array])).toEqual([
      [11, 22, 33, 14, 25, 36],
      [25, 47, 69],
    ]);
    const [second] = await compiled.run([Float32Array.of(2, 0, 0, 2)]);
    expect([...second]).toEqual([12, 24, 36, 18, 30, 42]);
    expect([...first[0]], 'results are the caller’s').toEqual([11, 22, 33, 14, 25, 36]);
    expect([...input], 'inputs are not modified').toEqual([1, 0, 0, 1]);
  });

  test('reads inputs in shared memory', async () => {
    const compiled = await (await open(name)).compile(affine, [[2, 2]], CONSTANTS);
    const memory = new Float32Array(new SharedArrayBuffer(24));
    memory.set([9, 1, 0, 0, 1, 9]);
    const [product] = await compiled.run([memory.subarray(1, 5)]);
    expect([...product]).toEqual([11, 22, 33, 14, 25, 36]);
  });

  test('gives an input, a constant and one value twice as outputs', async () => {
    const engine = await open(name);
    const compiled = await engine.compile(([x], [w]) => [x, w, x], [[2]], [{ shape: [3], data: numbers(3) }]);
    const input = Float32Array.of(5, 7);
    const outputs = await compiled.run([input]);
    expect(outputs.map((array) => [...array])).toEqual([[5, 7], [...numbers(3)], [5, 7]]);
    expect(outputs[0]).not.toBe(input);
  });

  test('refuses inputs of another number or size', async () => {
    const compiled = await (await open(name)).compile(affine, [[2, 2]], CONSTANTS);
    await expect(compiled.run([])).rejects.toThrow(/expected 1 arrays, got 0/);
    await expect(compiled.run([new Float32Array(3)])).rejects.toThrow(/expected 4 values \(\[2,2\]\), got 3/);
  });

  test('leaves the choice of tfjs’ backend as it was', async () => {
    const engine = await open(name);
    const other = name === 'onnx' ? 'wasm' : 'cpu';
    await import('@tensorflow/tfjs-backend-cpu');
    await open('wasm');
    await tf.setBackend(other);
    const compiled = await engine.compile(affine, [[2, 2]], CONSTANTS);
    await compiled.run([new Float32Array(4)]);
    expect(tf.getBackend()).toBe(other);
    await expect(engine.compile(() => expect.fail('from the function'), [[1]])).rejects.toThrow(/from the function/);
    expect(tf.getBackend()).toBe(other);
    expect(tf.findBackend(TRACING_BACKEND)).toBeNull();
  });

  test('runs several compiled functions side by side, and may be disposed of twice', async () => {
    const engine = await open(name);
    const double = await engine.compile(([x]: tf.Tensor[]) => [tf.mul(x, 2)], [[3]]);
    const triple = await engine.compile(([x]: tf.Tensor[]) => [tf.mul(x, 3)], [[3]]);
    const input = Float32Array.of(1, 2, 3);
    const results = await Promise.all([double.run([input]), triple.run([input]), double.run([input])]);
    expect(results.map(([array]) => [...array])).toEqual([
      [2, 4, 6],
      [3, 6, 9],
      [2, 4, 6],
    ]);
    await double.dispose();
    await double.dispose();
    await engine.dispose();
    await engine.dispose();
  });
});

test('engines wasm and onnx agree on a convolution', async () => {
  const fn: TensorFunction = ([x], [w]) => [tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, 2, 'same')];
  const constants = [{ shape: [3, 3, 4, 5], data: numbers(180) }];
  const results = [];
  for (const name of ['onnx', 'wasm'] as const) {
    const compiled = await (await open(name)).compile(fn, [[3, 8, 6, 4]], constants);
    results.push((await compiled.run([numbers(576, [-1, 1], 7)]))[0]);
  }
  expectClose(results[0], results[1], 1e-5);
});

test('wasm keeps no tensors from run to run, nor after an error or dispose', async () => {
  const engine = await open('wasm');
  const before = tf.memory().numTensors;
  const compiled = await engine.compile(affine, [[2, 2]], CONSTANTS);
  const compiledCount = tf.memory().numTensors;
  expect(compiledCount - before).toBe(CONSTANTS.length);
  const { numBytes } = tf.memory();
  for (let i = 0; i < 20; i++) await compiled.run([numbers(4)]);
  expect(tf.memory().numTensors).toBe(compiledCount);
  expect(tf.memory().numBytes).toBe(numBytes);
  await compiled.dispose();
  const failing: TensorFunction = ([x]: tf.Tensor[]) => {
    tf.add(x, 1);
    throw new Error('half way');
  };
  await expect(engine.compile(failing, [[2]])).rejects.toThrow('half way');
  expect(tf.memory().numTensors).toBe(before);
});

describe('tracing', () => {
  test('keeps no tensors', async () => {
    const engine = await open('onnx');
    const before = tf.memory().numTensors;
    await engine.compile(affine, [[2, 2]], CONSTANTS);
    expect(tf.memory().numTensors).toBe(before);
  });

  test.each<[string, TensorFunction, RegExp]>([
    ['an operation that is not traced', ([x]: tf.Tensor[]) => [tf.cumsum(x)], /cannot run the operation Cumsum/],
    [
      'a dilated convolution',
      ([x]: tf.Tensor[]) => [tf.conv2d(x as tf.Tensor4D, tf.ones([3, 3, 2, 2]), 1, 'same', 'NHWC', 2)],
      /dilation/,
    ],
    ['a cast to a flag', ([x]: tf.Tensor[]) => [tf.cast(x, 'bool')], /cannot cast float32 to bool/],
    ['reading a value', ([x]: tf.Tensor[]) => [tf.mul(x, x.dataSync()[0])], /must not read the value/],
  ])('refuses %s', async (_, fn, message) => {
    const engine = await open('onnx');
    const refused = engine.compile(fn, [[1, 4, 4, 2]]);
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.toSatisfy((error) => error instanceof CodecError && error.code === 'engine');
  });

  test('refuses tensors from outside, which tfjs would take away from their backend', async () => {
    const engine = await open('onnx');
    await open('wasm');
    await tf.setBackend('wasm');
    const outside = tf.tensor1d([1, 2]);
    await expect(engine.compile(([x]: tf.Tensor[]) => [tf.add(x, outside)], [[2]])).rejects.toThrow(
      /made outside of it/,
    );
  });
});

describe('openEngine', () => {
  test('refuses unknown engines and thread counts that make no sense', async () => {
    await expect(openEngine('cuda' as 'onnx')).rejects.toThrow(/`engine`: expected .*"onnx".*got "cuda"/);
    for (const threads of [0, -1, 1.5, Number.NaN]) {
      await expect(openEngine('onnx', { threads })).rejects.toThrow(/threads: expected an integer from 1 to 1024/);
    }
  });

  test('says how many threads it uses', async () => {
    expect((await open('onnx', { threads: 1 })).description).toMatch(/1 thread$/);
    expect((await open('onnx', { threads: 3 })).description).toMatch(/3 threads$/);
  });

  test('without onnxruntime-node names the package, and auto falls back to wasm', async () => {
    vi.resetModules();
    vi.doMock('onnxruntime-node', () => {
      throw new Error('Cannot find package');
    });
    try {
      const { openEngine: openFresh } = await import('../../src/node/engine/index.js');
      await expect(openFresh('onnx')).rejects.toThrow(/npm install --ignore-scripts onnxruntime-node/);
      expect((await openFresh('auto')).name).toBe('wasm');
    } finally {
      vi.doUnmock('onnxruntime-node');
      vi.resetModules();
    }
  });
});
