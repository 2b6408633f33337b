/** The real executable on real pictures with the shipped model: every command, from picture to file and back. */
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readHeader, writeHeader } from '../../src/codec/format/header.js';
import type { RgbImage } from '../../src/image/image.js';
import { psnrOfRmse, rmse } from '../../src/image/metrics.js';
import { readImage } from '../../src/node/image/read.js';
import { callMain, callMainJson, ddpmCodec, ddpmCodecJson, ddpmCodecPiped, expectRefusal } from '../helpers/cli.js';
import { cifarTestImages, PHOTO, syntheticImage, temporaryDirectory, toSharp } from '../helpers/fixtures.js';

const DIMS = 32 * 32 * 3;
const MODEL = fileURLToPath(new URL('../../models/pilot', import.meta.url));

/** One picture and its file at half a bit/dim, for all tests. */
let shared: string;
let original: RgbImage;
// biome-ignore lint/suspicious/noExplicitAny: a JSON document under test
let encoded: any;

beforeAll(async () => {
  shared = await mkdtemp(join(tmpdir(), 'ddpm-codec-test-'));
  [original] = await cifarTestImages();
  await writeFile(join(shared, 'cat.png'), await toSharp(original).png().toBuffer());
  encoded = await ddpmCodecJson(['encode', 'cat.png', '--max-rate', '0.5'], shared);
}, 60_000);

afterAll(() => rm(shared, { recursive: true, force: true }));

