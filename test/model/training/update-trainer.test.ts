/** Training an update for a network small enough to take only seconds. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CodecError } from '../../../src/common/errors.js';
import type { Engine, EngineName } from '../../../src/engine/engine.js';
import { parseConfig } from '../../../src/model/config.js';
import { type Parameterization, paperParameterization } from '../../../src/model/parameterization.js';
import { readSafetensors } from '../../../src/model/safetensors.js';
import { createSchedule, paperSchedule } from '../../../src/model/schedule.js';
import { parseCheckpoint, parseUpdateCheckpoint, serializeCheckpoint } from '../../../src/model/training/checkpoint.js';
import type { Trainer } from '../../../src/model/training/descent.js';
import { initialize } from '../../../src/model/training/initialization.js';
import { presets } from '../../../src/model/training/presets.js';
import { toTensors } from '../../../src/model/training/state.js';
import { createUpdateTrainer, updateShapeFor } from '../../../src/model/training/update-trainer.js';
import { createUNet, type UNet } from '../../../src/model/unet.js';
import { listParameters } from '../../../src/model/unet-parameters.js';
import { openEngine } from '../../../src/node/engine/index.js';

const OPTIONS = { batch: 4, side: 16, seed: 'test' };
const schedule = createSchedule(paperSchedule);

/** A trained network of two levels. */
async function tinyNetwork(): Promise<UNet> {
  const directory = 'fixtures/reference/unet-tiny';
  const config = parseConfig(JSON.parse(await readFile(`${directory}/config.json`, 'utf8')));
  return createUNet(config, readSafetensors(await readFile(`${directory}/diffusion_pytorch_model.safetensors`)));
}

/** An untrained network. */
function randomNetwork(changes: object): UNet {
  const channels = [8, 8];
  const config = parseConfig({
    ...presets.small.config,
    block_out_channels: channels,
    down_block_types: channels.map(() => 'DownBlock2D'),
    up_block_types: channels.map(() => 'UpBlock2D'),
    norm_num_groups: 4,
    ...changes,
  });
  const parameters = listParameters(config);
  return createUNet(config, toTensors(initialize(parameters, 'test'), parameters));
}

/** Gradients of light and colour that differ at each step. */
function imagesOf(step: number, { batch, side } = OPTIONS): Uint8Array {
  return Uint8Array.from({ length: batch * side * side * 3 }, (_, i) => {
    const [pixel, c] = [Math.floor(i / 3), i % 3];
    const n = Math.floor(pixel / (side * side)) + step;
    return 127.5 + 100 * Math.sin((pixel % side) / (3 + (n % 5)) + Math.floor(pixel / side) / (4 + c) + n);
  });
}

async function trainFor(trainer: Trainer, steps: number): Promise<number[]> {
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) losses.push((await trainer.step(imagesOf(trainer.state.step))).loss);
  return losses;
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

let tiny: UNet;
let onnx: Engine;
beforeAll(async () => {
  tiny = await tinyNetwork();
  onnx = await openEngine('onnx', { threads: 2 });
});
afterAll(() => onnx.dispose());

const train = (engine: Engine, network = tiny, parameterization: Parameterization = paperParameterization) =>
  createUpdateTrainer(engine, { network, schedule, parameterization }, OPTIONS);

test('the loss begins at 1, which doing nothing has, and falls; gradients reach every layer', async () => {
  const trainer = await train(onnx);
  const [first] = await trainFor(trainer, 1);
  expect(first).toBeCloseTo(1, 5);
  // At first, all layers but the last get no gradient, because the last layer's weights are 0.
  await trainFor(trainer, 1);
  for (const [name, { data }] of toTensors(trainer.state.m, trainer.parameters)) {
    expect([name, Math.hypot(...data) > 0]).toEqual([name, true]);
  }
  const losses = await trainFor(trainer, 150);
  expect(trainer.state.parameters.every(Number.isFinite)).toBe(true);
  expect(mean(losses.slice(-20))).toBeLessThan(0.9);
  await trainer.dispose();
});

