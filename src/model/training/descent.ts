/** The part that all kinds of training share: the gradients of a batch's parts become a step of the weights. */
import * as tf from '@tensorflow/tfjs-core';
import { CodecError } from '../../common/errors.js';
import type { CompiledFunction, Engine, Shape } from '../../engine/engine.js';
import { registerGradients } from '../../engine/gradients.js';
import type { ParameterSpec } from '../unet-parameters.js';
import { createOptimizer, emaDecayAt, learningRateAt, norm } from './optimizer.js';
import type { OptimizerName } from './optimizer-name.js';
import { cut, type TrainerState } from './state.js';

export interface DescentOptions {
  readonly optimizer: OptimizerName;
  readonly learningRate: number;
  /** Number of steps over which the learning rate rises from 0. */
  readonly warmup: number;
  /** Share of the run, 0..1, at its end, over which the learning rate falls to 0; 0: it stays constant. */
  readonly cooldown: number;
  /** Limit of the gradient's norm; 0: no limit. */
  readonly gradientClip: number;
  /** Decay of the weights' moving average, 0..1. */
  readonly ema: number;
  /** Decay of Adam's second moment, 0..1; default 0.999. */
  readonly beta2?: number;
}

export interface StepReport {
  readonly step: number;
  /** Mean over the batch, with the weights of the training. */
  readonly loss: number;
  /** Norm before clipping. */
  readonly gradientNorm: number;
  readonly learningRate: number;
}

export interface Trainer {
  readonly state: TrainerState;
  readonly parameters: readonly ParameterSpec[];
  /**
   * Takes one step.
   * @param images batch * side * side * 3 grey levels, 0..255
   * @param fraction of the run that is done, 0..1, for the cool-down
   * @throws CodecError('model') when loss or gradient are not finite; the state is then unchanged
   */
  step(images: Uint8Array, fraction?: number): Promise<StepReport>;
  dispose(): Promise<void>;
}

export interface Descent {
  /** The weights as inputs of the functions from {@link compileGradients}: views of the state. */
  readonly weights: readonly Float32Array[];
  /**
   * @param runs of the function from {@link compileGradients}, one for each part, in order
   * @param meanOf the batch's loss from those of its examples
   * @param fraction of the run that is done, 0..1
   * @returns also the losses of the examples
   * @throws CodecError('model') when loss or gradient are not finite; the state is then unchanged
   */
  step(
    runs: readonly Promise<Float32Array[]>[],
    meanOf: (losses: readonly number[]) => number,
    fraction: number,
  ): Promise<StepReport & { readonly losses: readonly number[] }>;
  dispose(): Promise<void>;
}

/** @param remedy advice for weights that diverge */
export async function createDescent(
  engine: Engine,
  parameters: readonly ParameterSpec[],
  options: DescentOptions,
  state: TrainerState,
  remedy: string,
): Promise<Descent> {
  const optimizer = await createOptimizer(engine, options.optimizer, parameters);
  const gradient = new Float32Array(state.parameters.length);
  return {
    weights: cut(state.parameters, parameters),
    async step(runs, meanOf, fraction) {
      gradient.fill(0);
      const losses: number[] = [];
      const settled = Promise.allSettled(runs);
      for (const run of runs) {
        // Taken in order, while the engine works on the next part. When one fails, the others are awaited, so that no
        // failure goes unhandled.
        const [partLosses, ...partGradients] = await run.catch(async (error: unknown) => {
          await settled;
          throw error;
        });
        losses.push(...partLosses);
        accumulate(gradient, partGradients);
      }
      const loss = meanOf(losses);
      const gradientNorm = norm(gradient);
      if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
        throw new CodecError(
          'model',
          `training diverged at step ${state.step + 1}: loss ${loss}, gradient norm ${gradientNorm}; ${remedy}`,
        );
      }
      state.step++;
      const learningRate = learningRateAt(state.step, options, fraction);
      const { gradientClip, ema, beta2 } = options;
      await optimizer.step(state, gradient, {
        learningRate,
        scale: gradientClip > 0 ? Math.min(1, gradientClip / gradientNorm) : 1,
        emaDecay: emaDecayAt(state.step, ema),
        ...(beta2 !== undefined && { beta2 }),
      });
      return { step: state.step, loss, gradientNorm, learningRate, losses };
    },
    dispose: () => optimizer.dispose(),
  };
}

/**
 * Compiles the gradients of a weighted sum of losses with respect to weights.
 * @param examples number of examples per run
 * @param shapes of the inputs of `losses`
 * @param losses per example, [examples], from inputs of these shapes and weights in tfjs' layout
 * @returns inputs: the examples' weights [examples], those of `shapes`, {@link Descent.weights}; outputs: the losses
 *   [examples], and the gradients in the order and layout of the parameters
 */
export function compileGradients(
  engine: Engine,
  parameters: readonly ParameterSpec[],
  examples: number,
  shapes: readonly Shape[],
  losses: (inputs: tf.Tensor[], weights: tf.Tensor[]) => tf.Tensor1D,
): Promise<CompiledFunction> {
  registerGradients();
  return engine.compile(
    ([exampleWeights, ...rest]: tf.Tensor[]) => {
      const inputs = rest.slice(0, shapes.length);
      const stored = rest.slice(shapes.length);
      // The gradient with respect to an example's weight is its loss.
      const loss = (weights: tf.Tensor, ...tensors: tf.Tensor[]) => {
        const layers = tensors.map((tensor, i) => fromFileLayout(parameters[i], tensor));
        return tf.sum(tf.mul(losses(inputs, layers), weights)) as tf.Scalar;
      };
      return tf.grads(loss)([exampleWeights, ...stored]);
    },
    [[examples], ...shapes, ...parameters.map(({ shape }) => shape)],
    [],
    { parallel: true },
  );
}

/** Converts a stored tensor to tfjs' layout, like `toEngineLayout`. */
function fromFileLayout({ kind }: ParameterSpec, stored: tf.Tensor): tf.Tensor {
  if (kind === 'vector') return stored;
  return tf.transpose(stored, kind === 'conv' ? [2, 3, 1, 0] : [1, 0]);
}

function accumulate(sum: Float32Array, parts: readonly Float32Array[]): void {
  let offset = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i++) sum[offset + i] += part[i];
    offset += part.length;
  }
}
