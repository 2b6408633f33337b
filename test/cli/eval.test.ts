/** Evaluations with the real command. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { EvalReport } from '../../src/cli/eval/report.js';
import type { RgbImage } from '../../src/image/image.js';
import { createSchedule, jumpKlBits, paperSchedule } from '../../src/model/schedule.js';
import { encodePng } from '../../src/node/image/write.js';
import { callMain, callMainJson, ddpmCodec, ddpmCodecJson, expectRefusal } from '../helpers/cli.js';
import { meanColourNetwork } from '../helpers/feature-network.js';
import { cifarTestImages, PHOTO, syntheticImage, temporaryDirectory } from '../helpers/fixtures.js';

/** A directory whose `pictures/` holds the first CIFAR-10 test images. */
async function withPictures(count: number): Promise<string> {
  const directory = await temporaryDirectory();
  await putPictures(join(directory, 'pictures'), (await cifarTestImages()).slice(0, count));
  return directory;
}

async function putPictures(directory: string, images: readonly RgbImage[]): Promise<void> {
  await mkdir(directory);
  for (const [i, image] of images.entries()) {
    await writeFile(join(directory, `${String(i).padStart(2, '0')}.png`), await encodePng(image));
  }
}

it('writes the report to standard output where that is asked for, and its lines elsewhere', async () => {
  const directory = await withPictures(1);
  const args = ['eval', 'pictures', '--crop', '8', '--timesteps', '1', '-o', '-'];
  const { stdout, stderr } = await ddpmCodec(args, directory);
  expect(JSON.parse(stdout)).toMatchObject({ data: ['pictures'], likelihood: { width: 8, height: 8 } });
  expect(stderr).toMatch(/\npictures: 1 image, /);
  expectRefusal(await callMain([...args, '--json'], directory), 2, /--json: expected an output file with it/);
  expect(await readdir(directory)).toEqual(['pictures']);
});

it('says where the network was not trained on all timesteps', async () => {
  const directory = await temporaryDirectory();
  await putPictures(join(directory, 'pictures'), [syntheticImage(48, 40)]);
  const args = (model: string) => ['eval', 'pictures', '--crop', '40', '--timesteps', '1', '--model', model];
  const { stderr } = await callMain(args('photo2'), directory);
  expect(stderr).toContain('model photo2 was trained on t = 4 to 400 alone: its bound means little');
  const other = await callMain(args('cifar10'), directory);
  expect([other.code, other.stderr.includes('alone')]).toEqual([0, false]);
});

