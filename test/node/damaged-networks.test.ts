/** Networks with damaged or arbitrary weights: every command ends, with an error or with a proper result. */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { decode } from '../../src/codec/decoder/decode.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import type { CodecModel } from '../../src/codec/model.js';
import type { Engine } from '../../src/engine/engine.js';
import { interpolate } from '../../src/model/interpolation.js';
import { measureBound } from '../../src/model/likelihood.js';
import type { Tensors } from '../../src/model/safetensors.js';
import { sample } from '../../src/model/sampler.js';
import { openEngine } from '../../src/node/engine/index.js';
import { CODEC_FILE, CONFIG_FILE, loadWeights, openModel, openUncalibrated } from '../../src/node/models.js';
import { openBlurModel } from '../helpers/blur-model.js';
import { callMain, expectRefusal } from '../helpers/cli.js';
import { grained, syntheticImage, toSharp } from '../helpers/fixtures.js';
import { edit, tinyModel } from '../helpers/model-copy.js';

const engine: Engine = await openEngine('onnx');
const picture = grained(syntheticImage(16, 16));

const scale =
  (factor: number, only = /./) =>
  (tensors: Tensors) => {
    for (const [name, { data }] of tensors) {
      if (only.test(name)) for (let i = 0; i < data.length; i++) data[i] *= factor;
    }
  };

const UNUSABLE = {
  code: 'model',
  message: expect.stringMatching(/^the network gives no usable numbers: expected finite/),
};

describe('a model is refused when it is opened', () => {
  test.each([Number.NaN, Number.POSITIVE_INFINITY])('where a weight is %s, by name', async (value) => {
    const directory = await tinyModel((tensors) => void tensors.get('conv_out.bias')!.data.fill(value, 1, 2));
    const refusal = { code: 'model', message: 'weights: conv_out.bias: expected finite numbers' };
    await expect(openModel(directory, engine)).rejects.toMatchObject(refusal);
    await expect(loadWeights(directory)).rejects.toMatchObject(refusal);
  });

  test('where what its network gives is not finite', async () => {
    const directory = await tinyModel(scale(1e30));
    await expect(openModel(directory, engine)).rejects.toMatchObject(UNUSABLE);
    const uncalibrated = openUncalibrated(directory, engine, { tile: 64, overlap: 8 });
    await expect(uncalibrated).rejects.toMatchObject(UNUSABLE);
  });

  test('where a variance would be below 0', async () => {
    const directory = await tinyModel();
    await edit(directory, CONFIG_FILE, (json) => void Object.assign(json, { norm_eps: -1 }));
    await expect(openModel(directory, engine)).rejects.toThrow(
      'config.json: norm_eps: expected a number from 0, got -1',
    );
  });
});

test.each([
  ['hundreds of digits off', scale(1e30, /^conv_out/)],
  ['at the other end', scale(1e15, /^conv_in/)],
  ['in time', scale(1e6, /^time_embedding/)],
  ['all 0', scale(0)],
])('weights that are %s but give numbers code pictures, exactly where asked to', async (_, change) => {
  const model = await openModel(await tinyModel(change), engine);
  const exact = await encode(picture, model, { lossless: true, effort: 1 });
  expect((await decode(exact.bytes, model)).image.data).toEqual(picture.data);
  const { bytes, reconstruction, rmse } = await encode(picture, model, { targetRmse: 20, effort: 1 });
  expect(rmse).toBeLessThanOrEqual(20);
  expect((await decode(bytes, model)).image.data).toEqual(reconstruction.data);
  await model.dispose();
});

test('what a network gives is looked at in every run: some inputs may be too much for it and others not', async () => {
  const model = await openModel(await tinyModel(), engine);
  let runs = 0;
  const failing: Engine = {
    ...engine,
    async compile(...args) {
      const compiled = await engine.compile(...args);
      const run: typeof compiled.run = async (...inputs) => {
        const outputs = await compiled.run(...inputs);
        if (++runs > 2) outputs[0][7] = Number.NaN;
        return outputs;
      };
      return { ...compiled, run };
    },
  };
  const once = { ...model, engine: failing };
  await expect(sample(once, { count: 1, width: 8, height: 8, steps: 4, seed: 'x' })).rejects.toMatchObject(UNUSABLE);
  const small = syntheticImage(8, 8);
  await expect(interpolate(once, small, small, { t: 500, lambdas: [0.5], seed: 'x', steps: 4 })).rejects.toMatchObject(
    UNUSABLE,
  );
  await expect(measureBound([small], once, { strata: 3 })).rejects.toMatchObject(UNUSABLE);
  await model.dispose();
});

test.each([{ lossless: true }, { targetRmse: 1 }])(
  'encoding with %j ends where a denoiser of a program gives no numbers',
  async (options) => {
    const blur = await openBlurModel();
    const denoiser: CodecModel['denoiser'] = {
      ...blur.denoiser,
      predictX0: async ({ xt }, { into = new Float32Array(xt.length) } = {}) => into.fill(Number.NaN),
    };
    await expect(encode(picture, { ...blur, denoiser }, options)).rejects.toMatchObject(UNUSABLE);
  },
);

describe('commands say it in a line, and leave nothing behind', () => {
  test.each([
    ['encode', ['encode', 'a.png', '--model', 'MODEL', '-o', 'out']],
    ['encode --lossless', ['encode', 'a.png', '--model', 'MODEL', '--lossless', '-o', 'out']],
    ['sample', ['sample', '-n', '1', '--size', '8x8', '--steps', '2', '--model', 'MODEL', '-o', 'out.png']],
    ['eval', ['eval', 'a.png', '--model', 'MODEL']],
    [
      'train --from',
      [
        'train',
        '--data',
        'pictures',
        '--from',
        'MODEL',
        '--config',
        'MODEL/config.json',
        '--steps',
        '1',
        '--crop',
        '16',
        '--batch',
        '1',
        '-o',
        'out',
      ],
    ],
    ['calibrate', ['calibrate', 'MODEL', 'pictures', '--force']],
    [
      'model import',
      ['model', 'import', 'MODEL/diffusion_pytorch_model.safetensors', '--out', 'out', '--calibrate', 'pictures'],
    ],
  ])('%s', async (name, args) => {
    const model = await tinyModel(scale(1e30));
    // A directory with codec.json is already a model, and is not imported.
    if (name === 'model import') await rm(join(model, CODEC_FILE));
    const directory = join(model, '..');
    const png = await toSharp(picture).png().toBuffer();
    await writeFile(join(directory, 'a.png'), png);
    await mkdir(join(directory, 'pictures'));
    await writeFile(join(directory, 'pictures', 'a.png'), png);
    const result = await callMain(
      args.map((arg) => arg.replace('MODEL', model)),
      directory,
    );
    expectRefusal(result, 1, /the network gives no usable numbers: expected finite ones, got NaN/);
    expect((await readdir(directory)).sort()).toEqual(['a.png', 'pictures', 'tiny']);
  });
});
