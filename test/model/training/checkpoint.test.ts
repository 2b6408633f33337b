import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/model/config.js';
import { readSafetensors, writeSafetensors } from '../../../src/model/safetensors.js';
import { createSchedule, paperSchedule } from '../../../src/model/schedule.js';
import type { RunRecord } from '../../../src/model/training/checkpoint.js';
import { presets } from '../../../src/model/training/presets.js';
import { createState } from '../../../src/model/training/state.js';
import { listParameters } from '../../../src/model/unet-parameters.js';
import { readCheckpoint, writeCheckpoint } from '../../../src/node/checkpoint-file.js';

const schedule = createSchedule(paperSchedule);
const config = { ...presets.small.config, block_out_channels: [8, 8, 8] };
const parameters = listParameters(parseConfig(config));
const record: RunRecord = {
  config,
  options: { ...presets.small.options, timestepsSampling: 'importance', side: 32, seed: 'test' },
  data: ['cifar10'],
  commands: ['ddpm-codec train'],
  seconds: 12.5,
};

/** A state in which no two numbers are equal. */
function exampleState() {
  const state = createState(parseConfig(config), schedule, record.options);
  for (const [k, vector] of [state.parameters, state.ema, state.m, state.v, state.sampler].entries()) {
    for (let i = 0; i < vector.length; i++) vector[i] = (i + 1) / (k + 3);
  }
  state.step = 77;
  return state;
}

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-checkpoint-'));
  path = join(directory, 'checkpoint.safetensors');
});
afterEach(() => rm(directory, { recursive: true }));

test('a checkpoint gives back the whole run, to the last bit', async () => {
  const state = exampleState();
  await writeCheckpoint(path, { record, state }, parameters);
  const read = await readCheckpoint(path);
  expect(read.record).toEqual(record);
  expect(read.state).toEqual(state);
  expect(read.state.parameters.buffer).toBeInstanceOf(SharedArrayBuffer);
});

test('one from before there was a choice of optimiser, and a cool-down, is of a run with Adam and without', async () => {
  const { optimizer: _, cooldown: __, ...options } = record.options;
  const before = { ...record, options } as RunRecord;
  await writeCheckpoint(path, { record: before, state: exampleState() }, parameters);
  expect((await readCheckpoint(path)).record.options).toEqual({ ...record.options, optimizer: 'adam', cooldown: 0 });
});

test('is a safetensors file with the names of the model', async () => {
  await writeCheckpoint(path, { record, state: exampleState() }, parameters);
  const tensors = readSafetensors(await readFile(path));
  expect(tensors.get('ema/conv_in.weight')?.shape).toEqual([8, 3, 3, 3]);
});

test('replaces the one before, and leaves nothing else behind', async () => {
  const state = exampleState();
  await writeCheckpoint(path, { record, state }, parameters);
  state.step = 78;
  await writeCheckpoint(path, { record, state }, parameters);
  expect((await readCheckpoint(path)).state.step).toBe(78);
  expect(await readdir(directory)).toEqual(['checkpoint.safetensors']);
});

test('what a crash left half written is not looked at', async () => {
  await writeCheckpoint(path, { record, state: exampleState() }, parameters);
  const left = '.checkpoint.safetensors.0123456789ab.tmp';
  await writeFile(join(directory, left), 'half a checkpoint');
  expect((await readCheckpoint(path)).state.step).toBe(77);
  await writeCheckpoint(path, { record, state: exampleState() }, parameters);
  // The other file must stay: another process may be writing it.
  expect(await readdir(directory)).toEqual([left, 'checkpoint.safetensors']);
});

describe('errors', () => {
  test('no file', async () => {
    await expect(readCheckpoint(path)).rejects.toMatchObject({ code: 'file', message: expect.stringContaining(path) });
  });

  test('a directory that is not there', async () => {
    const away = join(directory, 'nowhere', 'c');
    const failure = writeCheckpoint(away, { record, state: exampleState() }, parameters);
    await expect(failure).rejects.toMatchObject({ code: 'file', message: expect.stringContaining('cannot write') });
  });

  test('a file that was cut off', async () => {
    await writeCheckpoint(path, { record, state: exampleState() }, parameters);
    await truncate(path, 10_000);
    await expect(readCheckpoint(path)).rejects.toMatchObject({ code: 'model' });
  });

  test('another safetensors file', async () => {
    await writeFile(path, writeSafetensors(new Map()));
    await expect(readCheckpoint(path)).rejects.toThrow(/not a checkpoint/);
  });

  test('tensors that do not fit the recorded architecture', async () => {
    const wider = { ...config, block_out_channels: [16, 8, 8] };
    await writeCheckpoint(path, { record: { ...record, config: wider }, state: exampleState() }, parameters);
    await expect(readCheckpoint(path)).rejects.toThrow(/parameters\/conv_in.weight: expected shape \[16,3,3,3\]/);
  });
});
