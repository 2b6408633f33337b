/** Convolutions, their gradients, and nearest-neighbour enlargement, all in NCHW. */
import * as tf from '@tensorflow/tfjs-core';
import type { GraphValue } from '../graph.js';
import type { TracingBackend } from '../tracing-backend.js';
import { defineKernel, type KernelAttributes } from './define.js';

/** Memory order of images: NCHW. */
const CHANNELS_FIRST = [0, 3, 1, 2];
/** Memory order of filters, logically HWIO: OIHW. */
const OUTPUT_FIRST = [3, 2, 0, 1];

type Image = [number, number, number, number];

/** Registers this family. */
export function defineConvolutionKernels(): void {
  defineKernel(tf.Conv2D, (backend, { x, filter }, attributes) => {
    const info = convolution(x.shape, filter.shape, attributes);
    const inputs = [backend.arranged(x, CHANNELS_FIRST), backend.arranged(filter, OUTPUT_FIRST)];
    return image(backend, info.outShape, 'Conv', inputs, nodeAttributes(info));
  });
  defineKernel(tf.Conv2DBackpropInput, (backend, { dy, filter }, attributes) => {
    const info = convolution(attributes.inputShape, filter.shape, attributes);
    return info.strideHeight === 1 && info.strideWidth === 1
      ? inputGradient(backend, dy, filter, info)
      : stridedInputGradient(backend, dy, filter, info);
  });
  defineKernel(tf.Conv2DBackpropFilter, (backend, { x, dy }, attributes) =>
    filterGradient(backend, x, dy, convolution(x.shape, attributes.filterShape, attributes)),
  );
  defineKernel(tf.ResizeNearestNeighbor, (backend, { images }, { size, alignCorners, halfPixelCenters }) => {
    const [batch, height, width, channels] = images.shape;
    if (alignCorners || halfPixelCenters || size[0] % height || size[1] % width) {
      throw new Error('ResizeNearestNeighbor is traced for whole multiples of the size only');
    }
    const shape: Image = [batch, size[0], size[1], channels];
    const dims = backend.graph.indices([batch, channels, size[0], size[1]]);
    return image(backend, shape, 'Resize', [backend.arranged(images, CHANNELS_FIRST), null, null, dims], {
      mode: 'nearest',
      coordinate_transformation_mode: 'asymmetric',
      nearest_mode: 'floor',
    });
  });
}

type Convolution = ReturnType<typeof tf.backend_util.computeConv2DInfo>;

function convolution(inputShape: number[], filterShape: number[], attributes: KernelAttributes): Convolution {
  const { strides, pad, dilations, dimRoundingMode, dataFormat } = attributes;
  if (dataFormat && dataFormat !== 'NHWC') throw new Error(`Convolutions are traced for NHWC only, not ${dataFormat}`);
  const info = tf.backend_util.computeConv2DInfo(
    inputShape as Image,
    filterShape as Image,
    strides,
    dilations ?? 1,
    pad,
    dimRoundingMode,
  );
  if (info.dilationHeight !== 1 || info.dilationWidth !== 1) throw new Error('Dilated convolutions are not traced');
  return info;
}

function nodeAttributes(info: Convolution): Record<string, number[]> {
  const { top, left, bottom, right } = info.padInfo;
  return {
    kernel_shape: [info.filterHeight, info.filterWidth],
    strides: [info.strideHeight, info.strideWidth],
    pads: [top, left, bottom, right],
  };
}

/** An image tensor made by a node. */
function image(
  backend: TracingBackend,
  shape: readonly number[],
  op: string,
  inputs: readonly (GraphValue | null)[],
  attributes: Parameters<TracingBackend['graph']['node']>[3],
): tf.TensorInfo {
  const dims = CHANNELS_FIRST.map((axis) => shape[axis]);
  const value = backend.graph.node(op, inputs, { dims, type: 'float32' }, attributes);
  return backend.make(value, shape, CHANNELS_FIRST);
}

