/** The traced losses, compared with the paper's formulas written out in doubles. */
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gaussians, integerStream } from '../../../src/common/random.js';
import type { Engine } from '../../../src/engine/engine.js';
import { registerGradients } from '../../../src/engine/gradients.js';
import { PREDICTIONS, VARIANCES } from '../../../src/model/parameterization.js';
import { createSchedule, jumpCoefficients, paperSchedule } from '../../../src/model/schedule.js';
import {
  COEFFICIENTS,
  checkObjective,
  exampleCoefficients,
  exampleLosses,
  type Objective,
} from '../../../src/model/training/objective.js';
import { openEngine } from '../../../src/node/engine/index.js';

const schedule = createSchedule(paperSchedule);
const TIMESTEPS = [1, 2, 10, 500, 1000];
const N = TIMESTEPS.length;
const SHAPE = [N, 4, 4, 3];
const DIMS = 48;
const SIZE = N * DIMS;

let engine: Engine;
beforeAll(async () => {
  registerGradients();
  engine = await openEngine('onnx');
});
afterAll(() => engine.dispose());

const gaussian = gaussians(integerStream('objective'));
const noise = Float32Array.from({ length: SIZE }, gaussian);
/** Grey levels, including black and white, as in images. */
const x0 = Float32Array.from({ length: SIZE }, (_, i) => ((i * 37) % 256) / 127.5 - 1)
  .with(0, -1)
  .with(1, 1);
/** The network's output: two numbers for every value. */
const output = Float32Array.from({ length: 2 * SIZE }, () => 0.3 * gaussian());

/** Losses of the traced function. `perfect` networks output what they are trained for. */
async function losses(objective: Objective, given: Float32Array): Promise<Float32Array> {
  const channels = objective.variance === 'learned' ? 6 : 3;
  const compiled = await engine.compile(
    ([image, eps, t, coefficients, out]: tf.Tensor[]) => [
      exampleLosses(
        objective,
        1000,
        (xt) => tf.add(tf.mul(tf.concat(Array(channels / 3).fill(xt), 3) as tf.Tensor, 0), out) as tf.Tensor4D,
        image as tf.Tensor4D,
        eps as tf.Tensor4D,
        t as tf.Tensor1D,
        coefficients as tf.Tensor2D,
      ),
    ],
    [SHAPE, SHAPE, [N], [N, COEFFICIENTS], [...SHAPE.slice(0, 3), channels]],
  );
  const coefficients = TIMESTEPS.flatMap((t) => exampleCoefficients(schedule, objective, t));
  const [result] = await compiled.run([
    x0,
    noise,
    Float32Array.from(TIMESTEPS, (t) => t - 1),
    Float32Array.from(coefficients),
    given,
  ]);
  await compiled.dispose();
  return result;
}

/** mu-tilde_t(x_t, x_0), Eq. 7. */
function posteriorMean(t: number, xt: number, x: number): number {
  const { x0: a, xt: b } = jumpCoefficients(schedule, t, t - 1);
  return a * x + b * xt;
}

function xtOf(i: number, t: number): number {
  const abar = schedule.alphasCumprod[t];
  return Math.sqrt(abar) * x0[i] + Math.sqrt(1 - abar) * noise[i];
}

describe.each(PREDICTIONS)('predicting %s', (prediction) => {
  const objective: Objective = { prediction, variance: 'beta', loss: 'simple' };
  const target = (i: number, t: number) => {
    const abar = schedule.alphasCumprod[t];
    if (prediction === 'v') return Math.sqrt(abar) * noise[i] - Math.sqrt(1 - abar) * x0[i];
    return prediction === 'eps' ? noise[i] : prediction === 'x0' ? x0[i] : posteriorMean(t, xtOf(i, t), x0[i]);
  };
  const xhat0Of = (xt: number, out: number, abar: number) => {
    if (prediction === 'v') return Math.sqrt(abar) * xt - Math.sqrt(1 - abar) * out;
    return prediction === 'eps' ? (xt - Math.sqrt(1 - abar) * out) / Math.sqrt(abar) : out;
  };

  test('L_simple is the mean squared error of the output', async () => {
    const actual = await losses(objective, output.subarray(0, SIZE));
    TIMESTEPS.forEach((t, n) => {
      let sum = 0;
      for (let i = n * DIMS; i < (n + 1) * DIMS; i++) sum += (output[i] - target(i, t)) ** 2;
      expect(actual[n] / (sum / DIMS)).toBeCloseTo(1, 4);
    });
  });

  test.each(['beta', 'beta-tilde'] as const)(
    'L_vlb with variance %s is the KL divergence in bits/dim',
    async (variance) => {
      const actual = await losses({ ...objective, variance, loss: 'vlb' }, output.subarray(0, SIZE));
      TIMESTEPS.forEach((t, n) => {
        if (t === 1) return;
        const abar = schedule.alphasCumprod;
        const beta = 1 - abar[t] / abar[t - 1];
        const betaTilde = jumpCoefficients(schedule, t, t - 1).sigma ** 2;
        const chosen = variance === 'beta' ? beta : betaTilde;
        let nats = 0;
        for (let i = n * DIMS; i < (n + 1) * DIMS; i++) {
          const xt = xtOf(i, t);
          const out = output[i];
          const xhat0 = xhat0Of(xt, out, abar[t]);
          const mean = prediction === 'mu' ? out : posteriorMean(t, xt, xhat0);
          const distance = (posteriorMean(t, xt, x0[i]) - mean) ** 2;
          nats += 0.5 * (Math.log(chosen / betaTilde) + (betaTilde + distance) / chosen - 1);
        }
        const bits = (1000 * nats) / DIMS / Math.LN2;
        expect(actual[n] / bits).toBeCloseTo(1, 3);
      });
    },
  );

  test('a perfect network has no loss, and the bound of t > 1 is that of the variance alone', async () => {
    const perfect = Float32Array.from({ length: SIZE }, (_, i) => target(i, TIMESTEPS[Math.floor(i / DIMS)]));
    for (const loss of await losses(objective, perfect)) expect(loss).toBeLessThan(1e-9);
    const bound = await losses({ ...objective, variance: 'beta-tilde', loss: 'vlb' }, perfect);
    for (const loss of bound.slice(1)) expect(Math.abs(loss)).toBeLessThan(0.05);
  });
});

