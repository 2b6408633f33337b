/** Running a network: what it gives is looked at before anything depends on it. Weights may be damaged, or anybody's. */
import { CodecError } from '../common/errors.js';
import { gaussians, integerStream } from '../common/random.js';
import type { CompiledFunction, CompileOptions, Engine, HostTensor, TensorFunction } from '../engine/engine.js';
import type { Schedule } from './schedule.js';

/**
 * A network: inputs x_t [N,H,W,3] and timesteps [N] (0..T-1); output [N,H,W,C], whose first three channels are what its
 * parameterisation says.
 */
export interface NoisePredictor {
  readonly fn: TensorFunction;
  readonly constants: readonly HostTensor[];
  /** H and W must be multiples of this. */
  readonly stride: number;
}

const CHANNELS = 3;

/**
 * A network compiled for so many pictures of a size.
 * @param size batch, height, width
 * @returns its runs throw CodecError('model') where the network gives something else than finite numbers
 */
export async function compileNetwork(
  engine: Engine,
  { fn, constants }: NoisePredictor,
  [batch, height, width]: readonly [batch: number, height: number, width: number],
  options?: CompileOptions,
): Promise<CompiledFunction> {
  const compiled = await engine.compile(fn, [[batch, height, width, CHANNELS], [batch]], constants, options);
  return {
    ...compiled,
    async run(inputs, signal) {
      const outputs = await compiled.run(inputs, signal);
      checkFinite(outputs[0]);
      return outputs;
    },
  };
}

/**
 * Runs a network once, on noise of the smallest size at the first and the last timestep.
 * @throws CodecError('model') where it gives something else than finite numbers
 */
export async function tryNetwork(engine: Engine, network: NoisePredictor, { timesteps }: Schedule): Promise<void> {
  const { stride } = network;
  const fn = await compileNetwork(engine, network, [2, stride, stride]);
  try {
    const noise = Float32Array.from({ length: 2 * stride * stride * CHANNELS }, gaussians(integerStream('ddc1/trial')));
    await fn.run([noise, Float32Array.of(0, timesteps - 1)]);
  } finally {
    await fn.dispose();
  }
}

/** @param values what a network gave, or was made of that @throws CodecError('model') unless all are finite */
export function checkFinite(values: Float32Array): void {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) {
      throw new CodecError(
        'model',
        `the network gives no usable numbers: expected finite ones, got ${values[i]}; its weights are damaged or far too large`,
      );
    }
  }
}
