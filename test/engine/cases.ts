/** One small function for each kernel that can be traced. The kernel and gradient tests run them. */
import * as tf from '@tensorflow/tfjs-core';
import {
  conv2d,
  depthToSpace,
  GROUP_NORM_GRADIENT_KERNEL,
  GROUP_NORM_KERNEL,
  groupNorm,
  SILU_GRADIENT_KERNEL,
  SILU_KERNEL,
  silu,
  spaceToDepth,
  UPSAMPLE_GRADIENT_KERNEL,
  UPSAMPLE_KERNEL,
  upsampleNearest2x,
} from '../../src/engine/ops.js';

export interface KernelCase {
  readonly name: string;
  /** The kernel under test. */
  readonly kernel: string;
  readonly shapes: readonly (readonly number[])[];
  readonly fn: (...inputs: tf.Tensor[]) => tf.Tensor | tf.Tensor[];
  /** Values of the inputs; default -1..1. */
  readonly range?: readonly [number, number];
  /** False where the derivative is zero or does not exist; default true for kernels with gradients. */
  readonly differentiable?: boolean;
}

const IMAGE = [2, 4, 6, 8];
const POSITIVE = [0.5, 2] as const;
/** Spreads values, so that a small step does not change which one is the largest. */
const FAR_APART = [-50, 50] as const;

const unary = (kernel: string, fn: (x: tf.Tensor) => tf.Tensor, more: Partial<KernelCase> = {}): KernelCase[] => [
  { name: `${kernel} of an image`, kernel, shapes: [IMAGE], fn, ...more },
  { name: `${kernel} of a matrix`, kernel, shapes: [[3, 5]], fn, ...more },
  { name: `${kernel} of a number`, kernel, shapes: [[]], fn, ...more },
];

/** Every way in which two operands may be broadcast against each other. */
const binary = (
  kernel: string,
  fn: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor,
  more: Partial<KernelCase> = {},
): KernelCase[] =>
  [
    [IMAGE, IMAGE],
    [IMAGE, [8]],
    [[8], IMAGE],
    [IMAGE, []],
    [IMAGE, [1]],
    [IMAGE, [2, 1, 1, 8]],
    [IMAGE, [1, 4, 6, 1]],
    [IMAGE, [6, 8]],
    [IMAGE, [4, 1, 8]],
    [
      [2, 1, 6, 1],
      [2, 4, 1, 8],
    ],
    [
      [3, 1],
      [1, 5],
    ],
    [
      [2, 3, 4],
      [3, 1],
    ],
  ].map((shapes) => ({ name: `${kernel} of [${shapes[0]}] and [${shapes[1]}]`, kernel, shapes, fn, ...more }));

function everyThird(shape: number[]): tf.Tensor {
  const flags = Uint8Array.from({ length: tf.util.sizeFromShape(shape) }, (_, i) => Number(i % 3 === 0));
  return tf.tensor(flags, shape, 'bool');
}

/** The result of a comparison as 0 and 1. */
const compare = (operation: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor) => (a: tf.Tensor, b: tf.Tensor) =>
  tf.cast(operation(a, b), 'float32');

/** tfjs' gradients of these do not reduce broadcast axes, but throw. */
const gradientIfSameShape = (cases: KernelCase[]) =>
  cases.map((item) => ({ ...item, differentiable: String(item.shapes[0]) === String(item.shapes[1]) }));

const reductions = (
  kernel: string,
  fn: (x: tf.Tensor, axis?: number[], keepDims?: boolean) => tf.Tensor,
  more: Partial<KernelCase> = {},
): KernelCase[] =>
  [undefined, [], [0], [3], [1, 2], [0, 1, 2], [1, 3], [0, 3], [2, 3], [-1], [0, 1, 2, 3]].flatMap((axes) =>
    [false, true].map((keep) => ({
      name: `${kernel} over ${axes ? `[${axes}]` : 'all'}${keep ? ', kept' : ''}`,
      kernel,
      shapes: [IMAGE],
      fn: (x: tf.Tensor) => fn(x, axes, keep),
      ...more,
    })),
  );