test('is the same on another number of threads, to the last bit, and nearly on the other engine', async () => {
  const after = async (name: EngineName, threads: number) => {
    const engine = await openEngine(name, { threads });
    // A batch of three parts.
    const options = { ...OPTIONS, batch: 9 };
    const frozen = { network: tiny, schedule, parameterization: paperParameterization };
    const trainer = await createUpdateTrainer(engine, frozen, options);
    for (let i = 0; i < 2; i++) await trainer.step(imagesOf(i, options));
    await trainer.dispose();
    await engine.dispose();
    return trainer.state;
  };
  const one = await after('onnx', 1);
  expect(await after('onnx', 2)).toEqual(one);
  const wasm = await after('wasm', 1);
  const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0));
  expect(norm(wasm.m.map((value, i) => value - one.m[i])) / norm(one.m)).toBeLessThan(1e-3);
});

test('goes on after a checkpoint as if never interrupted', async () => {
  const frozen = { network: tiny, schedule, parameterization: paperParameterization };
  const shape = updateShapeFor(tiny.featureChannels);
  const whole = await train(onnx);
  await trainFor(whole, 2);
  const record = { model: 'tiny', modelId: 'id', shape, options: OPTIONS, data: ['a'], commands: ['b'], seconds: 1 };
  const bytes = serializeCheckpoint({ record, state: whole.state }, whole.parameters);
  await trainFor(whole, 2);
  const checkpoint = parseUpdateCheckpoint(bytes);
  expect(checkpoint.record).toEqual(record);
  const resumed = await createUpdateTrainer(onnx, frozen, OPTIONS, shape, checkpoint.state);
  await trainFor(resumed, 2);
  expect(resumed.state).toEqual(whole.state);
  await Promise.all([whole.dispose(), resumed.dispose()]);
  expect(() => parseCheckpoint(bytes)).toThrow("expected a network's training, got an update's");
  const more = { ...record, shape: { ...shape, kept: 0 } };
  const wrong = serializeCheckpoint({ record: more, state: whole.state }, whole.parameters);
  expect(() => parseUpdateCheckpoint(wrong)).toThrow(/shape\.kept: expected/);
});

describe('networks', () => {
  test.each([
    { prediction: 'x0', variance: 'beta' },
    { prediction: 'v', variance: 'learned' },
  ] as const)('of every parameterisation: %j', async (parameterization) => {
    const network = randomNetwork({ out_channels: parameterization.variance === 'learned' ? 6 : 3 });
    const trainer = await train(onnx, network, parameterization);
    const [first, second] = await trainFor(trainer, 2);
    expect([first, second].every(Number.isFinite)).toBe(true);
    await trainer.dispose();
  });

  test('of larger patches have no update', async () => {
    await expect(train(onnx, randomNetwork({ patch_size: 2 }))).rejects.toThrow(CodecError);
    await expect(train(onnx, randomNetwork({ patch_size: 2 }))).rejects.toThrow(/patches are single pixels, got 2x2/);
  });

  test('that give something else than finite numbers end the training, with the state as it was', async () => {
    const broken = {
      ...tiny,
      constants: tiny.constants.map(({ shape, data }) => ({ shape, data: data.map(() => NaN) })),
    };
    const trainer = await train(onnx, broken);
    await expect(trainFor(trainer, 1)).rejects.toThrow(/no usable numbers/);
    expect(trainer.state.step).toBe(0);
    await trainer.dispose();
  });
});

test('a picture that the network gets wholly right does no harm', async () => {
  // A network that predicts white for everything.
  const network = randomNetwork({});
  const constants = network.parameters.map(({ name }, i) => {
    const { shape, data } = network.constants[i];
    return { shape, data: data.map(() => (name === 'conv_out.bias' ? 1 : 0)) };
  });
  const trainer = await train(onnx, { ...network, constants }, { prediction: 'x0', variance: 'beta' });
  const images = imagesOf(0);
  images.fill(255, 0, images.length / OPTIONS.batch);
  const { loss } = await trainer.step(images);
  expect(loss).toBeGreaterThan(0.9);
  expect(trainer.state.parameters.every(Number.isFinite)).toBe(true);
  await trainer.dispose();
});