describe('encode', () => {
  it('writes a file and reports it', async () => {
    expect(Object.keys(encoded)).toEqual(['images']);
    const [report] = encoded.images;
    const size = (await readFile(join(shared, 'cat.png.ddc'))).length;
    expect(report).toEqual({
      input: 'cat.png',
      output: 'cat.png.ddc',
      width: 32,
      height: 32,
      bytes: size,
      bitsPerDim: (size * 8) / DIMS,
      rmse: expect.any(Number),
      psnr: expect.closeTo(psnrOfRmse(report.rmse), 9),
      klBits: expect.any(Number),
      steps: expect.any(Array),
      alphaBytes: 0,
      tailBytes: 0,
      drawing: false,
      stoppedBy: 'maxBytes',
      targetMet: null,
      networkEvaluations: expect.any(Number),
      seconds: expect.any(Number),
      networkSeconds: expect.any(Number),
      engine: expect.stringMatching(/^(onnx|wasm|tensorflow)$/),
      model: { name: 'cifar10', id: expect.stringMatching(/^[0-9a-f]{64}$/) },
      options: {
        effort: 5,
        selection: 'greedy',
        seed: 0,
        maxBytes: Math.floor((0.5 * DIMS) / 8),
        targetRmse: null,
        lossless: false,
        checksums: false,
        metadata: null,
        background: null,
      },
    });
    expect(report.networkSeconds).toBeGreaterThan(0);
    expect(report.networkSeconds).toBeLessThan(report.seconds);
    expect(size).toBeLessThanOrEqual(Math.floor((0.5 * DIMS) / 8));
    const last = report.steps.at(-1);
    expect(Object.keys(last).sort()).toEqual(['bits', 'klBits', 'rmse', 't']);
    expect(last.rmse).toBe(report.rmse);
    expect(report.rmse).toBeLessThan(15);
  });

  it('gives the same bytes again, whatever the number of threads', async () => {
    const directory = await temporaryDirectory();
    const output = join(directory, 'again.ddc');
    await ddpmCodecJson(['encode', 'cat.png', '-o', output, '--max-rate', '0.5', '--threads', '3'], shared);
    expect(await readFile(output)).toEqual(await readFile(join(shared, 'cat.png.ddc')));
  });

  it('prints a line for people, and what it works with on stderr', async () => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'tiny.png'), await toSharp(syntheticImage(7, 5)).png().toBuffer());
    const first = await ddpmCodec(['encode', 'tiny.png', '--target-rmse', '20'], directory);
    expect(first.code).toBe(0);
    expect(first.stdout).toMatch(
      /^tiny\.png -> tiny\.png\.ddc: 7x5, \d+ bytes as a drawing, [\d.]+ bits\/dim, RMSE [\d.]+, PSNR .*\n$/,
    );
    expect(first.stderr).toMatch(/^ddpm-codec: model cifar10 \([0-9a-f]{8}\) on (onnx|wasm|tensorflow): [^\n]+\n$/);
    const again = await callMain(['encode', 'tiny.png', '--target-rmse', '20', '--force', '--quiet'], directory);
    expect(again).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('goes on in a batch after files that fail, and leaves no half-written output', async () => {
    const directory = await temporaryDirectory();
    const inputs = join(directory, 'in');
    await mkdir(inputs);
    const picture = toSharp(syntheticImage(9, 6));
    const png = await picture.png().toBuffer();
    await writeFile(join(inputs, 'a.png'), png.subarray(0, 60));
    await writeFile(join(inputs, 'b.jpg'), await picture.jpeg().toBuffer());
    await writeFile(join(inputs, 'b.png'), png);
    await writeFile(join(inputs, 'c.png'), 'no picture');
    const result = await ddpmCodec(['encode', inputs, '-o', 'out', '--json', '--max-bytes', '40'], directory);
    expect(result.code).toBe(1);
    const { images } = JSON.parse(result.stdout);
    expect(images.map((image: { error?: { code: string } }) => image.error?.code)).toEqual([
      'image',
      undefined,
      undefined,
      'image',
    ]);
    expect(result.stderr.trimEnd().split('\n')).toEqual([
      expect.stringMatching(/a\.png: truncated or corrupt/),
      expect.stringMatching(/c\.png: not a picture/),
      'ddpm-codec: 2 of 4 files failed, see above',
    ]);
    expect(await readdir(join(directory, 'out'))).toEqual(['b.jpg.ddc', 'b.png.ddc']);
  });

  it('makes the same of pictures in a batch, which go on side by side, as of each alone; and so does decode', async () => {
    const directory = await temporaryDirectory();
    const sources = [...(await cifarTestImages()).slice(0, 2), syntheticImage(129, 33)];
    const names = sources.map((_, i) => `${i}.png`);
    for (const [i, image] of sources.entries()) {
      await writeFile(join(directory, names[i]), await toSharp(image).png().toBuffer());
    }
    const encode = ['--max-bytes', '40', '--effort', '2', '--threads', '2'];
    const batch = await ddpmCodecJson(['encode', ...names, '-o', 'batch/', ...encode], directory);
    expect(batch.images.map(({ input }: { input: string }) => input)).toEqual(names);
    await ddpmCodecJson(['decode', 'batch', '-o', 'batch/', '--threads', '2'], directory);
    for (const name of names) {
      await callMainJson(['encode', name, '-o', 'alone.ddc', '--force', ...encode], directory);
      await callMainJson(['decode', 'alone.ddc', '-o', 'alone.png', '--force', '--threads', '2'], directory);
      const file = (path: string) => readFile(join(directory, path));
      expect(await file(`batch/${name}.ddc`)).toEqual(await file('alone.ddc'));
      expect(await file(`batch/${name}.decoded.png`)).toEqual(await file('alone.png'));
    }
  });

  it('refuses a size below the header, and model files that do not fit each other', async () => {
    const directory = await temporaryDirectory();
    const run = (...args: string[]) => callMain(['encode', join(shared, 'cat.png'), '-o', 'x.ddc', ...args], directory);
    expectRefusal(
      await run('--max-bytes', '5', '--quiet'),
      2,
      /--max-bytes: expected at least the header \(\d+ bytes, .*\), got 5/,
    );
    for (const [name, damage] of [
      ['cut', (d: string) => truncate(join(d, 'diffusion_pytorch_model.safetensors'), 100_000)],
      ['weightless', (d: string) => rm(join(d, 'diffusion_pytorch_model.safetensors'))],
      ['shapeless', (d: string) => rm(join(d, 'config.json'))],
      ['garbled', (d: string) => writeFile(join(d, 'config.json'), '{"sample_size": ')],
      ['uncalibrated', (d: string) => rm(join(d, 'codec.json'))],
    ] as const) {
      const model = join(directory, name);
      await cp(MODEL, model, { recursive: true });
      await damage(model);
      expectRefusal(await run('--model', model), 1, new RegExp(name));
    }
    expect(await readdir(directory)).not.toContain('x.ddc');
  });

  it('leaves nothing behind when it is interrupted', async () => {
    const directory = await temporaryDirectory();
    const executable = fileURLToPath(new URL('../../bin/ddpm-codec.js', import.meta.url));
    const child = spawn(process.execPath, [executable, 'encode', PHOTO, '-o', join(directory, 'x.ddc')], {
      stdio: 'pipe',
    });
    // The note about the model shows that work has begun.
    child.stderr.once('data', () => child.kill('SIGINT'));
    await new Promise((resolve) => child.on('close', resolve));
    expect(child.signalCode).toBe('SIGINT');
    expect(await readdir(directory)).toEqual([]);
  });
});

