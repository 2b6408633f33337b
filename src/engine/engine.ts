/**
 * What an engine is: something that runs functions written in TensorFlow.js.
 *
 * The network, the losses and the optimiser are plain functions over tfjs tensors (`src/model`). An engine compiles
 * such a function once for fixed input shapes and then runs it on typed arrays.
 */
import { checkMade } from '../common/arguments.js';
import { CodecError, invalidArgument } from '../common/errors.js';
import { mapAhead } from '../common/side-by-side.js';

/** The engines by name. */
export type EngineName = 'onnx' | 'wasm' | 'tensorflow';

/** What the onnx engine computes on: an execution provider of ONNX Runtime. */
export const DEVICES = ['cpu', 'cuda', 'webgpu'] as const;
/** What the onnx engine computes on: an execution provider of ONNX Runtime. */
export type Device = (typeof DEVICES)[number];

/** All precisions that there are. */
export const PRECISIONS = ['fp32', 'fp16'] as const;
/**
 * Numbers that convolutions and matrix products take and give on a GPU. With `fp16` everything between them stays float32, as
 * with PyTorch's autocast; what comes out differs from `fp32` in the third digit.
 */
export type Precision = (typeof PRECISIONS)[number];

/** Sizes of a tensor, outermost first. */
export type Shape = readonly number[];

/** A float32 tensor in host memory, row-major. */
export interface HostTensor {
  readonly shape: Shape;
  readonly data: Float32Array;
}

/**
 * A `tf.Tensor` of TensorFlow.js, as far as it matters here. That package's own types are kept out of the public ones, because they
 * do not compile under every user's options.
 */
export interface Tensor {
  readonly shape: number[];
  readonly dtype: string;
}

/**
 * A pure function over tfjs tensors. It must not read tensor values (no `dataSync`) and its control flow may depend
 * on shapes only, so that it can be traced. Written as a method, so that one over `tf.Tensor` is one.
 */
export type TensorFunction = { run(inputs: Tensor[], constants: Tensor[]): Tensor[] }['run'];

/** A function over tensors, compiled for fixed shapes. */
export interface CompiledFunction {
  /** Shapes of the outputs, known after compilation. */
  readonly outputShapes: readonly Shape[];
  /**
   * Runs the function.
   * @param inputs one array per input shape, row-major, of exactly that many elements; not modified
   * @param signal when it is aborted before the run has begun, the run is not begun
   * @returns one new array per output
   * @throws the signal's reason
   */
  run(inputs: readonly Float32Array[], signal?: AbortSignal): Promise<Float32Array[]>;
  dispose(): Promise<void>;
}

/** How a function is going to be run. */
export interface CompileOptions {
  /**
   * For many independent runs, as of the parts of a training batch: each run uses one thread (with very large weights a few), in
   * the background, and as many go on at a time as the engine has threads. Faster in sum than one run on all threads, and what a run computes does
   * not depend on their number. Inputs may then be in shared memory, which is not copied to the threads.
   */
  readonly parallel?: boolean;
}

/** Runs functions written in TensorFlow.js. */
export interface Engine {
  readonly name: EngineName;
  /** For people: library, version, device, threads. */
  readonly description: string;
  readonly precision: Precision;
  /** On a GPU, say: whether others compute the same but for the last digits is not known, so no exact samples are coded by it. */
  readonly approximate?: boolean;
  /** Runs of a function compiled with `parallel` that go on side by side; 1 for engines that cannot. */
  readonly parallelism: number;
  /** Images that one run of a network should take, where there are as many, to keep the device busy. */
  readonly batch: number;
  /**
   * Compiles `fn` for these input shapes.
   * @param constants tensors that stay the same from run to run (weights); given to `fn` as its second argument
   */
  compile(
    fn: TensorFunction,
    inputShapes: readonly Shape[],
    constants?: readonly HostTensor[],
    options?: CompileOptions,
  ): Promise<CompiledFunction>;
  dispose(): Promise<void>;
}

/**
 * Runs a function on one input after another and gives the results in their order, while further runs go on: twice as
 * many as the engine has threads, of one thread one. Inputs are made when their turn comes.
 */
export function runAll(
  engine: Engine,
  fn: CompiledFunction,
  inputs: Iterable<readonly Float32Array[]>,
  signal?: AbortSignal,
): AsyncGenerator<Float32Array[]> {
  // Results are taken in order, and a thread that is done early should not wait for a slower one.
  const ahead = engine.parallelism > 1 ? 2 * engine.parallelism : 1;
  return mapAhead(inputs, ahead, (input) => fn.run(input, signal));
}

/** @throws CodecError('usage') for an unknown device or precision, and those that the engine or the device does not have */
export function checkDevice(
  engine: EngineName | 'auto',
  { device, precision }: { readonly device?: Device | undefined; readonly precision?: Precision | undefined },
): void {
  if (precision !== undefined && !PRECISIONS.includes(precision)) {
    throw invalidArgument('`precision`', PRECISIONS.join(' or '), precision);
  }
  if (precision === 'fp16' && (device ?? 'cpu') === 'cpu') {
    throw new CodecError(
      'usage',
      '`precision` fp16: expected `device` cuda or webgpu with it; a CPU is no faster for it',
    );
  }
  if (device === undefined) return;
  if (!DEVICES.includes(device)) throw invalidArgument('`device`', DEVICES.join(', '), device);
  if (engine !== 'auto' && engine !== 'onnx') {
    throw new CodecError('usage', `\`device\` ${device}: expected \`engine\` onnx with it, got ${engine}`);
  }
}

/** Number of elements. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/** Refuses inputs that do not fit the shapes a function was compiled for. */
export function checkInputs(inputs: readonly Float32Array[], shapes: readonly Shape[]): void {
  if (inputs.length !== shapes.length) throw invalidArgument('inputs', `${shapes.length} arrays`, inputs.length);
  shapes.forEach((shape, i) => {
    const size = sizeOf(shape);
    if (inputs[i].length !== size) throw invalidArgument(`input ${i}`, `${size} values ([${shape}])`, inputs[i].length);
  });
}

/** @throws CodecError('usage') for what is no engine */
export function checkEngine(engine: unknown): asserts engine is Engine {
  checkMade('engine', engine, 'an engine, as from `openEngine` or `createEagerEngine`', {
    compile: 'function',
    precision: 'string',
    parallelism: 'number',
  });
}
