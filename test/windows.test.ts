/** Names and paths as Windows has them. `node:path` is its `win32` here; the file system is this machine's. */
import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { posix } from 'node:path';
import { create } from 'tar';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { directoryOf } from '../src/cli/decode/progressive.js';
import { nameAtRate } from '../src/cli/decode/rates.js';
import { planJobs } from '../src/cli/jobs.js';
import { checkCodedName } from '../src/cli/output.js';
import { imageFile } from '../src/cli/rd/directory.js';
import { cacheDirectory } from '../src/data/cache.js';
import { imageSetName, parseImageSet } from '../src/data/image-set.js';
import { unpackBeside } from '../src/data/tarball.js';
import { publicPath } from '../src/node/files.js';
import { outputFormat } from '../src/node/image/write.js';
import { isModelName, storeDirectory } from '../src/node/model-places.js';
import { isModelFile } from '../src/node/model-store.js';
import { pretendPlatform } from './helpers/platform.js';

vi.mock('node:path', async (importOriginal) => {
  const { posix, win32 } = await importOriginal<typeof import('node:path')>();
  return { ...win32, win32, posix, default: win32 };
});

beforeEach(() => pretendPlatform('win32'));
afterEach(() => {
  pretendPlatform();
  vi.unstubAllEnvs();
});

const CODED = {
  extensions: ['.png'],
  kind: 'pictures',
  outputName: (name: string) => name.replace(/\.[^.]*$/, '.ddc'),
};

describe('the files of a command', () => {
  test('a result goes beside its input, into a named directory, or to a named file', async () => {
    const input = 'C:\\photos\\a.b.png';
    expect((await planJobs([input], CODED)).jobs).toEqual([{ input, output: 'C:\\photos\\a.b.ddc' }]);
    for (const output of ['D:\\coded\\', 'D:/coded/']) {
      expect(await planJobs([input], { ...CODED, output })).toMatchObject({
        jobs: [{ input, output: 'D:\\coded\\a.b.ddc' }],
        directory: output,
      });
    }
    expect((await planJobs([input], { ...CODED, output: 'D:\\x.ddc' })).jobs[0].output).toBe('D:\\x.ddc');
  });

  test('names that differ in capital letters alone are the same file', async () => {
    await expect(planJobs(['C:\\a\\Photo.png', 'C:\\b\\photo.png'], { ...CODED, output: 'D:\\out' })).rejects.toThrow(
      /photo\.ddc: would be made from both C:\\a\\Photo\.png and C:\\b\\photo\.png/,
    );
    await expect(planJobs(['C:\\a\\Photo.ddc'], { ...CODED, output: 'c:/A/photo.ddc' })).rejects.toThrow(
      /inputs are never overwritten/,
    );
  });

  test('files in the root of a drive have one place', async () => {
    await expect(planJobs(['C:\\a.ddc'], { ...CODED, output: 'C:/a.ddc' })).rejects.toThrow(/never overwritten/);
  });

  test('pictures at rates, of points and in reports are in the right directory', () => {
    expect(nameAtRate('C:\\photos\\a.b.png', { value: 0.05, text: '0.05' })).toBe('C:\\photos\\a.b-0.05.png');
    const job = { input: 'a.ddc', output: 'C:\\photos\\a.png' };
    expect(directoryOf(job, { jobs: [job], batch: true }, 'D:\\points')).toBe('D:\\points\\a.png');
    expect(imageFile(7, 'C:\\photos\\ko dim:07.png')).toBe('00007-ko_dim_07.json');
  });

  test('the extension decides, wherever the dot of a directory is', () => {
    expect(outputFormat('C:\\my.photos\\A.PNG')).toBe('png');
    expect(() => outputFormat('C:\\my.png\\a')).toThrow();
    expect(() => checkCodedName('C:\\a.WEBP')).toThrow(/a \.ddc name/);
    expect(() => checkCodedName('C:\\my.png\\a')).not.toThrow();
  });
});

describe('names for others to read', () => {
  test('leave out the drive and directories', () => {
    expect(publicPath('Z:\\secret\\photos')).toBe('photos');
    expect(imageSetName('Z:\\secret\\photos[0:4]')).toBe('photos[0:4]');
  });

  test('a drive is not a range of images', () => {
    expect(parseImageSet('C:\\photos')).toEqual({ text: 'C:\\photos', source: { path: 'C:\\photos' } });
    expect(parseImageSet('C:\\photos[2:]')).toMatchObject({ source: { path: 'C:\\photos' }, slice: { from: 2 } });
  });
});

test('the store and the cache are where Windows keeps the data of programs', () => {
  vi.stubEnv('DDPM_CODEC_MODELS', undefined);
  vi.stubEnv('DDPM_CODEC_CACHE', undefined);
  vi.stubEnv('LOCALAPPDATA', 'C:\\Users\\ann\\AppData\\Local');
  expect(storeDirectory()).toBe('C:\\Users\\ann\\AppData\\Local\\ddpm-codec\\models');
  expect(cacheDirectory()).toBe('C:\\Users\\ann\\AppData\\Local\\ddpm-codec');
});

test.each(['nul', 'CON', 'com1.x', 'a.', 'a b', 'a\\b', 'C:a', '..'])('%s names no model', (name) => {
  expect(isModelName(name)).toBe(false);
});

describe('tarballs', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(`${await realpath(tmpdir())}/ddpm-codec-test-`);
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  /** Packs empty files of these names, which have slashes for directories, and unpacks the tarball. */
  async function unpacked(names: readonly string[]): Promise<{ there: boolean; files: string[] }> {
    const [from, to] = [`${directory}/from`, `${directory}/in/to`];
    for (const name of names) {
      await mkdir(posix.dirname(`${from}/${name}`), { recursive: true });
      await writeFile(`${from}/${name}`, '');
    }
    await mkdir(to, { recursive: true });
    const tarball = `${directory}/a.tgz`;
    // The packing library has an eye on the platform, too.
    pretendPlatform();
    await create({ file: tarball, gzip: true, cwd: from }, await readdir(from));
    pretendPlatform('win32');
    const there = await unpackBeside('codec.json', tarball, to, { wanted: isModelFile, most: 2 ** 20, label: 'a' });
    await rm(from, { recursive: true });
    await rm(tarball);
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    return {
      there,
      files: entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => `${parentPath}/${name}`),
    };
  }

  test('nothing leaves the directory by backslashes in names', async () => {
    const { there, files } = await unpacked([
      'package/codec.json',
      'package/config.json',
      'package/..\\..\\config.json',
      'package/..\\README.md',
      'package/C:\\LICENSE',
    ]);
    expect(there).toBe(true);
    expect(files.sort()).toEqual([`${directory}/in/to/codec.json`, `${directory}/in/to/config.json`]);
  });
});
