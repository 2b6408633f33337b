/** Memory of the engines that run tfjs eagerly: `wasm` here, and `tensorflow` by the same code (`src/engine/eager.ts`). */
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { decode } from '../../src/codec/decoder/decode.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { openEngine } from '../../src/node/engine/index.js';
import { openUncalibrated } from '../../src/node/models.js';
import { syntheticImage } from '../helpers/fixtures.js';

const NETWORK = 'fixtures/reference/unet-tiny';

test('an eager engine has as many tensors, of as many bytes, at the end of a long encode and decode as at their start', async () => {
  const engine = await openEngine('wasm');
  const before = tf.memory().numTensors;
  const { schedule, denoiser, network } = await openUncalibrated(NETWORK, engine, { tile: 8, overlap: 2 });
  // As of a network that is never right.
  const none = Array.from({ length: schedule.timesteps }, () => 0);
  const profile = { mean: none, components: [none, none] } as const;
  const model = { id: '0'.repeat(64), schedule, profile, denoiser };
  const seen: { tensors: number; bytes: number }[] = [];
  const count = () => {
    const { numTensors, numBytes } = tf.memory();
    seen.push({ tensors: numTensors, bytes: numBytes });
  };
  // Two windows; random weights get nowhere, so the walk ends with the bytes.
  const options = { maxBytes: 120, effort: 1, onProgress: count };
  const { bytes, steps } = await encode(syntheticImage(12, 8), model, options);
  await decode(bytes, model, { onProgress: count });
  expect(steps.length).toBeGreaterThan(20);
  expect(seen).toHaveLength(2 * steps.length);
  expect(new Set(seen.map((state) => JSON.stringify(state))).size).toBe(1);
  // The weights, once, and nothing else.
  expect(seen[0].tensors - before).toBe(network.constants.length);
  await denoiser.dispose();
  expect(tf.memory().numTensors).toBe(before);
  await engine.dispose();
});
