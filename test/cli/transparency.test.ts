/** Transparent pictures on the command line: kept, cut off, compared, and refused where they have no use. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { flatten } from '../../src/image/alpha.js';
import type { RgbImage } from '../../src/image/image.js';
import { rmse } from '../../src/image/metrics.js';
import { readImage } from '../../src/node/image/read.js';
import { callMain, callMainJson, ddpmCodecJson, ddpmCodecPiped, expectRefusal } from '../helpers/cli.js';
import { syntheticImage, toSharp, withDisc } from '../helpers/fixtures.js';

const [WIDTH, HEIGHT] = [32, 24];

let directory: string;
let original: RgbImage;
// biome-ignore lint/suspicious/noExplicitAny: a JSON document under test
let encoded: any;
/** Bytes up to the end of the header and of the plane. */
let header: number;
let end: number;

const read = (name: string) => readImage(join(directory, name));

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-test-'));
  const noise = (i: number) => (Math.imul(i, 2654435761) >>> 24) - 128;
  const { data, ...size } = syntheticImage(WIDTH, HEIGHT);
  // Too rough for a drawing to be shorter than steps.
  original = withDisc({ ...size, data: data.map((value, i) => Math.max(0, Math.min(255, value + (noise(i) >> 3)))) });
  await writeFile(join(directory, 'glass.png'), await toSharp(original).png().toBuffer());
  [encoded] = (await ddpmCodecJson(['encode', 'glass.png', '-o', 'a.ddc', '--target-rmse', '14'], directory)).images;
  const info = await callMainJson(['info', 'a.ddc'], directory);
  header = info.headerBytes;
  end = header + info.alphaBytes;
}, 120_000);

afterAll(() => rm(directory, { recursive: true, force: true }));