type Padding = 'same' | 'valid' | number | tf.backend_util.ExplicitPadding;

const conv = (name: string, filter: number[], strides: number, pad: Padding): KernelCase => ({
  name: `convolution, ${name}`,
  kernel: 'Conv2D',
  shapes: [[2, 6, 8, 3], filter],
  fn: (x, w) => tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, strides, pad),
});

/** Gradient kernels called directly, so that they are tested by themselves as well as through `tf.grads`. */
const convGradients = (strides: number, pad: 'same' | 'valid', outHeight: number, outWidth: number): KernelCase[] => [
  {
    name: `input gradient of a convolution, stride ${strides}, ${pad}`,
    kernel: 'Conv2DBackpropInput',
    shapes: [
      [2, outHeight, outWidth, 5],
      [3, 3, 3, 5],
    ],
    fn: (dy, filter) =>
      tf
        .engine()
        .runKernel(
          'Conv2DBackpropInput',
          { dy, filter },
          { ...convAttributes(strides, pad), inputShape: [2, 6, 8, 3] },
        ),
    differentiable: false,
  },
  {
    name: `filter gradient of a convolution, stride ${strides}, ${pad}`,
    kernel: 'Conv2DBackpropFilter',
    shapes: [
      [2, 6, 8, 3],
      [2, outHeight, outWidth, 5],
    ],
    fn: (x, dy) =>
      tf
        .engine()
        .runKernel('Conv2DBackpropFilter', { x, dy }, { ...convAttributes(strides, pad), filterShape: [3, 3, 3, 5] }),
    differentiable: false,
  },
];

const convAttributes = (strides: number, pad: string) => ({ strides, pad, dataFormat: 'NHWC' });

const matMul = (a: number[], b: number[], transposeA: boolean, transposeB: boolean): KernelCase => ({
  name: `product of [${a}]${transposeA ? "'" : ''} and [${b}]${transposeB ? "'" : ''}`,
  kernel: 'BatchMatMul',
  shapes: [a, b],
  fn: (x, y) => tf.matMul(x, y, transposeA, transposeB),
});

