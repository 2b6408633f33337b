/** Memory of the engines that run tfjs eagerly: `wasm` here, and `tensorflow` with the same code (`src/engine/eager.ts`). */
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import type { EncodeProgress } from '../../src/codec/api.js';
import { decode } from '../../src/codec/decoder/decode.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { writeHeader } from '../../src/codec/format/header.js';
import { readLayout } from '../../src/codec/format/layout.js';
import { openEngine } from '../../src/node/engine/index.js';
import { openUncalibrated } from '../../src/node/models.js';
import { noiseImage } from '../helpers/noise-model.js';

const NETWORK = 'fixtures/reference/unet-tiny';

test('an eager engine has as many tensors, of as many bytes, at the end of a long encode and decode as at their start', async () => {
  const engine = await openEngine('wasm');
  const tensorsBefore = tf.memory().numTensors;
  const { schedule, denoiser, network } = await openUncalibrated(NETWORK, engine, { tile: 8, overlap: 2 });
  // The profile of a network that is never right.
  const none = Array.from({ length: schedule.timesteps }, () => 0);
  const profile = { mean: none, components: [none, none] } as const;
  const model = { id: '0'.repeat(64), schedule, profile, denoiser };
  const seen: { tensors: number; bytes: number }[] = [];
  const count = () => {
    const { numTensors, numBytes } = tf.memory();
    seen.push({ tensors: numTensors, bytes: numBytes });
  };
  // Two windows. Random weights make no progress, so the walk ends when the bytes run out.
  const image = noiseImage(12, 8);
  // Evaluations run side by side while the plan is chosen, so they are not counted.
  const onProgress = ({ t }: EncodeProgress) => void (t < schedule.timesteps && count());
  await encode(image, model, { maxBytes: 120, effort: 1, onProgress });
  expect(seen.length).toBeGreaterThan(20);
  // The encoder's final file may have no steps, so this one is made by hand. Any bits form valid paths.
  const { width, height } = image;
  const plan = { first: 0, second: 0, load: 0, pace: 0 };
  const header = writeHeader({
    version: 7,
    stateBits: 8,
    modelId: '000000',
    width,
    height,
    plan,
    seed: 0,
    stepCount: 25,
  });
  const paths = new Uint8Array(readLayout(header, model).boundaries[25] - header.length).fill(0x5a);
  const before = seen.length;
  const { stepsUsed } = await decode(Uint8Array.from([...header, ...paths]), model, { onProgress: count });
  expect(stepsUsed).toBe(25);
  expect(seen.length - before).toBeGreaterThanOrEqual(25);
  expect(new Set(seen.map((state) => JSON.stringify(state))).size).toBe(1);
  // Only the weights, held once.
  expect(seen[0].tensors - tensorsBefore).toBe(network.constants.length);
  await denoiser.dispose();
  expect(tf.memory().numTensors).toBe(tensorsBefore);
  await engine.dispose();
});
