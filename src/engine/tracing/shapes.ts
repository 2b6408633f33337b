/** Kernels that move, slice, join and reduce. */
import * as tf from '@tensorflow/tfjs-core';
import { tracingBackend } from './backend.js';
import { type KernelInputs, registerKernel } from './register.js';

/** NCHW axis of each NHWC axis. */
const NCHW_AXIS = [0, 2, 3, 1];

export function registerShapes(): void {
  registerKernel<KernelInputs, { shape: number[] }>('Reshape', ({ x }, { shape }) => {
    const inferred = tf.util.inferFromImplicitShape(shape, tf.util.sizeFromShape(x.shape));
    return reshape(x, inferred);
  });
  registerKernel<{ input: tf.TensorInfo }, { dim: number }>('ExpandDims', ({ input }, { dim }) => {
    const shape = input.shape.slice();
    shape.splice(dim < 0 ? input.shape.length + 1 + dim : dim, 0, 1);
    return reshape(input, shape);
  });
  registerKernel<KernelInputs, { perm: number[] }>('Transpose', ({ x }, { perm }) =>
    tracingBackend().transpose(x, perm),
  );
  registerKernel<KernelInputs, { reps: number[] }>('Tile', ({ x }, { reps }) => {
    const { graph, plain, result } = bound();
    return result(
      graph.node('Tile', [plain(x), graph.integersOf(reps)]),
      x.shape.map((size, i) => size * reps[i]),
    );
  });
  registerKernel<tf.TensorInfo[], { axis: number }>('Concat', concat);
  registerKernel<KernelInputs, { begin: number[]; size: number[] }>('Slice', slice);
  registerKernel<KernelInputs, { numOrSizeSplits: number | number[]; axis: number }>('SplitV', split);
  registerKernel<KernelInputs, { paddings: [number, number][]; constantValue: number }>('PadV2', pad);
  registerKernel<KernelInputs, { axis: number | number[]; keepDims: boolean }>('Sum', ({ x }, { axis, keepDims }) =>
    reduce('ReduceSum', x, axis, keepDims),
  );
  registerKernel<KernelInputs, { axis: number | number[]; keepDims: boolean }>('Mean', ({ x }, { axis, keepDims }) =>
    reduce('ReduceMean', x, axis, keepDims),
  );
  registerKernel<KernelInputs, { reductionIndices: number | number[]; keepDims: boolean }>(
    'Max',
    ({ x }, { reductionIndices, keepDims }) => reduce('ReduceMax', x, reductionIndices, keepDims),
  );
  registerKernel<KernelInputs, { axis: number | number[]; keepDims: boolean }>('Min', ({ x }, { axis, keepDims }) =>
    reduce('ReduceMin', x, axis, keepDims),
  );
}

function bound() {
  const backend = tracingBackend();
  return {
    graph: backend.graph,
    plain: backend.plain.bind(backend),
    nchw: backend.nchw.bind(backend),
    result: backend.result.bind(backend),
    resultNchw: backend.resultNchw.bind(backend),
    isNchw: backend.isNchw.bind(backend),
  };
}

function reshape(x: tf.TensorInfo, shape: number[]): tf.TensorInfo {
  const { graph, plain, result } = bound();
  return result(graph.node('Reshape', [plain(x), graph.integersOf(shape)]), shape, x.dtype);
}

function concat(inputs: tf.TensorInfo[] | KernelInputs, { axis }: { axis: number }): tf.TensorInfo {
  const { graph, plain, nchw, result, resultNchw, isNchw } = bound();
  const tensors = Object.values(inputs);
  const [at] = tf.util.parseAxisParam(axis, tensors[0].shape);
  const shape = tf.backend_util.computeOutShape(
    tensors.map((tensor) => tensor.shape),
    at,
  );
  if (shape.length === 4 && tensors.some(isNchw)) {
    return resultNchw(graph.node('Concat', tensors.map(nchw), { axis: NCHW_AXIS[at] }), shape);
  }
  return result(graph.node('Concat', tensors.map(plain), { axis: at }), shape);
}