describe('decode', () => {
  it('gives the picture that the encoder reported', async () => {
    const directory = await temporaryDirectory();
    const output = join(directory, 'new', 'cat.png.decoded.png');
    const { images } = await ddpmCodecJson(['decode', 'cat.png.ddc', '-o', `${join(directory, 'new')}/`], shared);
    const [report] = images;
    expect(report).toMatchObject({
      input: 'cat.png.ddc',
      output,
      bytesUsed: encoded.images[0].bytes,
      bytesTotal: encoded.images[0].bytes,
      stepsUsed: report.stepsTotal,
      bitsPerDim: encoded.images[0].bitsPerDim,
      complete: true,
      seconds: expect.any(Number),
      networkSeconds: expect.any(Number),
      t: encoded.images[0].steps.at(-1).t,
    });
    expect(rmse(await readImage(output), original)).toBeCloseTo(encoded.images[0].rmse, 1);
  });

  it('uses what it is told to use, like a file that was cut off there', async () => {
    const directory = await temporaryDirectory();
    const decode = async (name: string, ...args: string[]) => {
      const document = await callMainJson(['decode', ...args, '-o', join(directory, name)], shared);
      return { report: document.images[0], image: await readImage(join(directory, name)) };
    };
    const rate = await decode('rate.png', 'cat.png.ddc', '--rate', '0.15');
    expect(rate.report.bytesUsed).toBeLessThanOrEqual(Math.floor((0.15 * DIMS) / 8));
    expect(rate.report.bytesTotal).toBe(encoded.images[0].bytes);
    const cut = join(directory, 'cut.ddc');
    const truncated = await ddpmCodecJson(['truncate', 'cat.png.ddc', '-o', cut, '--rate', '0.15'], shared);
    expect(truncated).toEqual({
      input: 'cat.png.ddc',
      output: cut,
      bytes: Math.floor((0.15 * DIMS) / 8),
      bytesTotal: encoded.images[0].bytes,
      bitsPerDim: (Math.floor((0.15 * DIMS) / 8) * 8) / DIMS,
      alpha: 'none',
    });
    const whole = await decode('cut.png', cut);
    expect(whole.report).toMatchObject({ bytesUsed: rate.report.bytesUsed, complete: false });
    expect(whole.image).toEqual(rate.image);
    const steps = await decode('steps.png', 'cat.png.ddc', '--steps', String(rate.report.stepsUsed));
    expect(steps.image).toEqual(rate.image);
    expect(rmse(rate.image, original)).toBeLessThan(30);
  });

  it('writes progressive pictures and a contact sheet', async () => {
    const directory = await temporaryDirectory();
    const args = [
      'decode',
      'cat.png.ddc',
      '-o',
      join(directory, 'cat.webp'),
      '--progressive',
      join(directory, 'steps'),
    ];
    const { images } = await ddpmCodecJson(args, shared);
    const { points } = images[0].progressive;
    expect(points.length).toBeGreaterThanOrEqual(8);
    expect(points.length).toBeLessThanOrEqual(12);
    const names = await readdir(join(directory, 'steps'));
    expect(names).toHaveLength(points.length + 1);
    expect(names).toContain('contact-sheet.png');
    const errors: number[] = [];
    for (const [i, point] of points.entries()) {
      expect(point.output).toBe(
        join(directory, 'steps', `${String(i + 1).padStart(2, '0')}-${point.bitsPerDim.toFixed(4)}.png`),
      );
      errors.push(rmse(await readImage(point.output), original));
    }
    expect(errors.at(-1)).toBeLessThan(errors[0] / 2);
    // The bytes grow by about the same factor from point to point, up to the length of a step.
    const header = readHeader(await readFile(join(shared, 'cat.png.ddc'))).length;
    const factor = (points.at(-1).bytesUsed / header) ** (1 / 10);
    expect(points[0].bytesUsed).toBeLessThan(header * factor ** 2);
    expect(points[4].bytesUsed).toBeLessThan(header * factor ** 6);
    expect(await readImage(points.at(-1).output)).toEqual(await readImage(join(directory, 'cat.webp')));
    expectRefusal(
      await callMain([...args.slice(0, 2), '-o', join(directory, 'x.png'), ...args.slice(4)], shared),
      1,
      /--force/,
    );
    await callMainJson([...args, '--force', '--rate', '0.25'], shared);
    const made = await readdir(join(directory, 'steps'));
    expect(made.filter((name) => name.startsWith('01-'))).toHaveLength(1);
    // A file that cannot be decoded here costs no pictures.
    const { header: itsHeader, length } = readHeader(await readFile(join(shared, 'cat.png.ddc')));
    const rest = (await readFile(join(shared, 'cat.png.ddc'))).subarray(length);
    const unknown = join(directory, 'unknown.ddc');
    await writeFile(unknown, Buffer.concat([writeHeader({ ...itsHeader, modelId: 'ffffff' }), rest]));
    expectRefusal(await callMain(['decode', unknown, ...args.slice(2), '--force'], shared), 1, /needs model ffffff/);
    expect(await readdir(join(directory, 'steps'))).toEqual(made);
  });

  it('writes the pictures at several rates in one pass, each as alone', async () => {
    const directory = await temporaryDirectory();
    const output = join(directory, 'cat.webp');
    const args = ['decode', 'cat.png.ddc', '-o', output];
    const report = (await callMainJson([...args, '--rate', '0.30,0.1,9,8'], shared)).images[0];
    const names = ['cat-0.1.webp', 'cat-0.30.webp', 'cat-8.webp', 'cat-9.webp'];
    expect((await readdir(directory)).sort()).toEqual(names);
    expect(report.rates.map(({ output }: { output: string }) => basename(output))).toEqual(names);
    for (const { rate, output: name, ...reached } of report.rates) {
      const alone = join(directory, `alone-${rate}.webp`);
      const [single] = (await callMainJson(['decode', 'cat.png.ddc', '-o', alone, '--rate', String(rate)], shared))
        .images;
      expect(await readFile(name)).toEqual(await readFile(alone));
      const { bytesUsed, stepsUsed, t, bitsPerDim, alpha } = single;
      expect(reached).toEqual({ bytesUsed, stepsUsed, t, bitsPerDim, alpha });
    }
    expect(report).toMatchObject({ output: join(directory, 'cat-9.webp'), complete: true });
    expectRefusal(await callMain([...args, '--rate', '0.1,3'], shared), 1, /cat-0\.1\.webp: exists already/);
    const piped = await ddpmCodecPiped(
      ['decode', '-', '-o', join(directory, 'piped.webp'), '--rate', '0.1,0.30'],
      directory,
      await readFile(join(shared, 'cat.png.ddc')),
    );
    expect(piped).toMatchObject({ code: 0, stdout: expect.any(Buffer) });
    for (const rate of ['0.1', '0.30']) {
      const one = await readFile(join(directory, `piped-${rate}.webp`));
      expect(one).toEqual(await readFile(join(directory, `cat-${rate}.webp`)));
    }
  });

  it('refuses pictures that are too large before it makes room for them', async () => {
    const directory = await temporaryDirectory();
    const { header } = readHeader(await readFile(join(shared, 'cat.png.ddc')));
    const huge = writeHeader({ ...header, width: 2 ** 24, height: 2 ** 24 });
    await writeFile(join(directory, 'huge.ddc'), huge);
    expectRefusal(await callMain(['decode', 'huge.ddc'], directory), 1, /huge\.ddc: .*pixels/);
    const run = ['decode', join(shared, 'cat.png.ddc'), '-o', 'x.png', '--max-pixels', '1000'];
    expectRefusal(await callMain(run, directory), 1, /1000/);
    expect(await readdir(directory)).toEqual(['huge.ddc']);
  });
});

