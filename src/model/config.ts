/** The architecture of a network: `config.json` of a diffusers `UNet2DModel`, checked, with diffusers' defaults. */
import { boolean, custom, is, nullish, optional, picklist, unknown } from 'valibot';
import { briefly, CodecError } from '../common/errors.js';
import { checked, integerFrom, numberFrom, objectOf } from '../common/foreign.js';

/** Names as in diffusers, in camel case; only what this implementation supports can be expressed. */
export interface UNetConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  /**
   * Side of the square pixel patches that form one position of the network; a patch's values are the channels
   * (pixel-unshuffle; the output likewise). Not in diffusers, whose networks have 1.
   */
  readonly patchSize: number;
  readonly blockOutChannels: readonly number[];
  readonly layersPerBlock: number;
  /** Per level from the full resolution down: whether its blocks have attention. */
  readonly downAttention: readonly boolean[];
  /** Per level from the lowest resolution up. */
  readonly upAttention: readonly boolean[];
  /** Channels per head; null: one head. */
  readonly attentionHeadDim: number | null;
  readonly normNumGroups: number;
  readonly normEps: number;
  /**
   * How time acts in residual blocks (resnet_time_scale_shift). If false, it is added before the second normalisation.
   * If true, it scales and shifts the normalisation's output (Dhariwal & Nichol 2021, AdaGN). As in diffusers, the
   * attention in the middle then has no normalisation.
   */
  readonly timeScaleShift: boolean;
  readonly freqShift: number;
  readonly flipSinToCos: boolean;
  readonly downsamplePadding: 0 | 1;
  readonly centerInputSample: boolean;
}

/** Width and height of the network's input are multiples of this. */
export function strideOf({ patchSize, blockOutChannels }: UNetConfig): number {
  return patchSize * 2 ** (blockOutChannels.length - 1);
}

/**
 * Checks a parsed `config.json`.
 * @throws CodecError('model') naming the key, what was expected and what came
 */
export function parseConfig(json: unknown): UNetConfig {
  const raw = checked(CONFIG, json, 'config.json');
  const { block_out_channels: blockOutChannels, norm_num_groups: groups, attention_head_dim: headDim } = raw;
  const levels = blockOutChannels.length;
  const timeChannels = TIME_FACTOR * blockOutChannels[0];
  if ((raw.time_embedding_dim ?? timeChannels) !== timeChannels) {
    const expected = `null or ${timeChannels}, ${TIME_FACTOR} times the first of block_out_channels`;
    throw unsupported('time_embedding_dim', expected, raw.time_embedding_dim);
  }
  if (blockOutChannels.some((channels) => channels % groups !== 0)) {
    throw unsupported('block_out_channels', `multiples of norm_num_groups (${groups})`, blockOutChannels);
  }
  const downAttention = blockTypes(raw, 'down_block_types', levels, 'DownBlock2D', DEFAULT_DOWN);
  const upAttention = blockTypes(raw, 'up_block_types', levels, 'UpBlock2D', DEFAULT_UP);
  const attentive = blockOutChannels.filter(
    (_, level) => level === levels - 1 || downAttention[level] || upAttention[levels - 1 - level],
  );
  if (headDim !== null && attentive.some((channels) => channels % headDim !== 0)) {
    throw unsupported(
      'attention_head_dim',
      `a divisor of the channels of levels with attention (${attentive})`,
      headDim,
    );
  }
  const { freq_shift: freqShift } = raw;
  const frequencies = blockOutChannels[0] / 2;
  if (!Number.isInteger(frequencies) || frequencies <= freqShift) {
    throw unsupported('block_out_channels', `an even first number above 2 freq_shift (${freqShift})`, blockOutChannels);
  }
  return {
    inChannels: raw.in_channels,
    outChannels: raw.out_channels,
    patchSize: raw.patch_size,
    blockOutChannels,
    layersPerBlock: raw.layers_per_block,
    downAttention,
    upAttention,
    attentionHeadDim: headDim,
    normNumGroups: groups,
    normEps: raw.norm_eps,
    timeScaleShift: raw.resnet_time_scale_shift === 'scale_shift',
    freqShift,
    flipSinToCos: raw.flip_sin_to_cos,
    downsamplePadding: raw.downsample_padding,
    centerInputSample: raw.center_input_sample,
  };
}

