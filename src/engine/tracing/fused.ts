/** The fused operations of `ops.ts`. */
import * as tf from '@tensorflow/tfjs-core';
import {
  GROUP_NORM_GRADIENT_KERNEL,
  GROUP_NORM_KERNEL,
  SILU_GRADIENT_KERNEL,
  SILU_KERNEL,
  UPSAMPLE_GRADIENT_KERNEL,
  UPSAMPLE_KERNEL,
} from '../ops.js';
import { tracingBackend } from './backend.js';
import type { ValueName } from './graph.js';
import { type KernelInputs, registerKernel } from './register.js';

export function registerFused(): void {
  registerKernel<KernelInputs, GroupNormAttributes>(GROUP_NORM_KERNEL, groupNorm);
  registerKernel<KernelInputs, { groups: number }>(GROUP_NORM_GRADIENT_KERNEL, groupNormGradient);
  registerKernel(SILU_KERNEL, silu);
  registerKernel(SILU_GRADIENT_KERNEL, siluGradient);
  registerKernel(UPSAMPLE_KERNEL, upsampleNearest);
  registerKernel(UPSAMPLE_GRADIENT_KERNEL, upsampleGradient);
}

interface GroupNormAttributes {
  readonly groups: number;
  readonly epsilon: number;
  readonly training: boolean;
}

function groupNorm({ x, gamma, beta }: KernelInputs, attributes: GroupNormAttributes): tf.TensorInfo[] {
  const backend = tracingBackend();
  const { graph } = backend;
  const { groups, epsilon, training } = attributes;
  const [batch, height, width, channels] = x.shape;
  const { normal, inverse } = training ? normalizeWithDeviation(x, groups, epsilon) : normalize(x, groups, epsilon);
  const restored = graph.node('Reshape', [normal, graph.integersOf([batch, channels, height, width])]);
  const perChannel = (v: tf.TensorInfo) =>
    graph.node('Reshape', [backend.plain(v), graph.integersOf([channels, 1, 1])]);
  const scaled = graph.node('Mul', [restored, perChannel(gamma)]);
  const y = backend.resultNchw(graph.node('Add', [scaled, perChannel(beta)]), x.shape);
  if (inverse === undefined) return [y];
  return [y, backend.resultNchw(restored, x.shape), backend.result(inverse, [batch, 1, groups, 1])];
}

function normalize(x: tf.TensorInfo, groups: number, epsilon: number): { normal: ValueName; inverse?: ValueName } {
  const backend = tracingBackend();
  const { graph } = backend;
  const grouped = graph.node('Reshape', [backend.nchw(x), graph.integersOf([x.shape[0], groups, -1])]);
  const ones = graph.floats([groups], new Float32Array(groups).fill(1));
  const zeros = graph.floats([groups], new Float32Array(groups));
  return { normal: graph.node('InstanceNormalization', [grouped, ones, zeros], { epsilon }) };
}

/** Normalises each group as one layer. Slower and less exact than InstanceNormalization, but it also gives 1 / deviation. */
function normalizeWithDeviation(x: tf.TensorInfo, groups: number, epsilon: number) {
  const backend = tracingBackend();
  const { graph } = backend;
  const rows = x.shape[0] * groups;
  const size = tf.util.sizeFromShape(x.shape) / rows;
  const grouped = graph.node('Reshape', [backend.nchw(x), graph.integersOf([rows, size])]);
  const ones = graph.floats([size], new Float32Array(size).fill(1));
  const [normal, , deviation] = graph.nodeOutputs('LayerNormalization', [grouped, ones], { axis: 1, epsilon }, 3);
  const inverse = graph.node('Reshape', [deviation, graph.integersOf([x.shape[0], 1, groups, 1])]);
  return { normal, inverse };
}

