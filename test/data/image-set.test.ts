/** References to images: what they resolve to, and what is refused. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { CIFAR10_COUNTS, CIFAR10_IMAGE, checksumsFile, cifar10File } from '../../src/data/cifar10.js';
import { imageSetName, openImageSet, parseImageSet } from '../../src/data/image-set.js';
import { encodePng } from '../../src/node/image/write.js';
import { syntheticImage, temporaryDirectory } from '../helpers/fixtures.js';

describe('parsing', () => {
  test('what there is', () => {
    expect(parseImageSet('cifar10:test')).toEqual({ text: 'cifar10:test', source: { cifar10: 'test' } });
    expect(parseImageSet('cifar10:train[5:]')).toMatchObject({ source: { cifar10: 'train' }, slice: { from: 5 } });
    expect(parseImageSet('photos[:3]')).toMatchObject({ source: { path: 'photos' }, slice: { from: 0, to: 3 } });
    expect(parseImageSet('photo[1].png')).toEqual({ text: 'photo[1].png', source: { path: 'photo[1].png' } });
    expect(parseImageSet('cifar10-mine/')).toMatchObject({ source: { path: 'cifar10-mine/' } });
    expect(parseImageSet('./cifar10')).toMatchObject({ source: { path: './cifar10' } });
  });

  test('what it is called elsewhere', () => {
    for (const text of ['cifar10:test', 'cifar10:train[5:9]']) expect(imageSetName(text)).toBe(text);
    expect(imageSetName('/home/somebody/kodak/')).toBe('kodak');
    expect(imageSetName('/home/somebody/kodak[2:4]')).toBe('kodak[2:4]');
    expect(imageSetName('../photo.png')).toBe('photo.png');
    expect(imageSetName('.')).toBe(basename(process.cwd()));
  });

  test('numbers come through', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (from, to) => {
        expect(parseImageSet(`cifar10:test[${from}:${to}]`).slice).toEqual({ from, to });
      }),
    );
  });

  test.each(['cifar10', 'cifar10:', 'cifar10:validation', 'cifar10:test[3]', 'cifar10:test[-1:3]', 'cifar10[0:3]'])(
    '%s is refused',
    (text) => {
      expect(() => parseImageSet(text)).toThrow(
        /expected cifar10:test or cifar10:train.*such as cifar10:test\[0:256\]/,
      );
    },
  );

  test('nothing is refused', () => {
    expect(() => parseImageSet('')).toThrow(/expected cifar10:test.*got ""/);
  });
});

describe('directories and pictures', () => {
  test('a directory is its pictures, sorted; a part of it; loaded when asked for', async () => {
    const directory = await temporaryDirectory();
    const wide = syntheticImage(9, 4);
    for (const name of ['c.png', 'a.PNG', 'b.png']) await writeFile(join(directory, name), await encodePng(wide));
    await writeFile(join(directory, 'notes.txt'), 'no picture');
    await writeFile(join(directory, 'd.png'), 'broken');
    await mkdir(join(directory, 'e.png'));
    const all = await openImageSet([directory]);
    expect(all.names).toEqual(['a.PNG', 'b.png', 'c.png', 'd.png'].map((name) => join(directory, name)));
    expect(all.length).toBe(4);
    expect(await all.load(1)).toEqual({ name: join(directory, 'b.png'), image: wide });
    await expect(all.load(3)).rejects.toMatchObject({ code: 'image', message: expect.stringContaining('d.png') });
    await expect(all.load(4)).rejects.toThrow(/index: expected an integer from 0 to 3, got 4/);
    const part = await openImageSet([`${directory}[1:3]`, join(directory, 'a.PNG')]);
    expect(part.names).toEqual(['b.png', 'c.png', 'a.PNG'].map((name) => join(directory, name)));
  });

  test('refusals', async () => {
    const directory = await temporaryDirectory();
    const missing = join(directory, 'missing');
    await expect(openImageSet([missing])).rejects.toMatchObject({
      code: 'file',
      message: expect.stringMatching(/missing: no such file or directory; expected cifar10:test/),
    });
    await expect(openImageSet([directory])).rejects.toThrow(/this directory has no pictures/);
    await expect(openImageSet([])).rejects.toThrow(/at least one/);
    const picture = join(directory, 'a.png');
    await writeFile(picture, await encodePng(syntheticImage(3, 2)));
    await expect(openImageSet([picture, directory])).rejects.toThrow(/a.png: is named more than once/);
    await expect(openImageSet([`${directory}[0:2]`])).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(/0 <= from < to <= 1, the number of images, got \[0:2\]/),
    });
    await expect(openImageSet([`${directory}[1:]`])).rejects.toThrow(/got \[1:1\]/);
  });
});

describe('CIFAR-10', () => {
  let cache: string;
  beforeAll(async () => {
    // A set of the right size. All values of image i are i mod 251.
    cache = await mkdtemp(join(tmpdir(), 'ddpm-codec-image-set-'));
    await mkdir(join(cache, 'cifar10'));
    const images = Buffer.alloc(CIFAR10_COUNTS.test * CIFAR10_IMAGE);
    for (let i = 0; i < CIFAR10_COUNTS.test; i++) images.fill(i % 251, i * CIFAR10_IMAGE, (i + 1) * CIFAR10_IMAGE);
    await writeFile(cifar10File('test', cache), images);
    const test = createHash('sha256').update(images).digest('hex');
    await writeFile(checksumsFile(cache), JSON.stringify({ test }));
    return () => rm(cache, { recursive: true });
  });

  test('a part of a split', async () => {
    const set = await openImageSet(['cifar10:test[9998:]', 'cifar10:test[:1]'], { cache });
    expect(set.names).toEqual(['cifar10-test-9998', 'cifar10-test-9999', 'cifar10-test-0']);
    const { image } = await set.load(1);
    expect([image.width, image.height, image.data.length]).toEqual([32, 32, CIFAR10_IMAGE]);
    expect(image.data.every((value) => value === 9999 % 251)).toBe(true);
  });

  test('the whole split, and too much of it', async () => {
    expect((await openImageSet(['cifar10:test'], { cache })).length).toBe(10_000);
    await expect(openImageSet(['cifar10:test[0:10001]'], { cache })).rejects.toThrow(/<= 10000, the number of images/);
    await expect(openImageSet(['cifar10:test[7:7]'], { cache })).rejects.toThrow(/got \[7:7\]/);
    await expect(openImageSet(['cifar10:train'], { cache })).rejects.toThrow(/ddpm-codec data cifar10/);
  });
});
