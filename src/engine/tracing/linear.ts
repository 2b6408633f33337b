/** Kernels that cost: convolutions, matrix products, softmax, and the fused operations of `ops.ts`. */
import * as tf from '@tensorflow/tfjs-core';
import { CodecError } from '../../errors.js';
import { GROUP_NORM_KERNEL, UPSAMPLE_KERNEL } from '../ops.js';
import { tracingBackend } from './backend.js';
import type { ValueName } from './graph.js';
import { type KernelInputs, registerKernel } from './register.js';

interface ConvAttributes {
  strides: number | [number, number];
  pad: 'valid' | 'same' | number | tf.backend_util.ExplicitPadding;
  dataFormat?: string;
  dilations?: number | [number, number];
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

export function registerLinear(): void {
  registerKernel<KernelInputs, ConvAttributes>('Conv2D', conv2d);
  registerKernel<KernelInputs, ConvAttributes & { inputShape: number[] }>('Conv2DBackpropInput', convBackpropInput);
  registerKernel<KernelInputs, ConvAttributes & { filterShape: number[] }>('Conv2DBackpropFilter', convBackpropFilter);
  registerKernel<KernelInputs, { transposeA: boolean; transposeB: boolean }>('BatchMatMul', matMul);
  registerKernel<{ logits: tf.TensorInfo }, { dim: number }>('Softmax', ({ logits }, { dim }) => {
    const backend = tracingBackend();
    const axis = dim < 0 ? dim + logits.shape.length : dim;
    return backend.result(backend.graph.node('Softmax', [backend.plain(logits)], { axis }), logits.shape);
  });
  registerKernel<KernelInputs, { groups: number; epsilon: number }>(GROUP_NORM_KERNEL, groupNorm);
  registerKernel(UPSAMPLE_KERNEL, upsampleNearest);
}

function convInfo(inputShape: number[], filterShape: number[], attributes: ConvAttributes) {
  const { strides, pad, dataFormat = 'NHWC', dilations = 1, dimRoundingMode } = attributes;
  if (dataFormat !== 'NHWC' || [dilations].flat().some((dilation) => dilation !== 1)) {
    throw new CodecError(
      'engine',
      `engine onnx convolves NHWC without dilation only, got ${dataFormat} and dilations ${dilations}`,
    );
  }
  return tf.backend_util.computeConv2DInfo(
    inputShape as [number, number, number, number],
    filterShape as [number, number, number, number],
    strides,
    1,
    pad,
    dimRoundingMode,
  );
}

function conv2d({ x, filter }: KernelInputs, attributes: ConvAttributes): tf.TensorInfo {
  const backend = tracingBackend();
  const { padInfo, strideHeight, strideWidth, outShape } = convInfo(x.shape, filter.shape, attributes);
  const weights = backend.graph.node('Transpose', [backend.plain(filter)], { perm: [3, 2, 0, 1] });
  const y = backend.graph.node('Conv', [backend.nchw(x), weights], {
    kernel_shape: filter.shape.slice(0, 2),
    strides: [strideHeight, strideWidth],
    pads: [padInfo.top, padInfo.left, padInfo.bottom, padInfo.right],
  });
  return backend.resultNchw(y, outShape);
}

function convBackpropInput(
  { dy, filter }: KernelInputs,
  attributes: ConvAttributes & { inputShape: number[] },
): tf.TensorInfo {
  const backend = tracingBackend();
  const { graph } = backend;
  const { inputShape } = attributes;
  const { padInfo, strideHeight, strideWidth } = convInfo(inputShape, filter.shape, attributes);
  const [rows, columns] = filter.shape;
  const weights = backend.plain(filter);
  if (strideHeight === 1 && strideWidth === 1) {
    // A convolution with the filter turned by 180 degrees and its channels exchanged.
    const from = [-1, -1];
    const to = [-1 - rows, -1 - columns];
    const turned = graph.node('Slice', [weights, ...[from, to, [0, 1], [-1, -1]].map((v) => graph.integersOf(v))]);
    const exchanged = graph.node('Transpose', [turned], { perm: [2, 3, 0, 1] });
    const dx = graph.node('Conv', [backend.nchw(dy), exchanged], {
      kernel_shape: [rows, columns],
      pads: [
        rows - 1 - padInfo.top,
        columns - 1 - padInfo.left,
        rows - 1 - padInfo.bottom,
        columns - 1 - padInfo.right,
      ],
    });
    return backend.resultNchw(dx, inputShape);
  }
  // Input rows and columns that no output window reached get output_padding; ONNX re-derives pads from output_shape.
  const reach = (size: number, kernel: number, stride: number, before: number, after: number, input: number) =>
    input - ((size - 1) * stride + kernel - before - after);
  const extraRows = reach(dy.shape[1], rows, strideHeight, padInfo.top, padInfo.bottom, inputShape[1]);
  const extraColumns = reach(dy.shape[2], columns, strideWidth, padInfo.left, padInfo.right, inputShape[2]);
  const dx = graph.node(
    'ConvTranspose',
    [backend.nchw(dy), graph.node('Transpose', [weights], { perm: [3, 2, 0, 1] })],
    {
      kernel_shape: [rows, columns],
      strides: [strideHeight, strideWidth],
      pads: [padInfo.top, padInfo.left, padInfo.bottom, padInfo.right],
      output_padding: [extraRows, extraColumns],
    },
  );
  return backend.resultNchw(dx, inputShape);
}

/** One matrix product per filter position: (input shifted to it)^T dy. */
function convBackpropFilter(
  { x, dy }: KernelInputs,
  attributes: ConvAttributes & { filterShape: number[] },
): tf.TensorInfo {
  const backend = tracingBackend();
  const { graph } = backend;
  const { filterShape } = attributes;
  const { padInfo, strideHeight, strideWidth } = convInfo(x.shape, filterShape, attributes);
  const [batch, , , inChannels] = x.shape;
  const [, outRows, outColumns, outChannels] = dy.shape;
  const positions = batch * outRows * outColumns;
  const asMatrix = (name: ValueName, columns: number) =>
    graph.node('Reshape', [name, graph.integersOf([positions, columns])]);
  const gradient = asMatrix(backend.plain(dy), outChannels);
  const { top, left, bottom, right } = padInfo;
  const padded =
    top || left || bottom || right
      ? graph.node('Pad', [backend.plain(x), graph.integersOf([0, top, left, 0, 0, bottom, right, 0])])
      : backend.plain(x);
  const products: ValueName[] = [];
  for (let row = 0; row < filterShape[0]; row++) {
    for (let column = 0; column < filterShape[1]; column++) {
      const ends = [row + (outRows - 1) * strideHeight + 1, column + (outColumns - 1) * strideWidth + 1];
      const bounds = [[row, column], ends, [1, 2], [strideHeight, strideWidth]].map((v) => graph.integersOf(v));
      const shifted = graph.node('Slice', [padded, ...bounds]);
      products.push(graph.node('Gemm', [asMatrix(shifted, inChannels), gradient], { transA: 1 }));
    }
  }
  const joined = products.length > 1 ? graph.node('Concat', products, { axis: 0 }) : products[0];
  return backend.result(graph.node('Reshape', [joined, graph.integersOf(filterShape)]), filterShape);
}

function matMul(
  { a, b }: KernelInputs,
  { transposeA, transposeB }: { transposeA: boolean; transposeB: boolean },
): tf.TensorInfo {
  const backend = tracingBackend();
  const { graph } = backend;
  const rank = a.shape.length;
  const rows = a.shape[transposeA ? rank - 1 : rank - 2];
  const columns = b.shape[transposeB ? b.shape.length - 2 : b.shape.length - 1];
  const batch = tf.broadcast_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const shape = [...batch, rows, columns];
  if (batch.every((size) => size === 1) && a.shape.length === b.shape.length) {
    const flat = (x: tf.TensorInfo) => graph.node('Reshape', [backend.plain(x), graph.integersOf(x.shape.slice(-2))]);
    const product = graph.node('Gemm', [flat(a), flat(b)], { transA: +transposeA, transB: +transposeB });
    return backend.result(graph.node('Reshape', [product, graph.integersOf(shape)]), shape);
  }
  const operand = (x: tf.TensorInfo, transpose: boolean) => {
    if (!transpose) return backend.plain(x);
    const perm = x.shape.map((_, i) => i);
    perm.push(...perm.splice(-2).reverse());
    return graph.node('Transpose', [backend.plain(x)], { perm });
  };
  return backend.result(graph.node('MatMul', [operand(a, transposeA), operand(b, transposeB)]), shape);
}

function groupNorm(
  { x, gamma, beta }: KernelInputs,
  { groups, epsilon }: { groups: number; epsilon: number },
): tf.TensorInfo {
  const backend = tracingBackend();
  const { graph } = backend;
  const [batch, height, width, channels] = x.shape;
  const grouped = graph.node('Reshape', [backend.nchw(x), graph.integersOf([batch, groups, -1])]);
  const ones = graph.floats([groups], new Float32Array(groups).fill(1));
  const zeros = graph.floats([groups], new Float32Array(groups));
  const normal = graph.node('InstanceNormalization', [grouped, ones, zeros], { epsilon });
  const restored = graph.node('Reshape', [normal, graph.integersOf([batch, channels, height, width])]);
  const perChannel = (v: tf.TensorInfo) =>
    graph.node('Reshape', [backend.plain(v), graph.integersOf([channels, 1, 1])]);
  const scaled = graph.node('Mul', [restored, perChannel(gamma)]);
  return backend.resultNchw(graph.node('Add', [scaled, perChannel(beta)]), x.shape);
}

function upsampleNearest({ x }: KernelInputs): tf.TensorInfo {
  const backend = tracingBackend();
  const { graph } = backend;
  const [batch, height, width, channels] = x.shape;
  const sizes = graph.integersOf([batch, channels, 2 * height, 2 * width]);
  const y = graph.node('Resize', [backend.nchw(x), '', '', sizes], {
    mode: 'nearest',
    coordinate_transformation_mode: 'asymmetric',
    nearest_mode: 'floor',
  });
  return backend.resultNchw(y, [batch, 2 * height, 2 * width, channels]);
}
