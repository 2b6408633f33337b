/**
 * Gradients of the tfjs operations in the loss of a network; the operations of `ops.ts` define their own. Only training
 * needs them.
 *
 * `@tensorflow/tfjs-core` has gradients for all its operations but registers none, and the files with them
 * (dist/gradients) load only through a bundler. The union package, which registers them in Node, brings 240 MB with it.
 * So these gradients are registered here one by one. They use tfjs' own operations in tfjs' order, so that results are
 * the same to the last bit. All tensors are float32.
 */
import * as tf from '@tensorflow/tfjs-core';

/**
 * How to differentiate a kernel: which inputs and outputs to keep, and a function that gives the gradients with respect
 * to the inputs, by name. A gradient that nobody asks for is not computed.
 * @param dy gradient with respect to the output @param saved the tensors that were kept @param attributes the kernel's
 *   attributes
 */
interface Gradient<Dy = tf.Tensor> {
  readonly inputsToSave?: string[];
  readonly outputsToSave?: boolean[];
  /** For a kernel with a list of inputs. */
  readonly saveAllInputs?: boolean;
  gradient(dy: Dy, saved: tf.Tensor[], attributes: Attributes): Record<string, () => tf.Tensor> | (() => tf.Tensor)[];
}

/** The attributes of all kernels here; each kernel has some of them. */
interface Attributes {
  readonly axis: number | number[];
  readonly dim: number;
  readonly paddings: [number, number][];
  readonly perm: number[];
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

const ELEMENTWISE: Record<string, Gradient> = {
  /** Always reshaped, so that each gradient is a tensor of its own: tfjs disposes a gradient when it adds another one to it. */
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
  /** For operands of the same shape. */
  [tf.SquaredDifference]: {
    inputsToSave: ['a', 'b'],
    gradient: (dy, [a, b]) => ({
      a: () => tf.mul(dy, tf.mul(2, tf.sub(a, b))),
      b: () => tf.mul(dy, tf.mul(2, tf.sub(b, a))),
    }),
  },
  /** For operands of the same shape; otherwise for the operand that is not broadcast. */
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
  /** tfjs runs this kernel where an operation has nothing to do, such as the transpose of a vector. */
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

/** For C = A B: dA = dC B', dB = A' dC. The gradient of an operand that is passed transposed is transposed as well. */
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

/** The gradient of a broadcast operand, in the operand's shape. */
function sumTo(dy: tf.Tensor, operand: tf.Tensor): tf.Tensor {
  const sum = sumBroadcast(dy, operand);
  return sum === dy ? dy : tf.reshape(sum, operand.shape);
}

/** Sum over the axes along which an operand was broadcast; the operand's shape lacks these axes or is 1 there. */
function sumBroadcast(dy: tf.Tensor, operand: tf.Tensor): tf.Tensor {
  const axes = tf.broadcast_util.getReductionAxes(operand.shape, dy.shape);
  return axes.length > 0 ? tf.sum(dy, axes) : dy;
}

/** Repeats a sum along the axes that it was taken over. */
function repeatAlong(dy: tf.Tensor, shape: number[], axis: number | number[]): tf.Tensor {
  const axes = tf.util.parseAxisParam(axis, shape);
  const kept = shape.map((size, i) => (axes.includes(i) ? 1 : size));
  return tf.mul(tf.reshape(dy, kept), tf.ones(shape));
}
