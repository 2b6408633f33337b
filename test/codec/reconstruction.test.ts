/** Pictures of a state at different realisms: on a denoiser whose flow is known, and on a shipped model. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Chain } from '../../src/codec/chain.js';
import { reconstruct } from '../../src/codec/decoder/reconstruction.js';
import { decode, encode, type Model, openEngine, openModel, rmse } from '../../src/index.js';
import type { Denoiser } from '../../src/model/denoiser.js';
import { createSchedule } from '../../src/model/schedule.js';
import { cifarTestImages } from '../helpers/fixtures.js';

/** Dimensions are independent Gaussians with this variance. */
const VARIANCE = 0.09;
const SIZE = { width: 8, height: 8 };

const schedule = createSchedule({ timesteps: 1000, betaSchedule: 'linear', betaStart: 1e-4, betaEnd: 0.02 });

/** Variance of x_t in every dimension: abar_t VARIANCE + 1 - abar_t. */
const varianceAt = (t: number) => schedule.alphasCumprod[t] * VARIANCE + 1 - schedule.alphasCumprod[t];

/** Expected squared errors: the variance of x_0 given x_t. */
const errors = () => schedule.alphasCumprod.map((abar, t) => (VARIANCE * (1 - abar)) / varianceAt(t));

const gaussian = {
  predictX0: async ({ xt, t }: { xt: Float32Array; t: number }) =>
    xt.map((value) => (value * Math.sqrt(schedule.alphasCumprod[t]) * VARIANCE) / varianceAt(t)),
} as unknown as Denoiser;

/** A chain at a timestep, with a state of the correct variance. */
async function chainAt(t: number): Promise<Chain> {
  const chain = Chain.begin({ schedule, denoiser: gaussian }, { ...SIZE, seed: 1 } as never);
  chain.drawNoise();
  await chain.advance({ s: t, asks: true });
  return chain;
}

const stepsTo = (...timesteps: number[]) => timesteps.map((s) => ({ s, asks: true })) as never;

describe('of a Gaussian distribution', () => {
  const [from, middle, end] = [400, [320, 250, 190, 140, 100, 65, 40, 20, 8], 2];

  test('the flow keeps each state where it is in the distribution', async () => {
    const chain = await chainAt(from);
    const mean = (await chain.best()).slice();
    const flow = await reconstruct({ chain, held: undefined, rest: stepsTo(...middle, end), errors }, 1);
    // The flow's exact solution: x_t divided by its standard deviation stays the same. It ends in xhat0 of the last state.
    const { alphasCumprod } = schedule;
    const gain = (t: number) => (Math.sqrt(alphasCumprod[t]) * VARIANCE) / varianceAt(t);
    const exact = mean.map((value) => (value / gain(from)) * Math.sqrt(varianceAt(end) / varianceAt(from)) * gain(end));
    const ratio = Math.sqrt(sumOfSquares(flow) / sumOfSquares(exact));
    // First-order steps are 10 % off here, DPM-Solver++(2M) 4 %.
    expect(Math.abs(ratio - 1)).toBeLessThan(0.03);
  });

  test('realism 0 is the mean, and between lies the straight line', async () => {
    const chain = await chainAt(from);
    const rest = stepsTo(...middle, end);
    const at = async (realism: number) =>
      (await reconstruct({ chain, held: undefined, rest, errors }, realism)).slice();
    const [mean, half, flow] = [await at(0), await at(0.5), await at(1)];
    expect(mean).toEqual((await chain.best()).slice());
    for (let i = 0; i < mean.length; i++) expect(half[i]).toBeCloseTo((mean[i] + flow[i]) / 2, 6);
  });

  test('a sample is in the distribution, however long the steps are', async () => {
    const chain = await chainAt(from);
    for (const places of [[end], [150, end], [...middle, end]]) {
      const sample = await reconstruct({ chain, held: undefined, rest: stepsTo(...places), errors }, 'sample');
      // The estimate from 192 values has a standard deviation of 5 %. With the variance of q one step gives less than half.
      expect(Math.abs(Math.sqrt(sumOfSquares(sample) / sample.length / VARIANCE) - 1)).toBeLessThan(0.15);
    }
  });

  test('a picture that is held is where the line begins', async () => {
    const chain = await chainAt(from);
    const held = new Float32Array(SIZE.width * SIZE.height * 3).fill(0.25);
    const rest = stepsTo(...middle, end);
    expect(await reconstruct({ chain, held, rest, errors }, 0)).toBe(held);
    const flow = await reconstruct({ chain, held: undefined, rest, errors }, 1);
    const quarter = await reconstruct({ chain, held, rest, errors }, 0.25);
    for (let i = 0; i < held.length; i++) expect(quarter[i]).toBeCloseTo(0.75 * 0.25 + 0.25 * flow[i], 6);
  });
});

describe('with a model', () => {
  let model: Model;
  beforeAll(async () => {
    model = await openModel('cifar10', await openEngine('auto', { threads: 1 }));
  });
  afterAll(() => model.engine.dispose());

  test('the error rises with realism, at any prefix, and the network is asked for the rest of the chain', async () => {
    const [image] = await cifarTestImages();
    const { bytes } = await encode(image, model, { effort: 1, maxBytes: 60 });
    for (const maxBytes of [40, 60]) {
      const decodeAt = (realism: number) => decode(bytes, model, { maxBytes, realism });
      const [mean, half, flow] = [await decodeAt(0), await decodeAt(0.5), await decodeAt(1)];
      const errors = [mean, half, flow].map((result) => rmse(result.image, image));
      expect(errors).toEqual(errors.toSorted((a, b) => a - b));
      expect(errors[2]).toBeGreaterThan(errors[0]);
      for (const [i, value] of half.unrounded.entries()) {
        expect(value).toBeCloseTo((mean.unrounded[i] + flow.unrounded[i]) / 2, 3);
      }
    }
  });

  test('samples that are exact are not moved', async () => {
    const [image] = await cifarTestImages();
    const { bytes } = await encode(image, model, { effort: 1, lossless: true });
    const { image: decoded, lossless } = await decode(bytes, model, { realism: 1 });
    expect([lossless, decoded.data]).toEqual([true, image.data]);
  });
});

function sumOfSquares(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value * value, 0);
}
