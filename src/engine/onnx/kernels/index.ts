/** Every kernel that can be traced. */
import { defineArrangementKernels } from './arrangement.js';
import { defineConvolutionKernels } from './convolution.js';
import { defineElementwiseKernels } from './elementwise.js';
import { defineMatMulKernels } from './matmul.js';
import { defineReductionKernels } from './reduction.js';

let defined = false;

/** Registers the kernels with tfjs; further calls do nothing. */
export function defineKernels(): void {
  if (defined) return;
  defined = true;
  defineElementwiseKernels();
  defineArrangementKernels();
  defineReductionKernels();
  defineMatMulKernels();
  defineConvolutionKernels();
}
