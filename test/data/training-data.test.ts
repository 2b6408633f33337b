import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { halved } from '../../src/data/folder.js';
import { openTrainingData } from '../../src/data/training-data.js';

const SIDE = 8;
const SIZE = SIDE * SIDE * 3;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-data-'));
});
afterAll(() => rm(directory, { recursive: true }));

/** A directory of single-coloured pictures: the red value tells which picture a crop came from. */
async function colours(name: string, count: number, side = SIDE): Promise<string> {
  const path = join(directory, name);
  await mkdir(path, { recursive: true });
  for (let i = 0; i < count; i++) {
    const background = { r: i, g: 255 - i, b: 7 };
    const file = join(path, `${String(i).padStart(3, '0')}.png`);
    await sharp({ create: { width: side, height: side, channels: 3, background } })
      .png()
      .toFile(file);
  }
  return path;
}

test.skipIf(process.platform === 'win32')('a pipe among the pictures is left out, not waited for', async () => {
  const path = await colours('with a pipe', 2);
  execFileSync('mkfifo', [join(path, 'pipe.png')]);
  const { skipped } = await openTrainingData([path], { side: SIDE, seed: 'x' });
  expect(skipped).toEqual([
    { path: join(path, 'pipe.png'), reason: 'expected a file, but this is not a regular file' },
  ]);
});

const redsOf = (crops: Uint8Array) => Array.from({ length: crops.length / SIZE }, (_, i) => crops[i * SIZE]);

test('crops follow from seed and step alone', async () => {
  const path = join(directory, 'noise');
  await mkdir(path);
  for (let i = 0; i < 4; i++) {
    const pixels = Buffer.from(Array.from({ length: 40 * 30 * 3 }, (_, k) => (k * (31 + i)) % 251));
    await sharp(pixels, { raw: { width: 40, height: 30, channels: 3 } })
      .png()
      .toFile(join(path, `${i}.png`));
  }
  const open = (seed: string) => openTrainingData([path], { side: SIDE, seed });
  const [one, other, differently] = [await open('a'), await open('a'), await open('b')];
  const steps = [0, 1, 2, 50].map(async (step) => [await one.batch(step, 6), step] as const);
  for (const [crops, step] of (await Promise.all(steps)).toReversed()) {
    expect(crops.length).toBe(6 * SIZE);
    expect(await other.batch(step, 6)).toEqual(crops);
    expect(await differently.batch(step, 6)).not.toEqual(crops);
  }
});

test('an epoch has each training image once; held-out ones never come', async () => {
  const data = await openTrainingData([await colours('epoch', 50)], { side: SIDE, seed: 'x' });
  expect([data.trainingImages, data.validationImages]).toEqual([47, 3]);
  const heldOut = (await data.validation(10)).crops.map((crop) => crop.data[0]);
  expect(new Set(heldOut).size).toBe(3);
  const seen = redsOf(await data.batch(0, 47));
  expect(new Set(seen).size).toBe(47);
  for (const red of heldOut) expect(seen).not.toContain(red);
  expect((await data.calibration(12, SIDE)).length).toBe(12);
  expect(data.description).toContain('47 training images');
});

test('where there are few images, crops come from all over them and from all of their scales', async () => {
  const path = join(directory, 'places');
  await mkdir(path);
  // Red encodes the column, green the row, blue the image. Means over pixels preserve this.
  for (let i = 0; i < 2; i++) {
    const pixels = Buffer.from(Array.from({ length: 64 * 64 }, (_, at) => [at % 64, Math.floor(at / 64), i]).flat());
    await sharp(pixels, { raw: { width: 64, height: 64, channels: 3 } })
      .png()
      .toFile(join(path, `${i}.png`));
  }
  const data = await openTrainingData([path], { side: SIDE, seed: 'x' });
  expect([data.trainingImages, data.validationImages]).toEqual([1, 1]);
  const crops = await data.calibration(60, SIDE);
  const places = crops.map(({ data: [red, green] }) => [red, green].join());
  expect(new Set(places).size).toBe(60);
  const steps = crops.map(({ data: pixels }) => pixels[3] - pixels[0]);
  for (const step of [1, 2, 4]) expect(steps.filter((one) => one === step).length).toBe(20);
  const columns = crops.filter((_, i) => steps[i] === 1).map(({ data: [red] }) => red);
  expect(Math.min(...columns)).toBeLessThan(10);
  expect(Math.max(...columns)).toBeGreaterThan(46);
});