describe('info', () => {
  it('tells header, steps and state', async () => {
    const info = await ddpmCodecJson(['info', 'cat.png.ddc'], shared);
    expect(info).toMatchObject({
      input: 'cat.png.ddc',
      version: 7,
      width: 32,
      height: 32,
      stateBits: 16,
      seed: 0,
      bytes: encoded.images[0].bytes,
      complete: true,
      model: { name: 'cifar10' },
    });
    expect(info.steps).toHaveLength(encoded.images[0].steps.length);
    const { code, stdout, stderr } = await callMain(['info', 'cat.png.ddc'], shared);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/state +complete, \d+ of \d+ steps/);
    expect(stdout).toMatch(/ step +t +bits +bytes +bits\/dim\n/);
    expect(stdout).not.toContain('missing');
  });

  it('tells that a file was cut off', async () => {
    const directory = await temporaryDirectory();
    const whole = await readFile(join(shared, 'cat.png.ddc'));
    await writeFile(join(directory, 'cut.ddc'), whole.subarray(0, 60));
    const { stdout } = await callMain(['info', 'cut.ddc'], directory);
    expect(stdout).toMatch(new RegExp(`truncated: \\d+ of \\d+ steps, whole file ${whole.length} bytes`));
    expect(stdout).toContain('missing');
  });

  it('tells the header without the model', async () => {
    const directory = await temporaryDirectory();
    const { header } = readHeader(await readFile(join(shared, 'cat.png.ddc')));
    await writeFile(join(directory, 'foreign.ddc'), writeHeader({ ...header, modelId: 'ffffff' }));
    const { code, stdout, stderr } = await ddpmCodec(['info', 'foreign.ddc'], directory);
    expect(code).toBe(0);
    expect(stdout).toMatch(/picture +32 x 32/);
    expect(stderr).toMatch(/no model with id ffffff at hand/);
    const json = await callMainJson(['info', 'foreign.ddc'], directory);
    expect(json).toMatchObject({ modelId: 'ffffff', model: null });
    expect(json.steps).toBeUndefined();
  });
});
