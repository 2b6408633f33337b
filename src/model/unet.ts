/**
 * The U-Net of Ho, Jain & Abbeel 2020 (section 4, appendix B), compatible with diffusers' `UNet2DModel`: same
 * `config.json`, same tensor names. It is written once in TensorFlow.js for all engines.
 */
import * as tf from '@tensorflow/tfjs-core';
import { CodecError, invalidArgument } from '../common/errors.js';
import { once } from '../common/once.js';
import type { HostTensor, Shape, TensorFunction } from '../engine/engine.js';
import { conv2d, depthToSpace, groupNorm, silu, spaceToDepth, upsampleNearest2x } from '../engine/ops.js';
import type { NetworkBand } from './bands.js';
import { strideOf, type UNetConfig } from './config.js';
import type { UpdatedNetwork } from './denoiser.js';
import type { NoisePredictor } from './network.js';
import { listParameters, matchParameters, type ParameterSpec, toEngineLayout } from './unet-parameters.js';
import type { UpdateNetwork } from './update.js';

/** A network with weights. */
export interface UNet {
  readonly config: UNetConfig;
  /** Height and width of its input are multiples of this. */
  readonly stride: number;
  /**
   * Inputs: sample [N, H, W, C] and timestep [N] (0..T-1); constants: the weights. Output: [N, H, W, outChannels].
   */
  readonly fn: TensorFunction;
  /** Weights in the order of `parameters`, convolutions as [h, w, in, out], matrices as [in, out]. */
  readonly constants: readonly HostTensor[];
  readonly parameters: readonly ParameterSpec[];
  /** Number of channels of the last features, before the last convolution. */
  readonly featureChannels: number;
  /** Bands of timesteps in which other weights replace these. */
  readonly bands?: readonly NetworkBand<UNet>[];
}

/**
 * Builds a network from its architecture and the tensors of its weights file.
 * @param tensors as stored, in PyTorch's layouts; attention may be named to_q/to_k/to_v/to_out.0, or
 *   query/key/value/proj_attn as in old checkpoints
 * @throws CodecError('model') naming a tensor that is missing, superfluous or of the wrong shape
 */
export function createUNet(config: UNetConfig, tensors: ReadonlyMap<string, HostTensor>): UNet {
  const parameters = listParameters(config);
  const matched = matchParameters(parameters, tensors);
  const constants = parameters.map((parameter) => toEngineLayout(parameter, matched.get(parameter.name)!));
  return {
    config,
    stride: strideOf(config),
    fn: createForward(config, parameters),
    constants,
    parameters,
    featureChannels: config.blockOutChannels[0],
  };
}

/**
 * A network together with its update.
 * @throws CodecError('model') for a network whose features do not belong to single pixels
 */
export function withUpdate(network: UNet, update: UpdateNetwork): UpdatedNetwork {
  checkUpdatable(network.config);
  const bands = network.bands?.map((band) => ({
    ...band,
    load: once(async () => withKept(await band.load(), update)),
  }));
  return { update, keeping: { ...withKept(network, update), ...(bands && { bands }) } };
}

/** A network without its bands, whose second output is the data that the update keeps. */
function withKept(network: UNet, update: UpdateNetwork): NoisePredictor {
  const { constants, stride } = network;
  const features = createFeatures(network);
  return {
    stride,
    constants: [...constants, ...update.keepConstants],
    fn(inputs: tf.Tensor[], weights: tf.Tensor[]) {
      const [output, last] = features(inputs, weights);
      return [output, ...update.keep([last], weights.slice(constants.length))];
    },
  };
}

/** @throws CodecError('model') for a network that cannot have an update */
export function checkUpdatable({ patchSize }: UNetConfig): void {
  if (patchSize === 1) return;
  throw new CodecError(
    'model',
    `update: expected a network whose patches are single pixels, got ${patchSize}x${patchSize}`,
  );
}

/** The forward function with a second output, the last features [N, H, W, featureChannels]. */
export function createFeatures({ config, parameters }: UNet): TensorFunction {
  const place = new Map(parameters.map(({ name }, i) => [name, i]));
  return ([sample, timestep]: tf.Tensor[], weights: tf.Tensor[]) => {
    const layers = createLayers(config, (name) => weights[place.get(name)!], []);
    const last = featuresOf(config, layers, sample as tf.Tensor4D, timestep as tf.Tensor1D);
    return [outputOf(config, layers, last), last];
  };
}

/**
 * The forward function alone; its weights may be inputs, to differentiate with respect to them. Further inputs, with
 * the shapes of `dropoutShapes`, are multiplied in where dropout acts.
 */
