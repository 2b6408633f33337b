/** Kernels that move elements and compute nothing: reshape, transpose, slice, concatenate, pad, repeat. */
import * as tf from '@tensorflow/tfjs-core';
import { identityOrder, reshapeOrder } from '../shapes.js';
import type { TracedTensor, TracingBackend } from '../tracing-backend.js';
import { defineKernel } from './define.js';

/** Registers this family. */
export function defineArrangementKernels(): void {
  defineKernel(tf.Reshape, (backend, { x }, { shape }) => {
    const size = tf.util.sizeFromShape(x.shape);
    return reshape(backend, x, tf.util.inferFromImplicitShape(shape, size));
  });
  defineKernel(tf.ExpandDims, (backend, { input }, { dim }) => {
    const at = dim < 0 ? input.shape.length + dim + 1 : dim;
    return reshape(backend, input, input.shape.toSpliced(at, 0, 1));
  });
  defineKernel(tf.Transpose, (backend, { x }, { perm }) => {
    const { value, order } = backend.get(x);
    return backend.make(
      value,
      perm.map((axis: number) => x.shape[axis]),
      order.map((axis) => perm.indexOf(axis)),
    );
  });
  defineJoins();
  defineCuts();
  defineKernel(tf.PadV2, (backend, { x }, { paddings, constantValue }) => {
    const pads: [number, number][] = paddings;
    const shape = x.shape.map((d, axis) => d + pads[axis][0] + pads[axis][1]);
    const traced = backend.get(x);
    const inMemory = traced.order.map((axis) => pads[axis]);
    const amounts = backend.graph.indices([...inMemory.map(([before]) => before), ...inMemory.map(([, after]) => after)]);
    return inOrder(backend, traced, shape, 'Pad', [amounts, backend.graph.scalar(constantValue)]);
  });
  defineKernel(tf.Tile, (backend, { x }, { reps }) => {
    const traced = backend.get(x);
    const repeats = backend.graph.indices(traced.order.map((axis) => reps[axis]));
    return inOrder(
      backend,
      traced,
      x.shape.map((d, axis) => d * reps[axis]),
      'Tile',
      [repeats],
    );
  });
  defineKernel(tf.BroadcastTo, (backend, { x }, { shape }) => {
    const missing = shape.length - x.shape.length;
    const traced = backend.get(reshape(backend, x, [...new Array(missing).fill(1), ...x.shape]));
    const dims = backend.graph.indices(traced.order.map((axis) => shape[axis]));
    return inOrder(backend, traced, shape, 'Expand', [dims]);
  });
}

/** The result of a node that keeps the order of memory of its input. */
function inOrder(
  backend: TracingBackend,
  { value, order }: TracedTensor,
  shape: readonly number[],
  op: string,
  more: Parameters<TracingBackend['graph']['node']>[1],
): tf.TensorInfo {
  const dims = order.map((axis) => shape[axis]);
  return backend.make(backend.graph.node(op, [value, ...more], { dims, type: value.type }), shape, order);
}

/** Reshapes without moving elements where the order of memory allows, else from the logical order. */
export function reshape(backend: TracingBackend, x: tf.TensorInfo, shape: readonly number[]): tf.TensorInfo {
  const traced = backend.get(x);
  const kept = reshapeOrder(x.shape, traced.order, shape);
  const order = kept ?? identityOrder(shape.length);
  const value = kept ? traced.value : backend.arranged(x);
  const dims = order.map((axis) => shape[axis]);
  return backend.make(backend.graph.reshape(value, dims), shape, order);
}

function defineJoins(): void {
  defineKernel(tf.Concat, (backend, inputs, { axis }) => {
    const infos = Object.values(inputs).filter((info) => tf.util.sizeFromShape(info.shape) > 0);
    return concat(backend, infos, tf.util.parseAxisParam(axis, infos[0].shape)[0]);
  });
  defineKernel(tf.Pack, (backend, inputs, { axis }) => {
    const infos = Object.values(inputs);
    const at = axis < 0 ? infos[0].shape.length + axis + 1 : axis;
    const expanded = infos.map((info) => reshape(backend, info, info.shape.toSpliced(at, 0, 1)));
    return concat(backend, expanded, at);
  });
}

function concat(backend: TracingBackend, infos: readonly tf.TensorInfo[], axis: number): tf.TensorInfo {
  const { order, value } = infos.map((info) => backend.get(info)).find((traced) => !traced.value.data) ?? backend.get(infos[0]);
  const values = infos.map((info) => backend.arranged(info, order));
  const shape = infos[0].shape.with(
    axis,
    infos.reduce((sum, info) => sum + info.shape[axis], 0),
  );
  const dims = order.map((a) => shape[a]);
  const attributes = { axis: order.indexOf(axis) };
  return backend.make(backend.graph.node('Concat', values, { dims, type: value.type }, attributes), shape, order);
}

function defineCuts(): void {
  defineKernel(tf.Slice, (backend, { x }, { begin, size }) => {
    const [starts, sizes] = tf.slice_util.parseSliceParams(x as tf.Tensor, begin, size);
    return slice(backend, x, starts, sizes);
  });
  defineKernel(tf.SplitV, (backend, { x }, { numOrSizeSplits, axis }) => {
    const at = tf.util.parseAxisParam(axis, x.shape)[0];
    const sizes = tf.backend_util.prepareSplitSize(x as tf.Tensor, numOrSizeSplits, at);
    return split(backend, x, sizes, at);
  });
  defineKernel(tf.Unpack, (backend, { value }, { axis }) => {
    const at = tf.util.parseAxisParam(axis, value.shape)[0];
    const parts = split(backend, value, new Array(value.shape[at]).fill(1), at);
    return parts.map((part) => reshape(backend, part, part.shape.toSpliced(at, 1)));
  });
  defineKernel(tf.Reverse, (backend, { x }, { dims }) => {
    const traced = backend.get(x);
    const axes = tf.util.parseAxisParam(dims, x.shape).map((axis) => traced.order.indexOf(axis));
    const backwards = axes.map(() => -1);
    const past = axes.map((axis) => -traced.value.dims[axis] - 1);
    const { graph } = backend;
    return inOrder(backend, traced, x.shape, 'Slice', [
      graph.indices(backwards),
      graph.indices(past),
      graph.indices(axes),
      graph.indices(backwards),
    ]);
  });
}

function slice(backend: TracingBackend, x: tf.TensorInfo, starts: number[], sizes: number[]): tf.TensorInfo {
  const traced = backend.get(x);
  const cut = traced.order.map((axis, i) => [i, axis]).filter(([, axis]) => sizes[axis] !== x.shape[axis]);
  if (cut.length === 0) return backend.make(traced.value, x.shape, traced.order);
  const { graph } = backend;
  return inOrder(backend, traced, sizes, 'Slice', [
    graph.indices(cut.map(([, axis]) => starts[axis])),
    graph.indices(cut.map(([, axis]) => starts[axis] + sizes[axis])),
    graph.indices(cut.map(([i]) => i)),
  ]);
}

function split(backend: TracingBackend, x: tf.TensorInfo, sizes: readonly number[], axis: number): tf.TensorInfo[] {
  const { value, order } = backend.get(x);
  const shapes = sizes.map((size) => x.shape.with(axis, size));
  const outputs = shapes.map((shape) => ({ dims: order.map((a) => shape[a]), type: value.type }));
  const attributes = { axis: order.indexOf(axis) };
  const parts = backend.graph.multiNode('Split', [value, backend.graph.indices(sizes)], outputs, attributes);
  return parts.map((part, i) => backend.make(part, shapes[i], order));
}
