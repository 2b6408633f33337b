/** Training as a whole, on networks small enough to train in seconds. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CodecError } from '../../../src/common/errors.js';
import type { Engine } from '../../../src/engine/engine.js';
import { parseConfig } from '../../../src/model/config.js';
import { createSchedule, paperSchedule } from '../../../src/model/schedule.js';
import type { Trainer } from '../../../src/model/training/descent.js';
import { OPTIMIZERS } from '../../../src/model/training/optimizer-name.js';
import { presets } from '../../../src/model/training/presets.js';
import { createState, type TrainerState } from '../../../src/model/training/state.js';
import { createTrainer, type TrainerOptions } from '../../../src/model/training/trainer.js';
import { openEngine } from '../../../src/node/engine/index.js';

const schedule = createSchedule(paperSchedule);

/** A network of two levels with attention in the middle. */
function tinyConfig(variance: TrainerOptions['variance'] = 'beta', channels = [8, 16], patchSize = 1) {
  return parseConfig({
    ...presets.small.config,
    block_out_channels: channels,
    down_block_types: channels.map(() => 'DownBlock2D'),
    up_block_types: channels.map(() => 'UpBlock2D'),
    norm_num_groups: 4,
    patch_size: patchSize,
    out_channels: variance === 'learned' ? 6 : 3,
  });
}

const OPTIONS: TrainerOptions = {
  prediction: 'eps',
  variance: 'beta',
  loss: 'simple',
  batch: 4,
  side: 8,
  optimizer: 'adam',
  learningRate: 1e-3,
  warmup: 0,
  cooldown: 0,
  gradientClip: 1,
  ema: 0.99,
  dropout: 0,
  timestepsSampling: 'uniform',
  seed: 'test',
};

/** Images that differ from step to step, but are the same in every run. */
function imagesOf(step: number, { batch, side }: TrainerOptions = OPTIONS): Uint8Array {
  return Uint8Array.from(
    { length: batch * side * side * 3 },
    (_, i) => (i * 7 + step * 31 + ((i * step) % 13) * 5) % 256,
  );
}

async function trainFor(trainer: Trainer, steps: number, options = OPTIONS): Promise<number[]> {
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) losses.push((await trainer.step(imagesOf(trainer.state.step, options))).loss);
  return losses;
}

/** A copy that shares nothing, as after a checkpoint. */
function copyOf(state: TrainerState): TrainerState {
  const parameters = new Float32Array(new SharedArrayBuffer(state.parameters.byteLength));
  parameters.set(state.parameters);
  const { step, ema, m, v, sampler } = state;
  return { step, parameters, ema: ema.slice(), m: m.slice(), v: v.slice(), sampler: sampler.slice() };
}

function relativeDifference(a: Float32Array, b: Float32Array): number {
  let difference = 0;
  let size = 0;
  for (let i = 0; i < a.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    size += a[i] ** 2;
  }
  return Math.sqrt(difference / size);
}

let onnx: Engine;
beforeAll(async () => {
  onnx = await openEngine('onnx');
});
afterAll(() => onnx.dispose());

describe('a step', () => {
  test.each([
    { prediction: 'eps', variance: 'beta', loss: 'simple' },
    { prediction: 'x0', variance: 'beta-tilde', loss: 'vlb' },
    { prediction: 'mu', variance: 'learned', loss: 'hybrid' },
    { prediction: 'eps', variance: 'beta', loss: 'simple', dropout: 0.3, timestepsSampling: 'importance' },
    { prediction: 'eps', variance: 'learned', loss: 'hybrid', dropout: 0.3, patchSize: 2 },
    { prediction: 'v', variance: 'beta', loss: 'simple', optimizer: 'muon' },
  ] as const)(
    'gives the same parameters on onnx and wasm: %j',
    async ({ patchSize = 1, ...objective }: Partial<TrainerOptions> & { patchSize?: number }) => {
      const options = { ...OPTIONS, ...objective };
      const config = tinyConfig(options.variance, undefined, patchSize);
      const wasm = await openEngine('wasm');
      const results = [];
      for (const engine of [onnx, wasm]) {
        const trainer = await createTrainer(engine, config, schedule, options);
        const before = trainer.state.parameters.slice();
        const { gradientNorm } = await trainer.step(imagesOf(0));
        results.push({ before, after: trainer.state.parameters, m: trainer.state.m, gradientNorm });
        await trainer.dispose();
      }
      await wasm.dispose();
      const [a, b] = results;
      expect(relativeDifference(a.before, a.after)).toBeGreaterThan(1e-4);
      expect(a.gradientNorm / b.gradientNorm).toBeCloseTo(1, 4);
      // The first moment is the gradient. Adam's first step would hide its size.
      expect(relativeDifference(a.m, b.m)).toBeLessThan(1e-4);
      expect(relativeDifference(a.after, b.after)).toBeLessThan(1e-4);
    },
  );

  test.each(OPTIMIZERS)('does not depend on the number of threads (%s)', async (optimizer) => {
    const options = { ...OPTIONS, batch: 24, optimizer };
    const states = [];
    for (const threads of [1, 3]) {
      const engine = await openEngine('onnx', { threads });
      const trainer = await createTrainer(engine, tinyConfig(), schedule, options);
      await trainFor(trainer, 3, options);
      states.push(trainer.state);
      await trainer.dispose();
      await engine.dispose();
    }
    expect(states[1].parameters).toEqual(states[0].parameters);
  });

  test('clips the gradient to the norm asked for', async () => {
    const clip = 1e-3;
    const trainer = await createTrainer(onnx, tinyConfig(), schedule, { ...OPTIONS, gradientClip: clip });
    const { gradientNorm } = await trainer.step(imagesOf(0));
    await trainer.dispose();
    expect(gradientNorm).toBeGreaterThan(clip);
    const seen = Math.sqrt(trainer.state.m.reduce((sum, value) => sum + (value / 0.1) ** 2, 0));
    expect(seen / clip).toBeCloseTo(1, 4);
  });
});

