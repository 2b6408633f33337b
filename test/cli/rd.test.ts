/** The complete `rd` command on small pictures: numbers, resuming, parts, bad pictures. */
import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { psnr, rmse } from '../../src/image/metrics.js';
import { ssim } from '../../src/image/ms-ssim.js';
import { networkMultiplyAdds } from '../../src/model/multiply-adds.js';
import { readImage } from '../../src/node/image/read.js';
import { encodePng } from '../../src/node/image/write.js';
import { loadModelInfo } from '../../src/node/models.js';
import { callMain, callMainJson, ddpmCodec, expectRefusal } from '../helpers/cli.js';
import { cifarTestImages } from '../helpers/fixtures.js';
import { timeless } from '../helpers/reports.js';

const OPTIONS = ['--effort', '1', '--target-rmse', '14', '--baselines', 'webp,png', '--seed', '5'];

/** Directory with the pictures a.png, b.png, c.png, and the report of all of them. */
let directory: string;
const at = (...names: string[]) => join(directory, ...names);
const results = async (report: string) => JSON.parse(await readFile(at(report, 'results.json'), 'utf8'));

/** Published results to compare with in the summary. This is not an option of a run, so any report may include it or not. */
const PUBLISHED = ['--published', 'cifar10'];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-rd-'));
  const images = await cifarTestImages();
  await mkdir(at('in'));
  for (const [i, name] of ['a', 'b', 'c'].entries())
    await writeFile(at('in', `${name}.png`), await encodePng(images[i]));
  const run = await ddpmCodec(['rd', at('in'), '-o', at('whole'), ...OPTIONS, ...PUBLISHED]);
  expect(run.code, run.stderr).toBe(0);
});

afterAll(() => rm(directory, { recursive: true, force: true }));