export function createForward(config: UNetConfig, parameters: readonly ParameterSpec[]): TensorFunction {
  const place = new Map(parameters.map(({ name }, i) => [name, i]));
  return ([sample, timestep, ...masks]: tf.Tensor[], weights: tf.Tensor[]) => [
    forward(config, (name) => weights[place.get(name)!], sample as tf.Tensor4D, timestep as tf.Tensor1D, masks),
  ];
}

/**
 * Shapes of the dropout masks. Dropout acts before the second convolution of each residual block; the order is that of
 * evaluation.
 */
export function dropoutShapes(config: UNetConfig, batch: number, height: number, width: number): Shape[] {
  const { blockOutChannels, layersPerBlock, patchSize } = config;
  const levels = blockOutChannels.length;
  const at = (level: number) => {
    const scale = patchSize * 2 ** level;
    return [batch, height / scale, width / scale, blockOutChannels[level]];
  };
  const repeat = (count: number, level: number) => Array.from({ length: count }, () => at(level));
  const all = [...blockOutChannels.keys()];
  return [
    ...all.flatMap((level) => repeat(layersPerBlock, level)),
    ...repeat(2, levels - 1),
    ...all.toReversed().flatMap((level) => repeat(layersPerBlock + 1, level)),
  ];
}

type Weights = (name: string) => tf.Tensor;

function forward(
  config: UNetConfig,
  weights: Weights,
  sample: tf.Tensor4D,
  timestep: tf.Tensor1D,
  masks: readonly tf.Tensor[],
): tf.Tensor4D {
  const layers = createLayers(config, weights, masks);
  return outputOf(config, layers, featuresOf(config, layers, sample, timestep));
}

function outputOf(config: UNetConfig, layers: Layers, features: tf.Tensor4D): tf.Tensor4D {
  return depthToSpace(layers.conv(features, 'conv_out'), config.patchSize);
}

/** The network without its last convolution; [N, H / p, W / p, C0]. */
function featuresOf(config: UNetConfig, layers: Layers, sample: tf.Tensor4D, timestep: tf.Tensor1D): tf.Tensor4D {
  const { blockOutChannels, layersPerBlock } = config;
  const levels = blockOutChannels.length;
  const stride = strideOf(config);
  const [, height, width, channels] = sample.shape;
  if (height % stride !== 0 || width % stride !== 0 || channels !== config.inChannels) {
    throw invalidArgument(
      'sample',
      `[N, H, W, ${config.inChannels}] with H and W multiples of ${stride}`,
      `[${sample.shape}]`,
    );
  }
  const embedding = silu(embedTime(config, layers, timestep));
  const input = config.centerInputSample ? (tf.sub(tf.mul(sample, 2), 1) as tf.Tensor4D) : sample;

  let h = layers.conv(spaceToDepth(input, config.patchSize), 'conv_in');
  const skips = [h];
  for (let level = 0; level < levels; level++) {
    const block = `down_blocks.${level}`;
    for (let layer = 0; layer < layersPerBlock; layer++) {
      h = layers.resnet(h, embedding, `${block}.resnets.${layer}`);
      if (config.downAttention[level]) h = layers.attention(h, `${block}.attentions.${layer}`);
      skips.push(h);
    }
    if (level < levels - 1) {
      h = layers.downsample(h, `${block}.downsamplers.0.conv`);
      skips.push(h);
    }
  }
  h = layers.resnet(h, embedding, 'mid_block.resnets.0');
  h = layers.attention(h, 'mid_block.attentions.0', !config.timeScaleShift);
  h = layers.resnet(h, embedding, 'mid_block.resnets.1');
  for (let level = 0; level < levels; level++) {
    const block = `up_blocks.${level}`;
    for (let layer = 0; layer <= layersPerBlock; layer++) {
      h = layers.resnet(tf.concat([h, skips.pop()!], 3), embedding, `${block}.resnets.${layer}`);
      if (config.upAttention[level]) h = layers.attention(h, `${block}.attentions.${layer}`);
    }
    if (level < levels - 1) h = layers.conv(upsampleNearest2x(h), `${block}.upsamplers.0.conv`);
  }
  return silu(layers.norm(h, 'conv_norm_out'));
}

/** Sinusoidal embedding of the timestep (Vaswani et al. 2017, as in diffusers) through two linear layers; [N, 4 C0]. */
function embedTime(config: UNetConfig, layers: Layers, timestep: tf.Tensor1D): tf.Tensor2D {
  const half = config.blockOutChannels[0] / 2;
  const frequencies = Float32Array.from({ length: half }, (_, i) =>
    Math.exp((-Math.log(10000) * i) / (half - config.freqShift)),
  );
  const angles = tf.mul(tf.reshape(timestep, [-1, 1]), tf.tensor(frequencies, [1, half]));
  const waves = config.flipSinToCos ? [tf.cos(angles), tf.sin(angles)] : [tf.sin(angles), tf.cos(angles)];
  const hidden = silu(layers.linear(tf.concat(waves, 1) as tf.Tensor2D, 'time_embedding.linear_1'));
  return layers.linear(hidden, 'time_embedding.linear_2');
}

