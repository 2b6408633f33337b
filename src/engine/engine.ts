/**
 * The engine interface: an engine runs functions written in TensorFlow.js.
 *
 * The network, the losses and the optimiser are plain functions over tfjs tensors (`src/model`). An engine compiles
 * such a function once for fixed input shapes and then runs it on typed arrays.
 */
import { checkMade } from '../common/arguments.js';
import { CodecError, invalidArgument } from '../common/errors.js';
import { mapAhead } from '../common/side-by-side.js';

/** Names of the engines. */
export type EngineName = 'onnx' | 'wasm' | 'tensorflow';

/** Devices of the onnx engine: execution providers of ONNX Runtime. */
export const DEVICES = ['cpu', 'cuda', 'webgpu'] as const;
/** A device of the onnx engine: an execution provider of ONNX Runtime. */
export type Device = (typeof DEVICES)[number];

/**
 * What the onnx engine can be asked to compute on: a device, or `auto`, which is a GPU that computes what the CPU does
 * and is faster, and otherwise the CPU.
 */
export const DEVICE_CHOICES = ['auto', ...DEVICES] as const;
/** A device of the onnx engine, or `auto`. */
export type DeviceChoice = (typeof DEVICE_CHOICES)[number];

/** All precisions. */
export const PRECISIONS = ['fp32', 'fp16'] as const;
/**
 * Number format of the inputs and outputs of convolutions and matrix products on a GPU. With `fp16` everything between
 * them stays float32, as in PyTorch's autocast; results differ from `fp32` in the third digit.
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
 * The part of TensorFlow.js's `tf.Tensor` that is needed here. The public types do not use that package's own types,
 * because those do not compile under every user's options.
 */
export interface Tensor {
  readonly shape: number[];
  readonly dtype: string;
}

/**
 * A pure function over tfjs tensors. So that it can be traced, it must not read tensor values (no `dataSync`), and its
 * control flow may depend on shapes only. It is declared as a method so that a function over `tf.Tensor` is assignable
 * to it.
 */
export type TensorFunction = { run(inputs: Tensor[], constants: Tensor[]): Tensor[] }['run'];

/** A function over tensors, compiled for fixed shapes. */
export interface CompiledFunction {
  /** Shapes of the outputs, known after compilation. */
  readonly outputShapes: readonly Shape[];
  /**
   * Runs the function.
   * @param inputs one array per input shape, row-major, of exactly that many elements; not modified
   * @param signal when it is aborted before the run has started, the run does not start
   * @param handedOver the caller does not use the inputs again, and each has a buffer of its own: they go to another
   *   thread without being copied
   * @returns one new array per output
   * @throws the signal's reason
   */
  run(inputs: readonly Float32Array[], signal?: AbortSignal, handedOver?: boolean): Promise<Float32Array[]>;
  dispose(): Promise<void>;
}

/** How a compiled function will be used. */
export interface CompileOptions {
  /**
   * For many independent runs, such as the parts of a training batch. Each run uses one thread in the background (with
   * very large weights a few), and as many runs go on at a time as the engine has threads. This gives a higher
   * throughput than one run on all threads, and the result of a run does not depend on the number of threads. Inputs
   * may then be in shared memory, which is not copied to the threads.
   */
  readonly parallel?: boolean;
}

/** Runs functions written in TensorFlow.js. */
export interface Engine {
  readonly name: EngineName;
  /** For people: library, version, device, threads. */
  readonly description: string;
  readonly precision: Precision;
  /**
   * Set where nobody knows whether other machines compute the same results apart from the last digits, as on a GPU.
   * Such an engine codes no exact samples.
   */
  readonly approximate?: boolean;
  /** Number of runs of a function compiled with `parallel` that go on at a time; 1 for engines without support for it. */
  readonly parallelism: number;
  /** Images per run of a network that keep the device busy, where there are that many. */
  readonly batch: number;
  /**
   * Compiles `fn` for these input shapes.
   * @param constants tensors that stay the same from run to run (weights); passed to `fn` as its second argument
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
 * Runs a function on one input after another and yields the results in order, while further runs go on: twice as many
 * as the engine has threads, or one on a single thread. Inputs are made only when their turn comes, and are handed over.
 */
export function runAll(
  engine: Engine,
  fn: CompiledFunction,
  inputs: Iterable<readonly Float32Array[]>,
  signal?: AbortSignal,
): AsyncGenerator<Float32Array[]> {
  // Results are taken in order, and a thread that finishes early should not wait for a slower one.
  const ahead = engine.parallelism > 1 ? 2 * engine.parallelism : 1;
  return mapAhead(inputs, ahead, (input) => fn.run(input, signal, true));
}

/** @throws CodecError('usage') for an unknown device or precision, or one that the engine or the device lacks */
export function checkDevice(
  engine: EngineName | 'auto',
  { device, precision }: { readonly device?: DeviceChoice | undefined; readonly precision?: Precision | undefined },
): void {
  if (precision !== undefined && !PRECISIONS.includes(precision)) {
    throw invalidArgument('`precision`', PRECISIONS.join(' or '), precision);
  }
  if (precision === 'fp16' && (device ?? 'cpu') === 'cpu') {
    throw new CodecError(
      'usage',
      '`precision` fp16: expected `device` auto, cuda or webgpu with it; a CPU is no faster for it',
    );
  }
  if (device === undefined) return;
  if (!DEVICE_CHOICES.includes(device)) throw invalidArgument('`device`', DEVICE_CHOICES.join(', '), device);
  if (engine !== 'auto' && engine !== 'onnx') {
    throw new CodecError('usage', `\`device\` ${device}: expected \`engine\` onnx with it, got ${engine}`);
  }
}

/** Number of elements. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/** Refuses inputs that do not match the compiled shapes. */
export function checkInputs(inputs: readonly Float32Array[], shapes: readonly Shape[]): void {
  if (inputs.length !== shapes.length) throw invalidArgument('inputs', `${shapes.length} arrays`, inputs.length);
  shapes.forEach((shape, i) => {
    const size = sizeOf(shape);
    if (inputs[i].length !== size) throw invalidArgument(`input ${i}`, `${size} values ([${shape}])`, inputs[i].length);
  });
}

/** @throws CodecError('usage') for an object that is not an engine */
export function checkEngine(engine: unknown): asserts engine is Engine {
  checkMade('engine', engine, 'an engine, as from `openEngine` or `createEagerEngine`', {
    compile: 'function',
    precision: 'string',
    parallelism: 'number',
  });
}
