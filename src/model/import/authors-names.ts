/**
 * The network under the names of the authors' TensorFlow code (github.com/hojonathanho/diffusion, diffusion_tf/models/unet.py
 * and nn.py) and of its PyTorch port (github.com/pesser/pytorch_diffusion), which has the same ones with dots.
 *
 * | here | TensorFlow | port |
 * |---|---|---|
 * | `conv_in`, `conv_out` | `conv_in`, `conv_out` | the same |
 * | `conv_norm_out` | `norm_out` | `norm_out` |
 * | `time_embedding.linear_1`, `2` | `temb/dense0`, `1` | `temb.dense.0`, `1` |
 * | `down_blocks.I.resnets.J` | `down_I/block_J` | `down.I.block.J` |
 * | `down_blocks.I.attentions.J` | `down_I/attn_J` | `down.I.attn.J` |
 * | `down_blocks.I.downsamplers.0.conv` | `down_I/downsample/conv` | `down.I.downsample.conv` |
 * | `mid_block.resnets.0`, `1` | `mid/block_1`, `2` | `mid.block_1`, `2` |
 * | `mid_block.attentions.0` | `mid/attn_1` | `mid.attn_1` |
 * | `up_blocks.I...` | `up_K/...`, K = levels - 1 - I | `up.K...` |
 * | `time_emb_proj`, `conv_shortcut` | `temb_proj`, `nin_shortcut` | the same |
 * | `group_norm`, `to_q`, `to_k`, `to_v`, `to_out.0` | `norm`, `q`, `k`, `v`, `proj_out` | the same |
 * | `weight`, `bias` | `W`, `b`; of normalisations `gamma`, `beta` | `weight`, `bias` |
 *
 * TensorFlow has convolutions as [h, w, in, out] and matrices as [in, out].
 */

import { CodecError } from '../../common/errors.js';
import type { HostTensor } from '../../engine/engine.js';
import type { UNetConfig } from '../config.js';
import type { Tensors } from '../safetensors.js';
import { listParameters, type ParameterSpec } from '../unet-parameters.js';

/** The naming scheme of a file, told by the name of the last layer's bias. */
export type Naming = 'tensorflow' | 'port';

/** More levels, blocks and attentions than in any real network. */
const MOST_PARTS = 100;

/**
 * Infers the architecture of one of the authors' networks from the shapes of its tensors; everything else is fixed in
 * their code.
 */
export function authorsConfig(shapes: ReadonlyMap<string, readonly number[]>, naming: Naming): Record<string, unknown> {
  const [slash, under] = naming === 'tensorflow' ? ['/', '_'] : ['.', '.'];
  const names = [...shapes.keys()];
  const has = (path: string) => names.some((name) => name.startsWith(path + slash));
  const count = (path: string) => {
    let n = 0;
    while (n < MOST_PARTS && has(`${path}${under}${n}`)) n++;
    return n;
  };
  const leaf = naming === 'tensorflow' ? 'b' : 'bias';
  const levels = Array.from({ length: count('down') }, (_, i) => `down${under}${i}`);
  const channels = levels.map((level) => {
    const [bias] = shapes.get([level, `block${under}0`, 'conv1', leaf].join(slash)) ?? [];
    if (bias === undefined) throw new CodecError('model', `weights: ${level} has no first block in the authors' names`);
    return bias;
  });
  const attentive = levels.map((level) => count(`${level}${slash}attn`) > 0);
  return {
    _class_name: 'UNet2DModel',
    act_fn: 'silu',
    attention_head_dim: null,
    block_out_channels: channels,
    center_input_sample: false,
    down_block_types: attentive.map((attention) => (attention ? 'AttnDownBlock2D' : 'DownBlock2D')),
    downsample_padding: 0,
    flip_sin_to_cos: false,
    freq_shift: 1,
    in_channels: 3,
    layers_per_block: count(`${levels[0]}${slash}block`),
    mid_block_scale_factor: 1,
    norm_eps: 1e-6,
    norm_num_groups: 32,
    out_channels: shapes.get(`conv_out${slash}${leaf}`)?.[0],
    time_embedding_type: 'positional',
    up_block_types: attentive.toReversed().map((attention) => (attention ? 'AttnUpBlock2D' : 'UpBlock2D')),
  };
}

