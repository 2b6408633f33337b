import { describe, expect, test } from 'vitest';
import { adamStep, emaDecayAt, learningRateAt, norm } from '../../../src/model/training/optimizer.js';

describe('Adam', () => {
  // torch.optim.Adam (PyTorch 1.13, float32) with lr 0.01, from the same start and gradients.
  const GRADIENTS = [
    [0.1, -0.2, 0],
    [1, 0.5, -3],
    [-0.3, 0, 1e-4],
  ];
  const EXPECTED = [
    [0.49000000953674316, -0.9900000095367432, 2.0],
    [0.48192912340164185, -0.9944221377372742, 2.007441282272339],
    [0.4777793288230896, -0.9978404641151428, 2.013193368911743],
  ];

  test('gives what PyTorch gives', () => {
    const parameters = Float32Array.of(0.5, -1, 2);
    const state = { m: new Float32Array(3), v: new Float32Array(3) };
    const ema = new Float32Array(3);
    GRADIENTS.forEach((gradient, i) => {
      adamStep(parameters, ema, state, Float32Array.from(gradient), {
        step: i + 1,
        learningRate: 0.01,
        scale: 1,
        emaDecay: 0.5,
      });
      for (let k = 0; k < 3; k++) expect(parameters[k]).toBeCloseTo(EXPECTED[i][k], 6);
    });
  });

  test('scales the gradient, and averages the weights in the same pass', () => {
    const run = (gradient: number[], scale: number) => {
      const parameters = Float32Array.of(1, 2);
      const ema = Float32Array.of(1, 2);
      const state = { m: new Float32Array(2), v: new Float32Array(2) };
      const step = { step: 1, learningRate: 0.1, scale, emaDecay: 0.75 };
      adamStep(parameters, ema, state, Float32Array.from(gradient), step);
      return { parameters, ema, state };
    };
    const clipped = run([4, -8], 0.25);
    expect(clipped).toEqual(run([1, -2], 1));
    expect(clipped.ema[0]).toBeCloseTo(0.75 * 1 + 0.25 * clipped.parameters[0], 6);
  });
});

test('norm is Euclidean', () => {
  expect(norm(Float32Array.of(3, -4))).toBe(5);
});

test('the decay of the average rises to its value', () => {
  expect(emaDecayAt(1, 0.999)).toBeCloseTo(2 / 11, 12);
  expect(emaDecayAt(100, 0.999)).toBeCloseTo(101 / 110, 12);
  expect(emaDecayAt(1e6, 0.999)).toBe(0.999);
  expect(emaDecayAt(1e6, 0)).toBe(0);
});

test('the learning rate rises linearly over the warm-up', () => {
  const options = { learningRate: 1e-3, warmup: 100, cooldown: 0 };
  expect(learningRateAt(1, options, 0)).toBeCloseTo(1e-5, 12);
  expect(learningRateAt(100, options, 0.5)).toBe(1e-3);
  expect(learningRateAt(101, options, 1)).toBe(1e-3);
  expect(learningRateAt(1, { ...options, warmup: 0 }, 0)).toBe(1e-3);
});

test('the learning rate falls to 0 over the cool-down', () => {
  const options = { learningRate: 1e-3, warmup: 0, cooldown: 0.2 };
  expect(learningRateAt(800, options, 0.8)).toBeCloseTo(1e-3, 9);
  expect(learningRateAt(850, options, 0.85)).toBeCloseTo(0.5e-3, 9);
  expect(learningRateAt(950, options, 0.95)).toBeCloseTo(1e-3 * (1 - Math.sqrt(0.75)), 9);
  expect(learningRateAt(1000, options, 1)).toBe(0);
  // A run that lasts longer than predicted learns no more, but does not fail.
  expect(learningRateAt(1001, options, 1.2)).toBe(0);
  // A warm-up longer than the run is not cut short.
  expect(learningRateAt(900, { ...options, warmup: 9000 }, 0.9)).toBeCloseTo(1e-4, 9);
});
