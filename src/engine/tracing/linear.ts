/** Matrix products and softmax. */
import * as tf from '@tensorflow/tfjs-core';
import { CodecError } from '../../common/errors.js';
import { tracingBackend } from './backend.js';
import type { ValueName } from './graph.js';
import { type KernelInputs, registerKernel } from './register.js';

interface MatMulAttributes {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

export function registerLinear(): void {
  registerKernel<KernelInputs, MatMulAttributes>('BatchMatMul', matMul);
  registerKernel<KernelInputs, MatMulAttributes & { activation?: string }>('_FusedMatMul', fusedMatMul);
  registerKernel<{ logits: tf.TensorInfo }, { dim: number }>('Softmax', ({ logits }, { dim }) => {
    const backend = tracingBackend();
    const axis = dim < 0 ? dim + logits.shape.length : dim;
    return backend.result(backend.graph.node('Softmax', [backend.plain(logits)], { axis }), logits.shape);
  });
}

function fusedMatMul(
  { a, b, bias, preluActivationWeights }: KernelInputs,
  attributes: MatMulAttributes & { activation?: string },
): tf.TensorInfo {
  const { activation = 'linear' } = attributes;
  if (activation !== 'linear' || preluActivationWeights) {
    throw new CodecError('engine', `engine onnx fuses matrix products without activation only, got ${activation}`);
  }
  return matMul({ a, b }, attributes, bias);
}

/** @param bias per column, only for a single matrix */
function matMul(
  { a, b }: KernelInputs,
  { transposeA, transposeB }: MatMulAttributes,
  bias?: tf.TensorInfo,
): tf.TensorInfo {
  const backend = tracingBackend();
  const { graph } = backend;
  const rank = a.shape.length;
  const rows = a.shape[transposeA ? rank - 1 : rank - 2];
  const columns = b.shape[transposeB ? b.shape.length - 2 : b.shape.length - 1];
  const batch = tf.broadcast_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const shape = [...batch, rows, columns];
  if (batch.every((size) => size === 1) && a.shape.length === b.shape.length) {
    const matrix = (x: tf.TensorInfo) => reshaped(backend.plain(x), x.shape, x.shape.slice(-2));
    const addend = bias ? [backend.plain(bias)] : [];
    const product = graph.node('Gemm', [matrix(a), matrix(b), ...addend], { transA: +transposeA, transB: +transposeB });
    return backend.result(reshaped(product, [rows, columns], shape), shape);
  }
  const operand = (x: tf.TensorInfo, transpose: boolean) => {
    if (!transpose) return backend.plain(x);
    const perm = x.shape.map((_, i) => i);
    perm.push(...perm.splice(-2).reverse());
    return graph.node('Transpose', [backend.plain(x)], { perm });
  };
  const product = graph.node('MatMul', [operand(a, transposeA), operand(b, transposeB)]);
  return backend.result(bias ? graph.node('Add', [product, backend.plain(bias)]) : product, shape);
}

function reshaped(name: ValueName, from: readonly number[], to: readonly number[]): ValueName {
  const { graph } = tracingBackend();
  return from.length === to.length ? name : graph.node('Reshape', [name, graph.integersOf(to)]);
}
