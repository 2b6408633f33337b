/**
 * Options of the architecture that no reference network has. A symmetry tests each of them: two networks must give the
 * same output although their options differ. Also tests what the codec relies on: sizes, batches, threads.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CodecError } from '../../src/common/errors.js';
import type { Engine, HostTensor } from '../../src/engine/engine.js';
import { parseConfig } from '../../src/model/config.js';
import { readSafetensors } from '../../src/model/safetensors.js';
import { createUNet } from '../../src/model/unet.js';
import { openEngine } from '../../src/node/engine/index.js';
import { expectClose, numbers } from '../engine/compare.js';

const TINY = 'fixtures/reference/unet-tiny';
const JSON_CONFIG = JSON.parse(readFileSync(`${TINY}/config.json`, 'utf8')) as Record<string, unknown>;
/** Channels of the top level, of its time embedding, and of the level with attention. */
const [TOP, ATTENTIVE] = JSON_CONFIG.block_out_channels as [number, number];

type Tensors = Map<string, HostTensor>;
const weights = (): Tensors => readSafetensors(readFileSync(`${TINY}/diffusion_pytorch_model.safetensors`));

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine('onnx');
});
afterAll(() => engine.dispose());

async function evaluate(options: object, tensors: Tensors, sample: Float32Array, timestep = 7, size = 16) {
  const network = createUNet(parseConfig({ ...JSON_CONFIG, ...options }), tensors);
  const compiled = await engine.compile(network.fn, [[1, size, size, 3], [1]], network.constants);
  const [output] = await compiled.run([sample, Float32Array.of(timestep)]);
  await compiled.dispose();
  return output;
}

const sample = numbers(16 * 16 * 3);

/** Replaces a tensor's values; `at` gives the value at each position. */
function rewrite(
  tensors: Tensors,
  name: RegExp,
  at: (old: Float32Array, i: number, shape: readonly number[]) => number,
): void {
  let found = 0;
  for (const [key, { shape, data }] of tensors) {
    if (!name.test(key)) continue;
    found++;
    tensors.set(key, { shape, data: data.map((_, i) => at(data, i, shape)) });
  }
  expect(found, `tensors named ${name}`).toBeGreaterThan(0);
}

describe('options', () => {
  test('center_input_sample maps 0..1 to -1..1', async () => {
    const centred = await evaluate({}, weights(), sample.map((x) => 2 * x - 1)); // biome-ignore format: one line reads better
    expectClose(await evaluate({ center_input_sample: true }, weights(), sample), centred, 1e-5);
    expect(centred).not.toEqual(await evaluate({}, weights(), sample));
  });

  test('flip_sin_to_cos exchanges the halves of the embedding', async () => {
    const exchanged = weights();
    rewrite(exchanged, /time_embedding\.linear_1\.weight/, (old, i) => old[i - (i % TOP) + ((i + TOP / 2) % TOP)]);
    const expected = await evaluate({}, weights(), sample);
    expectClose(await evaluate({ flip_sin_to_cos: true }, exchanged, sample), expected, 1e-5);
    expect(await evaluate({ flip_sin_to_cos: true }, weights(), sample)).not.toEqual(expected);
  });

  test('freq_shift changes the frequencies as 10000^(-i / (half - shift))', async () => {
    const half = TOP / 2;
    const chosen = 3;
    const only = weights();
    rewrite(only, /time_embedding\.linear_1\.weight/, (old, i) => (i % half === chosen ? old[i] : 0));
    // Times at which the one remaining frequency has the same phase.
    const frequency = (shift: number) => 10000 ** (-chosen / (half - shift));
    const time = 40;
    const expected = await evaluate({ freq_shift: 1 }, only, sample, time);
    const sameAt = (time * frequency(1)) / frequency(0);
    expectClose(await evaluate({ freq_shift: 0 }, only, sample, sameAt), expected, 1e-4);
    expect(await evaluate({ freq_shift: 0 }, only, sample, time)).not.toEqual(expected);
  });

  test('downsample_padding 1 is padding 0 of everything mirrored', async () => {
    const mirrored = weights();
    rewrite(mirrored, /conv(\d|_in|_out|_shortcut)?\.weight/, (old, i, [, , rows, columns]) => {
      const window = rows * columns;
      return old[i - (i % window) + (window - 1 - (i % window))];
    });
    const turn = (image: Float32Array) => image.map((_, i) => image[image.length - 3 - (i - (i % 3)) + (i % 3)]);
    const expected = turn(await evaluate({ downsample_padding: 0 }, mirrored, turn(sample)));
    expectClose(await evaluate({ downsample_padding: 1 }, weights(), sample), expected, 1e-4);
    expect(await evaluate({ downsample_padding: 0 }, weights(), sample)).not.toEqual(expected);
  });

  test('attention_head_dim of all channels is one head', async () => {
    const expected = await evaluate({ attention_head_dim: null }, weights(), sample);
    expect(await evaluate({ attention_head_dim: ATTENTIVE }, weights(), sample)).toEqual(expected);
  });

  test('attention_head_dim cuts channels into neighbouring heads and scales by the size of one', async () => {
    // Only the second of four heads is active. Then one head over all channels gives the same, except for the scale.
    const size = ATTENTIVE / 4;
    const isActive = (channel: number) => channel >= size && channel < 2 * size;
    const second = (tensors: Tensors, queryScale: number) => {
      for (const part of ['to_q', 'to_k', 'to_v']) {
        const scale = part === 'to_q' ? queryScale : 1;
        rewrite(tensors, new RegExp(`${part}\\.(weight|bias)`), (old, i, shape) => {
          const perOutput = shape.length === 2 ? shape[1] : 1;
          return isActive(Math.floor(i / perOutput)) ? scale * old[i] : 0;
        });
      }
      return tensors;
    };
    // Queries large enough to make attention non-uniform.
    const sharp = 30;
    const oneHead = await evaluate({ attention_head_dim: null }, second(weights(), sharp * Math.sqrt(4)), sample);
    expectClose(await evaluate({ attention_head_dim: size }, second(weights(), sharp), sample), oneHead, 1e-4);
    const unscaled = await evaluate({ attention_head_dim: null }, second(weights(), sharp), sample);
    expect(unscaled.some((value, i) => Math.abs(value - oneHead[i]) > 1e-3)).toBe(true);
  });
});