describe('rd', () => {
  it('leaves a report of numbers, figures and a page', async () => {
    expect((await readdir(at('whole'))).sort()).toEqual(
      [
        ...['compressai', 'figures', 'images', 'images.csv', 'mean.csv', 'report.html', 'results.json', 'run.json'],
        'tables',
      ].sort(),
    );
    const figures = await readdir(at('whole', 'figures'));
    for (const name of [
      'distortion-vs-steps',
      'rate-vs-steps',
      'distortion-vs-rate',
      'psnr-vs-rate',
      'overhead-vs-rate',
    ]) {
      expect(figures).toContain(`${name}.svg`);
      expect((await readFile(at('whole', 'figures', `${name}.png`))).subarray(1, 4).toString()).toBe('PNG');
      expect(await readFile(at('whole', 'figures', `${name}.tex`), 'utf8')).toContain('\\begin{tikzpicture}');
    }
    const tables = await readdir(at('whole', 'tables'));
    for (const name of ['rates', 'rates-bpp', 'bd', 'table4']) {
      expect(tables).toEqual(expect.arrayContaining([`${name}.tex`, `${name}.md`]));
    }
    const { summary, failed, missing, options } = await results('whole');
    expect({ failed, missing, shard: options.shard, images: summary.images }).toEqual({
      failed: [],
      missing: 0,
      shard: null,
      images: 3,
    });
    const codecs = summary.codecs.map(({ name }: { name: string }) => name);
    const others = ['webp', 'png', 'webp-lossless'];
    expect(codecs).toEqual(['ddpm-codec', ...others, ...others.map((name) => `${name}-payload`)]);
    const lossless = summary.codecs.map((codec: { losslessBitsPerDim: number | null }) => codec.losslessBitsPerDim);
    const one = expect.any(Number);
    expect(lossless).toEqual([null, null, one, one, null, one, one]);
  });

  it('numbers are those that encode and decode give by hand', async () => {
    const input = at('in', 'b.png');
    const image = (await results('whole')).images.find(({ name }: { name: string }) => name === input);
    const ours = image.ours['ddpm-codec'];
    const options = ['--effort', '1', '--target-rmse', '14', '--seed', '5'];
    const { images } = await callMainJson(['encode', input, '-o', at('b.ddc'), ...options]);
    expect((await stat(at('b.ddc'))).size).toBe(ours.fileBytes);
    expect(images[0]).toMatchObject({ bytes: ours.fileBytes, networkEvaluations: ours.networkEvaluations });
    expect(images[0].steps.length).toBe(ours.points.length);
    for (const point of [ours.points[0], ours.points[ours.points.length >> 1], ours.points.at(-1)]) {
      const decoded = at('b.png');
      await callMainJson(['decode', at('b.ddc'), '-o', decoded, '--bytes', String(point.bytes), '--force']);
      const [original, picture] = [await readImage(input), await readImage(decoded)];
      expect(point).toMatchObject({ rmse: rmse(original, picture), psnr: psnr(original, picture), msSsim: null });
      expect(point.ssim).toBe(ssim(original, picture));
      expect(point.bitsPerDim).toBeCloseTo((8 * point.bytes) / 3072, 12);
    }
  });

  it('what decoding takes is an evaluation of the network for each step, and one more for the picture', async () => {
    const { config } = await loadModelInfo('cifar10');
    const evaluation = networkMultiplyAdds(config, { width: 32, height: 32 });
    for (const { ours, width, height } of (await results('whole')).images) {
      const { decodingKmac, steps } = ours['ddpm-codec'];
      expect((decodingKmac * 1000 * width * height) / evaluation).toBeCloseTo(steps.length + 1, 9);
    }
  });

  it.skipIf(spawnSync('pdflatex', ['--version']).error !== undefined)('is input by a LaTeX document', async () => {
    const paper = fileURLToPath(new URL('../../examples/paper/paper.tex', import.meta.url));
    const { status, stdout } = spawnSync(
      'pdflatex',
      ['-interaction=nonstopmode', '-halt-on-error', `\\def\\report{${at('whole')}}\\input{${paper}}`],
      { cwd: directory, encoding: 'utf8' },
    );
    expect(status, stdout).toBe(0);
    expect((await readFile(at('paper.pdf'))).subarray(0, 4).toString()).toBe('%PDF');
    expect(stdout).not.toContain('Missing character');
  });

  it('the bits of header and steps are those of the file, and their KL that of the points', async () => {
    for (const { ours } of (await results('whole')).images) {
      const { fileBytes, headerBytes, steps, points } = ours['ddpm-codec'];
      const sum = (key: 'bits' | 'klBits') => steps.reduce((total: number, step: never) => total + step[key], 0);
      expect(headerBytes + Math.ceil(sum('bits') / 8)).toBe(fileBytes);
      expect(points.at(-1)).toMatchObject({ bytes: fileBytes });
      expect(points.at(-1).klBits).toBeCloseTo(sum('klBits'), 6);
    }
  });

  it('exports what results.json has: CSV and curves in CompressAI’s form', async () => {
    const { images, summary } = await results('whole');
    const rows = (await readFile(at('whole', 'images.csv'), 'utf8')).trim().split('\n');
    const points = images.flatMap(({ ours, baselines, theory }: Record<string, Record<string, never>>) => [
      ...Object.values(ours).flatMap((curve: { points: unknown[] }) => curve.points),
      ...Object.values(baselines).flat(),
      ...Object.values(theory).flat(),
    ]);
    expect(rows.length).toBe(1 + points.length);
    for (const row of rows) expect(row.split(',').length).toBe(15);
    const [{ mean }] = summary.codecs;
    const curve = JSON.parse(await readFile(at('whole', 'compressai', 'ddpm-codec.json'), 'utf8'));
    // The description gives the set's own name, not its path.
    expect(curve.description).toMatch(/; mean of 3 images \(in\); /);
    expect(await readFile(at('whole', 'report.html'), 'utf8')).toContain('<title>Rate and distortion: in</title>');
    expect(curve.results.bpp).toEqual(mean.map(({ bpp }: { bpp: number }) => bpp));
    expect(curve.results['psnr-rgb']).toEqual(mean.map((point: { psnr: number }) => point.psnr));
    expect(curve.results['ms-ssim-rgb']).toEqual([]);
    expect(curve.results.decoding_time.length).toBe(mean.length);
  });

  it('two parts merged are the whole, whichever processes measured them', async () => {
    const first = await ddpmCodec(['rd', at('in'), '-o', at('part1'), ...OPTIONS, '--shard', '1/2', '--jobs', '2']);
    expect(first.code, first.stderr).toBe(0);
    expect(first.stderr).toContain('part 1 of 2 (--shard): 2 images');
    const slurm = { SLURM_ARRAY_TASK_ID: '2', SLURM_ARRAY_TASK_COUNT: '2', SLURM_ARRAY_TASK_MIN: '1' };
    const second = await callMain(['rd', at('in'), '-o', at('part2'), ...OPTIONS], undefined, slurm);
    expect(second.code, second.stderr).toBe(0);
    const merged = await ddpmCodec(['rd', 'merge', at('part2'), at('part1'), '-o', at('merged'), ...PUBLISHED]);
    expect(merged.code, merged.stderr).toBe(0);
    expect(merged.stdout).toMatch(/BD-rate, %[\s\S]*ddpm-codec, effort 1 against BPG, published +-?\d/);
    expect(timeless(await results('merged'))).toEqual(timeless(await results('whole')));

    const half = await callMain(['rd', 'merge', at('part1'), '-o', at('half'), '--published', 'kodak']);
    expect(half.code).toBe(1);
    expect(half.stderr).toMatch(/--published kodak is left out: expected Kodak's 24 photographs/);
    expect(half.stdout).not.toContain('published');
    expect(half.stderr).toMatch(/1 of 3 images not in these reports \(of part 2 of 2\)/);
    expect((await results('half')).missing).toBe(1);
    expectRefusal(await callMain(['rd', 'merge', at('part1'), at('part1'), '-o', at('x')]), 1, /a.png is in another/);
    expectRefusal(await callMain(['rd', 'merge', at('in'), '-o', at('x')]), 1, /found no run.json/);
    // Options of `rd` are not options of `rd merge`.
    expectRefusal(
      await callMain(['rd', 'merge', at('part1'), '-o', at('x'), '--theory']),
      2,
      /unknown option: --theory; it belongs to rd/,
    );
  });

  it('goes on where it was, and refuses to mix runs', async () => {
    await cp(at('whole'), at('again'), { recursive: true });
    const before = await results('again');
    await rm(at('again', 'images', '00001-b.json'));
    const args = ['rd', at('in'), '-o', at('again')];
    const run = await ddpmCodec([...args, ...OPTIONS, ...PUBLISHED]);
    expect(run.code, run.stderr).toBe(0);
    expect(run.stderr).toContain('2 of 3 images finished already');
    const after = await results('again');
    expect(timeless(after)).toEqual(timeless(before));
    expect(after.images[0]).toEqual(before.images[0]);

    const other = await callMain([...args, ...OPTIONS.map((one) => (one === '14' ? '15' : one)), '-q']);
    expectRefusal(other, 1, /was made with other options: targetRmse 14, now 15; name another directory/);
    expectRefusal(await callMain(['rd', at('in'), '-o', at('in'), ...OPTIONS]), 1, /expected an empty directory/);
    await cp(at('in', 'a.png'), at('in', 'c.png'));
    expectRefusal(await callMain([...args, ...OPTIONS]), 1, /00002-c.json is of another picture/);
    await writeFile(at('in', 'c.png'), await encodePng((await cifarTestImages())[2]));
  });

  it.each([1, 2])('tells, counts and skips a bad picture with %d processes', async (jobs) => {
    const input = at(`bad${jobs}`);
    await mkdir(input);
    await cp(at('in', 'a.png'), join(input, 'a.png'));
    await writeFile(join(input, 'b.png'), 'not a picture');
    const report = `of-bad${jobs}`;
    const quick = ['--model', 'none', '--baselines', 'webp,jxl', '--jobs', String(jobs)];
    const { code, stderr } = await ddpmCodec(['rd', input, '-o', at(report), ...quick]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/b.png: not a picture/);
    expect(stderr).toMatch(/1 of 2 images failed/);
    const { failed, images, summary } = await results(report);
    expect(failed).toMatchObject([{ index: 1, name: join(input, 'b.png'), error: { code: 'image' } }]);
    expect({ images: images.length, mean: summary.codecs[0].mean.length }).toEqual({ images: 1, mean: 15 });
    const names = ['webp', 'jxl', 'webp-lossless', 'jxl-lossless'];
    type Summary = { readonly name: string; readonly losslessBitsPerDim: number | null };
    expect(summary.codecs.map(({ name, losslessBitsPerDim }: Summary) => [name, losslessBitsPerDim !== null])).toEqual(
      [...names, ...names.map((name) => `${name}-payload`)].map((name) => [name, name.includes('lossless')]),
    );
    expect(await readFile(at(report, 'report.html'), 'utf8')).toContain('1 image failed');
  });

  it.each([
    [['--effort', '10'], /--effort: expected an integer from 1 to 9/],
    [['--effort', '3,3'], /--effort: expected each number once/],
    [
      ['--baselines', 'bpg'],
      /--baselines: expected jpeg, jpeg444, webp, avif, jxl, png, webp-lossless, jxl-lossless, got "bpg"/,
    ],
    [['--published', 'imagenet'], /--published: expected cifar10 or kodak/],
    [['--published', 'kodak'], /--published kodak: expected Kodak's 24 photographs, .* got 0 of them among 3 pictures/],
    [['--anchor', 'avif'], /--anchor avif: expected one of ddpm-codec$/m],
    [['--anchor', 'JPEG', '--baselines', 'jpeg,webp'], /--anchor JPEG: expected one of jpeg; jpeg444$/m],
    [['--shard', '3/2'], /--shard: expected I\/N/],
    [['--shard', '4/4'], /part 4 of 4: no images, there are only 3/],
    [['--jobs', '0'], /--jobs: expected an integer from 1/],
    [['--points', '1'], /--points: expected an integer from 2 to 10000/],
    [['--model', 'none'], /--model none: expected --baselines/],
    [['--target-rmse', 'low'], /--target-rmse: expected a number of grey levels above 0/],
  ])('refuses %j', async (options, message) => {
    expectRefusal(await callMain(['rd', at('in'), '-o', at('refused'), ...options]), 2, message);
    await expect(stat(at('refused'))).rejects.toThrow();
  });

  it('refuses images that are not there, and a missing output', async () => {
    expectRefusal(await callMain(['rd', at('nowhere'), '-o', at('refused')]), 1, /nowhere: no such file or directory/);
    expectRefusal(await callMain(['rd', at('in')]), 2, /expected --output/);
  });
});