/** Without stride, the gradient is the convolution of dy with the filter turned by 180 degrees and I, O swapped. */
function inputGradient(
  backend: TracingBackend,
  dy: tf.TensorInfo,
  filter: tf.TensorInfo,
  info: Convolution,
): tf.TensorInfo {
  const { graph } = backend;
  const { filterHeight: height, filterWidth: width } = info;
  const { top, left, bottom, right } = info.padInfo;
  const swapped = backend.arranged(filter, [2, 3, 0, 1]);
  const backwards = graph.indices([-1, -1]);
  const turned =
    height * width === 1
      ? swapped
      : graph.node('Slice', [swapped, backwards, graph.indices([-height - 1, -width - 1]), graph.indices([2, 3]), backwards], swapped);
  return image(backend, info.inShape, 'Conv', [backend.arranged(dy, CHANNELS_FIRST), turned], {
    kernel_shape: [height, width],
    pads: [height - 1 - top, width - 1 - left, height - 1 - bottom, width - 1 - right],
  });
}

function stridedInputGradient(
  backend: TracingBackend,
  dy: tf.TensorInfo,
  filter: tf.TensorInfo,
  info: Convolution,
): tf.TensorInfo {
  // Rows and columns that the last stride did not reach get no gradient; ConvTranspose appends them as output padding.
  const reached = (out: number, stride: number, size: number, before: number, after: number) =>
    (out - 1) * stride + size - before - after;
  const { padInfo } = info;
  const missing = [
    info.inHeight - reached(info.outHeight, info.strideHeight, info.filterHeight, padInfo.top, padInfo.bottom),
    info.inWidth - reached(info.outWidth, info.strideWidth, info.filterWidth, padInfo.left, padInfo.right),
  ];
  const inputs = [backend.arranged(dy, CHANNELS_FIRST), backend.arranged(filter, OUTPUT_FIRST)];
  return image(backend, info.inShape, 'ConvTranspose', inputs, { ...nodeAttributes(info), output_padding: missing });
}

/**
 * The filter's gradient: for every filter tap the product of dy with the input shifted to that tap,
 * dW[a,b] = sum over images of X[a,b] dY' with X[a,b] as a (C_in, positions) and dY as a (C_out, positions) matrix.
 */
function filterGradient(
  backend: TracingBackend,
  x: tf.TensorInfo,
  dy: tf.TensorInfo,
  info: Convolution,
): tf.TensorInfo {
  const { graph } = backend;
  const { batchSize, inChannels, outChannels, outHeight, outWidth, filterHeight, filterWidth } = info;
  const { top, left, bottom, right } = info.padInfo;
  const positions = outHeight * outWidth;
  const input = backend.arranged(x, CHANNELS_FIRST);
  const padded =
    top + left + bottom + right === 0
      ? input
      : graph.node('Pad', [input, graph.indices([0, 0, top, left, 0, 0, bottom, right])], {
          dims: [batchSize, inChannels, info.inHeight + top + bottom, info.inWidth + left + right],
          type: 'float32',
        });
  const output = (dims: number[]) => ({ dims, type: 'float32' }) as const;
  const positionsFirst = (value: GraphValue, channels: number) =>
    graph.reshape(graph.transpose(value, [0, 2, 3, 1]), [batchSize * positions, channels]);
  const gradient = positionsFirst(backend.arranged(dy, CHANNELS_FIRST), outChannels);
  const channelsLast = graph.transpose(padded, [0, 2, 3, 1]);
  const taps: GraphValue[] = [];
  for (let a = 0; a < filterHeight; a++) {
    for (let b = 0; b < filterWidth; b++) {
      const ends = [a + (outHeight - 1) * info.strideHeight + 1, b + (outWidth - 1) * info.strideWidth + 1];
      const steps = [info.strideHeight, info.strideWidth];
      const shifted = graph.node(
        'Slice',
        [channelsLast, graph.indices([a, b]), graph.indices(ends), graph.indices([1, 2]), graph.indices(steps)],
        output([batchSize, outHeight, outWidth, inChannels]),
      );
      const matrix = graph.reshape(shifted, [batchSize * positions, inChannels]);
      taps.push(graph.node('Gemm', [matrix, gradient], output([inChannels, outChannels]), { transA: 1 }));
    }
  }
  const all =
    taps.length === 1
      ? taps[0]
      : graph.node('Concat', taps, output([taps.length * inChannels, outChannels]), { axis: 0 });
  const shape = [filterHeight, filterWidth, inChannels, outChannels];
  return backend.make(graph.reshape(all, shape), shape);
}
