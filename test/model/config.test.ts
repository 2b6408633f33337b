/** `config.json` of a `UNet2DModel`: what is understood, what diffusers assumes by default, and what is refused by name. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CodecError } from '../../src/common/errors.js';
import { parseConfig, strideOf } from '../../src/model/config.js';

const PILOT = JSON.parse(readFileSync('models/pilot/config.json', 'utf8')) as Record<string, unknown>;

describe('parseConfig', () => {
  test('reads the shipped model', () => {
    const config = parseConfig(PILOT);
    expect(config).toEqual({
      inChannels: 3,
      outChannels: 3,
      patchSize: 1,
      blockOutChannels: [32, 64, 128],
      layersPerBlock: 1,
      downAttention: [false, false, true],
      upAttention: [true, false, false],
      attentionHeadDim: null,
      normNumGroups: 8,
      normEps: 1e-6,
      timeScaleShift: false,
      freqShift: 1,
      flipSinToCos: false,
      downsamplePadding: 0,
      centerInputSample: false,
    });
    expect(strideOf(config)).toBe(4);
    expect(strideOf(parseConfig({ ...PILOT, patch_size: 2 }))).toBe(8);
  });

  test('reads google/ddpm-cifar10-32, which has attention in the second level and no head size', () => {
    // The authors' network as diffusers distributes it.
    const config = parseConfig({
      _class_name: 'UNet2DModel',
      _diffusers_version: '0.1.1',
      act_fn: 'silu',
      attention_head_dim: null,
      block_out_channels: [128, 256, 256, 256],
      center_input_sample: false,
      down_block_types: ['DownBlock2D', 'AttnDownBlock2D', 'DownBlock2D', 'DownBlock2D'],
      downsample_padding: 0,
      flip_sin_to_cos: false,
      freq_shift: 1,
      in_channels: 3,
      layers_per_block: 2,
      mid_block_scale_factor: 1,
      norm_eps: 1e-6,
      norm_num_groups: 32,
      out_channels: 3,
      sample_size: 32,
      time_embedding_type: 'positional',
      up_block_types: ['UpBlock2D', 'UpBlock2D', 'AttnUpBlock2D', 'UpBlock2D'],
    });
    expect(config.downAttention).toEqual([false, true, false, false]);
    expect(config.upAttention).toEqual([false, false, true, false]);
    expect(strideOf(config)).toBe(8);
  });

  test('takes diffusers’ defaults for what is missing', () => {
    expect(parseConfig({})).toEqual({
      inChannels: 3,
      outChannels: 3,
      patchSize: 1,
      blockOutChannels: [224, 448, 672, 896],
      layersPerBlock: 2,
      downAttention: [false, true, true, true],
      upAttention: [true, true, true, false],
      attentionHeadDim: 8,
      normNumGroups: 32,
      normEps: 1e-5,
      timeScaleShift: false,
      freqShift: 0,
      flipSinToCos: true,
      downsamplePadding: 1,
      centerInputSample: false,
    });
  });

  test('takes the size of the embedded time that there is without saying so', () => {
    for (const time_embedding_dim of [null, 128]) {
      expect(parseConfig({ ...PILOT, time_embedding_dim })).toEqual(parseConfig(PILOT));
    }
  });

  test('a long list is not printed', () => {
    const block_out_channels = Array.from({ length: 1000 }, () => 4);
    expect(() => parseConfig({ ...PILOT, block_out_channels })).toThrow(/, got a list of 1000$/);
  });

  test('knows swish as a name of SiLU, and ignores what does not change the forward pass', () => {
    expect(parseConfig({ ...PILOT, act_fn: 'swish', dropout: 0.1, sample_size: null })).toEqual(parseConfig(PILOT));
  });

  test.each<[string, unknown, RegExp]>([
    ['_class_name', 'UNet2DConditionModel', /expected UNet2DModel, got "UNet2DConditionModel"/],
    ['act_fn', 'gelu', /act_fn: expected silu or swish, got "gelu"/],
    ['time_embedding_type', 'fourier', /expected positional, got "fourier"/],
    ['mid_block_scale_factor', 1.4, /expected 1, got 1.4/],
    ['resnet_time_scale_shift', 'spatial', /expected default or scale_shift/],
    ['class_embed_type', 'timestep', /class_embed_type: expected null/],
    ['num_class_embeds', 10, /num_class_embeds: expected null, got 10/],
    ['attn_norm_num_groups', 8, /attn_norm_num_groups: expected null/],
    ['downsample_type', 'resnet', /downsample_type: expected conv/],
    ['upsample_type', 'resnet', /upsample_type: expected conv/],
    ['add_attention', false, /add_attention: expected true/],
    ['mid_block_type', null, /mid_block_type: expected UNetMidBlock2D, got null/],
    ['mid_block_type', 'UNetMidBlock2DCrossAttn', /mid_block_type: expected UNetMidBlock2D/],
    ['add_attention', null, /add_attention: expected true, got null/],
    [
      'time_embedding_dim',
      64,
      /time_embedding_dim: expected null or 128, 4 times the first of block_out_channels, got 64/,
    ],
    ['block_out_channels', [], /expected a list of positive integers, .*, got \[\]/],
    ['block_out_channels', [32, -64, 128], /expected a list of positive integers/],
    ['block_out_channels', '32', /expected a list of positive integers, .*, got "32"/],
    ['block_out_channels', [32, 60, 128], /multiples of norm_num_groups \(8\)/],
    ['block_out_channels', [32, 64], /down_block_types: expected 2 of/],
    ['layers_per_block', 0, /layers_per_block: expected an integer from 1 to 64, got 0/],
    ['layers_per_block', 1.5, /layers_per_block/],
    ['in_channels', '3', /in_channels: expected an integer from 1 to 65536, got "3"/],
    ['out_channels', -3, /out_channels/],
    ['patch_size', 1.5, /patch_size: expected an integer from 1 to 32, got 1.5/],
    [
      'down_block_types',
      ['DownBlock2D', 'SkipDownBlock2D', 'DownBlock2D'],
      /3 of DownBlock2D, AttnDownBlock2D, got .*Skip/,
    ],
    ['up_block_types', ['DownBlock2D', 'UpBlock2D', 'UpBlock2D'], /up_block_types: expected 3 of UpBlock2D/],
    ['attention_head_dim', 0, /attention_head_dim: expected null or a positive integer/],
    ['attention_head_dim', 24, /attention_head_dim: expected a divisor of .*\(128\), got 24/],
    ['norm_num_groups', 0, /norm_num_groups/],
    ['norm_eps', '1e-6', /norm_eps: expected a number/],
    ['norm_eps', -1e-6, /norm_eps: expected a number from 0, got -0.000001/],
    ['layers_per_block', 1e9, /layers_per_block: expected an integer from 1 to 64, got 1000000000/],
    ['block_out_channels', [32, 32, 32, 32, 32, 32, 32, 32], /a list of positive integers, at most 7/],
    ['block_out_channels', [2 ** 40, 64, 128], /each up to 65536/],
    ['freq_shift', true, /freq_shift: expected a number/],
    ['freq_shift', 16, /above 2 freq_shift \(16\)/],
    ['flip_sin_to_cos', 1, /flip_sin_to_cos: expected true or false, got 1/],
    ['center_input_sample', 'no', /center_input_sample/],
    ['downsample_padding', 2, /downsample_padding: expected 0 or 1, got 2/],
  ])('refuses %s = %j', (key, value, message) => {
    expect(() => parseConfig({ ...PILOT, [key]: value })).toThrow(message);
    expect(() => parseConfig({ ...PILOT, [key]: value })).toThrow(CodecError);
  });

  test('refuses an odd number of channels at the top, which has no sines and cosines in pairs', () => {
    const odd = { ...PILOT, block_out_channels: [33, 64, 128], norm_num_groups: 1 };
    expect(() => parseConfig(odd)).toThrow(/an even first number/);
  });

  test('reads or refuses anything, never crashes', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(PILOT)), fc.jsonValue(), (key, value) => {
        try {
          parseConfig({ ...PILOT, [key]: value });
        } catch (error) {
          expect(error).toBeInstanceOf(CodecError);
          expect((error as CodecError).code).toBe('model');
        }
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        try {
          parseConfig(json);
        } catch (error) {
          expect(error).toBeInstanceOf(CodecError);
        }
      }),
    );
  });
});