test.each([
  { timestepsSampling: 'uniform', optimizer: 'muon' },
  { timestepsSampling: 'importance', optimizer: 'adam' },
] as const)(
  'a run that is taken up again gives what an uninterrupted one gives, to the last bit: %j',
  async (choice) => {
    const options = { ...OPTIONS, ...choice, dropout: 0.1 };
    const whole = await createTrainer(onnx, tinyConfig(), schedule, options);
    const losses = await trainFor(whole, 6);
    const first = await createTrainer(onnx, tinyConfig(), schedule, options);
    const before = await trainFor(first, 3);
    const second = await createTrainer(onnx, tinyConfig(), schedule, options, copyOf(first.state));
    const after = await trainFor(second, 3);
    expect([...before, ...after]).toEqual(losses);
    expect(second.state).toEqual(whole.state);
    for (const trainer of [whole, first, second]) await trainer.dispose();
  },
);

test.each([
  // It took 526 and 476 steps.
  { optimizer: 'adam', learningRate: 3e-3, channels: [32, 32] },
  { optimizer: 'muon', learningRate: 1e-2, channels: [16, 16] },
] as const)('four images are learnt by heart: L_simple below 0.02 ($optimizer)', async ({ channels, ...choice }) => {
  const options = { ...OPTIONS, ...choice, warmup: 50, batch: 8, side: 8 };
  const four = imagesOf(0, { ...options, batch: 4 });
  const images = new Uint8Array(options.batch * 8 * 8 * 3);
  for (let i = 0; i < 2; i++) images.set(four, i * four.length);
  const trainer = await createTrainer(onnx, tinyConfig('beta', [...channels]), schedule, options);
  let recent = 1;
  let steps = 0;
  for (; recent >= 0.02 && steps < 1500; steps++) {
    const { loss } = await trainer.step(images);
    recent += 0.02 * (loss - recent);
  }
  await trainer.dispose();
  expect(recent).toBeLessThan(0.02);
});

test('weights that are not finite end the run and leave the state as it was', async () => {
  const state = createState(tinyConfig(), schedule, OPTIONS);
  state.parameters[5] = Number.NaN;
  const trainer = await createTrainer(onnx, tinyConfig(), schedule, OPTIONS, state);
  const before = copyOf(trainer.state);
  const failure = await trainer.step(imagesOf(0)).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(CodecError);
  expect((failure as CodecError).message).toMatch(/diverged at step 1: loss NaN.*lower `learningRate`/);
  expect(trainer.state).toEqual(before);
  await trainer.dispose();
});

test('images of another size are refused', async () => {
  const trainer = await createTrainer(onnx, tinyConfig(), schedule, OPTIONS);
  await expect(trainer.step(new Uint8Array(5))).rejects.toThrow(/expected 768 values, got 5/);
  await trainer.dispose();
});

test('a network whose output does not fit the variance is refused', async () => {
  const options: TrainerOptions = { ...OPTIONS, variance: 'learned', loss: 'hybrid' };
  await expect(createTrainer(onnx, tinyConfig('beta'), schedule, options)).rejects.toThrow(/6 out.*got 3 and 3/);
});
