/** Every kernel of the tracer, run by ONNX Runtime and compared with tfjs' own CPU backend. */
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { TRACING_BACKEND } from '../../src/engine/tracing/backend.js';
import { openEngine } from '../../src/node/engine/index.js';
import { CASES, type KernelCase } from './cases.js';
import { expectClose, numbers, sizeOf } from './compare.js';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine('onnx');
});
afterAll(() => engine.dispose());

/** Passes an image through an identity convolution, so that the tracer holds it in NCHW. */
function throughConvolution(x: tf.Tensor): tf.Tensor {
  const image = x as tf.Tensor4D;
  const channels = image.shape[3];
  return tf.conv2d(image, tf.reshape(tf.eye(channels), [1, 1, channels, channels]) as tf.Tensor4D, 1, 'same');
}

/** The inputs in their own layout, and with images in the other layout: each image alone, and all together. */
function layouts({ shapes }: KernelCase): boolean[][] {
  const images = shapes.map((shape) => shape.length === 4);
  const plain = shapes.map(() => false);
  const single = images.flatMap((isImage, i) => (isImage ? [plain.with(i, true)] : []));
  return single.length > 1 ? [plain, ...single, images] : [plain, ...single];
}

async function onCpu(fn: (inputs: tf.Tensor[]) => tf.Tensor[], shapes: KernelCase['shapes'], inputs: Float32Array[]) {
  await tf.setBackend('cpu');
  return tf.tidy(() => {
    const tensors = inputs.map((data, i) => tf.tensor(data, [...shapes[i]]));
    return fn(tensors).map((t) => ({
      shape: t.shape,
      data: Float32Array.from(t.dataSync()),
    })) as unknown as tf.TensorContainer;
  }) as unknown as { shape: number[]; data: Float32Array }[];
}

describe.each(CASES)('$name', (kernelCase) => {
  const { kernel, shapes, fn, range } = kernelCase;
  test.each(layouts(kernelCase))('inputs in NCHW: %j', async (...nchw) => {
    const traced = (tensors: tf.Tensor[]) =>
      [fn(...tensors.map((tensor, i) => (nchw[i] ? throughConvolution(tensor) : tensor)))].flat();
    const inputs = shapes.map((shape, i) => numbers(sizeOf(shape), range, i + 1));
    const expected = await onCpu((tensors) => [fn(...tensors)].flat(), shapes, inputs);

    const runKernel = vi.spyOn(tf.engine(), 'runKernel');
    const compiled = await engine.compile(traced, shapes);
    const called = runKernel.mock.calls.map(([name]) => name);
    runKernel.mockRestore();
    const actual = await compiled.run(inputs);
    await compiled.dispose();

    expect(called, 'kernels that were traced').toContain(kernel);
    expect(compiled.outputShapes).toEqual(expected.map(({ shape }) => shape));
    for (let i = 0; i < expected.length; i++) expectClose(actual[i], expected[i].data, 1e-5, `output ${i}`);
  });
});

test('every registered kernel has a case', () => {
  const registered = tf.getKernelsForBackend(TRACING_BACKEND).map(({ kernelName }) => kernelName);
  const covered = new Set(CASES.map(({ kernel }) => kernel));
  expect(registered.filter((name) => !covered.has(name))).toEqual([]);
});