test('the same images are held out whatever the seed', async () => {
  const path = await colours('held-out', 20);
  const [a, b] = await Promise.all(['a', 'b'].map((seed) => openTrainingData([path], { side: SIDE, seed })));
  const redsOfHeldOut = async (data: typeof a) => (await data.validation(5)).crops.map((crop) => crop.data[0]);
  expect(await redsOfHeldOut(a)).toEqual(await redsOfHeldOut(b));
});

test('crops lie inside, are mirrored half of the time, and come from the smaller scales, too', async () => {
  const path = join(directory, 'ramp');
  await mkdir(path);
  // Red grows by 4 per pixel to the right, so its slope shows the scale and the direction.
  const pixels = Buffer.alloc(32 * 32 * 3);
  for (let i = 0; i < 32 * 32; i++) pixels[3 * i] = 4 * (i % 32);
  await sharp(pixels, { raw: { width: 32, height: 32, channels: 3 } })
    .png()
    .toFile(join(path, 'a.png'));
  const data = await openTrainingData([path], { side: SIDE, seed: 'x' });
  const slopes = new Map<number, number>();
  const crops = await data.batch(0, 300);
  for (let i = 0; i < 300; i++) {
    const slope = crops[i * SIZE + 3] - crops[i * SIZE];
    slopes.set(slope, (slopes.get(slope) ?? 0) + 1);
  }
  expect([...slopes.keys()].sort((a, b) => a - b)).toEqual([-16, -8, -4, 4, 8, 16]);
  for (const count of slopes.values()) expect(count).toBeGreaterThan(25);
});

test('shares decide how many crops come from each set', async () => {
  const [dark, bright] = [await colours('dark', 10), await colours('bright', 10)];
  await writeFile(join(bright, 'not-a-picture.txt'), 'x');
  await sharp({ create: { width: SIDE, height: SIDE, channels: 3, background: { r: 200, g: 0, b: 0 } } })
    .png()
    .toFile(join(directory, 'bright', '000.png'));
  const data = await openTrainingData([`${dark}=0.75`, bright], { side: SIDE, seed: 'x' });
  const greens = await data.batch(0, 400);
  expect(data.description).toMatch(/75 % of the crops.*25 % of the crops/);
  expect(data.trainingImages).toBe(18);
  // The picture with red 200 is one of nine in the second set.
  const share = redsOf(greens).filter((red) => red === 200).length / 400;
  expect(share).toBeCloseTo(0.25 / 9, 1);
  expect(await data.batch(7, 16)).toEqual(await data.batch(7, 16));
});

test('broken and small pictures are left out and named', async () => {
  const path = await colours('broken', 12);
  await writeFile(join(path, '003.png'), 'this is no picture');
  // The metadata is complete, but the pixels are missing.
  const whole = await sharp({ create: { width: 64, height: 64, channels: 3, background: 'red' } })
    .jpeg()
    .toBuffer();
  await writeFile(join(path, 'cut.jpg'), whole.subarray(0, whole.length - 200));
  await sharp({ create: { width: 4, height: 40, channels: 3, background: 'red' } })
    .png()
    .toFile(join(path, 'small.png'));
  const data = await openTrainingData([path], { side: SIDE, seed: 'x' });
  const first = await data.batch(0, 24);
  expect(first.length).toBe(24 * SIZE);
  expect(data.skipped.map(({ path: file }) => file.slice(path.length + 1)).sort()).toEqual([
    '003.png',
    'cut.jpg',
    'small.png',
  ]);
  expect(data.skipped.find(({ path: file }) => file.endsWith('small.png'))?.reason).toBe(
    '4x40 pixels, smaller than a crop (8x8); a lower `crop` takes it in',
  );
  const again = await openTrainingData([path], { side: SIDE, seed: 'x' });
  expect(await again.batch(0, 24)).toEqual(first);
});

