/** Gradients traced by the onnx engine, compared with finite differences on tfjs' own CPU backend. */
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { registerGradients } from '../../src/engine/gradients.js';
import { GROUP_NORM_KERNEL, SILU_KERNEL, UPSAMPLE_KERNEL } from '../../src/engine/ops.js';
import { openEngine } from '../../src/node/engine/index.js';
import { CASES, type KernelCase } from './cases.js';
import { expectClose, numbers, sizeOf } from './compare.js';

/** Kernels with our own gradients in `ops.ts`, and one that tfjs differentiates without any. */
const WRITTEN_OUT = ['FusedConv2D', '_FusedMatMul', GROUP_NORM_KERNEL, SILU_KERNEL, UPSAMPLE_KERNEL];
/** Kernels that a loss may use. */
const REGISTERED = [
  'Add',
  'BatchMatMul',
  'Concat',
  'Erf',
  'Exp',
  'Identity',
  'Log',
  'Maximum',
  'Mean',
  'Multiply',
  'Neg',
  'PadV2',
  'Reshape',
  'Softmax',
  'SplitV',
  'SquaredDifference',
  'Sub',
  'Sum',
  'Transpose',
];
const DIFFERENTIABLE = CASES.filter(
  ({ kernel, differentiable }) => differentiable !== false && [...WRITTEN_OUT, ...REGISTERED].includes(kernel),
);

let engine: Engine;
beforeAll(async () => {
  registerGradients();
  engine = await openEngine('onnx');
});
afterAll(() => engine.dispose());

/** Half the distance between the two points of a difference. Float32 rounding and the third derivative both stay below 1e-3. */
const STEP = 1e-2;
/** Functions with kinks are tested where the step reaches no kink. */
const KINKS = [-0.5, 0, 0.25, 0.5];

/** A number computed from the outputs, to which every element contributes differently. */
function weigh(outputs: tf.Tensor[]): tf.Scalar {
  const terms = outputs.map((output, i) => {
    const weights = tf.tensor(numbers(output.size, [-1, 1], 100 + i), output.shape);
    return tf.sum(tf.mul(output, weights)) as tf.Scalar;
  });
  return terms.reduce((a, b) => tf.add(a, b));
}

function inputsOf({ shapes, range }: KernelCase): Float32Array[] {
  return shapes.map((shape, i) =>
    numbers(sizeOf(shape), range, i + 1).map((x) => {
      const kink = KINKS.find((at) => Math.abs(x - at) < 2 * STEP);
      return kink === undefined ? x : kink + 3 * STEP;
    }),
  );
}

describe.each(DIFFERENTIABLE)('gradient of $name', (kernelCase) => {
  const { shapes, fn } = kernelCase;
  const loss = (...tensors: tf.Tensor[]) => weigh([fn(...tensors)].flat());

  test('agrees with finite differences', async () => {
    const inputs = inputsOf(kernelCase);
    const compiled = await engine.compile((tensors: tf.Tensor[]) => tf.grads(loss)(tensors), shapes);
    const gradients = await compiled.run(inputs);
    await compiled.dispose();

    await tf.setBackend('cpu');
    const evaluate = (values: Float32Array[]) =>
      tf.tidy(() => loss(...values.map((data, i) => tf.tensor(data, [...shapes[i]]))).dataSync()[0]);
    shapes.forEach((_, i) => {
      // All elements of small inputs; about fifty, evenly spread, of large ones.
      const stride = Math.max(1, Math.floor(inputs[i].length / 50));
      const chosen = Array.from({ length: Math.ceil(inputs[i].length / stride) }, (_, k) => k * stride);
      const differences = chosen.map((k) => {
        const [above, below] = [STEP, -STEP].map((step) =>
          evaluate(inputs.with(i, inputs[i].with(k, inputs[i][k] + step))),
        );
        return (above - below) / (2 * STEP);
      });
      const actual = Float32Array.from(chosen, (k) => gradients[i][k]);
      expectClose(actual, Float32Array.from(differences), 5e-3, `gradient of input ${i}`);
      expect(gradients[i].length).toBe(inputs[i].length);
    });
  });
});

test('every gradient that is registered is tested', () => {
  const kernels = [...new Set(CASES.map(({ kernel }) => kernel))];
  expect(kernels.filter((kernel) => tf.getGradient(kernel)).sort()).toEqual(REGISTERED);
  const tested = DIFFERENTIABLE.map(({ kernel }) => kernel);
  for (const kernel of [...REGISTERED, ...WRITTEN_OUT]) expect(tested).toContain(kernel);
});

test('an operation without a gradient is refused by its name', async () => {
  const gradient = engine.compile(([x]: tf.Tensor[]) => [tf.grad((y) => tf.sum(tf.tanh(y)))(x)], [[3]]);
  await expect(gradient).rejects.toThrow(/gradient function not found for Tanh/);
});
