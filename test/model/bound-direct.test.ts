/**
 * Compares all terms of the bound at T = 1000 with a slow computation that follows the paper's formulas one by one: the
 * means of q and p by Eq. 7 and 11, the KL of two Gaussians, the discretised Gaussian by numerical integration (Eq. 13).
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gaussians, integerStream } from '../../src/common/random.js';
import type { Engine } from '../../src/engine/engine.js';
import { crop } from '../../src/image/crop.js';
import type { RgbImage } from '../../src/image/image.js';
import { parseConfig } from '../../src/model/config.js';
import type { DiffusionModel } from '../../src/model/diffusion-model.js';
import { type Evaluation, evaluateBound } from '../../src/model/likelihood.js';
import { paperParameterization, type ReverseVariance } from '../../src/model/parameterization.js';
import { readSafetensors } from '../../src/model/safetensors.js';
import { createSchedule, jumpKlBits, paperSchedule } from '../../src/model/schedule.js';
import { createUNet } from '../../src/model/unet.js';
import { openEngine } from '../../src/node/engine/index.js';
import { cifarTestImages } from '../helpers/fixtures.js';

const NETWORK = 'fixtures/reference/unet-tiny';
const IMAGES = 32;
const SIDE = 4;
const DIMS = SIDE * SIDE * 3;
const T = 1000;

let engine: Engine;
let model: DiffusionModel;
let images: RgbImage[];
beforeAll(async () => {
  engine = await openEngine('auto', { threads: 1 });
  const config = parseConfig(JSON.parse(await readFile(join(NETWORK, 'config.json'), 'utf8')));
  const weights = readSafetensors(await readFile(join(NETWORK, 'diffusion_pytorch_model.safetensors')));
  const schedule = createSchedule(paperSchedule);
  const network = createUNet(config, weights);
  model = { engine, network, schedule, parameterization: paperParameterization, expectedErrors };
  // Two corners of each of the sixteen pictures.
  images = (await cifarTestImages()).flatMap((image) =>
    [0, 28].map((from) => crop(image, { left: from, top: from, width: SIDE, height: SIDE })),
  );
  expect(images).toHaveLength(IMAGES);
});
afterAll(() => engine.dispose());

interface Variant {
  /** Number of images to compute it for. */
  readonly count: number;
  readonly variance: ReverseVariance;
  readonly clip: boolean;
}

const VARIANTS: readonly Variant[] = [
  { count: IMAGES, variance: 'beta', clip: true },
  { count: 8, variance: 'beta-tilde', clip: true },
  { count: 8, variance: 'beta', clip: false },
  { count: 8, variance: 'optimal', clip: true },
];

/** beta_t, t = 1..T. */
const beta = Array.from({ length: T + 1 }, (_, t) => 1e-4 + ((0.02 - 1e-4) * (t - 1)) / (T - 1));
const alphaBar = [1];
for (let t = 1; t <= T; t++) alphaBar.push(alphaBar[t - 1] * (1 - beta[t]));
const betaTilde = beta.map((b, t) => (t < 2 ? Number.NaN : ((1 - alphaBar[t - 1]) / (1 - alphaBar[t])) * b));

/** Any errors. */
const expectedErrors = alphaBar.map((abar) => (1 - abar) / (1 + abar));

function density(z: number): number {
  return Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);
}

/** Simpson's rule. */
function integral(low: number, high: number): number {
  const parts = 200;
  const h = (high - low) / parts;
  let sum = density(low) + density(high);
  for (let i = 1; i < parts; i++) sum += (i % 2 === 1 ? 4 : 2) * density(low + i * h);
  return (sum * h) / 3;
}

/** -log2 of the mass of a grey level's bin. The outer bins are open. */
function levelBits(x: number, mean: number, sigma: number): number {
  const low = x < -0.999 ? -40 : (x - 1 / 255 - mean) / sigma;
  const high = x > 0.999 ? 40 : (x + 1 / 255 - mean) / sigma;
  // Beyond 12 the mass is negligible.
  const mass = integral(Math.max(low, -12), Math.min(high, 12));
  return -Math.log2(mass);
}

