/** Devices of the onnx engine. Without a device, its tests are skipped, and the fallback to the CPU is tested instead. */
import * as tf from '@tensorflow/tfjs-core';
import '../../src/node/engine/no-telemetry.js';
import * as ort from 'onnxruntime-node';
import { describe, expect, test, vi } from 'vitest';
import type { Device, Precision } from '../../src/engine/engine.js';
import { conv2d, silu } from '../../src/engine/ops.js';
import { trace } from '../../src/engine/tracing/backend.js';
import { openEngine } from '../../src/node/engine/index.js';
import { expectClose, numbers } from './compare.js';

/** Opens the engine on a device, and collects its messages about a fallback. */
async function openOn(device: Device, precision?: Precision) {
  const onFallback = vi.fn();
  const engine = await openEngine('auto', { device, threads: 2, onFallback, ...(precision && { precision }) });
  return { engine, said: onFallback.mock.calls };
}

/** Whether the engine itself reports that it computes on the device. */
async function isThere(device: Device): Promise<boolean> {
  const { engine } = await openOn(device);
  await engine.dispose();
  return !engine.description.includes(', CPU, ');
}

const DEVICES = [
  { device: 'cuda', name: 'CUDA', there: await isThere('cuda') },
  { device: 'webgpu', name: 'WebGPU', there: await isThere('webgpu') },
] as const;

describe.each(DEVICES)('device $device', ({ device, name, there }) => {
  test('computes what the CPU does', async ({ skip }) => {
    if (!there) skip(`there is no ${name} here`);
    const { engine, said } = await openOn(device);
    expect(said).toEqual([]);
    expect(engine).toMatchObject({ name: 'onnx', parallelism: 1, batch: 16 });
    expect(engine.description).toMatch(new RegExp(`, ${name}, 2 threads`));
    const fn = ([x, w]: tf.Tensor[]) => [silu(tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D))];
    const inputs = [numbers(6), numbers(12)];
    const shapes = [
      [2, 3],
      [3, 4],
    ];
    const cpu = await openEngine('onnx', { device: 'cpu' });
    const [[actual], [expected]] = await Promise.all(
      [engine, cpu].map(async (one) => (await one.compile(fn, shapes, [], { parallel: true })).run(inputs)),
    );
    expectClose(actual, expected, 1e-5);
    await engine.dispose();
    await cpu.dispose();
  });

  test('says that the CPU takes its place where it is not there', async ({ skip }) => {
    if (there) skip(`there is ${name} here`);
    const { engine, said } = await openOn(device);
    expect(said).toEqual([
      [expect.stringMatching(new RegExp(`^device ${device} is not there, the CPU takes its place \\(.+\\)$`))],
    ]);
    expect(engine).toMatchObject({ name: 'onnx', parallelism: 2, batch: 1 });
    expect(engine.description).toMatch(/, CPU, 2 threads/);
    // The CPU does take its place.
    const compiled = await engine.compile(([x]: tf.Tensor[]) => [tf.mul(x, 2)], [[2]]);
    expect(await compiled.run([Float32Array.of(1, -3)])).toEqual([Float32Array.of(2, -6)]);
    await engine.dispose();
  });

  test('takes half precision where it is there, and leaves it out with the CPU', async () => {
    const { engine, said } = await openOn(device, 'fp16');
    expect([engine.precision, said.length]).toEqual(there ? ['fp16', 0] : ['fp32', 1]);
    await engine.dispose();
  });
});

test('the CPU is no fallback', async () => {
  const onFallback = vi.fn();
  const engine = await openEngine('auto', { device: 'cpu', threads: 1, onFallback });
  expect(engine.description).toMatch(/^onnxruntime-node .*, CPU, 1 thread$/);
  expect(onFallback).not.toHaveBeenCalled();
});

test('a device of another engine, and an unknown one, are refused', async () => {
  await expect(openEngine('wasm', { device: 'webgpu' })).rejects.toThrow(
    /`device` webgpu: expected `engine` onnx.*got wasm/,
  );
  await expect(openEngine('onnx', { device: 'tpu' as Device })).rejects.toThrow(
    /`device`: expected auto, cpu, cuda, webgpu, got/,
  );
});

describe('half precision', () => {
  test('is for GPUs: refused without one', async () => {
    await expect(openEngine('auto', { precision: 'fp16' })).rejects.toThrow(
      '`precision` fp16: expected `device` auto, cuda or webgpu with it',
    );
    await expect(openEngine('onnx', { precision: 'fp16', device: 'cpu' })).rejects.toThrow('`precision` fp16');
    await expect(openEngine('auto', { precision: 'fp8' as Precision })).rejects.toThrow('expected fp32 or fp16');
  });

  test('rounds what products take and give to eleven bits, and nothing else', async () => {
    const image = numbers(64 * 3);
    const weights = [
      { shape: [3, 3, 3, 4], data: numbers(108, [-1, 1], 7) },
      { shape: [4], data: numbers(4) },
    ];
    const fn = ([x]: tf.Tensor[], [w, shift]: tf.Tensor[]) => {
      const y = conv2d(x as tf.Tensor4D, w as tf.Tensor4D, shift as tf.Tensor1D, 1, 'same');
      const square = tf.reshape(y, [16, 16]) as tf.Tensor2D;
      // This exceeds the range of half precision, so it must be in float32.
      return [tf.mul(tf.matMul(square, square), 1e6), tf.mul(x, 1 / 3)];
    };
    const [full, half] = await Promise.all(
      (['fp32', 'fp16'] as const).map(async (precision) => {
        const { model } = trace(fn, [[1, 8, 8, 3]], weights, precision);
        const session = await ort.InferenceSession.create(model);
        const { out0, out1 } = await session.run({ in0: new ort.Tensor('float32', image, [1, 8, 8, 3]) });
        return [out0.data, out1.data] as Float32Array[];
      }),
    );
    expectClose(half[0], full[0], 2e-3);
    expect(half[0].some((value, i) => Math.abs(value - full[0][i]) > 1e-5 * Math.abs(full[0][i]))).toBe(true);
    expect(half[1]).toEqual(full[1]);
  });
});
