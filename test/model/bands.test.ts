/** Noise bands: which network runs at which timestep, for everything that runs one. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gaussians, integerStream } from '../../src/common/random.js';
import type { Engine } from '../../src/engine/engine.js';
import { crop } from '../../src/image/crop.js';
import { bandFile, createModel, decode, encode, type ReadBand, readImage } from '../../src/index.js';
import { measureBandRate } from '../../src/model/band-rate.js';
import { bandAt, checkBand, type NetworkBand } from '../../src/model/bands.js';
import { createDenoiser } from '../../src/model/denoiser.js';
import { evaluateBound } from '../../src/model/likelihood.js';
import { compileNetwork } from '../../src/model/network.js';
import { paperParameterization } from '../../src/model/parameterization.js';
import { sample, walkReverse } from '../../src/model/sampler.js';
import { createSchedule, paperSchedule } from '../../src/model/schedule.js';
import { createUpdateTrainer } from '../../src/model/training/update-trainer.js';
import { createUNet, type UNet } from '../../src/model/unet.js';
import { openEngine } from '../../src/node/engine/index.js';
import { loadModel, loadWeights, openModel } from '../../src/node/models.js';
import { syntheticImage } from '../helpers/fixtures.js';
import { addBand, copyOfPilot, edit, tinyModel } from '../helpers/model-copy.js';

const schedule = createSchedule(paperSchedule);
const BAND = { least: 4, most: 60 };
const SIDE = 8;

let engine: Engine;
/** Networks with different weights outside and inside the band, and one that has both. */
let outside: UNet;
let inside: UNet;
let banded: UNet;
let loads = 0;
beforeAll(async () => {
  engine = await openEngine('onnx', { threads: 2 });
  const { config, tensors } = await loadWeights('fixtures/reference/unet-tiny');
  const halved = new Map(
    [...tensors].map(([name, { shape, data }]) => [name, { shape, data: data.map((x) => x / 2) }]),
  );
  outside = createUNet(config, tensors);
  inside = createUNet(config, halved);
  const band: NetworkBand<UNet> = {
    ...BAND,
    async load() {
      loads++;
      return inside;
    },
  };
  banded = { ...outside, bands: [band] };
});
afterAll(() => engine.dispose());

const modelOf = (network: UNet) => ({ engine, network, schedule, parameterization: paperParameterization });
const noisy = (t: number, [width, height] = [20, 12]) => ({
  ...{ width, height, t },
  xt: Float32Array.from({ length: width * height * 3 }, gaussians(integerStream('bands test'))),
});

test('both ends of a band are in it', () => {
  const at = (t: number) => bandAt([BAND, { least: 61, most: 70 }], t)?.least;
  expect([3, 4, 60, 61, 70, 71].map(at)).toEqual([undefined, 4, 4, 61, 61, undefined]);
  expect(bandAt(undefined, 5)).toBeUndefined();
});

test.each([
  [0, 60],
  [4, 1001],
  [60, 4],
  [7, 7],
  [1.5, 9],
])('%d to %d is no band of a thousand timesteps', (least, most) => {
  expect(() => checkBand({ least, most }, schedule)).toThrow(/expected timesteps LEAST:MOST from 1 to 1000/);
});