export const CASES: readonly KernelCase[] = [
  ...binary('Add', tf.add),
  ...binary('Sub', tf.sub),
  ...binary('Multiply', tf.mul),
  ...binary('RealDiv', tf.div, { range: POSITIVE }),
  ...binary('Pow', tf.pow, { range: POSITIVE }),
  ...gradientIfSameShape(binary('Maximum', tf.maximum)),
  ...gradientIfSameShape(binary('Minimum', tf.minimum)),
  ...gradientIfSameShape(binary('SquaredDifference', tf.squaredDifference)),
  ...binary('Greater', compare(tf.greater), { differentiable: false }),
  ...binary('GreaterEqual', compare(tf.greaterEqual), { differentiable: false }),
  ...binary('Less', compare(tf.less), { differentiable: false }),
  ...binary('LessEqual', compare(tf.lessEqual), { differentiable: false }),
  ...binary('Equal', (a, b) => compare(tf.equal)(tf.round(tf.mul(a, 2)), tf.round(tf.mul(b, 2))), {
    differentiable: false,
  }),
  ...binary('LogicalAnd', (a, b) => tf.cast(tf.logicalAnd(tf.greater(a, 0), tf.less(b, 0.5)), 'float32'), {
    differentiable: false,
  }),
  ...unary('LogicalNot', (x) => tf.cast(tf.logicalNot(tf.greater(x, 0.25)), 'float32'), { differentiable: false }),
  ...unary('Select', (x) => tf.where(tf.greater(x, 0.25), tf.mul(x, 3), tf.neg(x)), { differentiable: false }),
  ...unary('Select', (x) => tf.where(everyThird(x.shape), tf.mul(x, 3), tf.neg(x))),
  ...unary('Sigmoid', tf.sigmoid),
  ...unary('Tanh', tf.tanh),
  ...unary('Relu', tf.relu),
  ...unary('Sqrt', tf.sqrt, { range: POSITIVE }),
  ...unary('Rsqrt', tf.rsqrt, { range: POSITIVE }),
  ...unary('Reciprocal', tf.reciprocal, { range: POSITIVE }),
  ...unary('Square', tf.square),
  ...unary('Neg', tf.neg),
  ...unary('Exp', tf.exp),
  ...unary('Log', tf.log, { range: POSITIVE }),
  ...unary('Sin', tf.sin),
  ...unary('Cos', tf.cos),
  ...unary('Abs', tf.abs),
  ...unary('ClipByValue', (x) => tf.clipByValue(x, -0.5, 0.25)),
  ...unary('Sign', tf.sign, { differentiable: false }),
  ...unary('Floor', tf.floor, { range: [-3, 3], differentiable: false }),
  ...unary('Round', tf.round, { range: [-3, 3], differentiable: false }),
  ...unary('Step', (x) => tf.step(x, 0.25), { differentiable: false }),
  ...unary('Erf', tf.erf),
  ...unary('Softplus', tf.softplus, { range: [-4, 4] }),
  ...unary('Identity', (x) => tf.mul(tf.clone(x), 2)),
  ...unary('Cast', (x) => tf.cast(tf.cast(x, 'int32'), 'float32'), { range: [-3, 3], differentiable: false }),
  ...unary('ZerosLike', (x) => tf.add(x, tf.zerosLike(x))),
  ...unary('OnesLike', (x) => tf.add(x, tf.onesLike(x))),
  ...unary('Fill', (x) => tf.add(x, tf.fill(x.shape, 0.75))),

  ...[[2, 24, 8], [48, 8], [2, 4, 6, 2, 4], [2, 24, 2, 4], [4, 2, 6, 8], [384], [2, 2, 2, 6, 8], [2, 1, 4, 6, 8]].map(
    (shape): KernelCase => ({
      name: `reshape of an image to [${shape}]`,
      kernel: 'Reshape',
      shapes: [IMAGE],
      // The transpose shows whether the elements are where the shape says.
      fn: (x) => tf.transpose(tf.reshape(x, shape)),
    }),
  ),
  { name: 'reshape to an image', kernel: 'Reshape', shapes: [[2, 8]], fn: (x) => tf.reshape(x, [2, 1, 1, 8]) },
  { name: 'a new axis in front', kernel: 'ExpandDims', shapes: [IMAGE], fn: (x) => tf.expandDims(x, 0) },
  { name: 'a new axis at the end', kernel: 'ExpandDims', shapes: [[2, 3]], fn: (x) => tf.expandDims(x, -1) },
  ...[
    [0, 3, 1, 2],
    [0, 2, 3, 1],
    [3, 2, 1, 0],
    [0, 1, 2, 3],
    [1, 0, 3, 2],
  ].map(
    (perm): KernelCase => ({
      name: `transpose to [${perm}]`,
      kernel: 'Transpose',
      shapes: [IMAGE],
      fn: (x) => tf.transpose(x, perm),
    }),
  ),
  { name: 'transpose of a matrix', kernel: 'Transpose', shapes: [[3, 5]], fn: (x) => tf.transpose(x) },
  { name: 'tiles', kernel: 'Tile', shapes: [[2, 3, 1, 4]], fn: (x) => tf.tile(x, [1, 2, 3, 2]) },
  ...[0, 1, 2, 3].map(
    (axis): KernelCase => ({
      name: `concatenation along axis ${axis}`,
      kernel: 'Concat',
      shapes: [IMAGE, IMAGE.with(axis, 3)],
      fn: (a, b) => tf.concat([a, b], axis),
    }),
  ),
  { name: 'concatenation of vectors', kernel: 'Concat', shapes: [[3], [4]], fn: (a, b) => tf.concat([a, b]) },
  { name: 'slice', kernel: 'Slice', shapes: [IMAGE], fn: (x) => tf.slice(x, [0, 1, 2, 3], [2, 2, -1, 4]) },
  { name: 'slice of a vector', kernel: 'Slice', shapes: [[9]], fn: (x) => tf.slice(x, 2, 5) },
  ...[1, 3].flatMap((axis): KernelCase[] => [
    { name: `even split along axis ${axis}`, kernel: 'SplitV', shapes: [IMAGE], fn: (x) => tf.split(x, 2, axis) },
    {
      name: `uneven split along axis ${axis}`,
      kernel: 'SplitV',
      shapes: [IMAGE],
      fn: (x) => tf.split(x, [1, IMAGE[axis] - 1], axis),
    },
  ]),
  {
    name: 'padding',
    kernel: 'PadV2',
    shapes: [IMAGE],
    fn: (x) => tf.pad(x, [[0, 1], [1, 0], [2, 1], [0, 3]]), // biome-ignore format: one line reads better
  },
  { name: 'padding of a matrix with a value', kernel: 'PadV2', shapes: [[2, 3]], fn: (x) => tf.pad(x, [[1, 0], [0, 2]], 0.5) }, // biome-ignore format: one line reads better

  ...reductions('Sum', tf.sum),
  ...reductions('Mean', tf.mean),
  ...reductions('Max', tf.max, { range: FAR_APART }),
  ...reductions('Min', tf.min, { range: FAR_APART }),
  { name: 'softmax', kernel: 'Softmax', shapes: [[2, 5, 7]], fn: (x) => tf.softmax(x), range: [-3, 3] },
  { name: 'softmax of an image', kernel: 'Softmax', shapes: [IMAGE], fn: (x) => tf.softmax(x), range: [-3, 3] },

  ...[false, true].flatMap((ta) =>
    [false, true].flatMap((tb) => [
      matMul(ta ? [4, 3] : [3, 4], tb ? [5, 4] : [4, 5], ta, tb),
      matMul(ta ? [2, 4, 3] : [2, 3, 4], tb ? [2, 5, 4] : [2, 4, 5], ta, tb),
      matMul(ta ? [1, 4, 3] : [1, 3, 4], tb ? [1, 5, 4] : [1, 4, 5], ta, tb),
      matMul(ta ? [2, 3, 4, 6] : [2, 3, 6, 4], tb ? [2, 3, 5, 4] : [2, 3, 4, 5], ta, tb),
    ]),
  ),
  { ...matMul([1, 3, 4], [2, 4, 5], false, false), differentiable: false },
  { ...matMul([2, 3, 4], [1, 4, 5], false, false), differentiable: false },

  conv('3x3 same', [3, 3, 3, 5], 1, 'same'),
  conv('3x3 valid', [3, 3, 3, 5], 1, 'valid'),
  conv('1x1', [1, 1, 3, 5], 1, 'same'),
  conv('stride 2 same', [3, 3, 3, 5], 2, 'same'),
  conv('stride 2 valid, a column not reached', [3, 3, 3, 5], 2, 'valid'),
  conv('stride 2, 1x1', [1, 1, 3, 5], 2, 'same'),
  conv('padding 2', [3, 3, 3, 5], 1, 2),
  conv('2x2 same, padded at the end only', [2, 2, 3, 5], 1, 'same'),
  conv('another padding on each side', [3, 3, 3, 5], 1, [
    [0, 0],
    [2, 1],
    [0, 2],
    [0, 0],
  ]),
  conv('3 rows, 1 column', [3, 1, 3, 5], 1, 'same'),
  ...convGradients(1, 'same', 6, 8),
  ...convGradients(1, 'valid', 4, 6),
  ...convGradients(2, 'same', 3, 4),
  ...convGradients(2, 'valid', 2, 3),

  { name: 'places of 2x2 pixels', kernel: 'Transpose', shapes: [IMAGE], fn: (x) => spaceToDepth(x as tf.Tensor4D, 2) },
  { name: 'pixels of places', kernel: 'Transpose', shapes: [IMAGE], fn: (x) => depthToSpace(x as tf.Tensor4D, 2) },
  { name: 'doubled image', kernel: UPSAMPLE_KERNEL, shapes: [IMAGE], fn: (x) => upsampleNearest2x(x as tf.Tensor4D) },
  ...[1, 2, 8].map(
    (groups): KernelCase => ({
      name: `group normalisation, ${groups} groups`,
      kernel: GROUP_NORM_KERNEL,
      shapes: [IMAGE, [8], [8]],
      fn: (x, gamma, beta) => groupNorm(x as tf.Tensor4D, gamma as tf.Tensor1D, beta as tf.Tensor1D, groups, 1e-3),
    }),
  ),
  ...unary(SILU_KERNEL, silu, { range: [-4, 4] }),
  ...unary(SILU_GRADIENT_KERNEL, (x) => tf.grad((y) => silu(y))(x, tf.cos(x)), {
    range: [-4, 4],
    differentiable: false,
  }),
  {
    name: 'gradient of a doubled image',
    kernel: UPSAMPLE_GRADIENT_KERNEL,
    shapes: [IMAGE, [2, 8, 12, 8]],
    fn: (x, dy) => tf.grad((y) => upsampleNearest2x(y as tf.Tensor4D))(x, dy),
    differentiable: false,
  },
  ...[1, 2, 8].map(
    (groups): KernelCase => ({
      name: `gradients of group normalisation, ${groups} groups`,
      kernel: GROUP_NORM_GRADIENT_KERNEL,
      shapes: [IMAGE, [8], [8], IMAGE],
      fn: (x, gamma, beta, dy) =>
        tf.grads((y, scale, shift) =>
          groupNorm(y as tf.Tensor4D, scale as tf.Tensor1D, shift as tf.Tensor1D, groups, 1e-3),
        )([x, gamma, beta], dy),
      differentiable: false,
    }),
  ),
  ...(
    [
      ['same', 1, 3],
      ['same', 1, 1],
      ['valid', 2, 3],
      ['valid', 1, 3],
    ] as const
  ).map(
    ([pad, strides, size]): KernelCase => ({
      name: `convolution with bias, ${size}x${size}, stride ${strides}, ${pad}`,
      kernel: 'FusedConv2D',
      shapes: [IMAGE, [size, size, 8, 5], [5]],
      fn: (x, w, b) => conv2d(x as tf.Tensor4D, w as tf.Tensor4D, b as tf.Tensor1D, strides, pad),
    }),
  ),
  ...[false, true].map(
    (transposed): KernelCase => ({
      name: `product of matrices with bias${transposed ? ', both transposed' : ''}`,
      kernel: '_FusedMatMul',
      shapes: transposed ? [[4, 3], [5, 4], [5]] : [[3, 4], [4, 5], [5]],
      fn: (a, b, bias) => tf.fused.matMul({ a, b, bias, transposeA: transposed, transposeB: transposed }),
    }),
  ),
  {
    name: 'filter handed on in OIHW',
    kernel: 'Transpose',
    shapes: [IMAGE, [4, 8, 3, 3], [4]],
    fn: (x, w, b) => {
      const filter = tf.transpose(w, [2, 3, 1, 0]) as tf.Tensor4D;
      return [
        conv2d(x as tf.Tensor4D, filter, b as tf.Tensor1D, 1, 'same'),
        tf.mul(filter, 2),
        tf.transpose(filter, [3, 2, 0, 1]),
      ];
    },
  },
  {
    name: 'product along a broadcast batch, a tile',
    kernel: 'Tile',
    shapes: [
      [1, 3, 4],
      [2, 4, 5],
    ],
    fn: (a, b) => tf.matMul(tf.tile(a, [2, 1, 1]), b),
  },
  {
    name: 'convolution, normalisation, SiLU, doubling: layouts handed on',
    kernel: 'FusedConv2D',
    shapes: [IMAGE, [3, 3, 8, 4], [4], [4], [4]],
    fn: (x, w, b, gamma, beta) => {
      const h = conv2d(x as tf.Tensor4D, w as tf.Tensor4D, b as tf.Tensor1D, 1, 'same');
      const y = silu(groupNorm(h, gamma as tf.Tensor1D, beta as tf.Tensor1D, 2, 1e-3));
      return tf.concat([upsampleNearest2x(y), upsampleNearest2x(h)], 3);
    },
  },
];
