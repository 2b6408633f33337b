/** Kernels that reduce axes, and the softmax. */
import * as tf from '@tensorflow/tfjs-core';
import { identityOrder } from '../shapes.js';
import type { TracingBackend } from '../tracing-backend.js';
import { defineKernel } from './define.js';

type ReduceOp = 'ReduceSum' | 'ReduceMean' | 'ReduceMax' | 'ReduceMin' | 'ReduceProd';

/** Registers this family. */
export function defineReductionKernels(): void {
  defineKernel(tf.Sum, (backend, { x }, { axis, keepDims }) => reduce(backend, x, 'ReduceSum', axis, keepDims));
  defineKernel(tf.Mean, (backend, { x }, { axis, keepDims }) => reduce(backend, x, 'ReduceMean', axis, keepDims));
  defineKernel(tf.Prod, (backend, { x }, { axis, keepDims }) => reduce(backend, x, 'ReduceProd', axis, keepDims));
  defineKernel(tf.Max, (backend, { x }, { reductionIndices, keepDims }) =>
    reduce(backend, x, 'ReduceMax', reductionIndices, keepDims),
  );
  defineKernel(tf.Min, (backend, { x }, { axis, keepDims }) => reduce(backend, x, 'ReduceMin', axis, keepDims));
  defineKernel(tf.Softmax, (backend, { logits }, { dim }) => alongLast(backend, logits, dim, 'Softmax'));
  defineKernel(tf.LogSoftmax, (backend, { logits }, { axis }) => alongLast(backend, logits, axis, 'LogSoftmax'));
}

/** Reduces the given axes, or all of them if there are none given. */
export function reduce(
  backend: TracingBackend,
  x: tf.TensorInfo,
  op: ReduceOp,
  axis: number | number[],
  keepDims: boolean | undefined,
): tf.TensorInfo {
  const axes = tf.util.parseAxisParam(axis, x.shape);
  const { value, order } = backend.get(x);
  if (axes.length === 0) return backend.make(value, x.shape, order);
  const inMemory = axes.map((a) => order.indexOf(a)).sort((a, b) => a - b);
  const kept = identityOrder(x.shape.length).filter((a) => !axes.includes(a));
  const shape = keepDims ? x.shape.map((d, a) => (axes.includes(a) ? 1 : d)) : kept.map((a) => x.shape[a]);
  const resultOrder = keepDims ? order : order.filter((a) => !axes.includes(a)).map((a) => kept.indexOf(a));
  const output = { dims: resultOrder.map((a) => shape[a]), type: value.type };
  const keepdims = keepDims ? 1 : 0;
  // Of operator set 17's reductions only ReduceSum takes its axes as an input.
  const result =
    op === 'ReduceSum'
      ? backend.graph.node(op, [value, backend.graph.indices(inMemory)], output, { keepdims })
      : backend.graph.node(op, [value], output, { axes: inMemory, keepdims });
  return backend.make(result, shape, resultOrder);
}

/** A node that works along the axis that lies last in memory: ONNX Runtime would transpose for any other. */
function alongLast(backend: TracingBackend, x: tf.TensorInfo, axis: number, op: string): tf.TensorInfo {
  const along = tf.util.parseAxisParam(axis, x.shape)[0];
  const order = [...backend.get(x).order.filter((a) => a !== along), along];
  const value = backend.arranged(x, order);
  const attributes = { axis: order.length - 1 };
  return backend.make(backend.graph.node(op, [value], value, attributes), x.shape, order);
}
