/** The architecture of a network: `config.json` of a diffusers `UNet2DModel`, checked, with diffusers' defaults. */
import { briefly, CodecError } from '../common/errors.js';

/** Names as in diffusers, in camel case; only what this implementation supports can be expressed. */
export interface UNetConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  /**
   * Side of the squares of pixels that are one position of the network, their values its channels (pixel-unshuffle; the
   * output likewise). Not in diffusers, whose networks have 1.
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
   * How time acts in residual blocks (resnet_time_scale_shift): false, it is added before the second normalisation; true, it
   * scales and shifts what comes out of it (Dhariwal & Nichol 2021, AdaGN). As in diffusers the attention in the middle
   * then has no normalisation.
   */
  readonly timeScaleShift: boolean;
  readonly freqShift: number;
  readonly flipSinToCos: boolean;
  readonly downsamplePadding: 0 | 1;
  readonly centerInputSample: boolean;
}

/** Width and height that the network takes are multiples of this. */
export function strideOf({ patchSize, blockOutChannels }: UNetConfig): number {
  return patchSize * 2 ** (blockOutChannels.length - 1);
}

/**
 * Checks a parsed `config.json`.
 * @throws CodecError('model') naming the key, what was expected and what came
 */
export function parseConfig(json: unknown): UNetConfig {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new CodecError('model', 'config.json: expected a JSON object');
  }
  const raw = json as Record<string, unknown>;
  for (const [key, supported] of Object.entries(SUPPORTED)) {
    // null is a value here: it leaves out what the default has.
    const value = raw[key] === undefined ? supported[0] : raw[key];
    if (!supported.includes(value as string)) throw unsupported(key, supported.map(String).join(' or '), value);
  }
  const blockOutChannels = raw.block_out_channels ?? [224, 448, 672, 896];
  if (!Array.isArray(blockOutChannels) || blockOutChannels.length === 0 || !blockOutChannels.every(isPositiveInteger)) {
    throw unsupported('block_out_channels', 'a list of positive integers', blockOutChannels);
  }
  const levels = blockOutChannels.length;
  const timeChannels = TIME_FACTOR * blockOutChannels[0];
  if ((raw.time_embedding_dim ?? timeChannels) !== timeChannels) {
    const expected = `null or ${timeChannels}, ${TIME_FACTOR} times the first of block_out_channels`;
    throw unsupported('time_embedding_dim', expected, raw.time_embedding_dim);
  }
  const groups = positiveInteger(raw, 'norm_num_groups', 32);
  for (const channels of blockOutChannels) {
    if (channels % groups !== 0) {
      throw unsupported('block_out_channels', `multiples of norm_num_groups (${groups})`, blockOutChannels);
    }
  }
  const padding = raw.downsample_padding ?? 1;
  if (padding !== 0 && padding !== 1) throw unsupported('downsample_padding', '0 or 1', padding);
  const headDim: unknown = raw.attention_head_dim === undefined ? 8 : raw.attention_head_dim;
  if (headDim !== null && !isPositiveInteger(headDim)) {
    throw unsupported('attention_head_dim', 'null or a positive integer', headDim);
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
  const freqShift = finite(raw, 'freq_shift', 0);
  const frequencies = blockOutChannels[0] / 2;
  if (!Number.isInteger(frequencies) || frequencies <= freqShift) {
    throw unsupported('block_out_channels', `an even first number above 2 freq_shift (${freqShift})`, blockOutChannels);
  }
  return {
    inChannels: positiveInteger(raw, 'in_channels', 3),
    outChannels: positiveInteger(raw, 'out_channels', 3),
    patchSize: positiveInteger(raw, 'patch_size', 1),
    blockOutChannels,
    layersPerBlock: positiveInteger(raw, 'layers_per_block', 2),
    downAttention,
    upAttention,
    attentionHeadDim: headDim,
    normNumGroups: groups,
    normEps: finite(raw, 'norm_eps', 1e-5),
    timeScaleShift: raw.resnet_time_scale_shift === 'scale_shift',
    freqShift,
    flipSinToCos: boolean(raw, 'flip_sin_to_cos', true),
    downsamplePadding: padding,
    centerInputSample: boolean(raw, 'center_input_sample', false),
  };
}

/** Keys of diffusers of which this network has only these values; the first is diffusers' default. */
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

/** Channels of the embedded time, as a multiple of those at the full resolution. */
const TIME_FACTOR = 4;

/** diffusers' blocks, which fit four levels only. */
const DEFAULT_DOWN = ['DownBlock2D', 'AttnDownBlock2D', 'AttnDownBlock2D', 'AttnDownBlock2D'];
const DEFAULT_UP = ['AttnUpBlock2D', 'AttnUpBlock2D', 'AttnUpBlock2D', 'UpBlock2D'];

function unsupported(key: string, expected: string, actual: unknown): CodecError {
  return new CodecError('model', `config.json: ${key}: expected ${expected}, got ${briefly(actual)}`);
}

function isPositiveInteger(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0;
}

function positiveInteger(raw: Record<string, unknown>, key: string, byDefault: number): number {
  const value = raw[key] ?? byDefault;
  if (!isPositiveInteger(value)) throw unsupported(key, 'a positive integer', value);
  return value;
}

function finite(raw: Record<string, unknown>, key: string, byDefault: number): number {
  const value = raw[key] ?? byDefault;
  if (typeof value !== 'number' || !Number.isFinite(value)) throw unsupported(key, 'a number', value);
  return value;
}

function boolean(raw: Record<string, unknown>, key: string, byDefault: boolean): boolean {
  const value = raw[key] ?? byDefault;
  if (typeof value !== 'boolean') throw unsupported(key, 'true or false', value);
  return value;
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
