/**
 * Default networks and options of a run, by name.
 *
 * `paper` is the paper's CIFAR-10 setup (Ho, Jain & Abbeel 2020, appendix B, and their code): 35.7 M parameters, 12
 * GFLOP for a 32x32 image. It needs a GPU and 800,000 steps. `small` is for two CPU cores and some hours. It differs
 * where that makes it better:
 * - the network has a sixteenth of the FLOPs, with attention at 8x8 only;
 * - batches of 32, Muon and a higher learning rate: there is time for few images, so each has to move the weights more;
 * - no dropout: a small network that sees each image twenty times does not overfit;
 * - the learning rate falls at the end, because a short average of the weights does not remove all of their noise;
 * - the average of the weights is shorter, because the run is;
 * - timesteps are drawn half uniformly in log snr, where an image's bits are (`low-bias`).
 */
import { CodecError } from '../../common/errors.js';
import { outputChannels, type Variance } from '../parameterization.js';
import type { TrainerOptions } from './trainer.js';

export const PRESETS = ['small', 'paper'] as const;
export type PresetName = (typeof PRESETS)[number];

/** The options that a preset determines. */
export type PresetOptions = Omit<TrainerOptions, 'side' | 'seed'>;

export interface Preset {
  /** `config.json` as diffusers has it. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly options: PresetOptions;
}

const paperOptions: PresetOptions = {
  prediction: 'eps',
  variance: 'beta',
  loss: 'simple',
  batch: 128,
  optimizer: 'adam',
  learningRate: 2e-4,
  warmup: 5000,
  cooldown: 0,
  gradientClip: 1,
  ema: 0.9999,
  dropout: 0.1,
  timestepsSampling: 'uniform',
};

const smallOptions: PresetOptions = {
  ...paperOptions,
  batch: 32,
  optimizer: 'muon',
  learningRate: 2e-3,
  warmup: 500,
  cooldown: 0.2,
  ema: 0.9995,
  dropout: 0,
  timestepsSampling: 'low-bias',
};

export const presets: Readonly<Record<PresetName, Preset>> = {
  paper: {
    config: unet({ channels: [128, 256, 256, 256], layers: 2, attentionAt: 1, groups: 32 }),
    options: paperOptions,
  },
  small: {
    config: unet({ channels: [48, 64, 96], layers: 1, attentionAt: 2, groups: 8 }),
    options: smallOptions,
  },
};

/**
 * A `config.json` whose output channels fit a variance.
 * @throws CodecError('usage') when it sets other channels itself
 */
export function withVariance(
  config: Readonly<Record<string, unknown>>,
  variance: Variance,
): Readonly<Record<string, unknown>> {
  const wanted = outputChannels(variance, 3);
  const { out_channels: given } = config;
  if (given === undefined || given === 3) return { ...config, out_channels: wanted };
  if (given === wanted) return config;
  throw new CodecError('usage', `out_channels: expected ${wanted} for \`variance\` ${variance}, got ${given}`);
}

function unet({
  channels,
  layers,
  attentionAt,
  groups,
}: {
  channels: readonly number[];
  layers: number;
  /** The level with attention, 0 for the full resolution. */
  attentionAt: number;
  groups: number;
}) {
  const down = channels.map((_, level) => (level === attentionAt ? 'AttnDownBlock2D' : 'DownBlock2D'));
  const up = channels.map((_, level) => (level === attentionAt ? 'AttnUpBlock2D' : 'UpBlock2D')).toReversed();
  return {
    _class_name: 'UNet2DModel',
    act_fn: 'silu',
    attention_head_dim: null,
    block_out_channels: channels,
    center_input_sample: false,
    down_block_types: down,
    downsample_padding: 0,
    flip_sin_to_cos: false,
    freq_shift: 1,
    in_channels: 3,
    layers_per_block: layers,
    mid_block_scale_factor: 1,
    norm_eps: 1e-6,
    norm_num_groups: groups,
    out_channels: 3,
    sample_size: 32,
    time_embedding_type: 'positional',
    up_block_types: up,
  };
}