/** Element t: the mean over the images of L_{t-1}, in bits/dim. */
async function direct({ count, variance, clip }: Variant, seed: string): Promise<number[]> {
  const fn = await engine.compile(model.network.fn, [[count, SIDE, SIDE, 3], [count]], model.network.constants);
  const x0 = images.slice(0, count).map(({ data }) => [...data].map((k) => (2 * k) / 255 - 1));
  const terms = [Number.NaN];
  for (let t = 1; t <= T; t++) {
    const xt = new Float32Array(count * DIMS);
    for (let n = 0; n < count; n++) {
      const gaussian = gaussians(integerStream(`${seed}/${n}/${t - 1}`));
      for (let i = 0; i < DIMS; i++) {
        xt[n * DIMS + i] = Math.sqrt(alphaBar[t]) * x0[n][i] + Math.sqrt(1 - alphaBar[t]) * gaussian();
      }
    }
    const [eps] = await fn.run([xt, new Float32Array(count).fill(t - 1)]);
    const weight = (Math.sqrt(alphaBar[t - 1]) * beta[t]) / (1 - alphaBar[t]);
    const optimal = (t === 1 ? 0 : betaTilde[t]) + weight ** 2 * expectedErrors[t];
    const sigma2 = variance === 'optimal' ? optimal : variance === 'beta' ? beta[t] : betaTilde[Math.max(t, 2)];
    let bits = 0;
    for (let k = 0; k < xt.length; k++) {
      const x = x0[Math.floor(k / DIMS)][k % DIMS];
      const said = (xt[k] - Math.sqrt(1 - alphaBar[t]) * eps[k]) / Math.sqrt(alphaBar[t]);
      const xhat0 = clip ? Math.min(1, Math.max(-1, said)) : said;
      if (t === 1) bits += levelBits(x, xhat0, Math.sqrt(sigma2));
      else {
        const mean = (start: number) =>
          (Math.sqrt(alphaBar[t - 1]) * beta[t] * start + Math.sqrt(1 - beta[t]) * (1 - alphaBar[t - 1]) * xt[k]) /
          (1 - alphaBar[t]);
        const q = betaTilde[t];
        bits += (0.5 * (Math.log(sigma2 / q) + (q + (mean(x) - mean(xhat0)) ** 2) / sigma2 - 1)) / Math.LN2;
      }
    }
    terms.push(bits / xt.length);
  }
  await fn.dispose();
  return terms;
}

describe('T = 1000, 32 images', () => {
  const terms: number[][] = [];
  const evaluations: Evaluation[] = [];
  beforeAll(async () => {
    for (const variant of VARIANTS) {
      terms.push(await direct(variant, 'direct'));
      const { count, ...options } = variant;
      const some = images.slice(0, count);
      evaluations.push(await evaluateBound(some, model, { strata: 'all', seed: 'direct', ...options }));
    }
  });

  test.each([...VARIANTS.keys()])('every term, variant %d', (v) => {
    const { terms: measured, bound, rate } = evaluations[v];
    const { count } = VARIANTS[v];
    expect(measured.map(({ t }) => t)).toEqual(Array.from({ length: T }, (_, i) => i + 1));
    for (const { t, bits, evaluations: here } of measured) {
      expect(here).toBe(count);
      expect(Math.abs(bits.value / terms[v][t] - 1), `t = ${t}`).toBeLessThan(1e-4);
    }
    const sum = terms[v].slice(2).reduce((a, b) => a + b);
    expect(bound.diffusion.value / sum).toBeCloseTo(1, 5);
    expect(bound.decoder.value / terms[v][1]).toBeCloseTo(1, 5);
    expect(rate.value).toBeCloseTo(bound.prior.value + bound.diffusion.value, 12);
    expect(bound.evaluations).toBe(count * T);
  });

  test('L_T is about 1e-5 bits/dim', () => {
    const { prior } = evaluations[0].bound;
    const square = images.map(({ data }) => data.reduce((sum, k) => sum + (k / 127.5 - 1) ** 2, 0) / DIMS);
    const mean = square.reduce((a, b) => a + b) / IMAGES;
    // KL(N(sqrt(a) x, 1 - a) || N(0, 1)) = a x^2 / 2 + O(a^2).
    expect(prior.value / ((0.5 * alphaBar[T] * mean) / Math.LN2)).toBeCloseTo(1, 3);
    expect(prior.value).toBeGreaterThan(2e-6);
    expect(prior.value).toBeLessThan(2e-5);
  });

  test("with variance beta-tilde L_1:T-1 is the sum of the codec's KL of one-step jumps", () => {
    const { bound, terms: measured } = evaluations[1];
    const jumps = measured.filter(({ t }) => t > 1).map(({ t, mse }) => jumpKlBits(model.schedule, t, t - 1, mse));
    expect(bound.diffusion.value / jumps.reduce((a, b) => a + b)).toBeCloseTo(1, 9);
  });

  test('the whole sum and its estimate are one number on average', async () => {
    const whole = evaluations[0].bound.diffusion;
    const { diffusion } = (await evaluateBound(images, model, { strata: 100, seed: 'strata' })).bound;
    expect(Math.abs(diffusion.value - whole.value)).toBeLessThan(0.03 * whole.value);
  });

  test('images add up to the mean, and the RMSE is that of xhat0 at t = 1', () => {
    const { bound, perImage, rmse, terms: measured } = evaluations[0];
    const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
    expect(mean(perImage.map(({ total }) => total))).toBeCloseTo(bound.total.value, 9);
    expect(rmse.value).toBeCloseTo(127.5 * Math.sqrt(measured[0].mse), 9);
    expect(rmse.value).toBeCloseTo(Math.sqrt(mean(perImage.map((image) => image.rmse ** 2))), 9);
  });
});
