/**
 * Gradients of the tfjs operations that the loss of a network consists of; those of `ops.ts` are with their operations.
 * Only training needs them.
 *
 * `@tensorflow/tfjs-core` has gradients of all its operations, but registers none, and the files that they are in
 * (dist/gradients) load with a bundler only. The union package, which registers them in Node, brings 240 MB with it. So
 * these are registered here one by one. Operations and their order are those of tfjs' own, so that results are the same
 * to the last bit. All tensors are float32.
 */
import * as tf from '@tensorflow/tfjs-core';

/**
 * How to differentiate a kernel: which of its inputs and outputs are kept for it, and for
 * @param dy gradient with respect to the output @param saved what was kept @param attributes the kernel's
 * the gradients with respect to the inputs by their names; those that nobody asks for are not computed.
 */
interface Gradient<Dy = tf.Tensor> {
  readonly inputsToSave?: string[];
  readonly outputsToSave?: boolean[];
  /** For a kernel with a list of inputs. */
  readonly saveAllInputs?: boolean;
  gradient(dy: Dy, saved: tf.Tensor[], attributes: Attributes): Record<string, () => tf.Tensor> | (() => tf.Tensor)[];
}

/** Those of all kernels here; each has its own of them. */
interface Attributes {
  readonly axis: number | number[];
  readonly dim: number;
  readonly paddings: [number, number][];
  readonly perm: number[];
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

const ELEMENTWISE: Record<string, Gradient> = {
  /** Reshaped in any case, to be a tensor of its own: tfjs disposes of one when it adds another to it. */
  [tf.Add]: {
    inputsToSave: ['a', 'b'],
    gradient: (dy, [a, b]) => ({
      a: () => tf.reshape(sumBroadcast(dy, a), a.shape),
      b: () => tf.reshape(sumBroadcast(dy, b), b.shape),
    }),
  },
  [tf.Sub]: {
    inputsToSave: ['a', 'b'],
    gradient: (dy, [a, b]) => ({
      a: () => tf.reshape(sumBroadcast(dy, a), a.shape),
      b: () => tf.reshape(tf.neg(sumBroadcast(dy, b)), b.shape),
    }),
  },
  [tf.Multiply]: {
    inputsToSave: ['a', 'b'],
    gradient: (dy, [a, b]) => ({
      a: () => sumTo(tf.mul(dy, b), a),
      b: () => sumTo(tf.mul(dy, a), b),
    }),
  },
  /** Of operands of the same shape. */
  [tf.SquaredDifference]: {
    inputsToSave: ['a', 'b'],
    gradient: (dy, [a, b]) => ({
      a: () => tf.mul(dy, tf.mul(2, tf.sub(a, b))),
      b: () => tf.mul(dy, tf.mul(2, tf.sub(b, a))),
    }),
  },
  /** Of operands of the same shape, or of the one that is not broadcast. */
  [tf.Maximum]: {
    inputsToSave: ['a', 'b'],
    gradient: (dy, [a, b]) => ({
      a: () => tf.mul(dy, tf.cast(tf.greaterEqual(a, b), 'float32')),
      b: () => tf.mul(dy, tf.cast(tf.less(a, b), 'float32')),
    }),
  },
  [tf.Neg]: { gradient: (dy) => ({ x: () => tf.neg(dy) }) },
  [tf.Exp]: { outputsToSave: [true], gradient: (dy, [y]) => ({ x: () => tf.mul(dy, y) }) },
  [tf.Log]: { inputsToSave: ['x'], gradient: (dy, [x]) => ({ x: () => tf.div(dy, x) }) },
  /** 2 / sqrt(pi) exp(-x^2). */
  [tf.Erf]: {
    inputsToSave: ['x'],
    gradient: (dy, [x]) => ({
      x: () => tf.mul(dy, tf.mul(tf.exp(tf.neg(tf.square(x))), 2 / Math.sqrt(Math.PI))),
    }),
  },
};

const REDUCTIONS: Record<string, Gradient> = {
  [tf.Sum]: { inputsToSave: ['x'], gradient: (dy, [x], { axis }) => ({ x: () => repeatAlong(dy, x.shape, axis) }) },
  [tf.Mean]: {
    inputsToSave: ['x'],
    gradient: (dy, [x], { axis }) => ({ x: () => tf.div(repeatAlong(dy, x.shape, axis), x.size / dy.size) }),
  },
  /** y (dy - sum(dy y)). */
  [tf.Softmax]: {
    outputsToSave: [true],
    gradient: (dy, [y], { dim }) => {
      const product = tf.mul(dy, y);
      return { logits: () => tf.sub(product, tf.mul(tf.sum(product, [dim], true), y)) };
    },
  },
};

const SHAPES: Record<string, Gradient> = {
  /** What tfjs runs where an operation has nothing to do, such as the transpose of a vector. */
  [tf.Identity]: { gradient: (dy) => ({ x: () => tf.clone(dy) }) },
  [tf.Reshape]: { inputsToSave: ['x'], gradient: (dy, [x]) => ({ x: () => tf.reshape(dy, x.shape) }) },
  [tf.Transpose]: {
    gradient: (dy, _, { perm }) => ({ x: () => tf.transpose(dy, tf.backend_util.getUndoAxesPermutation(perm)) }),
  },
  [tf.Concat]: {
    saveAllInputs: true,
    gradient: (dy, inputs, { axis }) => {
      const [along] = tf.util.parseAxisParam(axis, inputs[0].shape);
      const sizes = inputs.map(({ shape }) => shape[along]);
      return tf.split(dy, sizes, along).map((part) => () => part);
    },
  },
  [tf.PadV2]: {
    inputsToSave: ['x'],
    gradient: (dy, [x], { paddings }) => ({
      x: () =>
        tf.slice(
          dy,
          paddings.map(([before]) => before),
          x.shape,
        ),
    }),
  },
};

const SPLIT: Gradient<tf.Tensor[]> = {
  gradient: (parts, _, { axis }) => ({ x: () => tf.concat(parts, axis as number) }),
};

/** For C = A B: dA = dC B', dB = A' dC; where an operand is given transposed, so is its gradient. */
const MAT_MUL: Gradient = {
  inputsToSave: ['a', 'b'],
  gradient: (dy, [a, b], { transposeA, transposeB }) => ({
    a: () => (transposeA ? tf.matMul(b, dy, transposeB, true) : tf.matMul(dy, b, false, !transposeB)),
    b: () => (transposeB ? tf.matMul(dy, a, true, transposeA) : tf.matMul(a, dy, !transposeA, false)),
  }),
};

/** Registers the gradients with tfjs, once for all engines. */
export function registerGradients(): void {
  const all = { ...ELEMENTWISE, ...REDUCTIONS, ...SHAPES, [tf.SplitV]: SPLIT, [tf.BatchMatMul]: MAT_MUL };
  for (const [kernelName, { gradient, ...saved }] of Object.entries(all)) {
    tf.registerGradient({ kernelName, ...saved, gradFunc: gradient as unknown as tf.GradFunc });
  }
}

/** In an operand's shape, what came of broadcasting it. */
function sumTo(dy: tf.Tensor, operand: tf.Tensor): tf.Tensor {
  const sum = sumBroadcast(dy, operand);
  return sum === dy ? dy : tf.reshape(sum, operand.shape);
}

/** Sum over the axes along which an operand was broadcast; its shape lacks them, or is 1 there. */
function sumBroadcast(dy: tf.Tensor, operand: tf.Tensor): tf.Tensor {
  const axes = tf.broadcast_util.getReductionAxes(operand.shape, dy.shape);
  return axes.length > 0 ? tf.sum(dy, axes) : dy;
}

/** What was summed over axes, repeated along them. */
function repeatAlong(dy: tf.Tensor, shape: number[], axis: number | number[]): tf.Tensor {
  const axes = tf.util.parseAxisParam(axis, shape);
  const kept = shape.map((size, i) => (axes.includes(i) ? 1 : size));
  return tf.mul(tf.reshape(dy, kept), tf.ones(shape));
}