describe('likelihoods', () => {
  it("prints the paper's numbers, and writes the report and the figure", async () => {
    const directory = await withPictures(6);
    const run = (...more: string[]) =>
      ddpmCodec(['eval', 'pictures', '--timesteps', '4', '--train', 'pictures[0:2]', ...more], directory);
    const { code, stdout, stderr } = await run('-o', 'report.json', '--plot', 'terms.png');
    expect([code, stderr]).toEqual([0, expect.stringMatching(/^ddpm-codec: model cifar10 .*\n$/)]);
    expect(stdout).toMatch(/^pictures: 6 images, t = 1 and 4 timesteps of each, variance beta, predictions clipped\n/);
    const report: EvalReport = JSON.parse(await readFile(join(directory, 'report.json'), 'utf8'));
    const { bound, rate, distortion, rmse, perImage, terms, options, model } = report.likelihood!;
    expect(model.name).toBe('cifar10');
    expect(options).toEqual({ timesteps: 4, variance: 'beta', clip: true, crop: null, seed: 'bound' });
    expect([bound.images, bound.evaluations]).toEqual([6, 30]);
    // L_T of the paper's schedule. The other terms fit a model of 4 bits/dim.
    expect(bound.prior.value).toBeGreaterThan(1e-6);
    expect(bound.prior.value).toBeLessThan(2e-5);
    expect(bound.total.value).toBeGreaterThan(3);
    expect(bound.total.value).toBeLessThan(6);
    expect(rate.value).toBeCloseTo(bound.prior.value + bound.diffusion.value, 12);
    expect(distortion).toEqual(bound.decoder);
    expect(rmse.value).toBeGreaterThan(0.8);
    expect(rmse.value).toBeLessThan(1.3);
    expect(perImage.map(({ name }) => name)).toEqual([0, 1, 2, 3, 4, 5].map((i) => `pictures/0${i}.png`));
    const totals = perImage.map(({ total }) => total);
    const mean = totals.reduce((a, b) => a + b) / 6;
    expect(bound.total.value).toBeCloseTo(mean, 12);
    const squares = totals.reduce((sum, total) => sum + (total - mean) ** 2, 0);
    expect(bound.total.standardError).toBeCloseTo(Math.sqrt(squares / 5 / 6), 12);
    expect(terms[0]).toMatchObject({ t: 1, evaluations: 6 });
    expect(terms[0].bits.value).toBeCloseTo(bound.decoder.value, 12);
    expect(terms.reduce((sum, { evaluations }) => sum + evaluations, 0)).toBe(30);
    const { gap, bound: other } = report.gap!;
    expect(other.images).toBe(2);
    expect(gap.value).toBeCloseTo(bound.total.value - other.total.value, 12);
    expect(gap.standardError).toBeCloseTo(Math.hypot(bound.total.standardError, other.total.standardError), 12);
    for (const { value } of [bound.total, rmse, gap]) expect(stdout).toContain(value.toFixed(4));
    expect(await sharp(join(directory, 'terms.png')).metadata()).toMatchObject({ format: 'png' });

    expectRefusal(
      await callMain(['eval', 'pictures', '-o', 'report.json'], directory),
      1,
      /report.json: exists already; use --force/,
    );
    const again: EvalReport = (await callMainJson(['eval', 'pictures', '--timesteps', '4'], directory)) as EvalReport;
    expect({ ...again.likelihood, seconds: 0 }).toEqual({ ...report.likelihood, seconds: 0 });
  });

  it('the optimal variance makes the bound of the same draws lower', async () => {
    const directory = await withPictures(6);
    const line = ['eval', 'pictures', '--timesteps', '4', '--variance'];
    const of = async (variance: string) => (await callMainJson([...line, variance], directory)) as EvalReport;
    const [optimal, beta] = [(await of('optimal')).likelihood!, (await of('beta')).likelihood!];
    expect(optimal.options.variance).toBe('optimal');
    expect(optimal.rmse).toEqual(beta.rmse);
    // 0.27 on 256 images of the test set.
    expect(beta.bound.total.value - optimal.bound.total.value).toBeGreaterThan(0.15);
    expect(optimal.bound.total.value).toBeGreaterThan(3);
  });

  it("all terms of a crop: L_1:T-1 is the sum of the codec's KL of one-step jumps", async () => {
    const directory = await temporaryDirectory();
    const args = ['eval', PHOTO, '--crop', '8', '--model', 'cifar10', '--timesteps', 'all'];
    const run = ['--variance', 'beta-tilde', '--plot', join(directory, 'terms.svg')];
    const { likelihood } = (await ddpmCodecJson([...args, ...run])) as EvalReport;
    const { bound, terms, width, height, options } = likelihood!;
    expect([width, height, bound.images, bound.evaluations]).toEqual([8, 8, 1, 1000]);
    expect(options).toMatchObject({ timesteps: 'all', variance: 'beta-tilde', crop: 8 });
    expect(terms.map(({ t }) => t)).toEqual(Array.from({ length: 1000 }, (_, i) => i + 1));
    const schedule = createSchedule(paperSchedule);
    const jumps = terms.slice(1).map(({ t, mse }) => jumpKlBits(schedule, t, t - 1, mse));
    expect(bound.diffusion.value / jumps.reduce((a, b) => a + b)).toBeCloseTo(1, 9);
    // One image gives no standard error.
    expect(bound.total.standardError).toBeNull();
    const svg = await readFile(join(directory, 'terms.svg'), 'utf8');
    expect(svg).toMatch(/^<svg/);
    for (const text of ['bits/dim', 'grey levels', 'model cifar10, 1 image of']) expect(svg).toContain(text);
  });

  it('leaves out what it cannot read, says so, and ends with 1', async () => {
    const directory = await withPictures(3);
    await writeFile(join(directory, 'pictures/01.png'), 'broken');
    const { code, stdout, stderr } = await callMain(['eval', 'pictures', '--timesteps', '1', '--json'], directory);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^ddpm-codec: pictures\/01.png: not a picture.*\n.*1 image could not be used.*\n$/);
    const { likelihood, skipped }: EvalReport = JSON.parse(stdout);
    expect(skipped).toEqual([{ name: 'pictures/01.png', error: expect.stringContaining('not a picture') }]);
    expect(likelihood!.bound.images).toBe(2);
  });
});

it('FID and inception scores of flat colours are what the formulas say', async () => {
  const directory = await temporaryDirectory();
  const reds = (levels: readonly number[]) =>
    levels.map((red, i) => {
      // Sizes vary, because the network resizes to its own.
      const [width, height] = [8 + i, 12];
      const data = Uint8Array.from({ length: width * height * 3 }, (_, k) => (k % 3 === 0 ? red : 0));
      return { width, height, data };
    });
  const [a, b] = [
    [0, 51, 102, 153],
    [102, 153, 255, 204, 255],
  ];
  await putPictures(join(directory, 'a'), reds(a));
  await putPictures(join(directory, 'b'), reds(b));
  // Class 0 by default; class 1 becomes more certain the redder the picture.
  const logits = [
    [0, 4],
    [0, 0],
    [0, 0],
  ];
  await writeFile(join(directory, 'colour.onnx'), meanColourNetwork(['n', 3, 10, 10], logits));
  const args = ['eval', 'a', '--no-bound', '--fid', 'b', '--features', 'colour.onnx'];
  const { fid, likelihood } = (await ddpmCodecJson(args, directory)) as EvalReport;
  expect(likelihood).toBeUndefined();
  const moments = (levels: readonly number[]) => {
    const mean = levels.reduce((sum, x) => sum + x / 255, 0) / levels.length;
    const squares = levels.reduce((sum, x) => sum + (x / 255 - mean) ** 2, 0);
    return { mean, deviation: Math.sqrt(squares / (levels.length - 1)) };
  };
  const [one, other] = [moments(a), moments(b)];
  expect(fid!.fid).toBeCloseTo((one.mean - other.mean) ** 2 + (one.deviation - other.deviation) ** 2, 6);
  expect(fid).toMatchObject({ dimensions: 3, images: { data: 4, against: 5 }, against: 'b' });
  const score = (levels: readonly number[]) => {
    const p = levels.map((x) => 1 / (1 + Math.exp(-4 * (x / 255))));
    const mean = p.reduce((x, y) => x + y) / p.length;
    const nats = p.map((x) => x * Math.log(x / mean) + (1 - x) * Math.log((1 - x) / (1 - mean)));
    return Math.exp(nats.reduce((x, y) => x + y) / p.length);
  };
  expect(fid!.inceptionScore!.data.value).toBeCloseTo(score(a), 5);
  expect(fid!.inceptionScore!.against.value).toBeCloseTo(score(b), 5);
  const { stdout } = await callMain(args, directory);
  expect(stdout).toContain(`FID ${fid!.fid.toPrecision(5)} between 4 images and 5 of b, by colour.onnx`);
});

