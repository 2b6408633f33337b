/** How `rd` and `rd merge` handle foreign files, names that are special elsewhere, and a lack of anything to show. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readRun, saveImage } from '../../src/cli/rd/directory.js';
import { encodePng } from '../../src/node/image/write.js';
import type { ImageResult } from '../../src/report/rd/results.js';
import { callMain, expectRefusal, type RunResult } from '../helpers/cli.js';
import { cifarTestImages } from '../helpers/fixtures.js';

/** The quickest report: no model and one other codec. */
const QUICK = ['--model', 'none', '--baselines', 'webp'];
const MODELLED = ['--effort', '1', '--target-rmse', '20', '--baselines', 'webp', '--theory'];

let directory: string;
const at = (...names: string[]) => join(directory, ...names);
const run = (...args: string[]) => callMain(['rd', ...args], directory);
// biome-ignore lint/suspicious/noExplicitAny: JSON under test
type Json = any;
const json = async (path: string): Promise<Json> => JSON.parse(await readFile(at(path), 'utf8'));
const text = (path: string) => readFile(at(path), 'utf8');

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-rd-foreign-'));
  const images = await cifarTestImages();
  await mkdir(at('in'));
  for (const [i, name] of ['a', 'b'].entries()) await writeFile(at('in', `${name}.png`), await encodePng(images[i]));
  for (const [report, shard, options] of [
    ['part1', '1/2', QUICK],
    ['part2', '2/2', QUICK],
    ['modelled', '1/1', MODELLED],
  ] as const) {
    const { code, stderr } = await run('in', '-o', report, '--shard', shard, ...options);
    expect(code, stderr).toBe(0);
  }
});

afterEach(() => rm(at('merged'), { recursive: true, force: true }));
afterAll(() => rm(directory, { recursive: true, force: true }));

/** A copy of a report with one of its files changed or replaced by this text. */
async function changed(report: string, file: string, change: string | ((value: Json) => void)): Promise<string> {
  const copy = `changed-${report}`;
  await rm(at(copy), { recursive: true, force: true });
  await cp(at(report), at(copy), { recursive: true });
  if (typeof change === 'string') await writeFile(at(copy, file), change);
  else {
    const value = await json(join(copy, file));
    change(value);
    await writeFile(at(copy, file), JSON.stringify(value));
  }
  return copy;
}

function merge(...parts: string[]): Promise<RunResult> {
  return run('merge', ...parts, '-o', 'merged');
}

const IMAGE = 'images/00000-a.json';

