/**
 * The update: a small network that predicts what the large one would say now, without asking it.
 *
 * Since the network was asked at x_t, steps have been sent, and the state is now x_s. Let y = x / sqrt(abar), the
 * picture with noise of variance 1 / snr. Then the information that has arrived since is an observation of its own,
 *
 *     u = (snr_s y_s - snr_t y_t) / (snr_s - snr_t), in noise of variance 1 / (snr_s - snr_t),
 *
 * and the network's xhat0 is the mean of the posterior before it. A Kalman filter would take from u what the
 * posterior's covariance lets through. This network has learned to do so, from the results of the last evaluation: its
 * xhat0, and the output of the update's first layer for the large network's last features, computed once per evaluation
 * ("kept"). Each update starts from the evaluation anew, and u contains everything that has arrived since, so updates
 * are not chained and errors do not accumulate.
 *
 * All but this first layer works at half the picture's size, with the four pixels of each 2x2 square as channels of one
 * place. At equal cost such layers may be wider, and they see twice as far.
 */
import * as tf from '@tensorflow/tfjs-core';
import { CodecError } from '../common/errors.js';
import type { HostTensor, TensorFunction } from '../engine/engine.js';
import { conv2d, depthToSpace, silu, spaceToDepth } from '../engine/ops.js';
import { type ParameterSpec, toEngineLayout } from './unet-parameters.js';

/** Channels of the observation: xhat0, and the differences of u and y_t from it, in standard deviations. */
export const OBSERVED_CHANNELS = 9;
/** Side of the squares of pixels that are one place, and number of these pixels. */
const SIDE = 2;
export const PIXELS_OF_PLACE = SIDE ** 2;
/** Residual convolutions between the first and the last one. */
const BLOCKS = 3;
/** Receptive field of an output, in pixels to each side at most: that of {@link BLOCKS} + 2 convolutions of 3x3 places. */
export const UPDATE_REACH = SIDE * (BLOCKS + 2);
/** Scale of the output: an output of 1 moves xhat0 by this many standard deviations of the noise in y_s. */
const OUTPUT_SCALE = 0.15;
/** Number of inputs that give the noise levels. */
const LEVELS = 2;
/** Width of the hidden layer for these inputs. */
const HIDDEN = 64;

/** Widths of an update's layers. */
export interface UpdateShape {
  /** Channels of the large network's last features. */
  readonly features: number;
  /** Channels kept per evaluation, for each pixel. */
  readonly kept: number;
  /** Channels of a place. */
  readonly width: number;
}

/** An update with weights. */
export interface UpdateNetwork {
  readonly shape: UpdateShape;
  /**
   * Computes the kept data [N, H, W, kept] from the large network's last features [N, H, W, features]; constants:
   * `keepConstants`.
   */
  readonly keep: TensorFunction;
  readonly keepConstants: readonly HostTensor[];
  /**
   * Inputs: kept [N, H, W, kept], observed [N, H, W, 9], levels [N, 2]; output [N, H, W, 3], to be multiplied by
   * {@link outputScale}. H and W are even.
   */
  readonly fn: TensorFunction;
  readonly constants: readonly HostTensor[];
}

/**
 * The noise levels as inputs of an update.
 * @param before snr_t at the evaluation
 * @param after snr_s now
 */
export function levelsOf(before: number, after: number): [number, number] {
  return [Math.log(before) / 3 - 1, 2 * Math.log(after / before) - 1];
}

/**
 * Factor of an update's output, which is then added to xhat0.
 * @param after snr_s
 */
export function outputScale(after: number): number {
  return OUTPUT_SCALE / Math.sqrt(after);
}

/** Parameters in order; the first two are those of `keep`. */
export function listUpdateParameters({ features, kept, width }: UpdateShape): ParameterSpec[] {
  const spec = (name: string, kind: ParameterSpec['kind'], shape: readonly number[]) => ({
    ...{ name, oldName: name, kind, shape },
  });
  const conv = (name: string, from: number, to: number, side = 3) => spec(name, 'conv', [to, from, side, side]);
  const bias = (name: string, size: number) => spec(name, 'vector', [size]);
  const blocks = Array.from({ length: BLOCKS }, (_, i) => `conv_${i + 1}`);
  return [
    conv('keep.weight', features, kept),
    bias('keep.bias', kept),
    conv('conv_in.weight', PIXELS_OF_PLACE * OBSERVED_CHANNELS, width),
    conv('conv_kept.weight', PIXELS_OF_PLACE * kept, width, 1),
    ...blocks.flatMap((name) => [conv(`${name}.weight`, width, width), bias(`${name}.bias`, width)]),
    conv('conv_out.weight', width, PIXELS_OF_PLACE * 3),
    bias('conv_out.bias', PIXELS_OF_PLACE * 3),
    spec('levels.linear_1.weight', 'linear', [HIDDEN, LEVELS]),
    bias('levels.linear_1.bias', HIDDEN),
    spec('levels.linear_2.weight', 'linear', [4 * width, HIDDEN]),
    bias('levels.linear_2.bias', 4 * width),
  ];
}

