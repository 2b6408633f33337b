/** What every training does: the gradients of a batch's parts become a step of the weights. */
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
  /** Steps over which the learning rate rises from 0. */
  readonly warmup: number;
  /** Share of the run, 0..1, at whose end the learning rate falls to 0; 0: it stays. */
  readonly cooldown: number;
  /** Largest norm of the gradient; 0: no limit. */
  readonly gradientClip: number;
  /** Decay of the average of the weights, 0..1. */
  readonly ema: number;
  /** Decay of Adam's second moment, 0..1; default 0.999. */
  readonly beta2?: number;
}

export interface StepReport {
  readonly step: number;
  /** Mean over the batch, weighted as the training asks. */
  readonly loss: number;
  /** Before clipping. */
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
   * @throws CodecError('model') when loss or gradient are not finite; the state is then as it was before
   */
  step(images: Uint8Array, fraction?: number): Promise<StepReport>;
  dispose(): Promise<void>;
}

export interface Descent {
  /** The weights as inputs of {@link compileGradients}' functions: views of the state. */
  readonly weights: readonly Float32Array[];
  /**
   * @param runs of {@link compileGradients}' function, one for each part, in their order
   * @param meanOf the batch's loss from those of its examples
   * @param fraction of the run that is done, 0..1
   * @returns also the losses of the examples
   * @throws CodecError('model') when loss or gradient are not finite; the state is then as it was before
   */
  step(
    runs: readonly Promise<Float32Array[]>[],
    meanOf: (losses: readonly number[]) => number,
    fraction: number,
  ): Promise<StepReport & { readonly losses: readonly number[] }>;
  dispose(): Promise<void>;
}

/** @param remedy what can be done about weights that diverge */
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
        // In their order, while the engine works on the next. When one fails, the others are not left to fail unseen.
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
 * @param examples of a run
 * @param shapes of what `losses` is given
 * @param losses per example, [examples], from inputs of these shapes and weights in the layout that tfjs computes with
 * @returns inputs: the examples' weights [examples], those of `shapes`, {@link Descent.weights}; outputs: the losses [examples],
 *   and the gradients in the order and layout of the parameters
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

/** A stored tensor in the layout that tfjs computes with, as `toEngineLayout` has it. */
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
