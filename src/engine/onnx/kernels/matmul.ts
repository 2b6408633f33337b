/** Matrix products. A factor that lies transposed in memory is multiplied as it lies. */
import * as tf from '@tensorflow/tfjs-core';
import { type GraphValue, MICROSOFT_DOMAIN } from '../graph.js';
import { identityOrder, sameNumbers } from '../shapes.js';
import type { TracingBackend } from '../tracing-backend.js';
import { defineKernel } from './define.js';

/** Registers this family. */
export function defineMatMulKernels(): void {
  defineKernel(tf.BatchMatMul, (backend, { a, b }, { transposeA, transposeB }) => {
    const left = factor(backend, a, transposeA);
    const right = factor(backend, b, transposeB);
    const batch = tf.backend_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
    const rows = a.shape.at(transposeA ? -1 : -2)!;
    const columns = b.shape.at(transposeB ? -2 : -1)!;
    const shape = [...batch, rows, columns];
    const order = identityOrder(shape.length);
    // If the right factor lies transposed, C' = B'A' continues that order: attention's values come from NCHW and
    // their weighted sums are wanted as NCHW.
    if (liesTransposed(backend, b) && !liesTransposed(backend, a)) {
      const swapped = [...order.slice(0, -2), order.length - 1, order.length - 2];
      const dims = [...batch, columns, rows];
      return backend.make(product(backend, flip(right), flip(left), dims), shape, swapped);
    }
    return backend.make(product(backend, left, right, shape), shape, order);
  });
}

interface Factor {
  readonly value: GraphValue;
  readonly transposed: boolean;
}

/** A tensor as one factor: its memory, and whether that is the transpose of the matrix that is meant. */
function factor(backend: TracingBackend, info: tf.TensorInfo, transpose: boolean): Factor {
  const swapped = liesTransposed(backend, info);
  const value = swapped ? backend.get(info).value : backend.arranged(info);
  return { value, transposed: swapped !== Boolean(transpose) };
}

function flip({ value, transposed }: Factor): Factor {
  return { value, transposed: !transposed };
}

/** Whether exactly the last two axes lie swapped in memory. */
function liesTransposed(backend: TracingBackend, info: tf.TensorInfo): boolean {
  const { order, value } = backend.get(info);
  const rank = order.length;
  return !value.data && sameNumbers(order, [...identityOrder(rank).slice(0, -2), rank - 1, rank - 2]);
}

function product(backend: TracingBackend, left: Factor, right: Factor, dims: readonly number[]): GraphValue {
  const { graph } = backend;
  const output = { dims, type: 'float32' } as const;
  const inputs = [left.value, right.value];
  if (!left.transposed && !right.transposed) return graph.node('MatMul', inputs, output);
  const attributes = { transA: Number(left.transposed), transB: Number(right.transposed) };
  if (dims.length === 2) return graph.node('Gemm', inputs, output, attributes);
  return graph.node('FusedMatMul', inputs, output, attributes, MICROSOFT_DOMAIN);
}
