/** Kernels that work element by element, with broadcasting. They work in NCHW when an operand is in that layout. */
import * as tf from '@tensorflow/tfjs-core';
import { CodecError } from '../../common/errors.js';
import { tracingBackend } from './backend.js';
import type { ValueName } from './graph.js';
import { type KernelInputs, registerKernel } from './register.js';

const BINARY: Record<string, string> = {
  Add: 'Add',
  Sub: 'Sub',
  Multiply: 'Mul',
  RealDiv: 'Div',
  Maximum: 'Max',
  Minimum: 'Min',
  Pow: 'Pow',
};

/** Comparisons give 0 and 1 as floats, like all traced values; the casts cost little compared with the operations around them. */
const COMPARISON: Record<string, string> = {
  Equal: 'Equal',
  Greater: 'Greater',
  GreaterEqual: 'GreaterOrEqual',
  Less: 'Less',
  LessEqual: 'LessOrEqual',
};

const UNARY: Record<string, string> = {
  Sigmoid: 'Sigmoid',
  Tanh: 'Tanh',
  Relu: 'Relu',
  Sqrt: 'Sqrt',
  Neg: 'Neg',
  Exp: 'Exp',
  Log: 'Log',
  Sin: 'Sin',
  Cos: 'Cos',
  Abs: 'Abs',
  Reciprocal: 'Reciprocal',
  Sign: 'Sign',
  Floor: 'Floor',
  Round: 'Round',
  Erf: 'Erf',
  Softplus: 'Softplus',
};

export function registerElementwise(): void {
  for (const [kernel, operator] of Object.entries(BINARY)) {
    registerKernel(kernel, ({ a, b }) => broadcast(a, b, (x, y) => node(operator, x, y)));
  }
  registerKernel('SquaredDifference', ({ a, b }) =>
    broadcast(a, b, (x, y) => {
      const difference = node('Sub', x, y);
      return node('Mul', difference, difference);
    }),
  );
  for (const [kernel, operator] of Object.entries(COMPARISON)) {
    registerKernel(kernel, ({ a, b }) => ({
      ...broadcast(a, b, (x, y) => asFloat(node(operator, x, y))),
      dtype: 'bool' as const,
    }));
  }
  registerKernel('LogicalAnd', ({ a, b }) => ({
    ...broadcast(a, b, (x, y) => node('Mul', x, y)),
    dtype: 'bool' as const,
  }));
  registerKernel('LogicalNot', ({ x }) => ({
    ...map(x, (name) => node('Sub', scalar(1), name)),
    dtype: 'bool' as const,
  }));
  registerKernel('Select', select);
  registerKernel<KernelInputs, { alpha?: number }>('Step', ({ x }, { alpha = 0 }) =>
    map(x, (name) => node('Where', node('Greater', name, scalar(0)), scalar(1), scalar(alpha))),
  );
  for (const [kernel, operator] of Object.entries(UNARY)) {
    registerKernel(kernel, ({ x }) => map(x, (name) => node(operator, name)));
  }
  registerKernel('Rsqrt', ({ x }) => map(x, (name) => node('Reciprocal', node('Sqrt', name))));
  registerKernel('Square', ({ x }) => map(x, (name) => node('Mul', name, name)));
  registerKernel('Identity', ({ x }) => map(x, (name) => name));
  registerKernel<KernelInputs, { dtype: tf.DataType }>('Cast', cast);
  registerKernel<KernelInputs, { clipValueMin: number; clipValueMax: number }>('ClipByValue', ({ x }, attributes) =>
    map(x, (name) => node('Clip', name, scalar(attributes.clipValueMin), scalar(attributes.clipValueMax))),
  );
  registerKernel('ZerosLike', ({ x }) => filled(x.shape, 0));
  registerKernel('OnesLike', ({ x }) => filled(x.shape, 1));
  registerKernel<KernelInputs, { shape: number[]; value: number }>('Fill', (_, { shape, value }) =>
    filled(shape, value),
  );
}

function node(operator: string, ...inputs: ValueName[]): ValueName {
  return tracingBackend().graph.node(operator, inputs);
}

function scalar(value: number): ValueName {
  return tracingBackend().graph.floats([], Float32Array.of(value));
}

/** ONNX's codes of element types. */
const FLOAT = 1;
const BOOL = 9;

function asFloat(name: ValueName): ValueName {
  return tracingBackend().graph.node('Cast', [name], { to: FLOAT });
}

/** tfjs gives all three operands the same shape. */
function select({ condition, t, e }: KernelInputs): tf.TensorInfo {
  const backend = tracingBackend();
  const operands = [condition, t, e];
  const isNchw = t.shape.length === 4 && operands.some((x) => backend.isNchw(x));
  const [where, ...values] = operands.map((x) => (isNchw ? backend.nchw(x) : backend.plain(x)));
  const result = node('Where', backend.graph.node('Cast', [where], { to: BOOL }), ...values);
  return isNchw ? backend.resultNchw(result, t.shape) : backend.result(result, t.shape);
}

/** All traced values are float32, integers too, so a cast to integers only truncates the value. */
function cast({ x }: KernelInputs, { dtype }: { dtype: tf.DataType }): tf.TensorInfo {
  if (dtype === 'int32' && x.dtype === 'float32') {
    const truncated = map(x, (name) => node('Mul', node('Sign', name), node('Floor', node('Abs', name))));
    return { ...truncated, dtype };
  }
  const isWiderOrSame = dtype === 'float32' || dtype === x.dtype || (dtype === 'int32' && x.dtype === 'bool');
  if (!isWiderOrSame) {
    throw new CodecError('engine', `engine onnx cannot cast ${x.dtype} to ${dtype}`);
  }
  return { ...map(x, (name) => name), dtype };
}

function filled(shape: number[], value: number): tf.TensorInfo {
  return tracingBackend().constant(new Float32Array(tf.util.sizeFromShape(shape)).fill(value), shape);
}

function map(x: tf.TensorInfo, apply: (name: ValueName) => ValueName): tf.TensorInfo {
  const backend = tracingBackend();
  return backend.isNchw(x)
    ? backend.resultNchw(apply(backend.nchw(x)), x.shape)
    : backend.result(apply(backend.plain(x)), x.shape, x.dtype);
}

function broadcast(
  a: tf.TensorInfo,
  b: tf.TensorInfo,
  apply: (a: ValueName, b: ValueName) => ValueName,
): tf.TensorInfo {
  const backend = tracingBackend();
  const shape = tf.broadcast_util.assertAndGetBroadcastShape(a.shape, b.shape);
  if (shape.length === 4 && (backend.isNchw(a) || backend.isNchw(b)) && fitsNchw(a) && fitsNchw(b)) {
    return backend.resultNchw(apply(operandNchw(a), operandNchw(b)), shape);
  }
  return backend.result(apply(backend.plain(a), backend.plain(b)), shape);
}

function fitsNchw({ shape }: tf.TensorInfo): boolean {
  return shape.length === 4 || shape.length <= 1;
}

/** Converts an operand with channels in the last axis to one with channels in axis 1 of 4. */
function operandNchw(x: tf.TensorInfo): ValueName {
  const backend = tracingBackend();
  if (x.shape.length === 4) return backend.nchw(x);
  if (x.shape.length === 0 || x.shape[0] === 1) return backend.plain(x);
  return node('Reshape', backend.plain(x), backend.graph.integersOf([x.shape[0], 1, 1]));
}
