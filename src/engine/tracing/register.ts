/** Registering kernels of the tracing backend. */
import * as tf from '@tensorflow/tfjs-core';
import { TRACING_BACKEND } from './backend.js';

export type KernelInputs = Record<string, tf.TensorInfo>;

/** Registers a function that appends a tfjs kernel to the graph. */
export function registerKernel<Inputs = KernelInputs, Attributes = object>(
  kernelName: string,
  emit: (inputs: Inputs, attributes: Attributes) => tf.TensorInfo | tf.TensorInfo[],
): void {
  tf.registerKernel({
    kernelName,
    backendName: TRACING_BACKEND,
    kernelFunc: ({ inputs, attrs }) => emit(inputs as Inputs, (attrs ?? {}) as Attributes),
  });
}
