/** `rd merge`: reports with other curves of the same images become the report of a single run. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodePng } from '../../src/node/image/write.js';
import { callMain, expectRefusal } from '../helpers/cli.js';
import { seededFeatures } from '../helpers/feature-network.js';
import { cifarTestImages } from '../helpers/fixtures.js';
import { timeless } from '../helpers/reports.js';

const METRICS = ['--metrics', 'fid=features.onnx,ssimulacra2'];
const OURS = ['--target-rmse', '14', '--points', '4', '--theory', ...METRICS];

let directory: string;
const at = (...names: string[]) => join(directory, ...names);
const run = (...args: string[]) => callMain(['rd', ...args], directory);
const json = async (...names: string[]) => JSON.parse(await readFile(at(...names), 'utf8'));

async function measure(report: string, ...options: string[]): Promise<void> {
  const { code, stderr } = await run('in', '-o', report, ...options);
  expect(code, stderr).toBe(0);
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-rd-merge-'));
  const images = await cifarTestImages();
  await mkdir(at('in'));
  for (const [i, name] of ['a', 'b'].entries()) await writeFile(at('in', `${name}.png`), await encodePng(images[i]));
  await writeFile(at('features.onnx'), seededFeatures('features', 6).file);
  await measure('first', ...OURS, '--effort', '2', '--baselines', 'webp', '--shard', '1/2');
  await measure('second', ...OURS, '--effort', '2', '--baselines', 'webp', '--shard', '2/2');
  await measure('fast', ...OURS, '--effort', '1', '--baselines', 'webp');
  await measure('others', ...METRICS, '--model', 'none', '--baselines', 'jpeg,png');
});

afterAll(() => rm(directory, { recursive: true, force: true }));

describe('efforts, parts and other codecs, measured apart', () => {
  it('are the report of a single run, which goes on with it', async () => {
    const { code, stderr } = await run('merge', 'others', 'first', 'fast', 'second', '-o', 'merged');
    expect(code, stderr).toBe(0);
    const options = [...OURS, '--effort', '2,1', '--baselines', 'webp,jpeg,png'];
    await measure('whole', ...options);
    for (const name of [
      'run.json',
      'results.json',
      ...(await readdir(at('whole', 'images'))).map((one) => `images/${one}`),
    ]) {
      if (name.endsWith('.f32')) expect(await readFile(at('merged', name))).toEqual(await readFile(at('whole', name)));
      else expect(timeless(await json('merged', name))).toEqual(timeless(await json('whole', name)));
    }
    expect(await run('in', '-o', 'merged', ...options)).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('2 of 2 images finished already'),
    });
  });

  it('may lack curves of some images, which are then left out and told', async () => {
    const { code, stderr, stdout } = await run('merge', 'first', 'fast', '-o', 'half');
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /1 of 2 images not in these reports \(in\/b.png lacks effort 2 with seed 0\); the report is of/,
    );
    expect(stdout).toContain('1 image in half');
    expect(Object.keys((await json('half', 'results.json')).images[0].ours)).toEqual([
      'ddpm-codec-effort-2',
      'ddpm-codec-effort-1',
    ]);
  });
});

it('rd says how to add a curve to a finished report', async () => {
  expectRefusal(
    await run('in', '-o', 'fast', ...OURS, '--effort', '1,3', '--baselines', 'webp', '-q'),
    1,
    /efforts \[1\], now \[1,3\]; measure what is new in another directory and join both with 'rd merge', or begin anew/,
  );
});

describe('refuses', () => {
  it('other options, which would make other files', async () => {
    await measure('worse', '--target-rmse', '20', '--points', '4', '--theory', ...METRICS, '--effort', '3');
    expectRefusal(
      await run('merge', 'fast', 'worse', '-o', 'x'),
      1,
      /worse: is of another run than fast: targetRmse 14, now 20/,
    );
  });

  it('what another report has, too', async () => {
    expectRefusal(await run('merge', 'fast', 'others', 'fast', '-o', 'x'), 1, /fast: in\/a.png is in another of these/);
    expectRefusal(await run('merge', 'others', 'others', '-o', 'x'), 1, /others: in\/a.png is in another of these/);
  });

  it('an effort without one of the seeds', async () => {
    await measure('seeded', ...OURS, '--effort', '3', '--seed', '7', '--baselines', 'webp');
    expectRefusal(
      await run('merge', 'fast', 'seeded', '-o', 'x'),
      1,
      /expected each effort with each seed, but none of these reports has effort 1 with seed 7/,
    );
  });

  it('other pictures of the same names', async () => {
    await cp(at('others'), at('changed'), { recursive: true });
    const file = at('changed', 'images', '00000-a.json');
    await writeFile(file, (await readFile(file, 'utf8')).replace(/"pixels": "\w+"/, '"pixels": "0123456789abcdef"'));
    expectRefusal(
      await run('merge', 'fast', 'changed', '-o', 'x'),
      1,
      /changed: in\/a.png is another picture than in fast/,
    );
  });
});
