/** What the commands say about drawings, files without checksums, existing files, and one or several items. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { counted } from '../../src/common/counted.js';
import type { RgbImage } from '../../src/image/image.js';
import { callMain } from '../helpers/cli.js';
import { cifarTestImages, toSharp } from '../helpers/fixtures.js';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-test-'));
  const [photo] = await cifarTestImages();
  await writeFile(join(directory, 'photo.png'), await toSharp(photo).png().toBuffer());
  await writeFile(join(directory, 'box.png'), await toSharp(box(24, 16)).png().toBuffer());
});

afterAll(() => rm(directory, { recursive: true, force: true }));

/** A black box in the middle of white. */
function box(width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3).fill(255);
  for (let y = 4; y < 10; y++) data.fill(0, (y * width + 5) * 3, (y * width + 15) * 3);
  return { width, height, data };
}

const run = async (line: string) => {
  const result = await callMain(line.split(' '), directory);
  expect(result.code, result.stderr).toBe(0);
  return result;
};

describe('a drawing', () => {
  it('is said to be one when it is made, shown and decoded', async () => {
    expect((await run('encode box.png -o box.ddc')).stdout).toMatch(/: 24x16, \d+ bytes as a drawing, /);
    const { stdout } = await run('info box.ddc');
    expect(stdout).toMatch(/^state +complete, a drawing of 1152 samples, without steps$/m);
    expect(stdout).toMatch(/^can be cut +at any byte from 12 on$/m);
    expect(stdout).not.toMatch(/trellis|^step/m);
    const decoded = await run('decode box.ddc -o three.png --steps 3');
    expect(decoded.stdout).toContain('bits/dim, no steps');
    expect(decoded.stderr).toContain(
      'box.ddc: has no steps to stop after; --rate or --bytes say how much of it to use',
    );
    expect((await run('verify box.ddc')).stdout).toMatch(/^size .* bytes, no steps, whole$/m);
  });

  it('is what a photograph is not', async () => {
    const { images } = JSON.parse((await run('encode photo.png -o steps.ddc --effort 1 --max-bytes 80 --json')).stdout);
    expect(images).toMatchObject([{ drawing: false }]);
    const { stdout } = await run('info steps.ddc');
    expect(stdout).toMatch(/^trellis /m);
    expect(stdout).toMatch(/^state +complete, \d+ of \d+ steps?$/m);
    expect((await run('decode steps.ddc -o one.png --steps 1')).stderr).not.toContain('no steps');
  });
});

it('verify says where damage would not show', async () => {
  await run('encode photo.png -o plain.ddc --effort 1 --max-bytes 80');
  await run('encode photo.png -o checked.ddc --effort 1 --max-bytes 80 --checksums');
  const damage = /^damage +would not show: no checksums in the file \(encode --checksums\), and no --against$/m;
  expect((await run('verify plain.ddc')).stdout).toMatch(damage);
  expect((await run('verify plain.ddc --against photo.png')).stdout).not.toMatch(/^damage/m);
  expect((await run('verify checked.ddc')).stdout).not.toMatch(/^damage/m);
});

it('a file that is shorter than it may be is already that short', async () => {
  await run('encode photo.png -o short.ddc --effort 1 --max-bytes 60');
  expect((await run('truncate short.ddc -o same.ddc --bytes 100000')).stdout).toMatch(
    /bits\/dim \(already that short\)$/m,
  );
  expect((await run('truncate short.ddc -o shorter.ddc --bytes 40')).stdout).not.toContain('already');
});

describe('model list', () => {
  it('leaves out directories that are no models, and says where it looked', async () => {
    await mkdir(join(directory, 'below/pictures'), { recursive: true });
    const { stdout, stderr } = await run('model list below');
    expect(stdout).toMatch(/^cifar10 /m);
    expect(stderr).toMatch(/^ddpm-codec: no models in the directories of .*below; these have names here\n$/);
  });

  it('names what is a model in part', async () => {
    await mkdir(join(directory, 'own/half'), { recursive: true });
    await writeFile(join(directory, 'own/half/codec.json'), '{}');
    expect((await run('model list own')).stderr).toMatch(
      /^ddpm-codec: own\/half: model .*config\.json: no such file or directory\n$/,
    );
  });
});

it('one thing is not several', () => {
  expect([0, 1, 2].map((count) => counted(count, 'image'))).toEqual(['0 images', '1 image', '2 images']);
});
