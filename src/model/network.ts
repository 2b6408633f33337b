/** Runs a network and checks its output before anything uses it, because weights may be damaged or come from anybody. */
import { CodecError } from '../common/errors.js';
import { gaussians, integerStream } from '../common/random.js';
import type { Engine, HostTensor, TensorFunction } from '../engine/engine.js';
import { type Band, bandAt, makeByBand, type NetworkBand } from './bands.js';

/**
 * A network: inputs x_t [N,H,W,3] and timesteps [N] (0..T-1); output [N,H,W,C], whose first three channels have the
 * meaning that its parameterisation gives them.
 */
export interface NoisePredictor {
  readonly fn: TensorFunction;
  readonly constants: readonly HostTensor[];
  /** H and W must be multiples of this. */
  readonly stride: number;
  /** Bands of timesteps in which another network of the same shapes is used. */
  readonly bands?: readonly NetworkBand<NoisePredictor>[];
}

const CHANNELS = 3;

/** A network compiled for pictures of one size. */
export interface CompiledNetwork {
  /**
   * Runs it on a batch of pictures at one timestep, or at several timesteps of one band.
   * @param xt [batch, height, width, 3] @param timesteps 1..T, for each picture
   * @throws CodecError('model') where the network gives numbers that are not finite
   */
  run(xt: Float32Array, timesteps: readonly number[], signal?: AbortSignal): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/**
 * Compiles a network, and those of its bands, for a batch of pictures of a size. Each is compiled when it is first
 * used.
 * @param size batch, height, width
 */
export function compileNetwork(
  engine: Engine,
  network: NoisePredictor,
  [batch, height, width]: readonly [batch: number, height: number, width: number],
): CompiledNetwork {
  const shapes = [[batch, height, width, CHANNELS], [batch]];
  const compiled = makeByBand(network, ({ fn, constants }) => engine.compile(fn, shapes, constants));
  return {
    async run(xt, timesteps, signal) {
      const bandOf = (t: number) => bandAt(network.bands, t);
      if (new Set(timesteps.map(bandOf)).size > 1) throw new Error('timesteps of more than one band');
      const fn = await compiled.at(timesteps[0]);
      const [output] = await fn.run([xt, Float32Array.from(timesteps, (t) => t - 1)], signal);
      checkFinite(output);
      return output;
    },
    dispose: () => compiled.dispose(),
  };
}

/**
 * Runs a network once on noise of the smallest size, at the first and the last timestep. The networks of its bands are
 * not run.
 * @param timesteps those that it is for
 * @throws CodecError('model') where it gives numbers that are not finite
 */
export async function tryNetwork(
  engine: Engine,
  { fn, constants, stride }: NoisePredictor,
  { least, most }: Band,
): Promise<void> {
  const compiled = compileNetwork(engine, { fn, constants, stride }, [2, stride, stride]);
  try {
    const noise = Float32Array.from({ length: 2 * stride * stride * CHANNELS }, gaussians(integerStream('ddc1/trial')));
    await compiled.run(noise, [least, most]);
  } finally {
    await compiled.dispose();
  }
}

/** @param values a network's output, or values computed from it @throws CodecError('model') unless all are finite */
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
