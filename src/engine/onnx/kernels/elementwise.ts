/** Elementwise kernels: arithmetic, comparisons, functions of one number, casts. */
import * as tf from '@tensorflow/tfjs-core';
import { ELEMENT_TYPE_CODES } from '../encode.js';
import type { ElementType, GraphValue } from '../graph.js';
import { elementType, type TracingBackend } from '../tracing-backend.js';
import { broadcast, defineKernel, unaryNode } from './define.js';

/** tfjs kernel name to ONNX operator. */
const UNARY: Readonly<Record<string, string>> = {
  [tf.Abs]: 'Abs',
  [tf.Ceil]: 'Ceil',
  [tf.Cos]: 'Cos',
  [tf.Erf]: 'Erf',
  [tf.Exp]: 'Exp',
  [tf.Floor]: 'Floor',
  [tf.Identity]: 'Identity',
  [tf.Log]: 'Log',
  [tf.LogicalNot]: 'Not',
  [tf.Neg]: 'Neg',
  [tf.Reciprocal]: 'Reciprocal',
  [tf.Relu]: 'Relu',
  [tf.Round]: 'Round',
  [tf.Sigmoid]: 'Sigmoid',
  [tf.Sign]: 'Sign',
  [tf.Sin]: 'Sin',
  [tf.Softplus]: 'Softplus',
  [tf.Sqrt]: 'Sqrt',
  [tf.Tanh]: 'Tanh',
};

const BINARY: Readonly<Record<string, string>> = {
  [tf.Add]: 'Add',
  [tf.Sub]: 'Sub',
  [tf.Multiply]: 'Mul',
  [tf.RealDiv]: 'Div',
  [tf.Pow]: 'Pow',
  [tf.Maximum]: 'Max',
  [tf.Minimum]: 'Min',
  [tf.LogicalAnd]: 'And',
  [tf.LogicalOr]: 'Or',
};

const COMPARISON: Readonly<Record<string, string>> = {
  [tf.Equal]: 'Equal',
  [tf.Greater]: 'Greater',
  [tf.GreaterEqual]: 'GreaterOrEqual',
  [tf.Less]: 'Less',
  [tf.LessEqual]: 'LessOrEqual',
};

/** Registers this family. */
export function defineElementwiseKernels(): void {
  for (const [kernel, op] of Object.entries(UNARY)) {
    if (op === 'Identity') continue;
    defineKernel(kernel, (backend, { x }) => unaryNode(backend, x, op));
  }
  for (const [kernel, op] of Object.entries(BINARY)) {
    defineKernel(kernel, (backend, { a, b }) => binaryNode(backend, [a, b], op));
  }
  for (const [kernel, op] of Object.entries(COMPARISON)) {
    defineKernel(kernel, (backend, { a, b }) => binaryNode(backend, [a, b], op, 'bool'));
  }
  defineComposites();
  defineCopies();
}

function binaryNode(backend: TracingBackend, infos: tf.TensorInfo[], op: string, type?: ElementType): tf.TensorInfo {
  const { values, shape, order, dims } = broadcast(backend, infos);
  const result = backend.graph.node(op, values, { dims, type: type ?? values[0].type });
  return backend.make(result, shape, order);
}

/** Kernels for which ONNX has no single operator. */
function defineComposites(): void {
  defineKernel(tf.Rsqrt, (backend, { x }) => unaryNode(backend, unaryNode(backend, x, 'Sqrt'), 'Reciprocal'));
  defineKernel(tf.Square, (backend, { x }) => binaryNode(backend, [x, x], 'Mul'));
  defineKernel(tf.SquaredDifference, (backend, { a, b }) => {
    const difference = binaryNode(backend, [a, b], 'Sub');
    return binaryNode(backend, [difference, difference], 'Mul');
  });
  defineKernel(tf.NotEqual, (backend, { a, b }) => unaryNode(backend, binaryNode(backend, [a, b], 'Equal', 'bool'), 'Not'));
  defineKernel(tf.Log1p, (backend, { x }) => unaryNode(backend, addScalar(backend, x, 1), 'Log'));
  defineKernel(tf.Expm1, (backend, { x }) => addScalar(backend, unaryNode(backend, x, 'Exp'), -1));
  defineKernel(tf.Step, (backend, { x }, { alpha }) => {
    const zero = scalar(backend, 0);
    const condition = binaryNode(backend, [x, zero], 'Greater', 'bool');
    return select(backend, condition, scalar(backend, 1), scalar(backend, alpha ?? 0));
  });
  defineKernel(tf.ClipByValue, (backend, { x }, { clipValueMin, clipValueMax }) => {
    const { value, shape, order } = backend.get(x);
    const limits: GraphValue[] = [clipValueMin, clipValueMax].map((limit) => backend.graph.scalar(limit));
    return backend.make(backend.graph.node('Clip', [value, ...limits], value), shape, order);
  });
  defineKernel(tf.Select, (backend, { condition, t, e }) => select(backend, condition, t, e));
}

function select(backend: TracingBackend, condition: tf.TensorInfo, t: tf.TensorInfo, e: tf.TensorInfo): tf.TensorInfo {
  const { values, shape, order, dims } = broadcast(backend, [condition, t, e]);
  return backend.make(backend.graph.node('Where', values, { dims, type: values[1].type }), shape, order);
}

function scalar(backend: TracingBackend, value: number): tf.TensorInfo {
  return backend.make(backend.graph.scalar(value), []);
}

function addScalar(backend: TracingBackend, x: tf.TensorInfo, value: number): tf.TensorInfo {
  return binaryNode(backend, [x, scalar(backend, value)], 'Add');
}

/** Casts, and kernels whose result is known or is their input. */
function defineCopies(): void {
  defineKernel(tf.Identity, (backend, { x }) => {
    const { value, shape, order } = backend.get(x);
    return backend.make(value, shape, order);
  });
  defineKernel(tf.Cast, (backend, { x }, { dtype }) => {
    const type = elementType(dtype);
    const { value, shape, order } = backend.get(x);
    if (value.type === type) return backend.make(value, shape, order);
    return unaryNode(backend, x, 'Cast', { to: ELEMENT_TYPE_CODES[type] }, type);
  });
  defineKernel(tf.Fill, (backend, _, { shape, value, dtype }) => fill(backend, shape, value, dtype ?? 'float32'));
  defineKernel(tf.OnesLike, (backend, { x }) => fill(backend, x.shape, 1, x.dtype));
  defineKernel(tf.ZerosLike, (backend, { x }) => fill(backend, x.shape, 0, x.dtype));
}

function fill(backend: TracingBackend, shape: number[], value: number, dtype: tf.DataType): tf.TensorInfo {
  const values = new Float32Array(tf.util.sizeFromShape(shape)).fill(value);
  return { dataId: backend.write(values, shape, dtype), shape, dtype };
}