/** Keys of diffusers for which this network supports only these values; the first is diffusers' default. */
const SUPPORTED: Record<string, readonly unknown[]> = {
  _class_name: ['UNet2DModel'],
  act_fn: ['silu', 'swish'],
  time_embedding_type: ['positional'],
  mid_block_scale_factor: [1],
  add_attention: [true],
  class_embed_type: [null],
  num_class_embeds: [null],
  resnet_time_scale_shift: ['default', 'scale_shift'],
  downsample_type: ['conv'],
  upsample_type: ['conv'],
  attn_norm_num_groups: [null],
  mid_block_type: ['UNetMidBlock2D'],
};

/** Channels of the time embedding, as a multiple of those at the full resolution. */
const TIME_FACTOR = 4;

/** diffusers' default blocks, which fit four levels only. */
const DEFAULT_DOWN = ['DownBlock2D', 'AttnDownBlock2D', 'AttnDownBlock2D', 'AttnDownBlock2D'];
const DEFAULT_UP = ['AttnUpBlock2D', 'AttnUpBlock2D', 'AttnUpBlock2D', 'UpBlock2D'];

/**
 * More levels and layers than in any real network, and sizes with which a single tensor would be too large. With these
 * limits, lists of layers and the smallest picture stay small whatever a file says.
 */
const MOST_LEVELS = 7;
const MOST_LAYERS = 64;
const MOST_PATCH = 32;
const MOST_CHANNELS = 2 ** 16;

/**
 * Keys of diffusers for which this network supports only these values. Null is a value of its own, not a placeholder
 * for the default.
 */
const supported = Object.fromEntries(
  Object.entries(SUPPORTED).map(([key, values]) => [
    key,
    optional(
      custom((value) => values.includes(value), values.map(String).join(' or ')),
      values[0],
    ),
  ]),
);

const channels = custom<number[]>(
  (value) =>
    Array.isArray(value) &&
    value.length >= 1 &&
    value.length <= MOST_LEVELS &&
    value.every((item) => is(positive, item)),
  `a list of positive integers, at most ${MOST_LEVELS}, each up to ${MOST_CHANNELS}`,
);
const positive = integerFrom(1, MOST_CHANNELS);

/** A missing key has diffusers' default, and so has null where it is not a valid value. */
const CONFIG = objectOf({
  ...supported,
  block_out_channels: nullish(channels, [224, 448, 672, 896]),
  norm_num_groups: nullish(positive, 32),
  downsample_padding: nullish(picklist([0, 1], '0 or 1'), 1),
  attention_head_dim: optional(
    custom<number | null>((value) => value === null || is(positive, value), 'null or a positive integer'),
    8,
  ),
  freq_shift: nullish(numberFrom(-MOST_CHANNELS, MOST_CHANNELS), 0),
  in_channels: nullish(positive, 3),
  out_channels: nullish(positive, 3),
  patch_size: nullish(integerFrom(1, MOST_PATCH), 1),
  layers_per_block: nullish(integerFrom(1, MOST_LAYERS), 2),
  norm_eps: nullish(numberFrom(0), 1e-5),
  flip_sin_to_cos: nullish(boolean(), true),
  center_input_sample: nullish(boolean(), false),
  time_embedding_dim: optional(unknown()),
});

function unsupported(key: string, expected: string, actual: unknown): CodecError {
  return new CodecError('model', `config.json: ${key}: expected ${expected}, got ${briefly(actual)}`);
}

/** Whether each level has attention. */
function blockTypes(
  raw: Record<string, unknown>,
  key: string,
  levels: number,
  plain: string,
  byDefault: readonly string[],
): boolean[] {
  const types = raw[key] ?? byDefault;
  const known = [plain, `Attn${plain}`];
  if (!Array.isArray(types) || types.length !== levels || !types.every((type) => known.includes(type))) {
    throw unsupported(key, `${levels} of ${known.join(', ')}`, types);
  }
  return types.map((type) => type === `Attn${plain}`);
}
