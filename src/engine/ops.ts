/**
 * Operations of the network that tfjs lacks, or that an engine can run better than tfjs' own composition of kernels.
 * Where the backend has no kernel of that name, each falls back to plain tfjs. Each defines its own gradient.
 */
import * as tf from '@tensorflow/tfjs-core';

/** x, gamma, beta -> y; with the attribute `training` -> y, and for the gradient the normalised values and 1 / deviation. */
export const GROUP_NORM_KERNEL = 'DdpmCodecGroupNorm';
/** dy, normal, inverse, gamma -> dx, dgamma, dbeta. */
export const GROUP_NORM_GRADIENT_KERNEL = 'DdpmCodecGroupNormGradient';
export const SILU_KERNEL = 'DdpmCodecSilu';
/** dy, x, y -> dx. */
export const SILU_GRADIENT_KERNEL = 'DdpmCodecSiluGradient';
export const UPSAMPLE_KERNEL = 'DdpmCodecUpsampleNearest2x';
/** dy -> dx. */
export const UPSAMPLE_GRADIENT_KERNEL = 'DdpmCodecUpsampleNearest2xGradient';

function hasKernel(name: string): boolean {
  return tf.getKernel(name, tf.getBackend()) !== undefined;
}

function runKernel<T>(name: string, inputs: Record<string, tf.Tensor>, attributes = {}): T {
  return tf.engine().runKernel(name, inputs as tf.NamedTensorMap, attributes) as T;
}

/** SiLU, x sigmoid(x). */
export function silu<T extends tf.Tensor>(x: T): T {
  const op = tf.customGrad((...args) => {
    const [input, save] = args as unknown as [tf.Tensor, tf.GradSaveFunc];
    const y = hasKernel(SILU_KERNEL)
      ? runKernel<tf.Tensor>(SILU_KERNEL, { x: input })
      : tf.mul(input, tf.sigmoid(input));
    save([input, y]);
    return { value: y, gradFunc: (dy, [saved, value]) => siluGradient(dy as tf.Tensor, saved, value) };
  });
  return op(x) as T;
}

/** dy (s + y (1 - s)) for s = sigmoid(x), y = x s. */
function siluGradient(dy: tf.Tensor, x: tf.Tensor, y: tf.Tensor): tf.Tensor {
  if (hasKernel(SILU_GRADIENT_KERNEL)) return runKernel(SILU_GRADIENT_KERNEL, { dy, x, y });
  return tf.mul(dy, tf.add(tf.mul(tf.sigmoid(x), tf.sub(1, y)), y));
}

/**
 * Convolution of [N, H, W, C] with a bias per channel.
 * @param filter [h, w, in, out] @param bias [out]
 */
export function conv2d(
  x: tf.Tensor4D,
  filter: tf.Tensor4D,
  bias: tf.Tensor1D,
  strides: number,
  pad: 'same' | 'valid',
): tf.Tensor4D {
  const op = tf.customGrad((...args) => {
    const [input, weights, shift, save] = args as unknown as [tf.Tensor4D, tf.Tensor4D, tf.Tensor1D, tf.GradSaveFunc];
    save([input, weights]);
    return {
      value: tf.fused.conv2d({ x: input, filter: weights, bias: shift, strides, pad }),
      gradFunc: (gradient, saved) => {
        const dy = gradient as tf.Tensor4D;
        const [kept, kernel] = saved as [tf.Tensor4D, tf.Tensor4D];
        return [
          tf.conv2dTranspose(dy, kernel, kept.shape, strides, pad),
          filterGradient(kept, dy, kernel.shape, strides, pad),
          // Summed per image first, because the gradient of a shift per image and channel needs the same sums.
          tf.sum(tf.sum(dy, [1, 2]), 0),
        ];
      },
    };
  });
  return op(x, filter, bias) as tf.Tensor4D;
}

const FILTER_GRADIENT_KERNEL = 'Conv2DBackpropFilter';

function filterGradient(
  x: tf.Tensor4D,
  dy: tf.Tensor4D,
  filterShape: [number, number, number, number],
  strides: number,
  pad: 'same' | 'valid',
): tf.Tensor4D {
  if (hasKernel(FILTER_GRADIENT_KERNEL)) {
    const attributes = { strides, pad, dataFormat: 'NHWC', dimRoundingMode: undefined, filterShape };
    return runKernel(FILTER_GRADIENT_KERNEL, { x, dy }, attributes);
  }
  // One matrix product per filter position, (input shifted to it)^T dy, for the wasm backend, which has no kernel for
  // this gradient.
  const [rows, columns, inChannels, outChannels] = filterShape;
  const { padInfo } = tf.backend_util.computeConv2DInfo(x.shape, filterShape, strides, 1, pad);
  const padded = tf.pad<tf.Tensor4D>(x, [
    [0, 0],
    [padInfo.top, padInfo.bottom],
    [padInfo.left, padInfo.right],
    [0, 0],
  ]);
  const [batch, outRows, outColumns] = dy.shape;
  const gradient = tf.reshape(dy, [-1, outChannels]);
  const products: tf.Tensor[] = [];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const end = [batch, row + (outRows - 1) * strides + 1, column + (outColumns - 1) * strides + 1, inChannels];
      const shifted = tf.stridedSlice(padded, [0, row, column, 0], end, [1, strides, strides, 1]);
      products.push(tf.matMul(tf.reshape(shifted, [-1, inChannels]), gradient, true, false));
    }
  }
  return tf.reshape(tf.concat(products, 0), filterShape);
}

/**
 * Group normalisation (Wu & He 2018) over [N, H, W, C]: normalises each group of C / groups neighbouring channels of an
 * image to mean 0 and variance 1, then scales and shifts each channel.
 * @param gamma scale, [C] @param beta shift, [C]
 */
