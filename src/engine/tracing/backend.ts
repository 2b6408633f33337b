/**
 * A TensorFlow.js backend that does not compute: its kernels append nodes to an ONNX graph. tfjs differentiates before
 * it runs kernels, so functions that call `tf.grads` can be traced as well.
 *
 * tfjs uses NHWC, ONNX NCHW. A traced value of rank 4 may exist in either layout or in both. Kernels that can work in
 * NCHW take and give NCHW; a transpose is added only where a kernel needs the missing layout. The same holds for
 * filters of convolutions: HWIO in tfjs, OIHW in ONNX, PyTorch and weights files.
 */
import * as tf from '@tensorflow/tfjs-core';
import { CodecError } from '../../common/errors.js';
import type { HostTensor, Precision, Shape, TensorFunction } from '../engine.js';
import { GraphBuilder, type ValueName } from './graph.js';

export const TRACING_BACKEND = 'ddpm-codec-tracing';

const TO_NCHW = [0, 3, 1, 2];
const TO_NHWC = [0, 2, 3, 1];
const TO_OIHW = [3, 2, 0, 1];
const TO_HWIO = [2, 3, 1, 0];

/** What the backend knows about a tensor: its value if it is a constant, and its name in the graph for each layout. */
interface TracedValue {
  readonly shape: Shape;
  readonly dtype: tf.DataType;
  readonly values?: tf.backend_util.BackendValues;
  plain?: ValueName;
  nchw?: ValueName;
  oihw?: ValueName;
}

export class TracingBackend extends tf.KernelBackend {
  readonly graph: GraphBuilder;
  private readonly data = new tf.DataStorage<TracedValue>(this, tf.engine());

  constructor(precision: Precision) {
    super();
    this.graph = new GraphBuilder(precision);
  }

  override floatPrecision(): 16 | 32 {
    return 32;
  }
  override epsilon(): number {
    return 1e-7;
  }
  override numDataIds(): number {
    return this.data.numDataIds();
  }
  override memory(): { unreliable: boolean } {
    return { unreliable: true };
  }
  override incRef(): void {}
  decRef(): boolean {
    return true;
  }
  override refCount(): number {
    return 1;
  }
  override disposeData(): boolean {
    return true;
  }
  override dispose(): void {}

  override write(values: tf.backend_util.BackendValues, shape: number[], dtype: tf.DataType): object {
    const id = {};
    this.data.set(id, { values, shape, dtype });
    return id;
  }

  /** tfjs calls this to move a tensor here from another backend; the other backend would lose it. */
  override move(): void {
    throw new CodecError(
      'engine',
      'a traced function used a tensor made outside of it; pass it as an input or a constant',
    );
  }

  override readSync(id: object): tf.backend_util.BackendValues {
    const { values } = this.data.get(id);
    if (!values) throw new CodecError('engine', 'a traced function must not read the value of a tensor it computed');
    return values;
  }

  override async read(id: object): Promise<tf.backend_util.BackendValues> {
    return this.readSync(id);
  }

  /** The tensor's name in tfjs' own layout. */
  plain({ dataId }: tf.TensorInfo): ValueName {
    const value = this.data.get(dataId);
    if (value.plain === undefined) {
      if (value.nchw) value.plain = this.graph.node('Transpose', [value.nchw], { perm: TO_NHWC });
      else if (value.oihw) value.plain = this.graph.node('Transpose', [value.oihw], { perm: TO_HWIO });
      else value.plain = this.graph.floats(value.shape, toFloats(value));
    }
    return value.plain;
  }

  /** The name of a rank-4 NHWC tensor in NCHW layout. */
  nchw(tensor: tf.TensorInfo): ValueName {
    const value = this.data.get(tensor.dataId);
    value.nchw ??= this.graph.node('Transpose', [this.plain(tensor)], { perm: TO_NCHW });
    return value.nchw;
  }

  /** The name of an HWIO filter in OIHW layout. */
  oihw(tensor: tf.TensorInfo): ValueName {
    const value = this.data.get(tensor.dataId);
    value.oihw ??= this.graph.node('Transpose', [this.plain(tensor)], { perm: TO_OIHW });
    return value.oihw;
  }

  /** A transpose between HWIO and OIHW only gives the tensor another name; any other transpose adds a node. */
  transpose(x: tf.TensorInfo, perm: readonly number[]): tf.TensorInfo {
    const shape = perm.map((axis) => x.shape[axis]);
    if (perm.join() === TO_HWIO.join()) return this.resultOihw(this.plain(x), shape);
    if (perm.join() === TO_OIHW.join()) return this.result(this.oihw(x), shape);
    return this.result(this.graph.node('Transpose', [this.plain(x)], { perm }), shape);
  }

