/** `rd --realism`: the same files decoded along the dial. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rmse } from '../../src/image/metrics.js';
import { readImage } from '../../src/node/image/read.js';
import { encodePng } from '../../src/node/image/write.js';
import { kernelDistance } from '../../src/report/kid.js';
import { callMain, callMainJson } from '../helpers/cli.js';
import { seededFeatures } from '../helpers/feature-network.js';
import { cifarTestImages } from '../helpers/fixtures.js';

let directory: string;
const at = (...names: string[]) => join(directory, ...names);
// biome-ignore lint/suspicious/noExplicitAny: JSON under test
type Json = any;
const FILE = ['--effort', '1', '--target-rmse', '12'];
const features = seededFeatures('features', 6);
const NAMES = ['ddpm-codec-realism-0', 'ddpm-codec-realism-0.5', 'ddpm-codec-realism-1'];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-rd-realism-'));
  await mkdir(at('in'));
  const images = await cifarTestImages();
  for (const i of [0, 1]) await writeFile(at('in', `${i}.png`), await encodePng(images[i]));
  await writeFile(at('features.onnx'), features.file);
  const options = ['--effort', '1', '--target-rmse', '12', '--points', '3', '--realism', '0,0.5,1'];
  const { code, stderr } = await callMain(
    ['rd', 'in', '-o', 'report', ...options, '--metrics', 'kid=features.onnx'],
    directory,
  );
  expect(code, stderr).toBe(0);
});

afterAll(() => rm(directory, { recursive: true, force: true }));

it('measures one file along the dial: the same bytes, and an error that rises with realism', async () => {
  const { images } = JSON.parse(await readFile(at('report', 'results.json'), 'utf8'));
  for (const { ours } of images) {
    expect(Object.keys(ours)).toEqual(NAMES);
    const [mean, half, flow] = NAMES.map((name) => ours[name].points);
    const bytes = (points: Json[]) => points.map((point) => point.bytes);
    expect([bytes(half), bytes(flow)]).toEqual([bytes(mean), bytes(mean)]);
    // A single cut picture can be nearer halfway than at the mean, which is itself an estimate: over a file it is not.
    const error = (points: Json[]) => points.reduce((sum, point) => sum + point.rmse, 0) / points.length;
    expect(error(half)).toBeGreaterThan(error(mean));
    expect(error(flow)).toBeGreaterThan(error(half));
    for (const [i, { rmse }] of mean.entries()) expect(flow[i].rmse).toBeGreaterThan(rmse);
  }
});

it('measures what decode makes', async () => {
  const { images } = JSON.parse(await readFile(at('report', 'results.json'), 'utf8'));
  const { points } = images[1].ours['ddpm-codec-realism-0.5'];
  const { bytes, rmse: measured } = points[1];
  await callMainJson(['encode', at('in', '1.png'), '-o', at('1.ddc'), '--effort', '1', '--target-rmse', '12']);
  await callMainJson(['decode', at('1.ddc'), '-o', at('half.png'), '--bytes', String(bytes), '--realism', '0.5']);
  expect(rmse(await readImage(at('half.png')), await readImage(at('in', '1.png')))).toBe(measured);
});

it('compares sets along the dial, and draws the distance over the error', async () => {
  const { distances } = JSON.parse(await readFile(at('report', 'results.json'), 'utf8'));
  expect(distances.map(({ codec }: Json) => codec)).toEqual(NAMES);
  const { images } = JSON.parse(await readFile(at('report', 'results.json'), 'utf8'));
  const compared = distances[1].points;
  for (const k of [0, compared.length - 1]) {
    const { value } = compared[k];
    const rows: Float32Array[] = [];
    for (const [i, { ours }] of images.entries()) {
      const { points } = ours['ddpm-codec-realism-0.5'];
      const { bytes } = points.at(k - compared.length);
      await callMainJson([...['encode', at('in', `${i}.png`), '-o', at('one.ddc'), '--force'], ...FILE]);
      await callMainJson([
        ...['decode', at('one.ddc'), '-o', at('one.png'), '--force'],
        '--bytes',
        `${bytes}`,
        '--realism',
        '0.5',
      ]);
      rows.push(features.features(await readImage(at('one.png'))));
    }
    const originals = [await readImage(at('in', '0.png')), await readImage(at('in', '1.png'))].map(features.features);
    const expected = kernelDistance(originals, rows).value;
    expect(Math.abs(value - expected)).toBeLessThan(1e-4 * Math.abs(expected));
  }
  const svg = await readFile(at('report', 'figures', 'kid-vs-rmse.svg'), 'utf8');
  expect(svg).toMatch(/Realism 0, 0\.5, 1/);
});

it('draws the bits of a file once, since they are the same for each realism', async () => {
  const realismsIn = async (figure: string) => {
    const svg = await readFile(at('report', 'figures', `${figure}.svg`), 'utf8');
    return new Set(svg.match(/realism [\d.]+/g)).size;
  };
  expect(await realismsIn('distortion-vs-steps')).toBe(3);
  expect(await realismsIn('rate-vs-steps')).toBe(1);
  expect(await realismsIn('overhead-vs-rate')).toBe(1);
});

it.each(['2', '0,0', 'flow', '-0.5', '0,,1'])('refuses --realism %s', async (realism) => {
  const { code, stderr } = await callMain(['rd', 'in', '-o', 'other', `--realism=${realism}`], directory);
  expect([code, stderr]).toEqual([
    2,
    expect.stringMatching(/--realism: expected numbers from 0 to 1 with commas between/),
  ]);
});
