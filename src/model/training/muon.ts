/**
 * Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/): the momentum of a weight matrix is brought near the
 * closest matrix with orthonormal rows or columns before it is added, so that all directions of the matrix are learnt at one
 * speed. A convolution [out, in, h, w] is the matrix [out, in h w].
 */
import * as tf from '@tensorflow/tfjs-core';
import { type CompiledFunction, type Engine, sizeOf } from '../../engine/engine.js';
import type { ParameterSpec } from '../unet-parameters.js';

/** Of the quintic iteration a X + (b A + c A^2) X, A = X X^T, which takes singular values of 0.01 to 1 to about 0.7 to 1.2. */
const COEFFICIENTS = [3.4445, -4.775, 2.0315] as const;
const ITERATIONS = 5;
const EPSILON = 1e-7;

const MOMENTUM = 0.95;

/**
 * Root mean square of a step over the learning rate, about Adam's own, so that both learn at the same rates (Liu et al.
 * 2025, arXiv 2502.16982, section 2.2).
 */
const STEP_SIZE = 0.2;

/** Where a matrix is in the vector of all parameters. */
interface Matrix {
  readonly offset: number;
  readonly rows: number;
  readonly columns: number;
}

/** Whether Muon is for it: not for the first and the last layer, nor for vectors. */
export function isHiddenMatrix({ name, kind }: ParameterSpec): boolean {
  return kind !== 'vector' && name !== 'conv_in.weight' && name !== 'conv_out.weight';
}

export interface Muon {
  /**
   * One step for the hidden matrices, in place, and their average: ema = decay ema + (1 - decay) p.
   * @param momentum of the gradient
   * @param scale of the gradient, for clipping
   */
  step(
    parameters: Float32Array,
    ema: Float32Array,
    momentum: Float32Array,
    gradient: Float32Array,
    options: { readonly learningRate: number; readonly scale: number; readonly emaDecay: number },
  ): Promise<void>;
  dispose(): Promise<void>;
}

/** @param parameters of the network, in the order of the vectors */
export async function createMuon(engine: Engine, parameters: readonly ParameterSpec[]): Promise<Muon> {
  const matrices: Matrix[] = [];
  let offset = 0;
  for (const spec of parameters) {
    const { shape } = spec;
    if (isHiddenMatrix(spec)) matrices.push({ offset, rows: shape[0], columns: sizeOf(shape.slice(1)) });
    offset += sizeOf(shape);
  }
  const compiled: CompiledFunction = await engine.compile(
    (inputs) => inputs.map((input) => orthogonalize(input as tf.Tensor2D)),
    matrices.map(({ rows, columns }) => [rows, columns]),
    [],
    // What it computes does not depend on the number of threads then.
    { parallel: true },
  );
  const directions = matrices.map(({ rows, columns }) => new Float32Array(rows * columns));
  return {
    async step(weights, ema, momentum, gradient, { learningRate, scale, emaDecay }) {
      matrices.forEach((matrix, i) => {
        const direction = directions[i];
        for (let k = 0, at = matrix.offset; k < direction.length; k++, at++) {
          const g = gradient[at] * scale;
          const mean = MOMENTUM * momentum[at] + (1 - MOMENTUM) * g;
          momentum[at] = mean;
          // Nesterov's.
          direction[k] = MOMENTUM * mean + (1 - MOMENTUM) * g;
        }
      });
      const steps = await compiled.run(directions);
      matrices.forEach(({ offset: first, rows, columns }, i) => {
        const rate = learningRate * STEP_SIZE * Math.sqrt(Math.max(rows, columns));
        const step = steps[i];
        for (let k = 0, at = first; k < step.length; k++, at++) {
          const p = weights[at] - rate * step[k];
          weights[at] = p;
          ema[at] = emaDecay * ema[at] + (1 - emaDecay) * p;
        }
      });
    },
    dispose: () => compiled.dispose(),
  };
}

/** U V^T, about, for a matrix U S V^T: Newton and Schulz' iteration with coefficients for speed. */
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