test('t = 1 is the code length of the grey level under a discretised Gaussian', async () => {
  const objective: Objective = { prediction: 'x0', variance: 'beta', loss: 'vlb' };
  const given = x0.map((value) => value + 0.004);
  const [first] = await losses(objective, given);
  const sigma = Math.sqrt(1 - schedule.alphasCumprod[1]);
  // The mean of p(x_0|x_1) is xhat0 itself, since beta-tilde_1 is 0.
  const cdf = (x: number) => integrate((u) => Math.exp((-u * u) / 2) / Math.sqrt(2 * Math.PI), -8, x);
  let nats = 0;
  for (let i = 0; i < DIMS; i++) {
    const upper = x0[i] > 0.999 ? 1 : cdf((x0[i] + 1 / 255 - given[i]) / sigma);
    const lower = x0[i] < -0.999 ? 0 : cdf((x0[i] - 1 / 255 - given[i]) / sigma);
    nats -= Math.log(upper - lower);
  }
  expect(first / ((1000 * nats) / DIMS / Math.LN2)).toBeCloseTo(1, 2);
});

describe('a learned variance', () => {
  test.each(VARIANCES.filter((variance) => variance !== 'learned'))(
    'at its end %s gives what that variance gives',
    async (variance) => {
      const end = variance === 'beta' ? 1 : -1;
      const interleaved = new Float32Array(2 * SIZE);
      for (let i = 0; i < SIZE; i++) {
        const at = Math.floor(i / 3) * 6 + (i % 3);
        interleaved[at] = output[i];
        interleaved[at + 3] = end;
      }
      const learned = await losses({ prediction: 'eps', variance: 'learned', loss: 'vlb' }, interleaved);
      const fixed = await losses({ prediction: 'eps', variance, loss: 'vlb' }, output.subarray(0, SIZE));
      TIMESTEPS.forEach((_, n) => {
        expect(learned[n] / fixed[n]).toBeCloseTo(1, 4);
      });
    },
  );

  test('in the hybrid loss the bound does not move the mean', async () => {
    const compiled = await engine.compile(
      ([image, eps, t, coefficients, out]: tf.Tensor[]) => {
        const loss = (kind: Objective['loss']) => (y: tf.Tensor) =>
          tf.sum(
            exampleLosses(
              { prediction: 'eps', variance: kind === 'simple' ? 'beta' : 'learned', loss: kind },
              1000,
              () => (kind === 'simple' ? tf.split(y, 2, 3)[0] : y) as tf.Tensor4D,
              image as tf.Tensor4D,
              eps as tf.Tensor4D,
              t as tf.Tensor1D,
              coefficients as tf.Tensor2D,
            ),
          ) as tf.Scalar;
        return [tf.grad(loss('hybrid'))(out), tf.grad(loss('simple'))(out)];
      },
      [SHAPE, SHAPE, [N], [N, COEFFICIENTS], [...SHAPE.slice(0, 3), 6]],
    );
    const coefficients = TIMESTEPS.flatMap((t) =>
      exampleCoefficients(schedule, { prediction: 'eps', variance: 'learned' }, t),
    );
    const times = Float32Array.from(TIMESTEPS, (t) => t - 1);
    const [hybrid, simple] = await compiled.run([x0, noise, times, Float32Array.from(coefficients), output]);
    await compiled.dispose();
    let spread = 0;
    for (let i = 0; i < hybrid.length; i++) {
      if (i % 6 < 3) expect(hybrid[i]).toBeCloseTo(simple[i], 6);
      else spread += Math.abs(hybrid[i]);
    }
    expect(spread).toBeGreaterThan(0);
  });

  test('is not learnt by L_simple', () => {
    expect(() => checkObjective({ prediction: 'eps', variance: 'learned', loss: 'simple' })).toThrow(/hybrid or vlb/);
  });
});

/** Simpson's rule. */
function integrate(f: (x: number) => number, from: number, to: number): number {
  const STEPS = 2000;
  const h = (to - from) / STEPS;
  let sum = f(from) + f(to);
  for (let i = 1; i < STEPS; i++) sum += f(from + i * h) * (i % 2 ? 4 : 2);
  return (sum * h) / 3;
}
