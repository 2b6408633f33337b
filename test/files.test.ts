import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { cacheDirectory } from '../src/data/cache.js';
import { publicPath } from '../src/node/files.js';
import { readImage } from '../src/node/image/read.js';
import { storeDirectory } from '../src/node/model-places.js';
import { pretendPlatform } from './helpers/platform.js';

test('a path for others names nothing outside of the working directory', () => {
  expect(publicPath('pictures/more')).toBe(join('pictures', 'more'));
  expect(publicPath(resolve('models', 'mine'))).toBe(join('models', 'mine'));
  expect(publicPath('.')).toBe('.');
  expect(publicPath(resolve('..', 'elsewhere', 'photos'))).toBe('photos');
  expect(publicPath(join('..', '..', 'photos=0.2'))).toBe('photos=0.2');
  expect(publicPath('..pictures')).toBe('..pictures');
});

test('what is no path is told without its content', async () => {
  const bytes = Buffer.from('\x89PNG\r\n\x1a\n and more', 'latin1');
  await expect(readImage(bytes as unknown as string)).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringMatching(
      /^path: expected a string \(`readImageBytes` takes the content of a file\), got [\x20-\x7e]*$/,
    ),
  });
});

describe.skipIf(process.platform === 'win32')('the store and the cache', () => {
  afterEach(() => {
    pretendPlatform();
    vi.unstubAllEnvs();
  });

  test.each([
    ['darwin', {}, 'Library/Application Support/ddpm-codec/models', 'Library/Caches/ddpm-codec'],
    ['linux', {}, '.local/share/ddpm-codec/models', '.cache/ddpm-codec'],
    ['linux', { XDG_DATA_HOME: '/data', XDG_CACHE_HOME: '/cache' }, '/data/ddpm-codec/models', '/cache/ddpm-codec'],
    ['linux', { DDPM_CODEC_MODELS: '/store', DDPM_CODEC_CACHE: '/fetched' }, '/store', '/fetched'],
  ])('are where %s keeps them, or where the environment %j says', (name, environment, store, cache) => {
    pretendPlatform(name as NodeJS.Platform);
    for (const variable of ['DDPM_CODEC_MODELS', 'DDPM_CODEC_CACHE', 'XDG_DATA_HOME', 'XDG_CACHE_HOME']) {
      vi.stubEnv(variable, undefined);
    }
    for (const [variable, value] of Object.entries(environment)) vi.stubEnv(variable, value);
    expect([storeDirectory(), cacheDirectory()]).toEqual([resolve(homedir(), store), resolve(homedir(), cache)]);
  });
});