/**
 * A file's tensors under diffusers' names and in PyTorch's layouts.
 * @param config as {@link authorsConfig} gives it, checked
 */
export function fromAuthorsNames(tensors: Tensors, config: UNetConfig, naming: Naming): Tensors {
  const levels = config.blockOutChannels.length;
  const renamed: Tensors = new Map(tensors);
  for (const parameter of listParameters(config)) {
    const name = naming === 'tensorflow' ? tensorflowName(parameter, levels) : portName(parameter, levels);
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new CodecError('model', `weights: expected a tensor ${name}, found none`);
    renamed.delete(name);
    renamed.set(parameter.name, naming === 'tensorflow' ? fromTensorflowLayout(name, tensor, parameter) : tensor);
  }
  return renamed;
}

/** Applied in this order: later renamings act on the results of earlier ones. */
const RENAMINGS: readonly (readonly [RegExp, string])[] = [
  [/^conv_norm_out\b/, 'norm_out'],
  [/^time_embedding\.linear_1\b/, 'temb/dense0'],
  [/^time_embedding\.linear_2\b/, 'temb/dense1'],
  [/^mid_block\.resnets\.0\b/, 'mid/block_1'],
  [/^mid_block\.resnets\.1\b/, 'mid/block_2'],
  [/^mid_block\.attentions\.0\b/, 'mid/attn_1'],
  [/^(down|up)_blocks\.(\d+)/, '$1_$2'],
  [/\.(down|up)samplers\.0/, '/$1sample'],
  [/\.resnets\.(\d+)/, '/block_$1'],
  [/\.attentions\.(\d+)/, '/attn_$1'],
  [/\btime_emb_proj\b/, 'temb_proj'],
  [/\bconv_shortcut\b/, 'nin_shortcut'],
  [/\bgroup_norm\b/, 'norm'],
  [/\bto_out\.0\b/, 'proj_out'],
  [/\bto_([qkv])\b/, '$1'],
];

/** Name of a parameter in the TensorFlow code, without the outer scope `model/`. */
export function tensorflowName({ name }: Pick<ParameterSpec, 'name'>, levels: number): string {
  const counted = name.replace(/^up_blocks\.(\d+)/, (_, level) => `up_blocks.${levels - 1 - Number(level)}`);
  const path = RENAMINGS.reduce((text, [pattern, to]) => text.replace(pattern, to), counted).replaceAll('.', '/');
  const isNorm = /norm[^/]*\/(?:weight|bias)$/.test(path);
  return path.replace(/weight$/, isNorm ? 'gamma' : 'W').replace(/bias$/, isNorm ? 'beta' : 'b');
}

export function portName({ name }: Pick<ParameterSpec, 'name'>, levels: number): string {
  return tensorflowName({ name }, levels)
    .replace(/(?:W|gamma)$/, 'weight')
    .replace(/(?:b|beta)$/, 'bias')
    .replace(/^temb\/dense/, 'temb/dense/')
    .replace(/^(down|up)_(\d+)\/(?:(block|attn)_(\d+))?/, (_, side, level, kind, layer) =>
      kind === undefined ? `${side}/${level}/` : `${side}/${level}/${kind}/${layer}`,
    )
    .replaceAll('/', '.');
}

function fromTensorflowLayout(
  name: string,
  { shape, data }: HostTensor,
  { kind, shape: target }: ParameterSpec,
): HostTensor {
  if (kind === 'vector') return { shape, data };
  // In these files a 1x1 convolution may be stored as a matrix.
  const [out, into, ...window] = target;
  const expected = shape.length === 2 ? [into, out] : [...window, into, out];
  if (shape.join() !== expected.join()) {
    throw new CodecError('model', `weights: ${name}: expected shape [${expected}], got [${shape}]`);
  }
  const pixels = window.reduce((product, size) => product * size, 1);
  const values = new Float32Array(data.length);
  for (let o = 0; o < out; o++) {
    for (let i = 0; i < into; i++) {
      for (let w = 0; w < pixels; w++) values[(o * into + i) * pixels + w] = data[(w * into + i) * out + o];
    }
  }
  return { shape: target, data: values };
}
