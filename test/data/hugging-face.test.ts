/** Models fetched from a server on this machine that imitates the Hugging Face Hub and can be told to misbehave. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fetchFile, isRepositoryId, listRepository } from '../../src/data/hugging-face.js';
import { temporaryDirectory } from '../helpers/fixtures.js';
import { HUB_COMMIT, type HubOptions, openHub, openServer } from '../helpers/hub.js';

const ID = 'google/ddpm-cifar10-32';
const CONFIG = Buffer.from('{"_class_name":"UNet2DModel"}');
const WEIGHTS = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >> 8)) % 256));
const FILES = new Map([
  ['config.json', CONFIG],
  ['unet/weights.bin', WEIGHTS],
]);

beforeEach(async () => vi.stubEnv('DDPM_CODEC_CACHE', await temporaryDirectory()));
afterEach(() => void vi.unstubAllEnvs());

async function open(options?: HubOptions) {
  const hub = await openHub(ID, FILES, ['unet/weights.bin'], options);
  vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  const repository = await listRepository(ID);
  const file = (path: string) => repository.files.find((one) => one.path === path)!;
  return { hub, repository, config: file('config.json'), weights: file('unet/weights.bin') };
}

test('lists files with their sizes and hashes, at one commit', async () => {
  const { repository, config, weights } = await open();
  expect(repository).toMatchObject({ id: ID, commit: HUB_COMMIT });
  expect(repository.files).toHaveLength(2);
  expect(config).toMatchObject({ bytes: CONFIG.length, hash: { algorithm: 'sha1' } });
  expect(weights).toMatchObject({ bytes: WEIGHTS.length, hash: { algorithm: 'sha256' } });
});

test('fetches small and large files into the cache, once', async () => {
  const { hub, repository, config, weights } = await open();
  expect(await readFile(await fetchFile(repository, config))).toEqual(CONFIG);
  const fractions: number[] = [];
  const path = await fetchFile(repository, weights, (fraction) => fractions.push(fraction));
  expect(await readFile(path)).toEqual(WEIGHTS);
  expect(path).toContain(HUB_COMMIT);
  expect([fractions[0], fractions.at(-1)]).toEqual([0, 1]);
  const before = hub.requests.length;
  expect(await fetchFile(repository, weights)).toBe(path);
  expect(hub.requests.length).toBe(before);
  // A damaged file is fetched again.
  await writeFile(path, WEIGHTS.subarray(1));
  expect(await readFile(await fetchFile(repository, weights))).toEqual(WEIGHTS);
});

test('a connection that breaks is taken up where it broke', async () => {
  const { hub, repository, weights } = await open({ cutAfter: 100_000 });
  expect(await readFile(await fetchFile(repository, weights))).toEqual(WEIGHTS);
  const requests = hub.requests.filter((request) => request.startsWith('/storage'));
  const starts = requests.map((request) => Number(/ bytes=(\d+)-$/.exec(request)?.[1] ?? 0));
  expect(starts[0]).toBe(0);
  expect(starts.length).toBeGreaterThanOrEqual(3);
  // On a busy machine, the client may not have read the last bytes sent when the connection ends.
  for (let i = 1; i < starts.length; i++) {
    expect(starts[i]).toBeGreaterThan(starts[i - 1]);
    expect(starts[i]).toBeLessThanOrEqual(starts[i - 1] + 100_000);
  }
});

test.each(['config.json', 'unet/weights.bin'])('%s that is not what was announced is removed', async (path) => {
  const { repository, config, weights } = await open({ instead: () => Buffer.from('something else') });
  const file = path === 'config.json' ? config : weights;
  await expect(fetchFile(repository, file)).rejects.toThrow(
    /expected sha(1|256) [0-9a-f]+, got [0-9a-f]+; it was removed/,
  );
  const good = await open();
  const fetched = await fetchFile(good.repository, path === 'config.json' ? good.config : good.weights);
  expect(await readdir(dirname(fetched))).toEqual([path.split('/').at(-1)]);
});

describe('answers that are not what the Hub sends', () => {
  const file = { type: 'file', path: 'config.json', size: 1, oid: 'ab'.repeat(20) };
  const refused = async (options: HubOptions, message: string | RegExp) => {
    const failure = open(options);
    await expect(failure).rejects.toMatchObject({ code: 'file' });
    await expect(failure).rejects.toThrow(message);
  };

  test.each([null, [], 'sha', 7, { sha: null }, { sha: 5 }, { sha: '../..' }])('revision %j', (revision) =>
    refused({ revision }, /answer about google\/ddpm-cifar10-32 is not what the Hugging Face Hub sends: .*expected/),
  );

  test.each([
    [null, 'expected a list, got null'],
    [{ error: 'none' }, 'expected a list'],
    [[null], '0: expected an object, got null'],
    [[file, 5], '1: expected an object, got 5'],
    [[{ ...file, path: null }], '0: path: expected a string, got null'],
    [[{ ...file, path: 7 }], '0: path: expected a string, got 7'],
    [[{ ...file, size: null }], '0: size: expected an integer from 0, got null'],
    [[{ ...file, size: -1 }], '0: size: expected an integer from 0, got -1'],
    [[{ ...file, size: 1.5 }], '0: size: expected an integer from 0, got 1.5'],
    [[{ ...file, size: 2 ** 53 }], '0: size: expected an integer from 0, got 9007199254740992'],
    [[{ ...file, oid: 5 }], '0: oid: expected a string'],
    [[{ ...file, lfs: { oid: 'no hash', size: 1 } }], '0: lfs.oid: expected a SHA-256'],
    [[{ ...file, lfs: { oid: 'ab'.repeat(32), size: '1' } }], '0: lfs.size: expected an integer from 0'],
  ])('tree %j', (tree, message) => refused({ tree }, message));

  test.each(['', '/etc/x', '..', '../x', 'a/../../x', 'a//x', './x', 'a\\..\\x', 'C:x', 'a\0b', 'a\nb'])(
    'a file at %j',
    (path) => refused({ tree: [{ ...file, path }] }, '0: path: expected the path of a file in the repository'),
  );

  test('more JSON than there can be', async () => {
    const server = await openServer((_, response) => {
      const more = () => response.destroyed || response.write(Buffer.alloc(2 ** 20, '['), more);
      response.writeHead(200, { 'content-type': 'application/json' });
      more();
    });
    vi.stubEnv('HF_ENDPOINT', server);
    await expect(listRepository(ID)).rejects.toMatchObject({
      code: 'file',
      message: expect.stringContaining('the server sends more than the 67108864 bytes expected'),
    });
  });
});

test('no such repository, no server', async () => {
  await open();
  await expect(listRepository('google/nothing')).rejects.toThrow(/has no public model google\/nothing/);
  vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:1');
  await expect(listRepository(ID)).rejects.toThrow(
    /cannot reach http:\/\/127\.0\.0\.1:1: .*put config\.json, .* of https:\/\/huggingface\.co\/google\/ddpm-cifar10-32 into a directory/,
  );
});

test('what is a repository’s id', () => {
  for (const id of ['google/ddpm-cifar10-32', 'a/b', 'A_1/b.c-d']) expect(isRepositoryId(id), id).toBe(true);
  for (const id of ['google', 'a/b/c', '../b', './b', '/b', 'a/', 'a b/c', 'a/..'])
    expect(isRepositoryId(id), id).toBe(false);
});
