import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { decode } from '../../src/codec/decoder/decode.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { CodecError } from '../../src/common/errors.js';
import { openEngine } from '../../src/node/engine/index.js';
import {
  CODEC_FILE,
  CONFIG_FILE,
  findModel,
  listModels,
  loadModelInfo,
  modelForSize,
  openModel,
  WEIGHTS_FILE,
} from '../../src/node/models.js';
import { syntheticImage } from '../helpers/fixtures.js';
import { copyOfPilot, edit } from '../helpers/model-copy.js';

/** Expects a one-line CodecError('model'). */
async function expectRefusal(call: Promise<unknown>, message: RegExp, code = 'model'): Promise<void> {
  const error = await call.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(CodecError);
  expect((error as CodecError).code).toBe(code);
  expect((error as CodecError).message).toMatch(message);
  expect((error as CodecError).message).not.toMatch(/\n/);
}

const PYRAMID = { halfFrom: 300, leastSide: 32 };

describe('names', () => {
  test('two for photographs and one for small pictures are shipped, beside the one for tests', async () => {
    const models = await listModels();
    expect(models.map(({ name }) => name)).toEqual(['cifar10', 'photo', 'photo2', 'pilot']);
  });

  test('every picture has a shipped model of its size', async () => {
    const names = (await listModels()).map(({ name }) => name);
    const sizes = [
      [1, 1],
      [32, 32],
      [40, 40],
      [41, 40],
      [6000, 4000],
    ].map(([width, height]) => modelForSize({ width, height }));
    expect(sizes).toEqual(['cifar10', 'cifar10', 'cifar10', 'photo2', 'photo2']);
    expect(names).toEqual(expect.arrayContaining(sizes));
  });

  test('a model is found by the start of its id', async () => {
    const { id } = await loadModelInfo('pilot');
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    const size = { width: 32, height: 32 };
    expect((await findModel({ modelId: id.slice(0, 6), ...size })).info.name).toBe('pilot');
    const unknown = { modelId: 'xxxxxx', ...size };
    await expectRefusal(findModel(unknown), /needs model xxxxxx, at hand: .*pilot \([0-9a-f]{6}\)/);
    await expectRefusal(findModel(unknown, await copyOfPilot()), /needs model xxxxxx, at hand: copy/);
    const released = { modelId: '3cff7e', ...size };
    const message = /needs model photo \(3cff7e\).*"ddpm-codec model add ddpm-codec-model-photo --id 3cff7e"/;
    await expectRefusal(findModel(released, await copyOfPilot()), message);
  });

  test('an unknown one is refused with those there are', async () => {
    const message = /expected .*pilot.* or a directory, got "no-such-model"/;
    await expectRefusal(loadModelInfo('no-such-model'), message, 'usage');
  });
});

describe('id', () => {
  test('is of the content: it does not depend on the directory, on key order or on remarks', async () => {
    const directory = await copyOfPilot();
    const { id } = await loadModelInfo('pilot');
    expect((await loadModelInfo(directory)).id).toBe(id);
    await edit(directory, CODEC_FILE, (json) => {
      json.about = 'something else';
      json.tiling = Object.fromEntries(Object.entries(json.tiling as object).reverse());
    });
    expect((await loadModelInfo(directory)).id).toBe(id);
  });

  test.each([
    ['the tiling', CODEC_FILE, (json: Record<string, unknown>) => Object.assign(json.tiling as object, { overlap: 4 })],
    [
      'the schedule',
      CODEC_FILE,
      (json: Record<string, unknown>) => Object.assign(json.schedule as object, { betaEnd: 0.03 }),
    ],
    ['the profile', CODEC_FILE, (json: Record<string, unknown>) => ((json.profile as { mean: number[] }).mean[9] += 1)],
    ['the architecture', CONFIG_FILE, (json: Record<string, unknown>) => Object.assign(json, { norm_eps: 1e-3 })],
  ])('changes with %s', async (_, file, change) => {
    const directory = await copyOfPilot();
    await edit(directory, file, change);
    expect((await loadModelInfo(directory)).id).not.toBe((await loadModelInfo('pilot')).id);
  });

  test('changes with a single bit of the weights, and a file of the other model is refused', async () => {
    const directory = await copyOfPilot();
    const path = join(directory, WEIGHTS_FILE);
    const weights = await readFile(path);
    weights[weights.length - 4] ^= 1;
    await writeFile(path, weights);
    const engine = await openEngine('onnx');
    const [pilot, other] = [await openModel('pilot', engine), await openModel(directory, engine)];
    expect(other.id).not.toBe(pilot.id);
    const { bytes } = await encode(syntheticImage(4, 4), pilot, { targetRmse: 30 });
    await expectRefusal(decode(bytes, other), /the file needs model [0-9a-f]{6}, got [0-9a-f]{6}/);
    await Promise.all([pilot.dispose(), other.dispose()]);
  });
});