describe('parts of a run are checked', () => {
  it.each<[string, string, string | ((value: Json) => void), RegExp]>([
    [
      'modelled',
      'run.json',
      (run) => run.options.efforts.push('/../../../x'),
      /options\.efforts\.1: expected an integer from 1 to 9, got "\/\.\./,
    ],
    ['modelled', 'run.json', (run) => run.options.efforts.push(1), /options\.efforts: expected each effort once/],
    [
      'part1',
      'run.json',
      (run) => run.options.baselines.push('../../x'),
      /options\.baselines\.2: expected one of jpeg, .*, got "\.\./,
    ],
    ['part1', 'run.json', (run) => (run.options.baselines = []), /options: expected a model or other codecs/],
    ['part1', 'run.json', (run) => (run.options.shard = { index: 2, count: 2 }), /options\.shard: expected a part/],
    [
      'part1',
      'run.json',
      (run) => (run.options.imageCount = 1e15),
      /options\.imageCount: expected an integer from 1 to/,
    ],
    [
      'part1',
      'run.json',
      (run) => (run.options.images = ['cifar10:x']),
      /options\.images\.0: expected the name of images/,
    ],
    ['part1', 'run.json', '{}', /options: expected it, got nothing/],
    ['part1', 'run.json', '{"options":{},"versions":{}}', /options\.images: expected it, got nothing/],
    ['part1', 'run.json', 'null', /expected an object, got null/],
    ['part1', 'run.json', '{', /is not JSON/],
    ['part1', IMAGE, '{}', /index: expected it, got nothing/],
    ['part1', IMAGE, 'null', /expected an object, got null.*measured again/],
    ['part1', IMAGE, (image) => (image.index = 1), /index: expected an image of this part, got 1/],
    ['part1', IMAGE, (image) => (image.index = 2), /index: expected an integer from 0 to 1, got 2/],
    ['part1', IMAGE, (image) => (image.name = 'c.png'), /expected 00000-c\.json by what is in it/],
    ['part1', IMAGE, (image) => (image.baselines = {}), /baselines\.webp: expected it, got nothing/],
    ['part1', IMAGE, (image) => (image.baselines.webp = []), /baselines\.webp: expected a list that is not empty/],
    [
      'part1',
      IMAGE,
      (image) => (image.baselines.webp[2].bpp = 0),
      /baselines\.webp\.2\.bpp: expected a number above 0, got 0/,
    ],
    [
      'part1',
      IMAGE,
      (image) => (image.baselines.webp[2].rmse = null),
      /baselines\.webp\.2\.rmse: expected a number from 0 to 255, got null/,
    ],
    ['part1', IMAGE, (image) => (image.model = 7), /model: expected null, got 7/],
    ['modelled', IMAGE, (image) => (image.model = null), /model: expected an object, got null/],
    [
      'modelled',
      IMAGE,
      (image) => (image.ours['ddpm-codec'].points = []),
      /ours\.ddpm-codec\.points: expected a list that is not empty/,
    ],
    ['modelled', IMAGE, (image) => (image.theory = {}), /theory\.kl-independent: expected it, got nothing/],
    [
      'modelled',
      IMAGE,
      (image) => (image.pictures.points[0].index = 1e6),
      /expected pictures of points that were measured/,
    ],
    [
      'modelled',
      IMAGE,
      (image) => (image.pictures.original = '"><script>'),
      /pictures\.original: expected a picture in base64/,
    ],
    ['part1', 'results.json', '{}', /failed: expected it, got nothing/],
    ['part1', 'results.json', 'null', /expected an object, got null/],
    ['part1', 'results.json', '{"failed":[{"index":0,"name":"a"}]}', /failed\.0\.error: expected it, got nothing/],
  ])('%s: %s %s', async (report, file, change, message) => {
    const copy = await changed(report, file, change);
    const before = await readdir(directory);
    expectRefusal(await merge(copy), 1, message);
    expect(await readdir(directory)).toEqual(before);
  });

  it('also where a run goes on', async () => {
    for (const [file, content] of [
      ['run.json', '{"options":null}'],
      [IMAGE, '{}'],
    ]) {
      const copy = await changed('part1', file, content);
      const { code, stderr } = await run('in', '-o', copy, '--shard', '1/2', ...QUICK);
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/(options|index): expected /) });
      expect(stderr).not.toMatch(/internal error/);
    }
  });

  it('parts of different devices and precisions are of different runs', async () => {
    const other = await changed('part2', 'run.json', ({ options }) => {
      Object.assign(options, { device: 'webgpu', precision: 'fp16' });
    });
    const words = /is of another run than part1: device "cpu", now "webgpu"; precision "fp32", now "fp16"/;
    expectRefusal(await merge('part1', other), 1, words);
    const unknown = await changed('part2', 'run.json', ({ options }) => (options.device = 'abacus'));
    expectRefusal(await merge(unknown), 1, /options\.device: expected one of cpu, cuda, webgpu, got "abacus"/);
  });

  it('reports of earlier versions, without device and precision, are of the CPU', async () => {
    const earlier = await changed('part1', 'run.json', ({ options }) => {
      delete options.device;
      delete options.precision;
    });
    expect(await merge(earlier, 'part2')).toMatchObject({ code: 0, stderr: '' });
  });

  it('a run on the CPU does not go on with another device', async () => {
    const gpu = ['--device', 'webgpu', '--precision', 'fp16'];
    expectRefusal(
      await run('in', '-o', 'modelled', ...MODELLED, ...gpu),
      1,
      /was made with other options: device "cpu", now "webgpu"; precision "fp32", now "fp16"/,
    );
    expect((await run('in', '-o', 'modelled', ...MODELLED, '--device', 'cpu')).code).toBe(0);
  });

  it('images without the record of their run are measured again', async () => {
    const copy = await changed('part1', IMAGE, (image) => (image.baselines.webp[0].encodeSeconds = 12345));
    await rm(at(copy, 'run.json'));
    const args = ['in', '-o', copy, '--shard', '1/2', ...QUICK];
    expectRefusal(await run(...args, '-q'), 1, /expected an empty directory or an earlier report/);
    expect(await run(...args, '--force')).toMatchObject({ code: 0, stderr: expect.not.stringContaining('already') });
    expect((await json(join(copy, IMAGE))).baselines.webp[0].encodeSeconds).toBeLessThan(12345);
  });

  it('names in a part are of no file outside', async () => {
    const copy = await changed('modelled', IMAGE, (image) => {
      image.theory['../../../theory'] = image.theory['kl-chain'];
      image.ours['../../../ours'] = image.ours['ddpm-codec'];
      image.baselines['../../../baseline'] = image.baselines.webp;
    });
    expect(await merge(copy)).toMatchObject({ code: 0 });
    expect(await readdir(at('merged', 'compressai'))).toEqual(await readdir(at('modelled', 'compressai')));
    // A report without foreign entries stays the same, byte for byte.
    await rm(at('merged'), { recursive: true });
    expect(await merge('modelled')).toMatchObject({ code: 0 });
    for (const name of await readdir(at('modelled', 'images')))
      expect(await text(`merged/images/${name}`)).toBe(await text(`modelled/images/${name}`));
  });

  it('an image that failed once and is measured now did not fail', async () => {
    const copy = await changed('part1', 'results.json', (results) => {
      results.failed = [{ index: 0, name: 'a', error: { code: 'image', message: 'gone' } }];
    });
    expect(await merge(copy, 'part2')).toMatchObject({ code: 0 });
    expect(await json('merged/results.json')).toMatchObject({ failed: [], missing: 0 });
  });
});

