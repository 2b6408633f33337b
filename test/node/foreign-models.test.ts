/** Foreign model files: their type, size and shape are checked. */
import { spawnSync } from 'node:child_process';
import { cp, mkdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../src/model/safetensors.js';
import { presets } from '../../src/model/training/presets.js';
import { readCheckpoint } from '../../src/node/checkpoint-file.js';
import {
  CODEC_FILE,
  CONFIG_FILE,
  loadModelInfo,
  loadWeights,
  SCHEDULER_FILE,
  WEIGHTS_FILE,
} from '../../src/node/models.js';
import { callMain, expectRefusal } from '../helpers/cli.js';
import { syntheticImage, temporaryDirectory, toSharp } from '../helpers/fixtures.js';
import { copyOfPilot, edit, tinyModel } from '../helpers/model-copy.js';

/** Replaces a file with something else. */
type Replace = (path: string) => Promise<unknown>;

/** Things that cannot be read to an end as a file. */
const strange: readonly (readonly [string, Replace, RegExp])[] = [
  ['a pipe', async (path) => spawnSync('mkfifo', [path]), /expected a file, but this is not a regular file/],
  [
    'a link to an endless device',
    (path) => symlink('/dev/zero', path),
    /expected a file, but this is not a regular file/,
  ],
  ['a directory', (path) => mkdir(path), /expected a file, but this is a directory/],
];
/** A JSON file of a gigabyte that takes no room on the disk. */
const huge: Replace = async (path) => {
  await writeFile(path, '');
  await truncate(path, 2 ** 30);
};

async function replaced(path: string, replace: Replace): Promise<void> {
  await rm(path, { recursive: true, force: true });
  await replace(path);
}

describe.skipIf(process.platform === 'win32')('only regular files of a stated size are read', () => {
  const each = [CONFIG_FILE, CODEC_FILE, WEIGHTS_FILE].flatMap((file) => strange.map((one) => [file, ...one] as const));
  test.each(each)('%s of a model that is %s', async (file, _, replace, message) => {
    const directory = await tinyModel();
    await replaced(join(directory, file), replace);
    await expect(loadModelInfo(directory)).rejects.toMatchObject({
      code: 'model',
      message: expect.stringMatching(new RegExp(`cannot read ${file}: ${message.source}`)),
    });
  });

  test.each([CONFIG_FILE, CODEC_FILE])('%s of a gigabyte', async (file) => {
    const directory = await tinyModel();
    await replaced(join(directory, file), huge);
    await expect(loadModelInfo(directory)).rejects.toThrow(
      /expected at most 4194304 bytes, but this file has 1073741824/,
    );
  });

  test.each(strange)(
    'a checkpoint, a configuration to train and a source to import that is %s',
    async (_, replace, message) => {
      const directory = await temporaryDirectory();
      await mkdir(join(directory, 'run', 'training'), { recursive: true });
      await mkdir(join(directory, 'source'));
      await cp('fixtures/import/config.json', join(directory, 'source', 'config.json'));
      const checkpoint = join(directory, 'run', 'training', 'checkpoint.safetensors');
      await replace(checkpoint);
      await replace(join(directory, 'x.json'));
      await replace(join(directory, 'source', WEIGHTS_FILE));
      await writeFile(join(directory, 'a.png'), await toSharp(syntheticImage(8, 8)).png().toBuffer());
      await expect(readCheckpoint(checkpoint)).rejects.toMatchObject({
        code: 'file',
        message: expect.stringMatching(message),
      });
      const resumed = await callMain(['train', '--out', 'run', '--resume', '--steps', '2'], directory);
      expectRefusal(resumed, 1, message);
      const train = ['train', '--data', '.', '--out', 'b', '--config', 'x.json', '--steps', '1'];
      expectRefusal(await callMain(train, directory), 1, /--config: expected small, paper or a file, got x\.json/);
      // A directory in place of the weights is not found as a file.
      const imported = await callMain(['model', 'import', 'source', '--out', 'c', '--calibrate', 'a.png'], directory);
      expectRefusal(imported, 1, /expected a file, but|found neither/);
    },
  );

  test.each(strange.slice(0, 2))('a schedule beside a network that is %s', async (_, replace, message) => {
    const directory = await tinyModel();
    await rm(join(directory, CODEC_FILE));
    await replace(join(directory, SCHEDULER_FILE));
    const picture = join(directory, 'a.png');
    await writeFile(picture, await toSharp(syntheticImage(8, 8)).png().toBuffer());
    expectRefusal(await callMain(['calibrate', directory, picture]), 1, message);
  });
});

type Json = Record<string, unknown>;
/** Sets the value at a path such as `profile.mean.3`. */
function set(json: Json, path: string, value: unknown): void {
  const keys = path.split('.');
  const last = keys.pop()!;
  const parent = keys.reduce((at, key) => at[key] as Json, json);
  parent[last] = value;
}

const OTHERS = [null, 7, 'x', [], true];
const without = (...types: unknown[]) =>
  OTHERS.filter((value) => !types.some((type) => JSON.stringify(type) === JSON.stringify(value)));

describe('every field of codec.json is of its type, or named', () => {
  const objects = ['schedule', 'tiling', 'profile', 'parameterization', 'pyramid', 'residuals'];
  const cases = [
    ...objects.flatMap((path) => OTHERS.map((value) => [path, value] as const)),
    ...['schedule.timesteps', 'schedule.betaStart', 'tiling.tile', 'tiling.overlap'].flatMap((path) =>
      [...without(7), -1].map((value) => [path, value] as const),
    ),
    ...[
      'profile.mean',
      'profile.components',
      'profile.components.1',
      'residuals.covariances',
      'residuals.timesteps',
    ].flatMap((path) => OTHERS.map((value) => [path, value] as const)),
    ['schedule.timesteps', 1e9] as const,
    ['tiling.tile', 2 ** 30] as const,
    ['profile.mean.3', null] as const,
    ['residuals.covariances.0', Array.from({ length: 90 }, () => 2 ** 40)] as const,
    ['parameterization.prediction', null] as const,
    ['pyramid.halfFrom', '300'] as const,
    ['about.test', 5] as const,
    ['about.validation', {}] as const,
    ['about.trainedOn', { constructor: 1 }] as const,
    ['about.images', 'many'] as const,
  ];

  test.each(cases)('%s is %j', async (path, value) => {
    const directory = await copyOfPhoto();
    await edit(directory, CODEC_FILE, (json) => set(json, path, value));
    const parent = path.split('.').slice(0, -1).join('.') || path;
    const message = new RegExp(`^(betas|codec\\.json: (${path}|${parent})[.\\w]*): expected .*, got `);
    await expect(loadModelInfo(directory)).rejects.toMatchObject({
      code: 'model',
      message: expect.stringMatching(message),
    });
  });

  test('whatever it says for people that is no list of what is known is let be', async () => {
    const { id } = await loadModelInfo('photo');
    for (const about of [null, 7, 'x', [], {}, { test: null, else: [1, { a: null }] }]) {
      const directory = await copyOfPhoto();
      await edit(directory, CODEC_FILE, (json) => set(json, 'about', about));
      expect((await loadModelInfo(directory)).id).toBe(id);
      expect((await callMain(['model', 'info', directory])).code).toBe(0);
      expect((await loadWeights(directory)).about).toEqual(about);
    }
  });
});

/** A copy of `photo`, whose `codec.json` has every field but bands. */
async function copyOfPhoto(): Promise<string> {
  const directory = join(await temporaryDirectory(), 'photo');
  await cp((await loadModelInfo('photo')).directory, directory, { recursive: true });
  return directory;
}

test('a number that becomes infinite is none', async () => {
  const directory = await copyOfPhoto();
  const text = await readFile(join(directory, CODEC_FILE), 'utf8');
  await writeFile(join(directory, CODEC_FILE), text.replace('"timesteps":1000', '"timesteps":1e999'));
  await expect(loadModelInfo(directory)).rejects.toThrow(/schedule\.timesteps: expected an integer from 2 to 10000/);
});

test.each([
  [CONFIG_FILE, 'null', /config\.json: expected an object, got null/],
  [CONFIG_FILE, '[]', /config\.json: expected an object, got \[\]/],
  [CONFIG_FILE, '{"norm_eps": 1e999}', /norm_eps: expected a number from 0/],
  [
    CONFIG_FILE,
    `{"a": ${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    /config\.json: expected at most 64 levels of lists/,
  ],
  [CODEC_FILE, '7', /codec\.json: expected an object, got 7/],
])('%s that is %.30s', async (file, text, message) => {
  const directory = await copyOfPilot();
  await writeFile(join(directory, file), text);
  await expect(loadModelInfo(directory)).rejects.toMatchObject({
    code: 'model',
    message: expect.stringMatching(message),
  });
});

describe('every field of a checkpoint is of its type, or named', () => {
  const config = {
    ...presets.small.config,
    block_out_channels: [8],
    down_block_types: ['DownBlock2D'],
    up_block_types: ['UpBlock2D'],
  };
  const record = {
    config,
    options: { ...presets.small.options, side: 8, seed: 'x' },
    data: ['cifar10'],
    commands: ['ddpm-codec train'],
    seconds: 1,
    step: 3,
  };

  async function checkpoint(change: (record: Json) => void, numbers = 0): Promise<string> {
    const changed = structuredClone(record);
    change(changed);
    return written({ 'ddpm-codec.run': JSON.stringify(changed) }, numbers);
  }

  async function written(metadata: Record<string, string>, numbers = 0): Promise<string> {
    const { listParameters } = await import('../../src/model/unet-parameters.js');
    const { parseConfig } = await import('../../src/model/config.js');
    const vectors = ['parameters', 'ema', 'm', 'v'].flatMap((vector) =>
      listParameters(parseConfig(config)).map(({ name, shape }) => {
        const size = shape.reduce((product, side) => product * side, 1);
        return [`${vector}/${name}`, { shape, data: new Float32Array(size).fill(numbers) }] as const;
      }),
    );
    const path = join(await temporaryDirectory(), 'checkpoint.safetensors');
    await writeFile(path, writeSafetensors(new Map(vectors), { metadata }));
    return path;
  }

  test('a whole one is read', async () => {
    expect((await readCheckpoint(await checkpoint(() => {}))).state.step).toBe(3);
  });

  test.each([
    ['step', undefined],
    ['step', -1],
    ['step', 1e300],
    ['step', 1.5],
    ['step', '3'],
    ['step', null],
    ['config', null],
    ['config', []],
    ['options', null],
    ['options', undefined],
    ['options.batch', 0],
    ['options.batch', 1e12],
    ['options.side', '8'],
    ['options.learningRate', null],
    ['options.ema', 2],
    ['options.dropout', 1],
    ['options.optimizer', 'sgd'],
    ['options.prediction', 'x'],
    ['options.timestepsSampling', 'constructor'],
    ['options.seed', 7],
    ['data', 'cifar10'],
    ['data.0', null],
    ['commands', {}],
    ['seconds', '1'],
    ['startedFrom', null],
    ['startedFrom', { model: 'x', images: 'many', hours: 1 }],
    ['options.band', { least: 0, most: 60 }],
    ['options.band', [4, 60]],
    ['bandOf', { model: 'x' }],
  ])('%s is %j', async (path, value) => {
    const failure = readCheckpoint(await checkpoint((json) => set(json, path, value)));
    const message = new RegExp(
      `checkpoint\\.safetensors: record of the run: ${path.replaceAll('.', '\\.')}[.\\w]*: expected .*, got `,
    );
    await expect(failure).rejects.toMatchObject({ code: 'model', message: expect.stringMatching(message) });
  });

  test('a step that is missing is not said to be the pictures fault', async () => {
    const path = await checkpoint((json) => void delete json.step);
    const directory = await temporaryDirectory();
    await mkdir(join(directory, 'run', 'training'), { recursive: true });
    await cp(path, join(directory, 'run', 'training', 'checkpoint.safetensors'));
    const resumed = await callMain(['train', '--out', 'run', '--resume', '--steps', '5'], directory);
    expectRefusal(resumed, 1, /checkpoint\.safetensors: record of the run: step: expected it, got nothing/);
  });

  test.each([
    ['no JSON', '{', /record of the run is not JSON/],
    ['null', 'null', /record of the run: expected an object, got null/],
  ])('a record that is %s', async (_, text, message) => {
    await expect(readCheckpoint(await written({ 'ddpm-codec.run': text }))).rejects.toThrow(message);
  });

  test.each([
    ['options.band', { least: 4, most: 60 }],
    ['bandOf', { model: 'x', modelId: 'y' }],
  ])('a band by half: %s alone', async (path, value) => {
    const failure = readCheckpoint(await checkpoint((json) => set(json, path, value)));
    await expect(failure).rejects.toThrow(/expected a band and the model that it is of, or neither/);
  });

  test('numbers that are none', async () => {
    const failure = readCheckpoint(await checkpoint(() => {}, Number.NaN));
    await expect(failure).rejects.toMatchObject({
      code: 'model',
      message: expect.stringMatching(/parameters\/conv_in\.weight: expected finite/),
    });
  });

  test('a sampler of another schedule', async () => {
    const path = await checkpoint((json) => set(json, 'options.timestepsSampling', 'importance'));
    const { createTimestepSampler } = await import('../../src/model/training/timesteps.js');
    const { createSchedule, paperSchedule } = await import('../../src/model/schedule.js');
    const { state } = await readCheckpoint(path);
    expect(() =>
      createTimestepSampler({ timestepsSampling: 'importance' }, createSchedule(paperSchedule), state.sampler),
    ).toThrow(/sampler: expected 11000 numbers/);
    expect(readSafetensors(await readFile(path)).has('sampler')).toBe(false);
  });
});
