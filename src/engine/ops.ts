/**
 * Operations of the network that tfjs lacks, or that an engine can run better than tfjs' own composition. Each is plain
 * tfjs where the backend has no kernel of its name, and has its gradient written out.
 */
import * as tf from '@tensorflow/tfjs-core';

export const GROUP_NORM_KERNEL = 'DdpmCodecGroupNorm';
export const UPSAMPLE_KERNEL = 'DdpmCodecUpsampleNearest2x';

function hasKernel(name: string): boolean {
  return tf.getKernel(name, tf.getBackend()) !== undefined;
}

/** SiLU, x sigmoid(x). */
export function silu<T extends tf.Tensor>(x: T): T {
  return tf.mul(x, tf.sigmoid(x));
}

/**
 * Group normalisation (Wu & He 2018) over [N, H, W, C]: each group of C / groups neighbouring channels of an image is
 * brought to mean 0 and variance 1, then scaled and shifted per channel.
 * @param gamma scale, [C] @param beta shift, [C]
 */
export function groupNorm(x: tf.Tensor4D, gamma: tf.Tensor1D, beta: tf.Tensor1D, groups: number, epsilon: number) {
  const op = tf.customGrad((...args) => {
    const [input, scale, shift, save] = args as unknown as [tf.Tensor4D, tf.Tensor1D, tf.Tensor1D, tf.GradSaveFunc];
    save([input, scale]);
    return {
      value: groupNormForward(input, scale, shift, groups, epsilon),
      gradFunc: (dy, saved) =>
        groupNormGradient(dy as tf.Tensor4D, saved as [tf.Tensor4D, tf.Tensor1D], groups, epsilon),
    };
  });
  return op(x, gamma, beta) as tf.Tensor4D;
}

function groupNormForward(
  x: tf.Tensor4D,
  gamma: tf.Tensor1D,
  beta: tf.Tensor1D,
  groups: number,
  epsilon: number,
): tf.Tensor4D {
  if (hasKernel(GROUP_NORM_KERNEL)) {
    return tf.engine().runKernel(GROUP_NORM_KERNEL, { x, gamma, beta }, { groups, epsilon }) as tf.Tensor4D;
  }
  const { normal } = normalize(x, groups, epsilon);
  return tf.add(tf.mul(tf.reshape(normal, x.shape), gamma), beta) as tf.Tensor4D;
}

/** The normalised values as [N, HW, groups, C / groups] and 1 / deviation per image and group. */
function normalize(x: tf.Tensor4D, groups: number, epsilon: number) {
  const [batch, height, width, channels] = x.shape;
  const grouped = tf.reshape(x, [batch, height * width, groups, channels / groups]);
  const centred = tf.sub(grouped, tf.mean(grouped, [1, 3], true));
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), [1, 3], true), epsilon));
  return { normal: tf.mul(centred, inverse), inverse };
}

function groupNormGradient(
  dy: tf.Tensor4D,
  [x, gamma]: [tf.Tensor4D, tf.Tensor1D],
  groups: number,
  epsilon: number,
): tf.Tensor[] {
  const { normal, inverse } = normalize(x, groups, epsilon);
  const scaled = tf.reshape(tf.mul(dy, gamma), normal.shape);
  const mean = tf.mean(scaled, [1, 3], true);
  const along = tf.mean(tf.mul(scaled, normal), [1, 3], true);
  const dx = tf.mul(inverse, tf.sub(tf.sub(scaled, mean), tf.mul(normal, along)));
  const dGamma = tf.sum(tf.mul(dy, tf.reshape(normal, x.shape)), [0, 1, 2]);
  return [tf.reshape(dx, x.shape), dGamma, tf.sum(dy, [0, 1, 2])];
}

/** Doubles height and width of [N, H, W, C] by repeating pixels. */
export function upsampleNearest2x(x: tf.Tensor4D): tf.Tensor4D {
  const op = tf.customGrad((input) => {
    const [batch, height, width, channels] = (input as tf.Tensor4D).shape;
    return {
      value: hasKernel(UPSAMPLE_KERNEL)
        ? (tf.engine().runKernel(UPSAMPLE_KERNEL, { x: input as tf.Tensor }) as tf.Tensor4D)
        : tf.image.resizeNearestNeighbor(input as tf.Tensor4D, [2 * height, 2 * width]),
      // Not tfjs' ResizeNearestNeighborGrad: its CPU kernel is wrong for batches.
      gradFunc: (dy) => tf.reshape(tf.sum(tf.reshape(dy, [batch, height, 2, width, 2, channels]), [2, 4]), x.shape),
    };
  });
  return op(x) as tf.Tensor4D;
}
