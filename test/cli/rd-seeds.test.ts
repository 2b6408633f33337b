/** `rd --seed`: files for several seeds, and how their results vary. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { encodePng } from '../../src/node/image/write.js';
import { callMain, callMainJson, expectRefusal } from '../helpers/cli.js';
import { cifarTestImages } from '../helpers/fixtures.js';

let directory: string;
const at = (...names: string[]) => join(directory, ...names);
const FILE = ['--effort', '1', '--target-rmse', '6'];
const rd = (report: string, ...args: string[]) =>
  callMain(['rd', 'in', '-o', report, ...FILE, '--points', '4', ...args], directory);
const readReport = async (report: string) => JSON.parse(await readFile(at(report, 'results.json'), 'utf8'));

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-rd-seeds-'));
  await mkdir(at('in'));
  const images = await cifarTestImages();
  for (const i of [0, 1]) await writeFile(at('in', `${i}.png`), await encodePng(images[i]));
});

afterAll(() => rm(directory, { recursive: true, force: true }));

it('makes the files of each seed, and tells how their results scatter', async () => {
  const { code, stderr } = await rd('report', '--seed', '0,7', '--baselines', 'jpeg');
  expect(code, stderr).toBe(0);
  const { images, summary } = await readReport('report');
  const [ours] = images.map((image: { ours: object }) => image.ours);
  expect(Object.keys(ours)).toEqual(['ddpm-codec-seed-0', 'ddpm-codec-seed-7']);
  for (const seed of [0, 7]) {
    const [{ bytes }] = (
      await callMainJson(['encode', at('in', '0.png'), '-o', at(`${seed}.ddc`), '--seed', String(seed), ...FILE])
    ).images;
    expect(ours[`ddpm-codec-seed-${seed}`].fileBytes).toBe(bytes);
  }

  const [{ label, seeds, bitsPerDimAtRmse, bdRates }] = summary.scatter;
  expect({ label, seeds }).toEqual({ label: 'ddpm-codec, effort 1', seeds: 2 });
  const means = ['ddpm-codec-seed-0', 'ddpm-codec-seed-7'].map(
    (name) =>
      summary.codecs
        .find((codec: { name: string }) => codec.name === name)
        .bitsPerDimAtRmse.find(({ rmse }: { rmse: number }) => rmse === 10).mean,
  );
  const { over } = bitsPerDimAtRmse.find(({ rmse }: { rmse: number }) => rmse === 10);
  expect(over.mean).toBeCloseTo((means[0] + means[1]) / 2, 12);
  expect(over.deviation).toBeCloseTo(Math.abs(means[0] - means[1]) / Math.SQRT2, 12);
  expect(over.deviation).toBeGreaterThan(0);
  // Files end at an RMSE of 6, so no rate is known at 3.
  expect(bitsPerDimAtRmse.at(-1)).toEqual({ rmse: 3, over: null });
  expect(bdRates[0]).toEqual({ anchor: 'jpeg', over: { mean: expect.any(Number), deviation: expect.any(Number) } });
  expect(bdRates[0].over.deviation).toBeGreaterThan(0);
  const table = await readFile(at('report', 'tables', 'scatter.md'), 'utf8');
  expect(table).toContain(`${over.mean.toFixed(5)} ± ${over.deviation.toFixed(5)}`);
});

it('goes on with a report of an earlier version, which has one seed', async () => {
  expect((await rd('earlier', '--seed', '3')).code).toBe(0);
  const run = JSON.parse(await readFile(at('earlier', 'run.json'), 'utf8'));
  const { seeds, ...options } = run.options;
  expect(seeds).toEqual([3]);
  await writeFile(at('earlier', 'run.json'), JSON.stringify({ ...run, options: { ...options, seed: 3 } }));
  const { code, stderr } = await rd('earlier', '--seed', '3');
  expect({ code, stderr }).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('2 of 2 images finished already'),
  });
  expect((await readReport('earlier')).summary.scatter).toEqual([]);
});

it('refuses seeds that are none, or twice there', async () => {
  expectRefusal(await rd('no', '--seed', '1,1'), 2, /--seed: expected each number once, got "1,1"/);
  expectRefusal(await rd('no', '--seed', '1,-2'), 2, /--seed: expected an integer/);
  expectRefusal(await rd('no', '--seed', [...Array(21).keys()].join()), 2, /--seed: expected at most 20 seeds/);
});
