/** The parameters of the U-Net: names, shapes, and layouts in a weights file and in an engine. */
import { CodecError } from '../common/errors.js';
import { type HostTensor, type Shape, sizeOf } from '../engine/engine.js';
import type { UNetConfig } from './config.js';

type Kind = 'conv' | 'linear' | 'vector';

export interface ParameterSpec {
  /** As in present diffusers. */
  readonly name: string;
  /** As in checkpoints from before diffusers rewrote its attention; mostly the same. */
  readonly oldName: string;
  readonly kind: Kind;
  /** Shape in the file, which is PyTorch's: conv [out, in, h, w], linear [out, in], vector [n]. */
  readonly shape: Shape;
}

/**
 * All parameters of a network, in the order in which its weights are passed to an engine.
 * @throws CodecError('model') where there are more than in any real network
 */
export function listParameters(config: UNetConfig): ParameterSpec[] {
  const { blockOutChannels, layersPerBlock, inChannels, outChannels, patchSize } = config;
  const pixels = patchSize ** 2;
  const levels = blockOutChannels.length;
  const embedding = 4 * blockOutChannels[0];
  const parameters: ParameterSpec[] = [];
  const add = (name: string, kind: Kind, shape: Shape) =>
    parameters.push({ name, oldName: oldNameOf(name), kind, shape });
  const affine = (name: string, kind: Kind, shape: Shape) => {
    add(`${name}.weight`, kind, shape);
    add(`${name}.bias`, 'vector', [shape[0]]);
  };
  const conv = (name: string, from: number, to: number, size = 3) => affine(name, 'conv', [to, from, size, size]);
  const linear = (name: string, from: number, to: number) => affine(name, 'linear', [to, from]);
  const norm = (name: string, channels: number) => affine(name, 'vector', [channels]);
  const resnet = (name: string, from: number, to: number) => {
    norm(`${name}.norm1`, from);
    conv(`${name}.conv1`, from, to);
    linear(`${name}.time_emb_proj`, embedding, config.timeScaleShift ? 2 * to : to);
    norm(`${name}.norm2`, to);
    conv(`${name}.conv2`, to, to);
    if (from !== to) conv(`${name}.conv_shortcut`, from, to, 1);
  };
  const attention = (name: string, channels: number, normalized = true) => {
    if (normalized) norm(`${name}.group_norm`, channels);
    for (const part of ['to_q', 'to_k', 'to_v', 'to_out.0']) linear(`${name}.${part}`, channels, channels);
  };

  conv('conv_in', inChannels * pixels, blockOutChannels[0]);
  linear('time_embedding.linear_1', blockOutChannels[0], embedding);
  linear('time_embedding.linear_2', embedding, embedding);
  const skips = [blockOutChannels[0]];
  let channels = blockOutChannels[0];
  blockOutChannels.forEach((width, level) => {
    const block = `down_blocks.${level}`;
    for (let layer = 0; layer < layersPerBlock; layer++) {
      resnet(`${block}.resnets.${layer}`, channels, width);
      if (config.downAttention[level]) attention(`${block}.attentions.${layer}`, width);
      channels = width;
      skips.push(channels);
    }
    if (level < levels - 1) {
      conv(`${block}.downsamplers.0.conv`, channels, channels);
      skips.push(channels);
    }
  });
  resnet('mid_block.resnets.0', channels, channels);
  attention('mid_block.attentions.0', channels, !config.timeScaleShift);
  resnet('mid_block.resnets.1', channels, channels);
  blockOutChannels.toReversed().forEach((width, level) => {
    const block = `up_blocks.${level}`;
    for (let layer = 0; layer <= layersPerBlock; layer++) {
      resnet(`${block}.resnets.${layer}`, channels + skips.pop()!, width);
      if (config.upAttention[level]) attention(`${block}.attentions.${layer}`, width);
      channels = width;
    }
    if (level < levels - 1) conv(`${block}.upsamplers.0.conv`, channels, channels);
  });
  norm('conv_norm_out', channels);
  conv('conv_out', channels, outChannels * pixels);
  const count = numbersIn(parameters);
  if (count > MOST_PARAMETERS) {
    throw new CodecError(
      'model',
      `config.json: expected a network of at most ${MOST_PARAMETERS} parameters, got one of ${count}`,
    );
  }
  return parameters;
}

/** Four gigabytes in memory, thirty times the paper's network. Checked before any of it is allocated. */
const MOST_PARAMETERS = 2 ** 30;

/** Number of learned parameters of a network. */
export function countParameters(config: UNetConfig): number {
  return numbersIn(listParameters(config));
}

function numbersIn(parameters: readonly ParameterSpec[]): number {
  return parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}

const OLD_ATTENTION_NAMES: Record<string, string> = {
  to_q: 'query',
  to_k: 'key',
  to_v: 'value',
  'to_out.0': 'proj_attn',
};

function oldNameOf(name: string): string {
  return name.replace(/(to_q|to_k|to_v|to_out\.0)(?=\.(?:weight|bias)$)/, (part) => OLD_ATTENTION_NAMES[part]);
}

/**
 * A file's tensors in the order of the parameters, under diffusers' present names, in the parameters' shapes.
 * @param tensors as stored, in PyTorch's layouts, with old or new names; old attention weights may be 1x1 convolutions
 * @throws CodecError('model') naming a tensor that is missing, superfluous, of the wrong shape, or has numbers that are
 *   not finite
 */
export function matchParameters(
  parameters: readonly ParameterSpec[],
  tensors: ReadonlyMap<string, HostTensor>,
): Map<string, HostTensor> {
  const unused = new Set(tensors.keys());
  const matched = parameters.map(({ name, oldName, kind, shape }) => {
    const stored = [name, oldName].find((candidate) => tensors.has(candidate));
    if (stored === undefined) throw new CodecError('model', `weights: expected a tensor ${name}, found none`);
    unused.delete(stored);
    const { shape: found, data } = tensors.get(stored)!;
    const plain = kind === 'linear' && found.length === 4 ? found.slice(0, 2) : found;
    if (plain.join() !== shape.join() || data.length !== sizeOf(shape)) {
      throw new CodecError('model', `weights: ${stored}: expected shape [${shape}], got [${found}]`);
    }
    if (!data.every(Number.isFinite)) throw new CodecError('model', `weights: ${stored}: expected finite numbers`);
    return [name, { shape, data }] as const;
  });
  if (unused.size > 0) {
    throw new CodecError('model', `weights: tensor ${[...unused][0]} has no place in the network of config.json`);
  }
  return new Map(matched);
}

/** Converts a stored tensor to tfjs' layout: conv [h, w, in, out], linear [in, out]. */
export function toEngineLayout({ kind, shape }: ParameterSpec, { data }: HostTensor): HostTensor {
  if (kind === 'vector') return { shape, data };
  const [out, into, rows, columns] = kind === 'conv' ? shape : [...shape, 1, 1];
  const window = rows * columns;
  const values = new Float32Array(data.length);
  for (let o = 0; o < out; o++) {
    for (let i = 0; i < into; i++) {
      for (let w = 0; w < window; w++) values[(w * into + i) * out + o] = data[(o * into + i) * window + w];
    }
  }
  return { shape: kind === 'conv' ? [rows, columns, into, out] : [into, out], data: values };
}
