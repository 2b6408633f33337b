/** Convolutions and their gradients. */
import * as tf from '@tensorflow/tfjs-core';
import { CodecError } from '../../common/errors.js';
import { tracingBackend } from './backend.js';
import type { ValueName } from './graph.js';
import { type KernelInputs, registerKernel } from './register.js';

interface ConvAttributes {
  strides: number | [number, number];
  pad: 'valid' | 'same' | number | tf.backend_util.ExplicitPadding;
  dataFormat?: string;
  dilations?: number | [number, number];
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
  activation?: string;
}

export function registerConvolution(): void {
  registerKernel<KernelInputs, ConvAttributes>('Conv2D', conv2d);
  registerKernel<KernelInputs, ConvAttributes>('FusedConv2D', conv2d);
  registerKernel<KernelInputs, ConvAttributes & { inputShape: number[] }>('Conv2DBackpropInput', convBackpropInput);
  registerKernel<KernelInputs, ConvAttributes & { filterShape: number[] }>('Conv2DBackpropFilter', convBackpropFilter);
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

function conv2d({ x, filter, bias, preluActivationWeights }: KernelInputs, attributes: ConvAttributes): tf.TensorInfo {
  const backend = tracingBackend();
  const { padInfo, strideHeight, strideWidth, outShape } = convInfo(x.shape, filter.shape, attributes);
  const { activation = 'linear' } = attributes;
  if (activation !== 'linear' || preluActivationWeights) {
    throw new CodecError('engine', `engine onnx convolves without activation only, got ${activation}`);
  }
  const shift = bias ? [backend.plain(bias)] : [];
  const y = backend.graph.node('Conv', [backend.nchw(x), backend.oihw(filter), ...shift], {
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
  if (strideHeight === 1 && strideWidth === 1) {
    const dx = graph.node('Conv', [backend.nchw(dy), turned(filter)], {
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
  // Input rows and columns that no output window reached become output_padding; ONNX re-derives pads from output_shape.
  const reach = (size: number, kernel: number, stride: number, before: number, after: number, input: number) =>
    input - ((size - 1) * stride + kernel - before - after);
  const extraRows = reach(dy.shape[1], rows, strideHeight, padInfo.top, padInfo.bottom, inputShape[1]);
  const extraColumns = reach(dy.shape[2], columns, strideWidth, padInfo.left, padInfo.right, inputShape[2]);
  const dx = graph.node('ConvTranspose', [backend.nchw(dy), backend.oihw(filter)], {
    kernel_shape: [rows, columns],
    strides: [strideHeight, strideWidth],
    pads: [padInfo.top, padInfo.left, padInfo.bottom, padInfo.right],
    output_padding: [extraRows, extraColumns],
  });
  return backend.resultNchw(dx, inputShape);
}

/** A filter rotated by 180 degrees with input and output channels swapped, as the gradient of a stride-1 convolution needs it. */
function turned(filter: tf.TensorInfo): ValueName {
  const backend = tracingBackend();
  const { graph } = backend;
  const [rows, columns, inChannels, outChannels] = filter.shape;
  const window = rows * columns;
  const reshape = (name: ValueName, shape: number[]) => graph.node('Reshape', [name, graph.integersOf(shape)]);
  const exchanged = graph.node('Transpose', [reshape(backend.oihw(filter), [outChannels, inChannels, window])], {
    perm: [1, 0, 2],
  });
  if (window === 1) return reshape(exchanged, [inChannels, outChannels, 1, 1]);
  // Reversing the window rotates it. Done as a product with a permutation matrix, because ONNX Runtime's Slice and
  // Gather are slow at it.
  const reversal = new Float32Array(window * window);
  for (let i = 0; i < window; i++) reversal[i * window + window - 1 - i] = 1;
  const rowsOfWindows = reshape(exchanged, [inChannels * outChannels, window]);
  const reversed = graph.node('Gemm', [rowsOfWindows, graph.floats([window, window], reversal)]);
  return reshape(reversed, [inChannels, outChannels, rows, columns]);
}

function convBackpropFilter(
  { x, dy }: KernelInputs,
  attributes: ConvAttributes & { filterShape: number[] },
): tf.TensorInfo {
  const { filterShape } = attributes;
  const { padInfo, strideHeight, strideWidth, outShape } = convInfo(x.shape, filterShape, attributes);
  const keepsSize = outShape[1] === x.shape[1] && outShape[2] === x.shape[2];
  return strideHeight === 1 && strideWidth === 1 && keepsSize
    ? filterGradientAtOnce(x, dy, filterShape, padInfo)
    : filterGradientByPosition(x, dy, attributes);
}

/**
 * The gradient with respect to the filter of a stride-1 convolution that keeps the size, as one matrix product: dW[o,
 * i, r, c] = sum over n, h, w of dy[n, o, h - r + top, w] x[n, i, h, w + c - left], with 0 outside the image. dy is
 * shifted only by rows and x only by columns, which takes rows + columns copies in all instead of one per filter
 * position.
 */
function filterGradientAtOnce(
  x: tf.TensorInfo,
  dy: tf.TensorInfo,
  [rows, columns, inChannels, outChannels]: number[],
  { top, left }: { top: number; left: number },
): tf.TensorInfo {
  const backend = tracingBackend();
  const { graph } = backend;
  const positions = x.shape[0] * x.shape[1] * x.shape[2];
  const reshape = (name: ValueName, shape: number[]) => graph.node('Reshape', [name, graph.integersOf(shape)]);
  /** [C, N, H, W] shifted by each offset along H (axis 2) or W (axis 3); zeros are shifted in. */
  const moved = (tensor: tf.TensorInfo, offsets: number[], axis: 2 | 3, joinAt: 0 | 1) => {
    const channelsFirst = graph.node('Transpose', [backend.nchw(tensor)], { perm: [1, 0, 2, 3] });
    const copies = offsets.map((offset) => {
      if (offset === 0) return channelsFirst;
      const pads = [0, 0, 0, 0].with(axis, offset);
      return graph.node('Pad', [channelsFirst, graph.integersOf([...pads, ...pads.map((pad) => -pad)])]);
    });
    return copies.length > 1 ? graph.node('Concat', copies, { axis: joinAt }) : copies[0];
  };
  const byRow = Array.from({ length: rows }, (_, row) => row - top);
  const byColumn = Array.from({ length: columns }, (_, column) => left - column);
  const a = reshape(moved(dy, byRow, 2, 1), [outChannels * rows, positions]);
  const b = reshape(moved(x, byColumn, 3, 0), [columns * inChannels, positions]);
  const product = graph.node('Gemm', [a, b], { transB: 1 });
  const windows = reshape(product, [outChannels, rows * columns, inChannels]);
  const oihw = rows * columns > 1 ? graph.node('Transpose', [windows], { perm: [0, 2, 1] }) : windows;
  return backend.resultOihw(reshape(oihw, [outChannels, inChannels, rows, columns]), [
    rows,
    columns,
    inChannels,
    outChannels,
  ]);
}

/** One matrix product per filter position: (input shifted to it)^T dy. */
function filterGradientByPosition(
  x: tf.TensorInfo,
  dy: tf.TensorInfo,
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