/**
 * Builds an update from the tensors of its weights file.
 * @param tensors in PyTorch's layouts
 * @param features channels of the large network's last features
 * @throws CodecError('model') naming a tensor that is missing, superfluous or of the wrong shape
 */
export function createUpdate(tensors: ReadonlyMap<string, HostTensor>, features: number): UpdateNetwork {
  const sizeOfFirst = (name: string) => tensors.get(name)?.shape[0] ?? 1;
  const shape = { features, kept: sizeOfFirst('keep.weight'), width: sizeOfFirst('conv_in.weight') };
  const parameters = listUpdateParameters(shape);
  const names = new Set(parameters.map(({ name }) => name));
  const extra = [...tensors.keys()].find((name) => !names.has(name));
  if (extra !== undefined) throw new CodecError('model', `update weights: tensor ${extra} is superfluous`);
  const constants = parameters.map((parameter) => {
    const tensor = tensors.get(parameter.name);
    if (tensor?.shape.join() !== parameter.shape.join()) {
      const got = tensor ? `[${tensor.shape}]` : 'none';
      throw new CodecError(
        'model',
        `update weights: tensor ${parameter.name}: expected shape [${parameter.shape}], got ${got}`,
      );
    }
    return toEngineLayout(parameter, tensor);
  });
  return {
    shape,
    keep: createKeep(),
    keepConstants: constants.slice(0, KEEP_PARAMETERS),
    fn: createUpdateForward(shape),
    constants: constants.slice(KEEP_PARAMETERS),
  };
}

/** Number of parameters of `keep`. */
export const KEEP_PARAMETERS = 2;

/** {@link UpdateNetwork.keep} alone; its weights may be inputs, to differentiate with respect to them. */
export function createKeep(): TensorFunction {
  return ([features]: tf.Tensor[], [weight, bias]: tf.Tensor[]) => [conv(features as tf.Tensor4D, weight, bias)];
}

/** {@link UpdateNetwork.fn} alone. */
export function createUpdateForward(shape: UpdateShape): TensorFunction {
  return ([kept, observed, levels]: tf.Tensor[], weights: tf.Tensor[]) => [
    forward(shape, kept as tf.Tensor4D, observed as tf.Tensor4D, levels as tf.Tensor2D, weights),
  ];
}

function forward(
  { width }: UpdateShape,
  kept: tf.Tensor4D,
  observed: tf.Tensor4D,
  levels: tf.Tensor2D,
  [convIn, convKept, ...weights]: tf.Tensor[],
): tf.Tensor4D {
  const blocks = weights.slice(0, 2 * BLOCKS);
  const [convOut, biasOut, linear1, linearBias1, linear2, linearBias2] = weights.slice(2 * BLOCKS);
  const hidden = silu(tf.fused.matMul({ a: levels, b: linear1 as tf.Tensor2D, bias: linearBias1 }) as tf.Tensor2D);
  const modulation = tf.fused.matMul({ a: hidden, b: linear2 as tf.Tensor2D, bias: linearBias2 });
  const [scale1, shift1, scale2, shift2] = tf.split(tf.reshape(modulation, [-1, 1, 1, 4 * width]), 4, 3);
  const modulate = (x: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor) =>
    tf.add(tf.mul(x, tf.add(scale, 1)), shift) as tf.Tensor4D;
  const none = tf.zeros([width]);
  const seen = tf.add(conv(spaceToDepth(observed, SIDE), convIn, none), conv(spaceToDepth(kept, SIDE), convKept, none));
  let h = silu(modulate(seen, scale1, shift1));
  for (let i = 0; i < BLOCKS; i++) {
    const [weight, bias] = blocks.slice(2 * i);
    const change = conv(h, weight, bias);
    h = tf.add(h, silu(i === 0 ? modulate(change, scale2, shift2) : change));
  }
  return depthToSpace(conv(h, convOut, biasOut), SIDE);
}

function conv(x: tf.Tensor4D, weight: tf.Tensor, bias: tf.Tensor): tf.Tensor4D {
  return conv2d(x, weight as tf.Tensor4D, bias as tf.Tensor1D, 1, 'same');
}
