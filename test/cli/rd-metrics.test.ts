/** `rd --metrics` on small pictures, with small random networks: values checked by direct computation; parts; resuming; refusals. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RgbImage } from '../../src/image/image.js';
import { ssimulacra2 } from '../../src/image/ssimulacra2.js';
import { readImage } from '../../src/node/image/read.js';
import { encodePng } from '../../src/node/image/write.js';
import { decodeBaseline, encodeBaseline, findBaseline } from '../../src/report/baselines.js';
import { frechetDistanceOfSets } from '../../src/report/fid.js';
import { kernelDistance } from '../../src/report/kid.js';
import { callMain, callMainJson, ddpmCodec, expectRefusal } from '../helpers/cli.js';
import { seededDistance, seededFeatures } from '../helpers/feature-network.js';
import { cifarTestImages, syntheticImage } from '../helpers/fixtures.js';
import { timeless } from '../helpers/reports.js';

const lpips = seededDistance('lpips');
const dists = seededDistance('dists');
const features = seededFeatures('features', 6);
const METRICS = 'kid=features.onnx,ssimulacra2,lpips=lpips.onnx,dists=dists.onnx,fid=features.onnx';
const OPTIONS = ['--effort', '1', '--target-rmse', '14', '--points', '4', '--baselines', 'webp', '--metrics', METRICS];

let directory: string;
const at = (...names: string[]) => join(directory, ...names);
const run = (...args: string[]) => callMain(['rd', ...args], directory);
// biome-ignore lint/suspicious/noExplicitAny: JSON under test
type Json = any;
const results = async (report: string): Promise<Json> => JSON.parse(await readFile(at(report, 'results.json'), 'utf8'));

let images: RgbImage[];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-rd-metrics-'));
  images = (await cifarTestImages()).slice(0, 3);
  await mkdir(at('in'));
  for (const [i, name] of ['a', 'b', 'c'].entries())
    await writeFile(at('in', `${name}.png`), await encodePng(images[i]));
  await writeFile(at('lpips.onnx'), lpips.file);
  await writeFile(at('dists.onnx'), dists.file);
  await writeFile(at('features.onnx'), features.file);
  const { code, stderr } = await run('in', '-o', 'whole', ...OPTIONS);
  expect(code, stderr).toBe(0);
});

afterAll(() => rm(directory, { recursive: true, force: true }));

const webp = async (image: RgbImage, quality: number) => {
  const codec = findBaseline('webp');
  return decodeBaseline(await encodeBaseline(image, codec, quality), codec);
};

describe('values', () => {
  it('of pictures are those of the metrics on what was decoded, of other codecs and of ours', async () => {
    const measured = await results('whole');
    const { quality, metrics } = measured.images[1].baselines.webp[4];
    const check = (values: Json, picture: RgbImage) => {
      expect(Object.keys(values)).toEqual(['ssimulacra2', 'lpips', 'dists']);
      expect(values.ssimulacra2).toBe(ssimulacra2(images[1], picture));
      expect(values.lpips).toBeCloseTo(lpips.distance(images[1], picture), 6);
      expect(values.dists).toBeCloseTo(dists.distance(images[1], picture), 6);
    };
    check(metrics, await webp(images[1], quality));
    await callMainJson(['encode', at('in', 'b.png'), '-o', at('b.ddc'), '--effort', '1', '--target-rmse', '14']);
    const { points } = measured.images[1].ours['ddpm-codec'];
    const { bytes, metrics: ours } = points[points.length - 2];
    await callMainJson(['decode', at('b.ddc'), '-o', at('b.png'), '--bytes', String(bytes)]);
    check(ours, await readImage(at('b.png')));
  });

  it('means of pictures are arithmetic, and stand in CSV', async () => {
    const { images: each, summary } = await results('whole');
    const { mean } = summary.codecs.find(({ name }: Json) => name === 'webp');
    const lpipsOf = each.map(({ baselines }: Json) => baselines.webp[4].metrics.lpips);
    expect(mean[4].metrics.lpips).toBeCloseTo((lpipsOf[0] + lpipsOf[1] + lpipsOf[2]) / 3, 12);
    const [head, ...rows] = (await readFile(at('whole', 'images.csv'), 'utf8')).trim().split('\n');
    expect(head).toMatch(/,decode_seconds,ssimulacra2,lpips,dists$/);
    expect(rows.every((row) => row.split(',').length === 18)).toBe(true);
    expect(await readFile(at('whole', 'mean.csv'), 'utf8')).toMatch(
      /^codec,.*,mean_ssimulacra2,mean_lpips,mean_dists\n/,
    );
    const { results: curve } = JSON.parse(await readFile(at('whole', 'compressai', 'webp.json'), 'utf8'));
    expect(curve.lpips).toEqual(mean.map((point: Json) => point.metrics.lpips));
  });

  it('of sets are those of the features of all pictures at one quality', async () => {
    const { distances } = await results('whole');
    expect(distances.map(({ metric, codec, patches }: Json) => [metric, codec, patches])).toEqual([
      ['fid', 'ddpm-codec', 3],
      ['fid', 'webp', 3],
      ['kid', 'ddpm-codec', 3],
      ['kid', 'webp', 3],
    ]);
    const [fid, kid] = ['fid', 'kid'].map((name) =>
      distances.find(({ metric, codec }: Json) => metric === name && codec === 'webp'),
    );
    const { quality } = fid.points[2];
    const originals = images.map(features.features);
    const decoded = await Promise.all(images.map(async (image) => features.features(await webp(image, quality))));
    expect(fid.points[2].value).toBeCloseTo(frechetDistanceOfSets(originals, decoded), 5);
    const expected = kernelDistance(originals, decoded);
    expect(kid.points[2].value).toBeCloseTo(expected.value, 4);
    expect(kid.points[2].standardError).toBeCloseTo(expected.standardError!, 4);
  });

  it('of our sets are at equal shares of the bytes of every file, and the means of just these points', async () => {
    const { distances, images: each } = await results('whole');
    const [{ points }] = distances;
    expect(points.length).toBeGreaterThan(2);
    for (const [k, { t, bpp }] of points.entries()) {
      expect(t).toBe(null);
      const chosen = each.map(({ ours }: Json) => ours['ddpm-codec'].points.at(k - points.length));
      expect(bpp).toBeCloseTo(chosen.reduce((sum: number, point: Json) => sum + point.bpp, 0) / 3, 10);
    }
  });
});

it('has a figure and a table for each metric, and says by which network', async () => {
  const figures = await readdir(at('whole', 'figures'));
  const page = await readFile(at('whole', 'report.html'), 'utf8');
  for (const [name, label] of Object.entries({
    ssimulacra2: 'SSIMULACRA2',
    lpips: 'LPIPS',
    dists: 'DISTS',
    fid: 'FID',
    kid: 'KID',
  })) {
    expect(figures).toEqual(expect.arrayContaining([`${name}-vs-rate.svg`, `${name}-vs-rate.png`]));
    expect(page).toContain(`${label} at bits/pixel`);
  }
  const { options } = await results('whole');
  expect(options.metrics.map(({ name }: Json) => name)).toEqual(['ssimulacra2', 'lpips', 'dists', 'fid', 'kid']);
  expect(page).toContain(options.metrics[3].network);
});

it('parts that are merged are the whole, and a run goes on without what is finished', async () => {
  for (const part of ['1/2', '2/2']) {
    const { code, stderr } = await ddpmCodec(
      ['rd', at('in'), '-o', at(`part${part[0]}`), '--shard', part, ...OPTIONS, '--jobs', '2'].map((one) =>
        one === METRICS ? METRICS.replaceAll('=', `=${directory}/`) : one,
      ),
    );
    expect(code, stderr).toBe(0);
  }
  const merged = await run('merge', 'part2', 'part1', '-o', 'merged');
  expect(merged.code, merged.stderr).toBe(0);
  const names = (value: Json) => ({
    ...value,
    options: 0,
    images: value.images.map((image: Json) => ({ ...image, name: 0 })),
  });
  const whole = await results('whole');
  expect(timeless(names(await results('merged')))).toEqual(timeless(names(whole)));

  await rm(at('whole', 'images', '00001-b.json'));
  const again = await run('in', '-o', 'whole', ...OPTIONS);
  expect(again.stderr).toContain('2 of 3 images finished already');
  expect(timeless(await results('whole'))).toEqual(timeless(whole));
});

describe('files of features', () => {
  const name = async () =>
    (await readdir(at('whole', 'images'))).find((one) => /^00000-a\.[0-9a-f]{12}\.f32$/.test(one))!;

  it.each([
    [
      'missing',
      (path: string) => rm(path),
      /no such file.*; remove 00000-a.json beside it, and its image is measured again/,
    ],
    ['cut off', (path: string) => truncate(path, 100), /expected \d+ bytes, got 100; remove 00000-a.json/],
    [
      'of no numbers',
      async (path: string) => writeFile(path, Buffer.alloc((await stat(path)).size, 255)),
      /expected finite numbers; remove/,
    ],
  ])('%s: said, with what to do', async (what, spoil, message) => {
    const copy = `spoilt-${what}`.replaceAll(' ', '-');
    await cp(at('whole'), at(copy), { recursive: true });
    await spoil(at(copy, 'images', await name()));
    const { code, stderr } = await run('in', '-o', copy, ...OPTIONS);
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
    await rm(at(copy, 'images', '00000-a.json'));
    expect((await run('in', '-o', copy, ...OPTIONS)).code).toBe(0);
  });

  it('go with their images when a run is begun anew', async () => {
    await cp(at('whole'), at('anew'), { recursive: true });
    const { code, stderr } = await run('in', '-o', 'anew', '--model', 'none', '--baselines', 'png', '--force');
    expect(code, stderr).toBe(0);
    expect(await readdir(at('anew', 'images'))).toEqual(['00000-a.json', '00001-b.json', '00002-c.json']);
    expect((await results('anew')).distances).toBeUndefined();
  });
});

describe('refusals', () => {
  it.each<[string[], 1 | 2, RegExp]>([
    [['--metrics', 'vmaf'], 2, /--metrics: expected some of ssimulacra2, lpips=FILE.onnx, .*, got "vmaf"/],
    [['--metrics', 'lpips'], 2, /--metrics: expected some of/],
    [['--metrics', 'ssimulacra2=x.onnx'], 2, /--metrics: expected some of/],
    [['--metrics', 'fid=features.onnx,fid=lpips.onnx'], 2, /--metrics: expected each metric once/],
    [['--metrics', 'fid=nowhere.onnx'], 1, /nowhere.onnx: no such file/],
    [['--metrics', 'fid=lpips.onnx'], 1, /lpips.onnx: expected one float32 input/],
    [['--metrics', 'lpips=features.onnx'], 1, /features.onnx: expected two float32 inputs/],
    [['--metrics', 'lpips=in/a.png'], 1, /a.png: not an ONNX network/],
  ])('%j', async (options, code, message) => {
    expectRefusal(await run('in', '-o', 'refused', '--model', 'none', '--baselines', 'png', ...options), code, message);
    await expect(stat(at('refused'))).rejects.toThrow();
  });

  it('pictures of two sizes, where sets are compared', async () => {
    await mkdir(at('mixed'));
    for (const side of [16, 24])
      await writeFile(at('mixed', `${side}.png`), await encodePng(syntheticImage(side, side)));
    const quick = ['mixed', '-o', 'of-mixed', '--model', 'none', '--baselines', 'png'];
    expectRefusal(
      await run(...quick, '--metrics', 'kid=features.onnx'),
      2,
      /--metrics: FID and KID expected pictures of at least 256x256, or all of one size, got 16x16, 24x24/,
    );
    expect((await run(...quick, '--metrics', 'ssimulacra2')).code).toBe(0);
  });

  it.each<[string, (file: Json) => void, RegExp]>([
    [
      'run.json',
      ({ options }) => (options.metrics[0].name = 'vmaf'),
      /options\.metrics\.0\.name: expected the name of a metric/,
    ],
    [
      'run.json',
      ({ options }) => (options.metrics[1].network = '../x'),
      /options\.metrics\.1\.network: expected 64 hexadecimal digits/,
    ],
    ['run.json', ({ options }) => (options.metrics[1].network = null), /options\.metrics\.1: expected a network where/],
    [
      'run.json',
      ({ options }) => options.metrics.push(options.metrics[0]),
      /options\.metrics: expected each metric once/,
    ],
    ['images/00000-a.json', (image) => delete image.features, /expected features by each network asked for/],
    [
      'images/00000-a.json',
      (image) => delete image.baselines.webp[0].metrics.lpips,
      /baselines\.webp\.0\.metrics\.lpips: expected it/,
    ],
    [
      'images/00000-a.json',
      (image) => (image.baselines.webp[0].metrics.lpips = 'x'),
      /metrics\.lpips: expected .*, got "x"/,
    ],
    [
      'images/00000-a.json',
      (image) => (Object.values<Json>(image.features)[0].patches = 0),
      /patches: expected an integer of 1 or more/,
    ],
  ])('of a part, %s: %s', async (file, change, message) => {
    await rm(at('changed'), { recursive: true, force: true });
    await cp(at('whole'), at('changed'), { recursive: true });
    const value = JSON.parse(await readFile(at('changed', file), 'utf8'));
    change(value);
    await writeFile(at('changed', file), JSON.stringify(value));
    expectRefusal(await run('merge', 'changed', '-o', 'refused'), 1, message);
  });
});
