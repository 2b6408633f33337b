/** `sample` and `interpolate` of the real executable, with the shipped model and few steps. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { readImage } from '../../src/node/image/read.js';
import { callMain, callMainJson, ddpmCodecJson, ddpmCodecPiped, expectRefusal } from '../helpers/cli.js';
import { cifarTestImages, syntheticImage, temporaryDirectory, toSharp } from '../helpers/fixtures.js';
import { copyOf, edit } from '../helpers/model-copy.js';

const FAST = ['--steps', '5', '--threads', '1'];

describe('sample', () => {
  it('writes a sheet, the same for the same seed, and reports it', async () => {
    const directory = await temporaryDirectory();
    const line = (name: string, ...more: string[]) => ['sample', '-o', name, '-n', '3', ...FAST, ...more];
    const report = await ddpmCodecJson(line('a.png'), directory);
    expect(report).toEqual({
      outputs: ['a.png'],
      count: 3,
      width: 32,
      height: 32,
      seconds: expect.any(Number),
      engine: expect.any(String),
      model: { name: 'cifar10', id: expect.stringMatching(/^[0-9a-f]{64}$/) },
      options: { steps: 5, seed: 0, sampler: 'ddpm', progressive: false, sharedLatents: null },
    });
    await callMainJson(line('b.png'), directory);
    await callMainJson(line('c.png', '--seed', '1'), directory);
    await callMainJson(line('d.png', '--sampler', 'ddim'), directory);
    await callMainJson(line('e.png', '--variance', 'optimal'), directory);
    await callMainJson(line('f.png', '--variance', 'beta-tilde'), directory);
    const [a, b, c, d, e, f] = await Promise.all(
      ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => readFile(join(directory, `${name}.png`))),
    );
    expect(b.equals(a)).toBe(true);
    expect(c.equals(a)).toBe(false);
    expect(d.equals(a)).toBe(false);
    // The default of jumps.
    expect([e.equals(a), f.equals(a)]).toEqual([true, false]);
    expectRefusal(await callMain(line('a.png'), directory), 1, /a.png: exists already; use --force/);
    expect((await callMain(line('a.png', '--force', '-q'), directory)).code).toBe(0);
  });

  it('says where the network was not trained on all timesteps, unless a pyramid asks for others', async () => {
    const directory = await temporaryDirectory();
    const copy = await copyOf('photo2');
    await edit(copy, 'codec.json', (codec) => void Object.assign(codec, { pyramid: undefined }));
    const size = ['-n', '1', '--size', '48x40'];
    const line = (name: string, model: string) => ['sample', '-o', name, '--model', model, ...size, ...FAST];
    const [own, without] = [
      await callMain(line('a.png', 'photo2'), directory),
      await callMain(line('b.png', copy), directory),
    ];
    expect([own.code, own.stderr.includes('alone')]).toEqual([0, false]);
    expect(without.stderr).toContain('was trained on t = 4 to 400 alone: what it draws means little');
    expect((await readImage(join(directory, 'a.png'))).data).not.toEqual(
      (await readImage(join(directory, 'b.png'))).data,
    );
  });

  it('writes a file for each picture, of any size the network takes', async () => {
    const directory = await temporaryDirectory();
    const { outputs } = await callMainJson(['sample', '-o', 'out/', '-n', '3', '--size', '40x28', ...FAST], directory);
    expect(outputs).toEqual(['out/0000.png', 'out/0001.png', 'out/0002.png']);
    expect(await readdir(join(directory, 'out'))).toEqual(['0000.png', '0001.png', '0002.png']);
    const pictures = await Promise.all(outputs.map((path: string) => readImage(join(directory, path))));
    expect(pictures.map(({ width, height }) => [width, height])).toEqual(Array(3).fill([40, 28]));
    const separate = await callMainJson(['sample', '-o', 'one', '--separate', '-n', '1', ...FAST], directory);
    expect(separate.outputs).toEqual(['one/0000.png']);
    expect(await readImage(join(directory, 'one/0000.png'))).toMatchObject({ width: 32, height: 32 });
  });

  it('shows pictures coming into being, as a table and as an animation', async () => {
    const directory = await temporaryDirectory();
    const line = (name: string) => ['sample', '-o', name, '--progressive', '-n', '2', ...FAST];
    await callMainJson(line('a.png'), directory);
    await callMainJson(line('a.webp'), directory);
    // Five evaluations, so five columns or pictures.
    const table = await readImage(join(directory, 'a.png'));
    expect(table.width).toBeGreaterThan(5 * 96);
    expect(table.width).toBeLessThan(6 * 120);
    const metadata = await sharp(join(directory, 'a.webp'), { animated: true }).metadata();
    expect(metadata).toMatchObject({ pages: 5, loop: 0, delay: [100, 100, 100, 100, 1500] });
  });

  it('shows what x_t decides', async () => {
    const directory = await temporaryDirectory();
    const line = ['sample', '-o', 'a.png', '-n', '2', ...FAST, '--shared-latents', '900', '300'];
    expect((await callMainJson(line, directory)).options.sharedLatents).toEqual([900, 300]);
    const { width, height } = await readImage(join(directory, 'a.png'));
    expect(width).toBeGreaterThan(4 * 96);
    expect(height).toBeGreaterThan(2 * 96);
  });
});

describe('interpolate', () => {
  it('writes a sheet whose ends are the sources, and an animation over lambda', async () => {
    const directory = await temporaryDirectory();
    const [a, b] = await cifarTestImages();
    await writeFile(join(directory, 'a.png'), await toSharp(a).png().toBuffer());
    await writeFile(join(directory, 'b.png'), await toSharp(b).png().toBuffer());
    const line = ['interpolate', 'a.png', 'b.png', '--lambda', '3', ...FAST];
    const report = await callMainJson([...line, '-o', 'rows.png', '--coarse-to-fine'], directory);
    expect(report.timesteps).toEqual([0, 125, 250, 375, 500, 625, 750, 875, 1000]);
    expect(report.lambdas).toEqual([0, 0.5, 1]);
    const { width, height, data } = await readImage(join(directory, 'rows.png'));
    expect(height).toBeGreaterThan(9 * 96);
    // The second of five columns is lambda = 0. In the first row, t = 0, it equals the source in the first column.
    const column = (x: number) => (width - 12 + 4 - 5 * 100 + x * 100) * 3;
    const row = (height - 12 + 4 - 9 * 100 + 50) * width * 3;
    const pixels = (x: number) => [...data.subarray(row + column(x), row + column(x) + 96 * 3)];
    expect(pixels(1)).toEqual(pixels(0));
    expect(pixels(3)).toEqual(pixels(4));
    expect(pixels(2)).not.toEqual(pixels(0));
    await callMainJson([...line, '-o', 'film.webp', '--t', '200'], directory);
    expect(await sharp(join(directory, 'film.webp'), { animated: true }).metadata()).toMatchObject({ pages: 3 });
  });
});

describe('standard streams', () => {
  it('are a picture of interpolate, and the PNG of both', async () => {
    const directory = await temporaryDirectory();
    const picture = await toSharp(syntheticImage(8, 8)).png().toBuffer();
    await writeFile(join(directory, 'a.png'), picture);
    const drawn = ['sample', '-n', '2', '--size', '8x8', '--steps', '2'];
    const mixed = ['interpolate', 'a.png', '-', '--t', '3', '--steps', '1000', '--lambda', '2', '--background', 'red'];
    for (const args of [drawn, mixed]) {
      const piped = await ddpmCodecPiped([...args, '-o', '-'], directory, picture);
      expect(piped).toMatchObject({ code: 0, stderr: expect.stringMatching(/\nstandard output: 2 [^\n]*\n$/) });
      const file = await ddpmCodecPiped([...args, '-o', `${args[0]}.png`], directory, picture);
      expect(file.code, file.stderr).toBe(0);
      expect(piped.stdout).toEqual(await readFile(join(directory, `${args[0]}.png`)));
    }
  });
});

describe('bad input', () => {
  it.each([
    ['sample', 2, /expected --output/],
    ['sample -o a.jpg', 2, /pictures are written as \.png, \.webp/],
    ['sample -o new.png -n 0', 2, /--count: expected an integer from 1/],
    ['sample -o new.png --size 32', 2, /--size: expected WIDTHxHEIGHT such as 32x32/],
    ['sample -o new.png --size 33x32', 2, /--size: .*multiples of 4, .*got 33x32; for example 32x32/],
    // Errors that would otherwise appear only after everything is drawn.
    ['sample -o new.webp -n 10000', 1, /WebP holds at most 16383 pixels a side/],
    ['sample -o new.png -n 1000000', 2, /new\.png: would be \d+x\d+ pixels/],
    ['sample -o new.webp -n 200 --shared-latents 5', 1, /WebP holds at most 16383 pixels a side/],
    ['sample -o new.tiff -n 100000 --progressive', 2, /new\.tiff: would be/],
    ['sample -o new.webp -n 30000 --progressive --steps 1', 1, /WebP holds at most 16383 pixels a side/],
    ['sample -o - --separate', 2, /-o -: expected a directory/],
    ['sample -o - --json', 2, /--json: expected an output file with it/],
    ['sample -o new.png --steps 0', 2, /--steps: expected an integer from 1/],
    ['sample -o new.png --steps 1001', 2, /--steps: expected an integer from 1 to 1000, got 1001/],
    ['sample -o new.png --variance learned', 2, /variance: expected beta or beta-tilde.*got "learned"/],
    ['sample -o new.png --shared-latents 0', 2, /--shared-latents: expected an integer from 1/],
    [
      'sample -o new.png --shared-latents 2000',
      2,
      /--shared-latents: expected at most 1000, the timesteps of this model, got 2000/,
    ],
    ['sample -o new.png --progressive --shared-latents 5', 2, /give only one/],
    ['sample -o empty --progressive', 2, /expected the name of a \.png or \.webp file/],
    ['sample -o new.png --model none', 2, /--model: expected .* got "none"/],
    ['sample -o new.png --sampler ddim --variance beta', 2, /--variance: is of the noise of --sampler ddpm/],
    ['interpolate a.png', 2, /expected <a> \(Picture at lambda = 0\) and <b>/],
    ['interpolate a.png b.png', 2, /expected --output/],
    ['interpolate a.png none.png -o c.png', 1, /none.png: no such file/],
    ['interpolate a.png b.png -o c.png', 1, /b\.png: expected 8x8 pixels as a\.png has, got 8x12/],
    ['interpolate odd.png odd.png -o c.png', 1, /odd\.png: .*multiples of 4, .*got 10x9; for example 8x8/],
    ['interpolate a.png a.png -o c.png -t 1001', 2, /-t: expected at most 1000, the timesteps of this model, got 1001/],
    ['interpolate a.png a.png -o c.png -t 5 --coarse-to-fine', 2, /-t and --coarse-to-fine: give only one/],
    ['interpolate a.png a.png -o c.png --lambda 1', 2, /--lambda: expected an integer from 2/],
    ['interpolate a.png a.png -o b.png', 1, /b.png: exists already/],
    ['interpolate - - -o c.png', 2, /standard input: is one picture/],
    ['interpolate glass.png a.png -o c.png', 1, /glass\.png: has transparent pixels; .*--background/],
    ['interpolate glass.png a.png -o c.png --background glass', 2, /background: expected an opaque colour/],
  ])('%s', async (line, code, message) => {
    const directory = await temporaryDirectory();
    await mkdir(join(directory, 'empty'));
    for (const [name, width, height] of [
      ['a', 8, 8],
      ['b', 8, 12],
      ['odd', 10, 9],
    ] as const) {
      await writeFile(join(directory, `${name}.png`), await toSharp(syntheticImage(width, height)).png().toBuffer());
    }
    await writeFile(
      join(directory, 'glass.png'),
      await toSharp(syntheticImage(8, 8)).ensureAlpha(0.5).png().toBuffer(),
    );

    expectRefusal(await callMain([...line.split(' '), '-q'], directory), code as 1 | 2, message);
  });
});