it('what is not a number is not saved', async () => {
  const { options } = (await readRun(at('part1')))!;
  const image: ImageResult = await json(`part1/${IMAGE}`);
  const [first, ...others] = image.baselines.webp;
  const broken = { ...image, baselines: { webp: [{ ...first, rmse: Number.NaN }, ...others] } };
  await expect(saveImage(at('part1'), broken, options)).rejects.toMatchObject({
    code: 'image',
    message: expect.stringMatching(/a\.png: baselines\.webp\.0\.rmse: expected a number/),
  });
});

describe('names that mean something elsewhere', () => {
  /** Names that are special in HTML, in a spreadsheet or on a terminal. */
  const NAMES = [
    '</script><img src=x onerror=alert(1)>.png',
    '=1+1.png',
    './=1.png',
    '@SUM(1).png',
    '+1.png',
    ' =2.png',
    '\t=3.png',
    'a,"b".png',
    'c\u202e\x9b\x1b[2J\nd.png',
  ];

  it('are nothing but names in a report', async () => {
    const image = await encodePng((await cifarTestImages())[0]);
    for (const name of NAMES) {
      await mkdir(dirname(at(name)), { recursive: true });
      await writeFile(at(name), image);
    }
    await writeFile(at('</broken><b>.png'), 'not a picture');
    const told = await run('--', '-o', 'named').catch(() => undefined);
    expect(told?.code).toBe(2);
    const { code, stdout, stderr } = await run(...NAMES, '</broken><b>.png', '-o', 'named', ...QUICK);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('1 of 10 images failed') });
    expect(stdout + stderr).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u);

    const rows = (await text('named/images.csv')).trimEnd().split('\n').slice(1);
    const cells = new Set(rows.map((row) => row.replace(/,webp.*/, '')));
    expect([...cells]).toEqual([
      '</script><img src=x onerror=alert(1)>.png',
      "'=1+1.png",
      './=1.png',
      "'@SUM(1).png",
      "'+1.png",
      "' =2.png",
      '\\u0009=3.png',
      '"a,""b"".png"',
      'c\\u202e\\u009b\\u001b[2J\\u000ad.png',
    ]);
    for (const file of ['named/results.json', 'named/run.json']) expect(await text(file)).toMatch(/^[\x20-\x7e\n]*$/);
    const { images, failed } = await json('named/results.json');
    expect(images.map(({ name }: { name: string }) => name)).toEqual(NAMES);
    expect(failed).toMatchObject([{ name: '</broken><b>.png' }]);
    const page = await text('named/report.html');
    expect(page).toContain('&#60;/broken&#62;&#60;b&#62;.png');
    expect(page).not.toMatch(/<(b|img)[ >]|[\u202e\u009b]/);
    expect(await readdir(at('named', 'images'))).toHaveLength(NAMES.length);
  });

  it('also those of models and machines, and in what the page computes with', async () => {
    const hostile = '</script><img src=x onerror=alert(1)>\u202e';
    const copy = await changed('modelled', IMAGE, (image) => {
      image.name = `${hostile}.png`;
      image.model.name = hostile;
      image.machine.processor = hostile;
    });
    await cp(at(copy, IMAGE), at(copy, 'images', '00000-script__img_src_x_onerror_alert_1___.json'));
    await rm(at(copy, IMAGE));
    expect(await merge(copy)).toMatchObject({ code: 0, stderr: '' });
    const page = await text('merged/report.html');
    expect(page).not.toMatch(/<img|\u202e/);
    expect(page.match(/<\/script>/g)).toHaveLength(2);
    const [, data] = /id="viewer-data">(.*?)<\/script>/s.exec(page)!;
    expect(JSON.parse(data)[0].name).toBe('script><img src=x onerror=alert(1)>\\u202e.png');
  });
});

