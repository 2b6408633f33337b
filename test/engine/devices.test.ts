/** Devices of the onnx engine. Which are there depends on the machine: that each is itself or says that it is not, does not. */
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test, vi } from 'vitest';
import type { Device } from '../../src/engine/engine.js';
import { openEngine } from '../../src/engine/index.js';
import { silu } from '../../src/engine/ops.js';
import { expectClose, numbers } from './compare.js';

describe.each(['cuda', 'webgpu'] as const)('device %s', (device) => {
  test('computes what the CPU does, or says that the CPU takes its place', async () => {
    const onFallback = vi.fn();
    const engine = await openEngine('auto', { device, threads: 2, onFallback });
    expect(engine.name).toBe('onnx');
    const there = onFallback.mock.calls.length === 0;
    if (there) {
      expect(engine).toMatchObject({ parallelism: 1, batch: 16 });
      expect(engine.description).toMatch(/, (CUDA|WebGPU), 2 threads/);
    } else {
      expect(onFallback.mock.calls).toEqual([
        [expect.stringMatching(new RegExp(`^device ${device} is not there, the CPU takes its place \\(.+\\)$`))],
      ]);
      expect(engine).toMatchObject({ parallelism: 2, batch: 1 });
      expect(engine.description).toMatch(/, CPU, 2 threads/);
    }
    const fn = ([x, w]: tf.Tensor[]) => [silu(tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D))];
    const inputs = [numbers(6), numbers(12)];
    const cpu = await openEngine('onnx', { device: 'cpu' });
    const [[actual], [expected]] = await Promise.all(
      [engine, cpu].map(async (one) => {
        const compiled = await one.compile(
          fn,
          [
            [2, 3],
            [3, 4],
          ],
          [],
          { parallel: true },
        );
        return compiled.run(inputs);
      }),
    );
    expectClose(actual, expected, 1e-5);
    await engine.dispose();
    await cpu.dispose();
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
    /device webgpu: expected engine onnx.*got wasm/,
  );
  await expect(openEngine('onnx', { device: 'tpu' as Device })).rejects.toThrow(
    /device: expected cpu, cuda, webgpu, got/,
  );
});