function slice({ x }: KernelInputs, { begin, size }: { begin: number[]; size: number[] }): tf.TensorInfo {
  const { graph, plain, nchw, result, resultNchw, isNchw } = bound();
  const [start, extent] = tf.slice_util.parseSliceParams(x as tf.Tensor, begin, size);
  const axes = start.flatMap((first, i) => (first === 0 && extent[i] === x.shape[i] ? [] : [i]));
  if (axes.length === 0) return isNchw(x) ? resultNchw(nchw(x), extent) : result(plain(x), extent, x.dtype);
  const emit = (name: string, places: number[]) => {
    const ends = axes.map((axis) => start[axis] + extent[axis]);
    const bounds = [axes.map((axis) => start[axis]), ends, places].map((values) => graph.integersOf(values));
    return graph.node('Slice', [name, ...bounds]);
  };
  if (isNchw(x)) {
    return resultNchw(
      emit(
        nchw(x),
        axes.map((axis) => NCHW_AXIS[axis]),
      ),
      extent,
    );
  }
  return result(emit(plain(x), axes), extent);
}

function split(
  { x }: KernelInputs,
  { numOrSizeSplits, axis }: { numOrSizeSplits: number | number[]; axis: number },
): tf.TensorInfo[] {
  const { graph, plain, nchw, result, resultNchw, isNchw } = bound();
  const [at] = tf.util.parseAxisParam(axis, x.shape);
  const sizes = tf.backend_util.prepareSplitSize(x as tf.Tensor, numOrSizeSplits, at);
  const emit = (name: string, place: number) =>
    graph.nodeOutputs('Split', [name, graph.integersOf(sizes)], { axis: place }, sizes.length);
  const shapes = sizes.map((size) => x.shape.with(at, size));
  return isNchw(x)
    ? emit(nchw(x), NCHW_AXIS[at]).map((name, i) => resultNchw(name, shapes[i]))
    : emit(plain(x), at).map((name, i) => result(name, shapes[i]));
}

function pad(
  { x }: KernelInputs,
  { paddings, constantValue }: { paddings: [number, number][]; constantValue: number },
): tf.TensorInfo {
  const { graph, plain, nchw, result, resultNchw, isNchw } = bound();
  const shape = x.shape.map((size, i) => size + paddings[i][0] + paddings[i][1]);
  const value = graph.floats([], Float32Array.of(constantValue));
  const amounts = (axes: readonly number[]) =>
    graph.integersOf([...axes.map((axis) => paddings[axis][0]), ...axes.map((axis) => paddings[axis][1])]);
  // Channels that are last are padded pixel by pixel, which takes longer than a transpose.
  const isOfChannels = shape.length === 4 && paddings.every(([before, after], i) => i === 3 || before + after === 0);
  if (isNchw(x) || isOfChannels) return resultNchw(graph.node('Pad', [nchw(x), amounts([0, 3, 1, 2]), value]), shape);
  return result(graph.node('Pad', [plain(x), amounts(shape.map((_, i) => i)), value]), shape);
}

function reduce(
  operator: 'ReduceSum' | 'ReduceMean' | 'ReduceMax' | 'ReduceMin',
  x: tf.TensorInfo,
  axis: number | number[],
  keepDims: boolean,
): tf.TensorInfo {
  const { graph, plain, nchw, result, resultNchw, isNchw } = bound();
  const axes = tf.util.parseAxisParam(axis, x.shape);
  // In ONNX an empty list of axes means all of them.
  if (axes.length === 0) return result(plain(x), x.shape);
  const kept = x.shape.map((size, i) => (axes.includes(i) ? 1 : size));
  const emit = (name: string, over: number[], keep: boolean) =>
    // Opset 17: only ReduceSum takes its axes as an input.
    operator === 'ReduceSum'
      ? graph.node(operator, [name, graph.integersOf(over)], { keepdims: keep ? 1 : 0 })
      : graph.node(operator, [name], { axes: over, keepdims: keep ? 1 : 0 });
  if (isNchw(x)) {
    const over = axes.map((i) => NCHW_AXIS[i]).sort((a, b) => a - b);
    if (keepDims) return resultNchw(emit(nchw(x), over, true), kept);
    // Without the reduced axes the layouts agree if the remaining axes keep their order. They do not where channels
    // remain beside H or W.
    const left = [0, 1, 2, 3].filter((i) => !axes.includes(i));
    if (!left.includes(3) || left.every((i) => i === 0 || i === 3)) {
      return result(
        emit(nchw(x), over, false),
        left.map((i) => x.shape[i]),
      );
    }
  }
  const shape = keepDims ? kept : x.shape.filter((_, i) => !axes.includes(i));
  return result(emit(plain(x), axes, keepDims), shape);
}