type Layers = ReturnType<typeof createLayers>;

/** The network's layers, bound to its weights; names are prefixes of tensor names. */
function createLayers(config: UNetConfig, weights: Weights, masks: readonly tf.Tensor[]) {
  const masksLeft = [...masks];
  const { normNumGroups, normEps, attentionHeadDim, downsamplePadding, timeScaleShift } = config;

  function conv(x: tf.Tensor4D, name: string, stride = 1, pad: 'same' | 'valid' = 'same'): tf.Tensor4D {
    return conv2d(x, weights(`${name}.weight`) as tf.Tensor4D, weights(`${name}.bias`) as tf.Tensor1D, stride, pad);
  }

  function linear(x: tf.Tensor2D, name: string): tf.Tensor2D {
    const b = weights(`${name}.weight`) as tf.Tensor2D;
    return tf.fused.matMul({ a: x, b, bias: weights(`${name}.bias`) }) as tf.Tensor2D;
  }

  function norm(x: tf.Tensor4D, name: string): tf.Tensor4D {
    const gamma = weights(`${name}.weight`) as tf.Tensor1D;
    return groupNorm(x, gamma, weights(`${name}.bias`) as tf.Tensor1D, normNumGroups, normEps);
  }

  function dropout(x: tf.Tensor4D): tf.Tensor4D {
    const mask = masksLeft.shift();
    return mask ? tf.mul(x, mask) : x;
  }

  /** @param embedding SiLU of the time embedding, [N, 4 C0] */
  function resnet(x: tf.Tensor4D, embedding: tf.Tensor2D, name: string): tf.Tensor4D {
    const projected = linear(embedding, `${name}.time_emb_proj`);
    const time = tf.reshape(projected, [-1, 1, 1, projected.shape[1]]) as tf.Tensor4D;
    let h = conv(silu(norm(x, `${name}.norm1`)), `${name}.conv1`);
    if (timeScaleShift) {
      const [scale, shift] = tf.split(time, 2, 3);
      h = tf.add(tf.mul(norm(h, `${name}.norm2`), tf.add(scale, 1)), shift);
    } else h = norm(tf.add(h, time), `${name}.norm2`);
    h = conv(dropout(silu(h)), `${name}.conv2`);
    const shortcut = x.shape[3] === h.shape[3] ? x : conv(x, `${name}.conv_shortcut`);
    return tf.add(shortcut, h);
  }

  /** Self-attention over all positions, with a residual connection. */
  function attention(x: tf.Tensor4D, name: string, normalized = true): tf.Tensor4D {
    const [batch, height, width, channels] = x.shape;
    const positions = height * width;
    const heads = attentionHeadDim === null ? 1 : channels / attentionHeadDim;
    const size = channels / heads;
    const input = normalized ? norm(x, `${name}.group_norm`) : x;
    const h = tf.reshape(input, [batch * positions, channels]) as tf.Tensor2D;
    const split = (y: tf.Tensor2D) =>
      heads === 1
        ? tf.reshape(y, [batch, positions, channels])
        : tf.reshape(tf.transpose(tf.reshape(y, [batch, positions, heads, size]), [0, 2, 1, 3]), [
            batch * heads,
            positions,
            size,
          ]);
    const [query, key, value] = ['to_q', 'to_k', 'to_v'].map((part) => split(linear(h, `${name}.${part}`)));
    const scores = tf.mul(tf.matMul(query, key, false, true), 1 / Math.sqrt(size));
    const attended = tf.matMul(tf.softmax(scores), value);
    const joined =
      heads === 1 ? attended : tf.transpose(tf.reshape(attended, [batch, heads, positions, size]), [0, 2, 1, 3]);
    const out = linear(tf.reshape(joined, [batch * positions, channels]), `${name}.to_out.0`);
    return tf.add(x, tf.reshape(out, x.shape));
  }

  /** Halves height and width; padding 0 means one row and column of zeros at the far ends only, as in the paper's code. */
  function downsample(x: tf.Tensor4D, name: string): tf.Tensor4D {
    const before = downsamplePadding;
    const padded = tf.pad(x, [
      [0, 0],
      [before, 1],
      [before, 1],
      [0, 0],
    ]);
    return conv(padded, name, 2, 'valid');
  }

  return { conv, linear, norm, resnet, attention, downsample };
}