  /** Whether the tensor exists in NCHW already, so that no transpose is needed to use it in that layout. */
  isNchw({ dataId }: tf.TensorInfo): boolean {
    return this.data.get(dataId).nchw !== undefined;
  }

  result(plain: ValueName, shape: Shape, dtype: tf.DataType = 'float32'): tf.TensorInfo {
    return this.register({ shape, dtype, plain });
  }

  /** A result in NCHW layout; `shape` is the tensor's shape in tfjs, NHWC. */
  resultNchw(nchw: ValueName, shape: Shape): tf.TensorInfo {
    return this.register({ shape, dtype: 'float32', nchw });
  }

  /** A filter in OIHW layout; `shape` is HWIO. */
  resultOihw(oihw: ValueName, shape: Shape): tf.TensorInfo {
    return this.register({ shape, dtype: 'float32', oihw });
  }

  /** A constant result. */
  constant(values: Float32Array, shape: Shape): tf.TensorInfo {
    return this.register({ shape, dtype: 'float32', values });
  }

  private register(value: TracedValue): tf.TensorInfo {
    const dataId = {};
    this.data.set(dataId, value);
    return { dataId, shape: [...value.shape], dtype: value.dtype };
  }
}

function toFloats({ values, shape }: TracedValue): Float32Array {
  if (!values) throw new CodecError('engine', `traced tensor of shape [${shape}] has no value in this graph`);
  return Float32Array.from(values as ArrayLike<number>);
}

/** The backend of the current trace. There is only one at a time, because tracing is synchronous. */
let current: TracingBackend | undefined;

/** The backend that kernels append to. */
export function tracingBackend(): TracingBackend {
  if (!current) throw new Error('no function is being traced');
  return current;
}

export interface TracedGraph {
  /** ONNX model with inputs in0, in1, ... and outputs out0, out1, ..., all float32. */
  readonly model: Uint8Array;
  readonly outputShapes: readonly Shape[];
}

/**
 * Traces a function for fixed input shapes. Tracing is synchronous, so tfjs' global backend is restored before anyone
 * sees the change. The tracing backend is registered with tfjs only during the trace, so that tfjs never selects it by
 * itself.
 * @throws CodecError('engine') naming the kernel, when the function uses one that cannot be traced
 */
export function trace(
  fn: TensorFunction,
  inputShapes: readonly Shape[],
  constants: readonly HostTensor[],
  precision: Precision = 'fp32',
): TracedGraph {
  if (current) throw new Error('a traced function must not compile another one');
  const previous = tf.getBackend();
  const backend = new TracingBackend(precision);
  current = backend;
  tf.registerBackend(TRACING_BACKEND, () => backend, 0);
  void tf.setBackend(TRACING_BACKEND);
  let outputShapes: Shape[] = [];
  try {
    tf.tidy(() => {
      const inputs = inputShapes.map((shape, i) =>
        toTensor(backend.result(backend.graph.input(`in${i}`, shape), shape)),
      );
      const weights = constants.map(({ data, shape }) => toTensor(backend.constant(data, shape)));
      const outputs = fn(inputs, weights) as tf.Tensor[];
      outputs.forEach((tensor, i) => {
        backend.graph.output(`out${i}`, backend.plain(tensor), tensor.shape);
      });
      outputShapes = outputs.map(({ shape }) => shape);
    });
    // Not returned from `tidy`, which would search every byte for tensors.
    return { model: backend.graph.serialize(), outputShapes };
  } catch (cause) {
    throw unsupportedKernel(cause) ?? cause;
  } finally {
    current = undefined;
    if (previous) void tf.setBackend(previous);
    tf.removeBackend(TRACING_BACKEND);
  }
}

function toTensor(info: tf.TensorInfo): tf.Tensor {
  return tf.engine().makeTensorFromTensorInfo(info);
}

function unsupportedKernel(cause: unknown): CodecError | undefined {
  const kernel = cause instanceof Error && /^Kernel '(\w+)' not registered/.exec(cause.message)?.[1];
  if (!kernel) return undefined;
  return new CodecError('engine', `engine onnx cannot run the operation ${kernel}; use \`engine\` wasm or tensorflow`, {
    cause,
  });
}