describe('the network of the band is asked inside it, and only there', () => {
  test.each([3, 4, 60, 61])('by a denoiser at t = %d', async (t) => {
    const tiling = { tile: 16, overlap: 4 };
    const expected = createDenoiser(engine, t === 3 || t === 61 ? outside : inside, schedule, tiling);
    const denoiser = createDenoiser(engine, banded, schedule, tiling);
    loads = 0;
    expect(await denoiser.predictX0(noisy(t))).toEqual(await expected.predictX0(noisy(t)));
    expect(loads > 0).toBe(t === 4 || t === 60);
    await Promise.all([denoiser, expected].map((one) => one.dispose()));
  });

  test('by a sampler, on its way through the band', async () => {
    const options = { width: SIDE, height: SIDE, steps: 1000 };
    const states = [noisy(62, [SIDE, SIDE]).xt];
    const walk = (network: UNet, state: readonly Float32Array[], from: number, to: number) =>
      walkReverse(modelOf(network), {
        ...options,
        states: state,
        noises: [gaussians(integerStream(`${from}`))],
        from,
        to,
      });
    const above = await walk(outside, states, 62, 60);
    const within = await walk(inside, above, 60, 3);
    const below = await walk(outside, within, 3, 0);
    const noises = [62, 60, 3].map((from) => gaussians(integerStream(`${from}`)));
    // The noise of the parts, one after another.
    const lengths = [2, 57, 3].map((steps) => steps * states[0].length);
    let drawn = 0;
    const noise = () => {
      const part = drawn < lengths[0] ? 0 : drawn < lengths[0] + lengths[1] ? 1 : 2;
      drawn++;
      return noises[part]();
    };
    const whole = await walkReverse(modelOf(banded), { ...options, states, noises: [noise], from: 62, to: 0 });
    expect(whole).toEqual(below);
    const drawings = await Promise.all(
      [banded, outside].map((network) =>
        sample(modelOf(network), { count: 1, width: 8, height: 8, seed: 'a', steps: 50 }),
      ),
    );
    expect(drawings[0][0].data).not.toEqual(drawings[1][0].data);
  });

  test('by the bound, term by term', async () => {
    const images = [0, 1, 2].map((i) =>
      crop(syntheticImage(40, 40), { left: 9 * i, top: 5 * i, width: SIDE, height: SIDE }),
    );
    const measure = (network: UNet) => evaluateBound(images, modelOf(network), { strata: 40 });
    const [whole, out, within] = await Promise.all([banded, outside, inside].map(measure));
    const inBand = (t: number) => bandAt([BAND], t) !== undefined;
    expect(whole.terms.some(({ t }) => inBand(t))).toBe(true);
    whole.terms.forEach((term, i) => {
      const { t, evaluations, mse } = (inBand(term.t) ? within : out).terms[i];
      expect({ t: term.t, evaluations: term.evaluations }).toEqual({ t, evaluations });
      expect(term.mse).toBeCloseTo(mse, 6);
    });
  });

  test('by the trainer of an update', async () => {
    const options = { batch: 8, side: SIDE, seed: 'bands' };
    const pixels = Uint8Array.from({ length: 8 * SIDE * SIDE * 3 }, (_, i) => (i * 37) % 256);
    const lossOf = async (network: UNet) => {
      const trainer = await createUpdateTrainer(engine, modelOf(network), options);
      // Before its first step, an update does nothing.
      await trainer.step(pixels);
      const { loss } = await trainer.step(pixels);
      await trainer.dispose();
      return loss;
    };
    // Timesteps are drawn uniformly in log snr, so some of the eight are in the band and some are not.
    const losses = [await lossOf(outside), await lossOf(inside), await lossOf(banded)];
    expect(new Set(losses).size).toBe(3);
    // The same weights inside and outside: each example's result must be in its place.
    const alike = { ...outside, bands: [{ ...BAND, load: async () => ({ ...outside }) }] };
    expect(await lossOf(alike)).toBe(losses[0]);
  });

  test('and a batch of several bands is refused', async () => {
    const compiled = compileNetwork(engine, banded, [2, SIDE, SIDE]);
    await expect(compiled.run(new Float32Array(2 * SIDE * SIDE * 3), [4, 61])).rejects.toThrow(/more than one band/);
    await compiled.dispose();
  });
});

test('the rate of a band is half the squared error, integrated over snr', async () => {
  // Each of its values is off by the standard deviation of the noise in y_t, which gives 1 / 2 nats for each e-fold of snr.
  const denoiser = {
    ...{ parallelism: 1, precision: 'fp32' as const, dispose: async () => {} },
    predictX0: async ({ xt, t }: { xt: Float32Array; t: number }) => {
      const signal = Math.sqrt(schedule.alphasCumprod[t]);
      return xt.map((value) => value / signal);
    },
  };
  const images = [syntheticImage(64, 64), syntheticImage(64, 48)];
  const rates = await measureBandRate(images, { denoiser, schedule }, BAND);
  const expected = 0.5 * Math.log2(schedule.snr[BAND.least] / schedule.snr[BAND.most]);
  expect(rates).toHaveLength(2);
  for (const rate of rates) expect(rate / expected).toBeCloseTo(1, 1);
});