describe('a transparent picture', () => {
  it('is encoded with its plane, which is counted', async () => {
    expect(encoded).toMatchObject({ alphaBytes: end - header, options: { background: null } });
    expect(encoded.steps[0].bits).toBe(8 * end);
    expect(encoded.rmse).toBeLessThanOrEqual(14);
    expect((await readFile(join(directory, 'a.ddc'))).length).toBe(encoded.bytes);
    const { stdout } = await callMain(['info', 'a.ddc'], directory);
    expect(stdout).toMatch(new RegExp(`transparency +alpha plane of ${end - header} bytes\n[^]*header, alpha +1000`));
  });

  it.each(['png', 'webp', 'tiff'])('is decoded to %s as opaque as it was', async (extension) => {
    const output = `out.${extension}`;
    const [report] = (await callMainJson(['decode', 'a.ddc', '-o', output], directory)).images;
    expect(report).toMatchObject({ alpha: 'whole', complete: true });
    const decoded = await read(output);
    expect(decoded.alpha).toEqual(original.alpha);
    expect(rmse(decoded, original)).toBeCloseTo(encoded.rmse, 9);
  });

  it('is decoded from a pipe to a pipe', async () => {
    const bytes = await readFile(join(directory, 'a.ddc'));
    const { code, stdout } = await ddpmCodecPiped(['decode', '-', '-o', '-'], directory, bytes);
    expect(code).toBe(0);
    await writeFile(join(directory, 'piped.png'), stdout);
    expect((await read('piped.png')).alpha).toEqual(original.alpha);
  });

  it('is opaque where what is used of its file ends inside the plane, and that is said', async () => {
    const said = /a\.ddc: what is used of the file ends inside its alpha plane: the picture is opaque\n/;
    const { code, stderr } = await callMain(['decode', 'a.ddc', '-o', 'cut.png', '--bytes', `${end - 1}`], directory);
    expect([code, stderr]).toEqual([0, expect.stringMatching(said)]);
    expect((await read('cut.png')).alpha).toBeUndefined();
    const args = ['decode', 'a.ddc', '-o', 'cut2.png', '--bytes', `${end - 1}`];
    const [report] = (await callMainJson(args, directory)).images;
    expect(report).toMatchObject({ alpha: 'missing', stepsUsed: 0, bytesUsed: header });
    const rate = (bytes: number) => ((8 * bytes) / (WIDTH * HEIGHT * 3)).toFixed(5);
    const rates = [rate(header + 2), rate(end + 1), rate(end + 40)];
    const several = await callMain(['decode', 'a.ddc', '-o', 'r.png', '--rate', rates.join(','), '--json'], directory);
    const [{ rates: reports }] = JSON.parse(several.stdout).images;
    expect(reports.map(({ alpha }: { alpha: string }) => alpha)).toEqual(['missing', 'whole', 'whole']);
    const shown = await Promise.all(reports.map(({ output }: { output: string }) => read(output)));
    expect(shown.map(({ alpha }) => alpha)).toEqual([undefined, original.alpha, original.alpha]);
    const again = ['decode', 'a.ddc', '-o', 'r.png', '--rate', rates.join(','), '--force'];
    expect((await callMain(again, directory)).stderr).toMatch(/beyond the rates of r-[\d.]+\.png: opaque\n/);
  });

  it('can be cut off, and what is lost is said', async () => {
    const cut = await callMain(['truncate', 'a.ddc', '-o', 'cut.ddc', '--bytes', `${end - 1}`], directory);
    expect(cut.stderr).toMatch(new RegExp(`cut\\.ddc: ends inside the alpha plane, which is up to byte ${end}: `));
    expect((await callMain(['info', 'cut.ddc'], directory)).stdout).toMatch(/bytes, not whole: decodes as opaque/);
    await callMain(['truncate', 'a.ddc', '-o', 'cut1.ddc', '--bytes', `${header}`], directory);
    const info = await callMain(['info', 'cut1.ddc'], directory);
    expect(info).toMatchObject({ code: 0, stdout: expect.stringMatching(/alpha plane, not whole/) });
    const decoded = await callMain(['decode', 'cut1.ddc', '-o', 'cut1.png'], directory);
    expect(decoded).toMatchObject({ code: 0, stderr: expect.stringMatching(/ends inside its alpha plane/) });
    const report = await callMainJson(['truncate', 'a.ddc', '-o', 'cut3.ddc', '--bytes', `${end}`], directory);
    expect(report).toMatchObject({ alpha: 'whole', bytes: end });
  });

  it('is seen on the way with its plane, on the sheet, too', async () => {
    await callMainJson(['decode', 'a.ddc', '-o', 'p.png', '--progressive', 'way'], directory);
    const names = (await readdir(join(directory, 'way'))).sort();
    expect(names.length).toBeGreaterThan(3);
    for (const name of names) expect((await read(join('way', name))).alpha).toBeDefined();
    const bytes = await readFile(join(directory, 'a.ddc'));
    const args = ['decode', '-', '-o', 'q.png', '--progressive', 'stream', '--json'];
    const { stdout } = await ddpmCodecPiped(args, directory, bytes);
    const [{ progressive }] = JSON.parse(stdout.toString()).images;
    expect(progressive.points.slice(0, 2)).toMatchObject([{ alpha: 'missing' }, { alpha: 'whole', bytesUsed: end }]);
  });

  it('with a plane whose length is damaged there is the picture of the header, and earlier ones stay without --tolerant', async () => {
    const bytes = await readFile(join(directory, 'a.ddc'));
    bytes.fill(0xff, header, header + 8);
    await writeFile(join(directory, 'endless.ddc'), bytes);
    const args = ['decode', 'endless.ddc', '-o', 'e.png', '--progressive', 'way', '--force'];
    const before = await readdir(join(directory, 'way'));
    expect((await callMain(args, directory)).code).toBe(1);
    expect(await readdir(join(directory, 'way'))).toEqual(before);
    expect(await callMain([...args, '--tolerant'], directory)).toMatchObject({ code: 0 });
    expect((await readdir(join(directory, 'way'))).length).toBe(2);
  });
});