describe('a report is made where there is little to show', () => {
  const files = (report: string) => readdir(at(report)).then((names) => names.sort());
  const figures = (report: string) => readdir(at(report, 'figures')).catch(() => []);

  it('of files that end before figures of PSNR begin, which is told before the work', async () => {
    const args = ['in', '-o', 'low', '--target-rmse', '60', '--points', '2', '--effort', '1', '--theory'];
    const { code, stderr } = await run(...args);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/^ddpm-codec: --target-rmse 60: that is 12\.6 dB, .* begin at 15 dB/);
    expect(await files('low')).toContain('report.html');
    expect(await figures('low')).toContain('distortion-vs-steps.svg');
    expect(await figures('low')).not.toContain('psnr-vs-rate.svg');
  });

  it('of one picture that is noise, whose points are beyond all axes', async () => {
    const [{ data, ...image }] = await cifarTestImages();
    const noise = data.map((value, i) => ((value * 31 + i * 17) % 7 < 3 ? 0 : 255));
    await writeFile(at('noise.png'), await encodePng({ ...image, data: noise }));
    const { code, stderr } = await run('noise.png', '-o', 'noise', '--target-rmse', '200', '--effort', '1');
    expect(code, stderr).toBe(0);
    expect(await figures('noise')).not.toContain('distortion-vs-steps.svg');
    expect(await files('noise')).toContain('report.html');
  });

  it('and nothing of an earlier report is left, but files of other people are', async () => {
    await cp(at('modelled'), at('anew'), { recursive: true });
    const others = ['notes.txt', 'figures/notes.txt', 'tables/of-mine.csv', 'compressai/of-mine.csv'];
    const stale = ['distances.csv', 'figures/fid-vs-rmse.tex', 'tables/scatter.md', 'compressai/avif.json'];
    for (const name of [...others, ...stale]) await writeFile(at('anew', name), '');
    const { code, stderr } = await run('in', '-o', 'anew', '--force', ...QUICK);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/removed what this report does not have: distances\.csv, .*figures\/fid-vs-rmse\.tex/);
    expect((await run('in', '-o', 'fresh', ...QUICK)).code).toBe(0);
    const all = (report: string) =>
      readdir(at(report), { recursive: true }).then((names) => names.map((name) => name.replaceAll('\\', '/')).sort());
    expect(await all('anew')).toEqual([...(await all('fresh')), ...others].sort());

    for (const name of ['paper/figures', 'paper/tables']) await mkdir(at(name), { recursive: true });
    const paper = ['figures/mine.png', 'tables/mine.tex', 'report.html'];
    for (const name of paper) await writeFile(at('paper', name), 'mine');
    expect((await run('in', '-o', 'paper', '--force', ...QUICK)).code).toBe(0);
    expect(await all('paper')).toEqual([...new Set([...(await all('fresh')), ...paper])].sort());

    await writeFile(at('in-broken.png'), 'not a picture');
    expect((await run('in-broken.png', '-o', 'anew', '--force', ...QUICK)).code).toBe(1);
    expect(await all('anew')).not.toContain('report.html');
  });

  it('of no picture at all', async () => {
    await writeFile(at('broken.png'), 'not a picture');
    const { code, stderr } = await run('broken.png', '-o', 'none', ...QUICK);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/1 of 1 image failed.*nothing to report/),
    });
    expect(await json('none/results.json')).toMatchObject({ images: [], failed: [{ index: 0 }], missing: 0 });
  });
});

it('evaluations of the network need not be a whole number: of halved pictures they are parts', async () => {
  const setTo = (value: number) => (image: Json) => {
    for (const curve of Object.values<Json>(image.ours)) curve.networkEvaluations = value;
  };
  const { code, stderr } = await merge(await changed('modelled', IMAGE, setTo(15.1)));
  expect(code, stderr).toBe(0);
  await rm(at('merged'), { recursive: true });
  expectRefusal(
    await merge(await changed('modelled', IMAGE, setTo(-1))),
    1,
    /networkEvaluations: expected a number of 0 or more, got -1/,
  );
});