describe('patch_size', () => {
  const SIDE = 16;
  const PATCH = 2;
  const VALUES = 3 * PATCH * PATCH;
  /** The reference network with other first and last layers: for patches, or for images with as many channels. */
  function patchWeights(): Tensors {
    const tensors = weights();
    tensors.set('conv_in.weight', { shape: [TOP, VALUES, 3, 3], data: numbers(TOP * VALUES * 9) });
    tensors.set('conv_out.weight', { shape: [VALUES, TOP, 3, 3], data: numbers(VALUES * TOP * 9) });
    tensors.set('conv_out.bias', { shape: [VALUES], data: numbers(VALUES) });
    return tensors;
  }
  /** Index of value c of pixel (y, x) among patches. */
  const place = (y: number, x: number, c: number) => {
    const patch = Math.floor(y / PATCH) * (SIDE / PATCH) + Math.floor(x / PATCH);
    return patch * VALUES + ((y % PATCH) * PATCH + (x % PATCH)) * 3 + c;
  };
  const places = Array.from({ length: SIDE * SIDE * 3 }, (_, i) =>
    place(Math.floor(i / (3 * SIDE)), Math.floor(i / 3) % SIDE, i % 3),
  );

  test('makes the values of a square of pixels the channels of one position, in and out', async () => {
    const patches = new Float32Array(sample.length);
    places.forEach((at, i) => {
      patches[at] = sample[i];
    });
    const asChannels = createUNet(
      parseConfig({ ...JSON_CONFIG, in_channels: VALUES, out_channels: VALUES }),
      patchWeights(),
    );
    const side = SIDE / PATCH;
    const compiled = await engine.compile(asChannels.fn, [[1, side, side, VALUES], [1]], asChannels.constants);
    const [output] = await compiled.run([patches, Float32Array.of(7)]);
    const expected = Float32Array.from(places, (at) => output[at]);
    expectClose(await evaluate({ patch_size: PATCH }, patchWeights(), sample), expected, 1e-6);
  });

  test('widens the stride', () => {
    expect(createUNet(parseConfig({ ...JSON_CONFIG, patch_size: PATCH }), patchWeights()).stride).toBe(2 * PATCH);
  });
});

describe('sizes', () => {
  test('any multiple of the stride is taken, others are refused with the stride', async () => {
    const network = createUNet(parseConfig(JSON_CONFIG), weights());
    expect(network.stride).toBe(2);
    const compiled = await engine.compile(network.fn, [[1, 6, 10, 3], [1]], network.constants);
    expect(compiled.outputShapes).toEqual([[1, 6, 10, 3]]);
    for (const shape of [
      [1, 7, 8, 3],
      [1, 8, 7, 3],
      [1, 8, 8, 1],
    ]) {
      // biome-ignore format: one line reads better
      const refused = engine.compile(network.fn, [shape, [1]], network.constants);
      await expect(refused).rejects.toThrow(/sample: expected \[N, H, W, 3\] with H and W multiples of 2, got/);
      await expect(refused).rejects.toBeInstanceOf(CodecError);
    }
  });
});

describe('the shipped network on engine onnx', () => {
  const PILOT = 'models/pilot';
  const network = createUNet(
    parseConfig(JSON.parse(readFileSync(`${PILOT}/config.json`, 'utf8'))),
    readSafetensors(readFileSync(`${PILOT}/diffusion_pytorch_model.safetensors`)),
  );

  test('gives every image the same bits in any batch and on any number of threads', async () => {
    const pixels = 32 * 32 * 3;
    const batch = numbers(4 * pixels);
    const times = Float32Array.of(3, 120, 700, 999);
    const [first, second] = [await openEngine('onnx', { threads: 1 }), await openEngine('onnx', { threads: 2 })];
    const outputs = new Map<string, Float32Array>();
    for (const threaded of [first, second]) {
      for (const size of [1, 4]) {
        const compiled = await threaded.compile(network.fn, [[size, 32, 32, 3], [size]], network.constants);
        const output = new Float32Array(batch.length);
        for (let i = 0; i < 4; i += size) {
          const part = batch.slice(i * pixels, (i + size) * pixels);
          output.set((await compiled.run([part, times.slice(i, i + size)]))[0], i * pixels);
        }
        outputs.set(`batch ${size}, ${threaded.description}`, output);
      }
      await threaded.dispose();
    }
    const [reference, ...others] = outputs.values();
    expect(reference.every(Number.isFinite)).toBe(true);
    for (const other of others)
      expect(Buffer.compare(Buffer.from(other.buffer), Buffer.from(reference.buffer))).toBe(0);
  });
});
