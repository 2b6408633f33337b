/** How kernels of the tracing backend are registered, and the helpers that several families share. */
import * as tf from '@tensorflow/tfjs-core';
import type { AttributeValue, ElementType, GraphValue } from '../graph.js';
import { identityOrder, sameNumbers } from '../shapes.js';
import { TRACING_BACKEND, type TracedTensor, type TracingBackend } from '../tracing-backend.js';

export type KernelInputs = Readonly<Record<string, tf.TensorInfo>>;
/** Attributes as tfjs passes them; each kernel knows its own. */
// biome-ignore lint/suspicious/noExplicitAny: tfjs does not type attributes
export type KernelAttributes = Readonly<Record<string, any>>;
export type TracedKernel = (
  backend: TracingBackend,
  inputs: KernelInputs,
  attributes: KernelAttributes,
) => tf.TensorInfo | tf.TensorInfo[];

const registered = new Set<string>();

/** Registers a kernel for the tracing backend. */
export function defineKernel(kernelName: string, trace: TracedKernel): void {
  if (registered.has(kernelName)) throw new Error(`Kernel ${kernelName} is defined twice`);
  registered.add(kernelName);
  tf.registerKernel({
    kernelName,
    backendName: TRACING_BACKEND,
    kernelFunc: ({ inputs, backend, attrs }) =>
      trace(backend as TracingBackend, inputs as KernelInputs, (attrs ?? {}) as KernelAttributes),
  });
}

/** The one node that most kernels are: elementwise on one input, keeping its order of memory. */
export function unaryNode(
  backend: TracingBackend,
  x: tf.TensorInfo,
  op: string,
  attributes: Readonly<Record<string, AttributeValue>> = {},
  type?: ElementType,
): tf.TensorInfo {
  const { value, shape, order } = backend.get(x);
  const result = backend.graph.node(op, [value], { dims: value.dims, type: type ?? value.type }, attributes);
  return backend.make(result, shape, order);
}

/** Operands of a broadcasting node, brought into one order of memory, and the shape and order of its result. */
export interface Broadcast {
  readonly values: readonly GraphValue[];
  readonly shape: readonly number[];
  readonly order: readonly number[];
  /** Dimensions of the result in memory. */
  readonly dims: readonly number[];
}

/** Brings operands into the order of memory of the largest one, so that the least is moved. */
export function broadcast(backend: TracingBackend, infos: readonly tf.TensorInfo[]): Broadcast {
  const shape = infos
    .map((info) => info.shape)
    .reduce((a, b) => tf.backend_util.assertAndGetBroadcastShape(a, b));
  const order = broadcastOrder(
    infos.map((info) => backend.get(info)),
    shape.length,
  );
  const values = infos.map((info) => {
    const missing = shape.length - info.shape.length;
    const own = order.filter((axis) => axis >= missing).map((axis) => axis - missing);
    const value = backend.arranged(info, own);
    // Axes in front of the longest are implied; those that the order puts among the others must be spelled out.
    const dims = order.map((axis) => (axis < missing ? 1 : info.shape[axis - missing]));
    const lead = dims.findIndex((d) => d !== 1);
    const isConstant = value.data !== undefined;
    return backend.graph.reshape(value, isConstant && lead > 0 ? dims.slice(lead) : lead < 0 && isConstant ? [] : dims);
  });
  return { values, shape, order, dims: order.map((axis) => shape[axis]) };
}

function broadcastOrder(tensors: readonly TracedTensor[], rank: number): readonly number[] {
  const full = tensors.filter(({ shape }) => shape.length === rank);
  const size = (tensor: TracedTensor) => tensor.value.dims.reduce((a, b) => a * b, 1);
  // Constants follow at no cost; among tensors of one size a deliberate order wins over the logical one.
  const rating = (tensor: TracedTensor) =>
    (tensor.value.data ? 0 : 2 * size(tensor)) + (sameNumbers(tensor.order, identityOrder(rank)) ? 0 : 1);
  return full.reduce((best, tensor) => (rating(tensor) > rating(best) ? tensor : best)).order;
}
