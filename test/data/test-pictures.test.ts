/** Pictures that results are reported on are recognised and used neither for training nor for calibration. */
import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CodecError } from '../../src/common/errors.js';
import { cifar10Image, openCifar10 } from '../../src/data/cifar10.js';
import { openFolder } from '../../src/data/folder.js';
import { testPictureOf } from '../../src/data/test-pictures.js';
import { readImage } from '../../src/index.js';
import { exists } from '../../src/node/files.js';
import { callMain, expectRefusal } from '../helpers/cli.js';
import { cifarTestImages, syntheticImage, temporaryDirectory, toSharp } from '../helpers/fixtures.js';

const KODAK = '../shared/data/kodak';
const CIFAR10 = 'an image of the test split of CIFAR-10';
const tests = await cifarTestImages();

it('an image of the test split of CIFAR-10 is known, and one that differs in a sample is not', () => {
  expect(tests.map(testPictureOf)).toEqual(tests.map(() => CIFAR10));
  const [{ width, height, data }] = tests;
  const other = data.slice();
  other[1000] ^= 1;
  expect(testPictureOf({ width, height, data: other })).toBeUndefined();
  expect(testPictureOf(syntheticImage(32, 32))).toBeUndefined();
  expect(testPictureOf(syntheticImage(768, 512))).toBeUndefined();
});

it('all of the test split is known, and nothing of the training split', async ({ skip }) => {
  const [test, train] = await Promise.all([openCifar10('test'), openCifar10('train')]).catch((error: unknown) => {
    if (error instanceof CodecError) skip('CIFAR-10 is not at hand');
    throw error;
  });
  const known = ({ images, count }: typeof test) =>
    Array.from({ length: count }, (_, i) => testPictureOf(cifar10Image(images, i))).filter(Boolean).length;
  expect(known(test)).toBe(test.count);
  expect(known(train)).toBe(0);
});

it('Kodak is known', async ({ skip }) => {
  if (!(await exists(KODAK))) skip('Kodak is not at hand');
  expect(testPictureOf(await readImage(join(KODAK, 'kodim07.png')))).toBe('kodim07 of Kodak');
  expect(testPictureOf(await readImage(join(KODAK, 'kodim19.png')))).toBe('kodim19 of Kodak');
});

describe('a directory with one', () => {
  async function directoryWith(image: (typeof tests)[number]): Promise<string> {
    const directory = join(await temporaryDirectory(), 'pictures');
    await mkdir(directory);
    await toSharp(image).png().toFile(join(directory, 'b.png'));
    await toSharp(syntheticImage(33, 32)).png().toFile(join(directory, 'a.png'));
    return directory;
  }

  it('is trained on without it, and says so', async () => {
    const folder = await openFolder(await directoryWith(tests[3]), { side: 32 });
    expect(folder.count).toBe(1);
    expect(await folder.scales(0)).toHaveLength(1);
    expect(folder.skipped).toEqual([
      { path: expect.stringMatching(/b\.png$/), reason: `${CIFAR10}, on which results are reported` },
    ]);
  });

  it('is not calibrated on', async () => {
    const directory = await directoryWith(tests[4]);
    await cp('fixtures/reference/unet-tiny', join(directory, 'model'), { recursive: true });
    const args = ['calibrate', 'model', 'b.png'];
    expectRefusal(
      await callMain(args, directory),
      1,
      /b\.png: an image of the test split of CIFAR-10, on which results/,
    );
    const imported = ['model', 'import', 'model', '--out', 'new', '--calibrate', '.'];
    expectRefusal(await callMain(imported, directory), 1, /b\.png: an image of the test split of CIFAR-10/);
  });
});