/** dx = gamma inverse dy - inverse mean(gamma dy) - normal inverse mean(gamma dy normal), in as few passes as possible. */
function groupNormGradient(
  { dy, normal, inverse, gamma }: KernelInputs,
  { groups }: { groups: number },
): tf.TensorInfo[] {
  const backend = tracingBackend();
  const { graph } = backend;
  const [batch, height, width, channels] = dy.shape;
  const groupChannels = channels / groups;
  const reshape = (name: ValueName, shape: number[]) => graph.node('Reshape', [name, graph.integersOf(shape)]);
  const planes = (tensor: tf.TensorInfo) => reshape(backend.nchw(tensor), [batch * channels, height * width]);
  const sum = (name: ValueName, axis: number) =>
    graph.node('ReduceSum', [name, graph.integersOf([axis])], { keepdims: 0 });
  const multiply = (a: ValueName, b: ValueName) => graph.node('Mul', [a, b]);

  const dyPlanes = planes(dy);
  const normalPlanes = planes(normal);
  const sums = reshape(sum(dyPlanes, 1), [batch, channels]);
  const products = reshape(sum(multiply(dyPlanes, normalPlanes), 1), [batch, channels]);
  const scale = backend.plain(gamma);
  const perGroup = [batch, groups, 1];
  const deviation = reshape(backend.plain(inverse), perGroup);
  const weight = graph.floats([], Float32Array.of(-1 / (groupChannels * height * width)));
  /** For each channel, -inverse / L times the group's sum of gamma times the given value per channel. */
  const groupMean = (perChannel: ValueName) => {
    const grouped = reshape(multiply(perChannel, scale), [batch, groups, groupChannels]);
    const total = reshape(sum(grouped, 2), perGroup);
    const each = graph.floats([groupChannels], new Float32Array(groupChannels).fill(1));
    return reshape(multiply(multiply(multiply(total, deviation), weight), each), [batch * channels, 1]);
  };
  const slope = multiply(reshape(scale, [groups, groupChannels]), deviation);
  const scaled = multiply(dyPlanes, reshape(slope, [batch * channels, 1]));
  const shifted = graph.node('Add', [scaled, groupMean(sums)]);
  const dx = graph.node('Add', [shifted, multiply(normalPlanes, groupMean(products))]);
  return [
    backend.resultNchw(reshape(dx, [batch, channels, height, width]), dy.shape),
    backend.result(sum(products, 0), gamma.shape),
    backend.result(sum(sums, 0), gamma.shape),
  ];
}

/** Activations keep the layout of their input. */
function like(x: tf.TensorInfo, apply: (name: (tensor: tf.TensorInfo) => ValueName) => ValueName): tf.TensorInfo {
  const backend = tracingBackend();
  return backend.isNchw(x)
    ? backend.resultNchw(
        apply((tensor) => backend.nchw(tensor)),
        x.shape,
      )
    : backend.result(
        apply((tensor) => backend.plain(tensor)),
        x.shape,
      );
}

function silu({ x }: KernelInputs): tf.TensorInfo {
  return like(x, (name) => tracingBackend().graph.contrib('QuickGelu', [name(x)], { alpha: 1 }));
}

/** dy (y + s (1 - y)) = dy (s + y (1 - s)). */
function siluGradient({ dy, x, y }: KernelInputs): tf.TensorInfo {
  const { graph } = tracingBackend();
  return like(x, (name) => {
    const one = graph.floats([], Float32Array.of(1));
    const rest = graph.node('Mul', [graph.node('Sigmoid', [name(x)]), graph.node('Sub', [one, name(y)])]);
    return graph.node('Mul', [name(dy), graph.node('Add', [rest, name(y)])]);
  });
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

/** The sum of each 2x2 window. */
function upsampleGradient({ dy }: KernelInputs): tf.TensorInfo {
  const backend = tracingBackend();
  const { graph } = backend;
  const [batch, height, width, channels] = dy.shape;
  const mean = graph.node('AveragePool', [backend.nchw(dy)], { kernel_shape: [2, 2], strides: [2, 2] });
  const sum = graph.node('Mul', [mean, graph.floats([], Float32Array.of(4))]);
  return backend.resultNchw(sum, [batch, height / 2, width / 2, channels]);
}
