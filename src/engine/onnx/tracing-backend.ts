/**
 * A TensorFlow.js backend that computes nothing: its kernels append nodes to a graph.
 *
 * A tensor's logical shape is TensorFlow's (images as NHWC). Its axes may lie in memory in any order: convolutions produce
 * NCHW, and everything up to the next operation that cares works on that order as it is. Transposing is therefore free
 * here, and most graphs need no Transpose but at their inputs and outputs.
 */
import * as tf from '@tensorflow/tfjs-core';
import { type ElementArray, type ElementType, Graph, type GraphValue } from './graph.js';
import { identityOrder, sameNumbers } from './shapes.js';

export const TRACING_BACKEND = 'ddpm-codec-tracer';

/** A tensor that is traced: `value` holds the axes of `shape` in the order `order`. */
export interface TracedTensor {
  readonly shape: readonly number[];
  readonly order: readonly number[];
  readonly value: GraphValue;
}

export class TracingBackend extends tf.KernelBackend {
  readonly graph = new Graph();
  private readonly tensors: tf.DataStorage<TracedTensor>;

  constructor() {
    super();
    this.tensors = new tf.DataStorage<TracedTensor>(this, tf.engine());
  }

  /** The traced form of a tensor. */
  get(info: tf.TensorInfo): TracedTensor {
    const traced = this.tensors.get(info.dataId);
    // Reshape and Identity in tfjs may give one data id several shapes; only ours make tensors here, with one each.
    if (!sameNumbers(traced.shape, info.shape)) throw new Error(`Traced [${traced.shape}], used as [${info.shape}]`);
    return traced;
  }

  /** A tensor for tfjs whose memory holds `value`; `order` defaults to the logical one. */
  make(value: GraphValue, shape: readonly number[], order: readonly number[] = identityOrder(shape.length)): tf.TensorInfo {
    const dataId = {};
    this.tensors.set(dataId, { value, shape, order });
    return { dataId, shape: [...shape], dtype: tensorType(value.type) };
  }

  /** The graph value with the axes of the tensor in this order of memory. */
  arranged(info: tf.TensorInfo, order: readonly number[] = identityOrder(info.shape.length)): GraphValue {
    const traced = this.get(info);
    return this.graph.transpose(
      traced.value,
      order.map((axis) => traced.order.indexOf(axis)),
    );
  }

  override write(values: tf.BackendValues, shape: number[], dtype: tf.DataType): tf.DataId {
    const type = elementType(dtype);
    const data = toElements(values, type);
    return this.make(this.graph.constant(data, shape, type), shape).dataId;
  }

  override move(): void {
    throw new Error('A traced function used a tensor made outside of it; pass it as an input or a constant');
  }

  override readSync(): never {
    throw new Error('A traced function read the values of a tensor; only shapes are known while tracing');
  }

  override read(): never {
    return this.readSync();
  }

  override numDataIds(): number {
    return this.tensors.numDataIds();
  }

  override disposeData(dataId: tf.DataId): boolean {
    return this.tensors.delete(dataId);
  }

  override memory(): { unreliable: boolean } {
    return { unreliable: true };
  }

  override floatPrecision(): 32 {
    return 32;
  }

  override epsilon(): number {
    return 1e-7;
  }

  override refCount(): number {
    return 1;
  }

  override incRef(): void {}

  override decRef(): boolean {
    return true;
  }

  override dispose(): void {}
}

export function elementType(dtype: tf.DataType): ElementType {
  if (dtype === 'float32' || dtype === 'int32' || dtype === 'bool') return dtype;
  throw new Error(`Tensors of type ${dtype} cannot be traced`);
}

function tensorType(type: ElementType): tf.DataType {
  if (type === 'int64') throw new Error('int64 values are not tensors');
  return type;
}

function toElements(values: tf.BackendValues, type: ElementType): ElementArray {
  const numbers = values as ArrayLike<number>;
  if (type === 'float32') return Float32Array.from(numbers);
  if (type === 'int32') return Int32Array.from(numbers);
  return Uint8Array.from(numbers);
}
