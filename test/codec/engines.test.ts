/** Every engine decodes what every engine encoded. The pictures are the same except for differences far below a grey level. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { decode } from '../../src/codec/decoder/decode.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { MARGIN } from '../../src/codec/lossless/agreement.js';
import type { Engine } from '../../src/engine/engine.js';
import { cutMiddle } from '../../src/image/crop.js';
import type { RgbImage } from '../../src/image/image.js';
import { openEngine } from '../../src/node/engine/index.js';
import { readImage } from '../../src/node/image/read.js';
import { CODEC_FILE, type Model, openModel } from '../../src/node/models.js';
import { cifarTestImages, PHOTO } from '../helpers/fixtures.js';
import { edit } from '../helpers/model-copy.js';

/** Grey levels RMS. */
const MOST_DIFFERENCE = 0.01;
const NAMES = ['onnx, 1 thread', 'onnx, 2 threads', 'wasm', 'onnx, 4 windows at once'] as const;

const models = new Map<string, Model>();
let engines: readonly Engine[];
let directory: string;

/** Small windows, so that small pictures have several of them. */
const TILING = { tile: 16, overlap: 4 };

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-test-'));
  await cp('models/pilot', directory, { recursive: true });
  await edit(directory, CODEC_FILE, (json) => Object.assign(json, { tiling: TILING }));
  const onnx = await openEngine('onnx', { threads: 1 });
  engines = [onnx, await openEngine('onnx', { threads: 2 }), await openEngine('wasm')];
  const all = [...engines, { ...onnx, batch: 4 }];
  for (const [i, name] of NAMES.entries()) models.set(name, await openModel(directory, all[i]));
});

afterAll(async () => {
  for (const model of models.values()) await model.dispose();
  for (const engine of engines) await engine.dispose();
  await rm(directory, { recursive: true });
});

/** Decodes a file, and records every state given to the network. */
async function decodeOn(name: string, bytes: Uint8Array) {
  const model = models.get(name)!;
  const states: Float32Array[] = [];
  const denoiser: Model['denoiser'] = {
    ...model.denoiser,
    predictX0(picture, ...others) {
      states.push(picture.xt.slice());
      return model.denoiser.predictX0(picture, ...others);
    },
  };
  const { unrounded, image } = await decode(bytes, { ...model, denoiser });
  return { states, unrounded, image };
}

/** |a - b| in grey levels. */
const differences = (a: Float32Array, b: Float32Array) => a.map((value, i) => Math.abs(value - b[i]) * 127.5);
const rms = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
const largest = (values: Float32Array) => values.reduce((most, value) => Math.max(most, value), 0);

test.each<[string, () => Promise<RgbImage>]>([
  ['one window', async () => cutMiddle((await cifarTestImages())[1], 16)],
  // No batch divides nine.
  ['nine windows', async () => cutMiddle(await readImage(PHOTO), 30)],
])('a picture of %s', async (_, load) => {
  const image = await load();
  for (const encoder of NAMES.slice(0, 3)) {
    const { bytes } = await encode(image, models.get(encoder)!, { effort: 1, targetRmse: 10 });
    const own = await decodeOn(encoder, bytes);
    for (const decoder of NAMES) {
      const other = decoder === encoder ? own : await decodeOn(decoder, bytes);
      expect(other.states.length).toBe(own.states.length);
      const ofEstimate = differences(other.unrounded, own.unrounded);
      expect(rms(ofEstimate)).toBeLessThanOrEqual(MOST_DIFFERENCE);
      expect(largest(ofEstimate)).toBeLessThan(MARGIN);
      for (const [i, state] of other.states.entries()) {
        expect(rms(differences(state, own.states[i]))).toBeLessThanOrEqual(MOST_DIFFERENCE);
      }
      expect(
        largest(Float32Array.from(other.image.data, (value, i) => Math.abs(value - own.image.data[i]))),
      ).toBeLessThan(2);
      // Other threads and windows do not make another engine: nothing differs.
      if (decoder.slice(0, 4) === encoder.slice(0, 4)) expect(largest(ofEstimate)).toBe(0);
    }
  }
});