describe('verify', () => {
  it('measures what is seen, and compares opacity', async () => {
    const report = await callMainJson(['verify', 'a.ddc', '--against', 'glass.png', '--max-rmse', '14'], directory);
    expect(report).toMatchObject({ alpha: 'whole', problems: [] });
    expect(report.against).toMatchObject({ rmse: encoded.rmse, pixelsOfOtherAlpha: 0, ssim: null, msSsim: null });
    const other = { ...original, alpha: original.alpha!.map((opacity, i) => (i < 400 ? opacity : 255)) };
    await writeFile(join(directory, 'other.png'), await toSharp(other).png().toBuffer());
    const { code, stderr } = await callMain(['verify', 'a.ddc', '--against', 'other.png'], directory);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/a\.ddc: \d+ pixels not as opaque as in other\.png/)]);
  });

  it('compares as it looks over a colour', async () => {
    const args = ['verify', 'a.ddc', '--against', 'glass.png', '--background', 'red'];
    const { against, problems } = await callMainJson(args, directory);
    const over = (image: RgbImage) => flatten(image, [255, 0, 0]);
    await callMainJson(['decode', 'a.ddc', '-o', 'v.png'], directory);
    expect(problems).toEqual([]);
    expect(against.rmse).toBeCloseTo(rmse(over(await read('v.png')), over(original)), 9);
    expect(against.ssim).toBeGreaterThan(0);
  });
});

describe('a limit', () => {
  it.each([
    ['--max-bytes', '20', /--max-bytes: expected at least the header and the alpha plane \(\d+ bytes, .*\), got 20/],
    ['--max-rate', '0.05', /--max-rate: expected at least the header and the alpha plane \(.* bits\/dim\), got 0\.05/],
  ])('%s without room for the plane is refused, and the plane named', async (option, value, message) => {
    const args = ['encode', 'glass.png', '-o', 'none.ddc', option, value];
    expectRefusal(await callMain(args, directory), 2, message);
  });

  it('with room for it is kept to', async () => {
    const args = ['encode', 'glass.png', '-o', 'small.ddc', '--max-bytes', `${end + 9}`];
    const [report] = (await callMainJson(args, directory)).images;
    expect(report.bytes).toBeLessThanOrEqual(end + 9);
    expect(report.alphaBytes).toBe(end - header);
  });
});

it('a background leaves the plane out', async () => {
  const args = ['encode', 'glass.png', '-o', 'flat.ddc', '--background', 'white', '--target-rmse', '20'];
  const [report] = (await callMainJson(args, directory)).images;
  expect(report).toMatchObject({ alphaBytes: 0, options: { background: 'white' } });
  const [decoded] = (await callMainJson(['decode', 'flat.ddc', '-o', 'flat.png'], directory)).images;
  expect(decoded.alpha).toBe('none');
  expect((await read('flat.png')).alpha).toBeUndefined();
  expectRefusal(
    await callMain(['verify', 'flat.ddc', '--against', 'glass.png'], directory),
    1,
    /glass\.png: has transparent pixels; .*--background/,
  );
});

it('lossless is exact in what is seen, and in opacity', async () => {
  await callMainJson(['encode', 'glass.png', '-o', 'exact.ddc', '--lossless', '--effort', '1'], directory);
  const args = ['verify', 'exact.ddc', '--against', 'glass.png', '--max-rmse', '0'];
  expect(await callMainJson(args, directory)).toMatchObject({ lossless: true, problems: [], against: { rmse: 0 } });
});

it.each([
  ['rd glass.png -o rd-report', /glass\.png: has transparent pixels; .*--background/],
  ['calibrate model glass.png', /glass\.png: has transparent pixels; give them a colour first/],
])('%s is refused with advice that works', async (line, message) => {
  await mkdir(join(directory, 'model'), { recursive: true });
  const { code, stderr } = await callMain(line.split(' '), directory);
  expect([code, stderr]).toEqual([1, expect.stringMatching(message)]);
  if (stderr.includes('--background')) {
    expect((await callMain([line.split(' ')[0], '--help'], directory)).stdout).toContain('--background');
  }
});