export function groupNorm(x: tf.Tensor4D, gamma: tf.Tensor1D, beta: tf.Tensor1D, groups: number, epsilon: number) {
  const op = tf.customGrad((...args) => {
    const [input, scale, shift, save] = args as unknown as [tf.Tensor4D, tf.Tensor1D, tf.Tensor1D, tf.GradSaveFunc];
    const training = tf.engine().state.gradientDepth > 0;
    const [y, ...statistics] = groupNormForward(input, scale, shift, { groups, epsilon, training });
    if (training) save([...statistics, scale]);
    return { value: y, gradFunc: (dy, saved) => groupNormGradient(dy as tf.Tensor4D, saved, groups) };
  });
  return op(x, gamma, beta) as tf.Tensor4D;
}

/** The output, and for training the normalised values in x's shape and 1 / deviation, [N, 1, groups, 1]. */
function groupNormForward(
  x: tf.Tensor4D,
  gamma: tf.Tensor1D,
  beta: tf.Tensor1D,
  attributes: { readonly groups: number; readonly epsilon: number; readonly training: boolean },
): tf.Tensor4D[] {
  if (hasKernel(GROUP_NORM_KERNEL))
    return [runKernel<tf.Tensor4D[]>(GROUP_NORM_KERNEL, { x, gamma, beta }, attributes)].flat();
  const { groups, epsilon } = attributes;
  const [batch, height, width, channels] = x.shape;
  const grouped = tf.reshape(x, [batch, height * width, groups, channels / groups]);
  const centred = tf.sub(grouped, tf.mean(grouped, [1, 3], true));
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), [1, 3], true), epsilon)) as tf.Tensor4D;
  const normal = tf.reshape<tf.Rank.R4>(tf.mul(centred, inverse), x.shape);
  return [tf.add(tf.mul(normal, gamma), beta), normal, inverse];
}

/** dx = inverse (gamma dy - mean(gamma dy) - n mean(gamma dy n)), where n are the normalised values and means are over a group. */
function groupNormGradient(dy: tf.Tensor4D, [normal, inverse, gamma]: tf.Tensor[], groups: number): tf.Tensor[] {
  if (hasKernel(GROUP_NORM_GRADIENT_KERNEL)) {
    return runKernel(GROUP_NORM_GRADIENT_KERNEL, { dy, normal, inverse, gamma }, { groups });
  }
  const [batch, height, width, channels] = dy.shape;
  const grouped = [batch, height * width, groups, channels / groups];
  const scaled = tf.reshape(tf.mul(dy, gamma), grouped);
  const normalGrouped = tf.reshape(normal, grouped);
  const mean = tf.mean(scaled, [1, 3], true);
  const along = tf.mean(tf.mul(scaled, normalGrouped), [1, 3], true);
  const dx = tf.mul(inverse, tf.sub(tf.sub(scaled, mean), tf.mul(normalGrouped, along)));
  return [tf.reshape(dx, dy.shape), tf.sum(tf.mul(dy, normal), [0, 1, 2]), tf.sum(dy, [0, 1, 2])];
}

/** Doubles height and width of [N, H, W, C] by repeating pixels. */
export function upsampleNearest2x(x: tf.Tensor4D): tf.Tensor4D {
  const op = tf.customGrad((input) => {
    const [batch, height, width, channels] = (input as tf.Tensor4D).shape;
    return {
      value: hasKernel(UPSAMPLE_KERNEL)
        ? runKernel<tf.Tensor4D>(UPSAMPLE_KERNEL, { x: input as tf.Tensor })
        : tf.image.resizeNearestNeighbor(input as tf.Tensor4D, [2 * height, 2 * width]),
      // Not tfjs' ResizeNearestNeighborGrad: its CPU kernel is wrong for batches.
      gradFunc: (dy) =>
        hasKernel(UPSAMPLE_GRADIENT_KERNEL)
          ? runKernel<tf.Tensor4D>(UPSAMPLE_GRADIENT_KERNEL, { dy: dy as tf.Tensor })
          : tf.reshape(tf.sum(tf.reshape(dy as tf.Tensor, [batch, height, 2, width, 2, channels]), [2, 4]), x.shape),
    };
  });
  return op(x) as tf.Tensor4D;
}

/**
 * Makes the pixels of each square of `side` x `side` the channels of one place: [N, H, W, C] to [N, H / side, W / side,
 * side side C], the channels in the order of row, column, channel. H and W are multiples of the side.
 */
export function spaceToDepth(x: tf.Tensor4D, side: number): tf.Tensor4D {
  if (side === 1) return x;
  const [batch, height, width, channels] = x.shape;
  const [rows, columns] = [height / side, width / side];
  const places: tf.Tensor4D['shape'] = [batch, rows, columns, side * side * channels];
  return tf.reshape(middleExchanged(x, [batch * rows, side, columns, side * channels]), places);
}

/** The inverse of {@link spaceToDepth}. */
export function depthToSpace(x: tf.Tensor4D, side: number): tf.Tensor4D {
  if (side === 1) return x;
  const [batch, rows, columns, values] = x.shape;
  const pixels: tf.Tensor4D['shape'] = [batch, rows * side, columns * side, values / (side * side)];
  return tf.reshape(middleExchanged(x, [batch * rows, columns, side, values / side]), pixels);
}

/** A tensor in another shape, with the two middle axes of that exchanged. */
function middleExchanged(x: tf.Tensor4D, shape: tf.Tensor4D['shape']): tf.Tensor4D {
  return tf.transpose(tf.reshape(x, shape), [0, 2, 1, 3]);
}