describe('refusals', () => {
  it.each([
    ['eval', /expected <data\.\.>/],
    ['eval a.png --model none', /--model: expected .* got "none"/],
    ['eval a.png --no-bound --fid a.png --features b.onnx --variance beta', /--variance: not with --no-bound/],
    ['eval cifar10', /expected cifar10:test or cifar10:train/],
    ['eval cifar10:test[3]', /such as cifar10:test\[0:256\]/],
    ['eval a.png[0:2]', /a.png\[0:2\]: expected \[from:to\] with 0 <= from < to <= 1/],
    ['eval a.png a.png', /a.png: is named more than once/],
    ['eval a.png --timesteps 0', /--timesteps: expected an integer from 1 to 10000, got 0/],
    ['eval a.png --timesteps some', /--timesteps: expected an integer from 1 to 10000 or "all", got "some"/],
    [
      'eval a.png --variance wide',
      /--variance: expected one of "beta", "beta-tilde", "learned", "optimal", got "wide"/,
    ],
    ['eval a.png --variance learned', /variance: expected beta or beta-tilde for a network that gives no variance/],
    ['eval a.png --crop 0', /--crop: expected an integer of 1 or more, got 0/],
    ['eval a.png --plot terms.pdf', /terms.pdf: figures are written as .svg, .png or .tex/],
    ['eval a.png --plot x.svg -o x.svg', /x.svg: named by both --output and --plot/],
    ['eval a.png --fid b', /--fid: expected --features/],
    ['eval a.png --fid a.png --features b.onnx', /--fid: expected at least 2 images on either side, got 1/],
    ['eval a.png --features b.onnx', /--features: expected --fid/],
    ['eval a.png --no-bound', /--no-bound: leaves nothing to do without --fid/],
    ['eval a.png --no-bound --fid a.png --features b --train a.png', /--train: not with --no-bound/],
    ['eval a.png --background glass', /background: expected an opaque colour/],
  ])('%s', async (line, message) => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'a.png'), await encodePng(syntheticImage(8, 8)));
    const result = await callMain([...line.split(' '), '--quiet'], directory);
    expectRefusal(result, 2, message);
  });

  it.each([
    ['eval none', /none: no such file or directory; expected cifar10:test/],
    ['eval empty', /empty: this directory has no pictures/],
    ['eval text.png', /text.png: not a picture/],
    ['eval a.png -o none/a.json', /none\/a.json: cannot write in none/],
    ['eval wide.png', /takes sides that are multiples of 4 up to 64, got 80x8; --crop 32/],
    ['eval odd.png', /takes sides that are multiples of 4 up to 64, got 7x8/],
    ['eval a.png odd.png', /odd.png: expected 8x8 pixels as before it, got 7x8; --crop N/],
    ['eval a.png --train odd.png', /odd.png: expected 8x8 pixels/],
    ['eval a.png --crop 9', /a.png: 8x8 pixels, smaller than --crop 9/],
    ['eval two --no-bound --fid two --features none.onnx', /none.onnx: no such file/],
    ['eval two --no-bound --fid two --features text.png', /text.png: not an ONNX network/],
  ])('%s', async (line, message) => {
    const directory = await temporaryDirectory();
    const put = (name: string, bytes: Uint8Array | string) => writeFile(join(directory, name), bytes);
    await mkdir(join(directory, 'empty'));
    await put('a.png', await encodePng(syntheticImage(8, 8)));
    await put('wide.png', await encodePng(syntheticImage(80, 8)));
    await put('odd.png', await encodePng(syntheticImage(7, 8)));
    await put('text.png', 'hello');
    await putPictures(join(directory, 'two'), [syntheticImage(8, 8), syntheticImage(8, 8)]);
    const result = await callMain([...line.split(' '), '--quiet'], directory);
    expectRefusal(result, 1, message);
  });
});
