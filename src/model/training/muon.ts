/**
 * Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/). Before the momentum of a weight matrix is
 * added, it is replaced by approximately the closest matrix with orthonormal rows or columns. So all directions of the
 * matrix are learnt at one speed. A convolution [out, in, h, w] is treated as the matrix [out, in h w].
 */
import * as tf from '@tensorflow/tfjs-core';
import { type CompiledFunction, type Engine, sizeOf } from '../../engine/engine.js';
import type { ParameterSpec } from '../unet-parameters.js';
import type { StepOptions } from './state.js';

/**
 * Coefficients of the quintic iteration a X + (b A + c A^2) X, A = X X^T, which maps singular values of 0.01 to 1 to
 * about 0.7 to 1.2.
 */
const COEFFICIENTS = [3.4445, -4.775, 2.0315] as const;
const ITERATIONS = 5;
const EPSILON = 1e-7;

const MOMENTUM = 0.95;

/**
 * Root mean square of a step relative to the learning rate. It is about Adam's, so that both can use the same learning
 * rates (Liu et al. 2025, arXiv 2502.16982, section 2.2).
 */
const STEP_SIZE = 0.2;

/** Whether Muon is used for a parameter: not for the first and the last layer, nor for vectors. */
export function isHiddenMatrix({ name, kind }: ParameterSpec): boolean {
  return kind !== 'vector' && name !== 'conv_in.weight' && name !== 'conv_out.weight';
}

export interface Muon {
  /**
   * One step, in place, together with the average of the matrices: ema = decay ema + (1 - decay) p. One vector per
   * matrix.
   * @param momentum of the gradient
   */
  step(
    weights: readonly Float32Array[],
    ema: readonly Float32Array[],
    momentum: readonly Float32Array[],
    gradient: readonly Float32Array[],
    options: StepOptions,
  ): Promise<void>;
  dispose(): Promise<void>;
}

/** @param matrices the parameters that it updates: hidden matrices */
export async function createMuon(engine: Engine, matrices: readonly ParameterSpec[]): Promise<Muon> {
  const shapes = matrices.map(({ shape }) => [shape[0], sizeOf(shape.slice(1))] as const);
  const compiled: CompiledFunction = await engine.compile(
    (inputs) => inputs.map((input) => orthogonalize(input as tf.Tensor2D)),
    shapes,
    [],
    // The result then does not depend on the number of threads.
    { parallel: true },
  );
  const directions = shapes.map((shape) => new Float32Array(sizeOf(shape)));
  return {
    async step(weights, ema, momentum, gradient, { learningRate, scale, emaDecay }) {
      directions.forEach((direction, i) => {
        const [means, gradients] = [momentum[i], gradient[i]];
        for (let k = 0; k < direction.length; k++) {
          const g = gradients[k] * scale;
          const mean = MOMENTUM * means[k] + (1 - MOMENTUM) * g;
          means[k] = mean;
          // Nesterov's momentum.
          direction[k] = MOMENTUM * mean + (1 - MOMENTUM) * g;
        }
      });
      const steps = await compiled.run(directions);
      steps.forEach((step, i) => {
        const rate = learningRate * STEP_SIZE * Math.sqrt(Math.max(...shapes[i]));
        const [values, averages] = [weights[i], ema[i]];
        for (let k = 0; k < step.length; k++) {
          const p = values[k] - rate * step[k];
          values[k] = p;
          averages[k] = emaDecay * averages[k] + (1 - emaDecay) * p;
        }
      });
    },
    dispose: () => compiled.dispose(),
  };
}

/** Approximately U V^T for a matrix U S V^T: the Newton-Schulz iteration with coefficients chosen for speed. */
export function orthogonalize(matrix: tf.Tensor2D): tf.Tensor2D {
  const [rows, columns] = matrix.shape;
  const [a, b, c] = COEFFICIENTS;
  const norm = tf.sqrt(tf.sum(tf.mul(matrix, matrix)));
  let x = tf.div<tf.Tensor2D>(rows > columns ? tf.transpose(matrix) : matrix, tf.add(norm, EPSILON));
  for (let i = 0; i < ITERATIONS; i++) {
    const square = tf.matMul(x, x, false, true);
    const polynomial = tf.add(tf.mul(square, b), tf.mul(tf.matMul(square, square), c)) as tf.Tensor2D;
    x = tf.add(tf.mul(x, a), tf.matMul(polynomial, x)) as tf.Tensor2D;
  }
  return rows > columns ? tf.transpose(x) : x;
}