test('halving averages four pixels', () => {
  const image = {
    width: 3,
    height: 2,
    data: Uint8Array.from([1, 0, 10, 2, 0, 20, 9, 9, 9, 3, 0, 30, 4, 1, 40, 9, 9, 9]),
  };
  expect(halved(image)).toEqual({ width: 1, height: 1, data: Uint8Array.of(3, 0, 25) });
});

test('a directory is one by its whole name, even when it looks like a share', async () => {
  const path = await colours('a=1', 10);
  const data = await openTrainingData([path, `${path}=0.25`], { side: SIDE, seed: 'x' });
  expect(data.description).toMatch(/\ba=1: 9 training images \(75 %.*\ba=1: 9 training images \(25 %/);
});

test('one picture is for both, learning and validation', async () => {
  const data = await openTrainingData([await colours('one', 1)], { side: SIDE, seed: 'x' });
  expect(await data.validation(4)).toMatchObject({ heldOut: false, crops: [{ width: SIDE, height: SIDE }] });
  expect(await data.calibration(4, SIDE)).toHaveLength(1);
});

test('held-out and calibration pictures that are broken are replaced', async () => {
  const path = await colours('half-broken', 40, 4 * SIDE);
  const noise = Buffer.from(Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * i) % 251));
  const whole = await sharp(noise, { raw: { width: 64, height: 64, channels: 3 } })
    .jpeg()
    .toBuffer();
  // Every other one has complete metadata, but not all pixels. 10 and 30 are held out.
  for (let i = 0; i < 40; i += 2) {
    const file = join(path, String(i).padStart(3, '0'));
    await rm(`${file}.png`);
    await writeFile(`${file}.jpg`, whole.subarray(0, whole.length - 200));
  }
  const data = await openTrainingData([path], { side: SIDE, seed: 'x' });
  expect((await data.validation(4)).heldOut).toBe(false);
  const crops = await data.calibration(8, SIDE);
  expect(new Set(crops.map((crop) => crop.data[1])).size).toBe(8);
});

describe('errors', () => {
  const open = (...sources: string[]) => openTrainingData(sources, { side: SIDE, seed: 'x' });

  test('an empty directory', async () => {
    const path = join(directory, 'empty');
    await mkdir(path);
    await expect(open(path)).rejects.toMatchObject({
      code: 'file',
      message: expect.stringContaining('found no pictures'),
    });
  });

  test('a directory without a usable picture', async () => {
    const path = await colours('tiny', 3, 4);
    await expect(open(path)).rejects.toThrow(/at least 8x8 pixels, found 3 pictures, none usable.*4x4 pixels, smaller/);
  });

  test('no such directory', async () => {
    await expect(open(join(directory, 'nowhere'))).rejects.toThrow(/nowhere: expected cifar10 or a directory/);
  });

  test.each(['=2', '=0', '=x', '=-1'])('share %s', async (share) => {
    await expect(open(`${directory}/a${share}`)).rejects.toMatchObject({ code: 'usage' });
  });

  test('shares that leave nothing', async () => {
    await expect(open('a=0.5', 'b=0.5', 'c')).rejects.toThrow(/a sum below 1/);
  });

  test('crops larger than the images of CIFAR-10', async () => {
    await expect(openTrainingData(['cifar10'], { side: 64, seed: 'x' })).rejects.toThrow(/at most 32 with cifar10/);
  });

  test('CIFAR-10 that was not fetched', async () => {
    const failure = openTrainingData(['cifar10'], { side: 32, seed: 'x', cache: join(directory, 'no-cache') });
    await expect(failure).rejects.toMatchObject({
      code: 'file',
      message: expect.stringContaining('ddpm-codec data cifar10'),
    });
  });
});