describe('a model', () => {
  /** A model with weights for a band: its own, halved. */
  async function bandedModel(change: (entry: Record<string, unknown>) => void = () => {}): Promise<string> {
    const directory = await tinyModel();
    await addBand(directory, BAND, 0.5);
    await edit(directory, 'codec.json', ({ bands }) => change((bands as Record<string, unknown>[])[0]));
    return directory;
  }

  test('is another one with a band, and says so', async () => {
    const directory = await bandedModel();
    const [{ info }, plain] = [await loadModel(directory), await loadModel(await tinyModel())];
    expect(info.bands).toEqual([{ ...BAND, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }]);
    expect(info.id).not.toBe(plain.info.id);
  });

  test('loads the weights when a chain comes to their band, and is needed to decode what it made', async () => {
    const directory = await copyOfPilot();
    // With halved weights it would be sent as a drawing.
    await addBand(directory, BAND, 1);
    const model = await openModel(directory, engine);
    const image = crop(await readImage('fixtures/images/budgie.webp'), { left: 200, top: 100, width: 40, height: 32 });
    const { bytes } = await encode(image, model, { maxBytes: 700, effort: 1 });
    const { image: decoded, t } = await decode(bytes, model);
    expect(t).toBeLessThan(BAND.most);
    await rm(join(directory, 'band-4-60.safetensors'));
    // The weights were loaded once.
    expect((await decode(bytes, model)).image).toEqual(decoded);
    await model.dispose();
    const other = await openModel(directory, engine);
    // The part above the band decodes.
    expect((await decode(bytes.subarray(0, 60), other)).t).toBeGreaterThan(BAND.most);
    await expect(decode(bytes, other)).rejects.toThrow(/cannot read band-4-60.safetensors/);
    // Once the file exists again, it is read.
    await addBand(directory, BAND, 1);
    expect((await decode(bytes, other)).image).toEqual(decoded);
    await other.dispose();
  });

  test('of files from anywhere needs to be told how to read a band', async () => {
    const directory = await bandedModel();
    const file = async (name: string) => new Uint8Array(await readFile(join(directory, name)));
    const json = async (name: string) => JSON.parse((await readFile(join(directory, name))).toString());
    const files = {
      ...{ name: 'mine', config: await json('config.json'), codec: await json('codec.json') },
      weights: await file('diffusion_pytorch_model.safetensors'),
    };
    await expect(createModel(files, engine)).rejects.toThrow(/readBand.*reads band-4-60.safetensors/);
    const asked: string[] = [];
    const readBand: ReadBand = (band) => {
      asked.push(bandFile(band));
      return file(bandFile(band));
    };
    const model = await createModel({ ...files, readBand }, engine);
    await model.denoiser.predictX0(noisy(61));
    expect(asked).toEqual([]);
    await Promise.all([model.denoiser.predictX0(noisy(60)), model.denoiser.predictX0(noisy(4))]);
    expect(asked).toEqual(['band-4-60.safetensors']);
    await model.dispose();
  });

  test('refuses weights that are not those that it names', async () => {
    const directory = await bandedModel((entry) => Object.assign(entry, { sha256: 'a'.repeat(64) }));
    const model = await openModel(directory, engine);
    const picture = { ...noisy(30), t: 30 };
    await expect(model.denoiser.predictX0(picture)).rejects.toThrow(
      /band-4-60.safetensors: expected SHA-256 a{64}, got [0-9a-f]{64}; it is damaged, or of another model/,
    );
    await model.dispose();
  });

  test.each([
    [{ least: 0 }, /bands.0.least: expected an integer from 1 to 1000/],
    [{ most: 1001 }, /bands.0.most: expected an integer from 1 to 1000/],
    [{ least: 60 }, /bands: expected bands from `least` to `most`/],
    [{ sha256: 'A' }, /bands.0.sha256: expected 64 hexadecimal digits/],
  ])('refuses a band with %j', async (wrong, message) => {
    const directory = await bandedModel((entry) => Object.assign(entry, wrong));
    await expect(loadModel(directory)).rejects.toThrow(message);
  });

  test('refuses bands that overlap', async () => {
    const directory = await bandedModel();
    await edit(directory, 'codec.json', (codec) => {
      const [band] = codec.bands as object[];
      Object.assign(codec, { bands: [band, { ...band, least: 60, most: 70 }] });
    });
    await expect(loadModel(directory)).rejects.toThrow(/each above the one before/);
  });
});