describe('files that are not there or do not fit', () => {
  test.each([CONFIG_FILE, CODEC_FILE, WEIGHTS_FILE])('%s missing', async (file) => {
    const directory = await copyOfPilot();
    await rm(join(directory, file));
    await expectRefusal(loadModelInfo(directory), new RegExp(`cannot read ${file}`));
  });

  test.each([CONFIG_FILE, CODEC_FILE])('%s that is not JSON', async (file) => {
    const directory = await copyOfPilot();
    await writeFile(join(directory, file), '{"half": ');
    await expectRefusal(loadModelInfo(directory), new RegExp(`${file} is not JSON`));
  });

  test.each([CONFIG_FILE, CODEC_FILE])('%s that is null', async (file) => {
    const directory = await copyOfPilot();
    await writeFile(join(directory, file), 'null');
    await expectRefusal(loadModelInfo(directory), /expected/);
  });

  type Json = Record<string, Record<string, unknown>>;
  test.each([
    ['no profile', (json: Json) => delete json.profile, /profile: expected it, got nothing/],
    [
      'a short profile',
      (json: Json) => (json.profile.mean as number[]).pop(),
      /profile.mean: expected 1000 integers, got a list of 999/,
    ],
    ['a fraction in the profile', (json: Json) => ((json.profile.mean as number[])[3] = 0.5), /1000 integers/],
    [
      'one component',
      (json: Json) => (json.profile.components as unknown[]).pop(),
      /profile.components.1: expected 1000 integers, got nothing/,
    ],
    ['a profile without a mean', (json: Json) => delete json.profile.mean, /profile.mean: expected it, got nothing/],
    [
      'a tile off the stride',
      (json: Json) => (json.tiling.tile = 63),
      /tile: expected a multiple of \d+ up to 2048, got 63/,
    ],
    ['a tile of 0', (json: Json) => (json.tiling.tile = 0), /tile: expected a multiple of/],
    [
      'an overlap of most of a tile',
      (json: Json) => (json.tiling.overlap = 33),
      /tiling: expected an overlap of at most half a tile, got .*33/,
    ],
    [
      'a pyramid of all',
      (json: Json) => (json.pyramid = { halfFrom: 1, leastSide: 32 }),
      /pyramid.halfFrom: expected an integer from 2 to 1000, got 1/,
    ],
    ['a pyramid of nothing', (json: Json) => (json.pyramid = {}), /pyramid.halfFrom: expected it, got nothing/],
    [
      'a pyramid of any size',
      (json: Json) => (json.pyramid = { halfFrom: 300 }),
      /pyramid.leastSide: expected it, got nothing/,
    ],
    [
      'shares at timesteps out of order',
      (json: Json) => (json.pyramid = { ...PYRAMID, shares: { timesteps: [200, 100], parts: [[0, 0, 0, 0]] } }),
      /pyramid.shares.timesteps: expected timesteps, each above the one before/,
    ],
    [
      'shares that are too few',
      (json: Json) => (json.pyramid = { ...PYRAMID, shares: { timesteps: [100], parts: [[0, 200, 150]] } }),
      /pyramid.shares.parts: expected lists of 4 integers from -1000 to 1000/,
    ],
    [
      'shares of other timesteps',
      (json: Json) => (json.pyramid = { ...PYRAMID, shares: { timesteps: [100, 200], parts: [[0, 200, 150, 300]] } }),
      /pyramid.shares: expected shares for each timestep/,
    ],
    ['another schedule', (json: Json) => (json.schedule.betaSchedule = 'cosine'), /expected linear, .*, got "cosine"/],
    ['betas the wrong way round', (json: Json) => (json.schedule.betaEnd = 1e-9), /betas: expected/],
  ])('%s in codec.json', async (_, change, message) => {
    const directory = await copyOfPilot();
    await edit(directory, CODEC_FILE, (json) => void change(json as Json));
    await expectRefusal(loadModelInfo(directory), message);
  });

  test('weights of another architecture', async () => {
    const directory = await copyOfPilot();
    await cp('fixtures/reference/unet-tiny/diffusion_pytorch_model.safetensors', join(directory, WEIGHTS_FILE));
    await expectRefusal(openModel(directory, await openEngine('onnx')), /expected/);
  });

  test('weights cut short', async () => {
    const directory = await copyOfPilot();
    const path = join(directory, WEIGHTS_FILE);
    const weights = await readFile(path);
    for (const length of [0, 7, 100, weights.length - 1]) {
      await writeFile(path, weights.subarray(0, length));
      await expectRefusal(openModel(directory, await openEngine('onnx')), /./);
    }
  });
});
