/** Sums of made-up curves whose means are known. */
import { describe, expect, it } from 'vitest';
import { psnrOfRmse } from '../../../src/image/metrics.js';
import { drawFigures } from '../../../src/report/rd/figures.js';
import type { ImageResult, OurCurve, Run } from '../../../src/report/rd/results.js';
import { differences } from '../../../src/report/rd/results.js';
import { summarise } from '../../../src/report/rd/summary.js';

const DIMS = 128 * 128 * 3;

const run = {
  options: {
    images: ['x'],
    imageCount: 2,
    shard: null,
    model: 'auto',
    modelIds: ['1'],
    efforts: [5],
    selection: 'greedy',
    seed: 0,
    targetRmse: 3,
    points: null,
    baselines: ['webp', 'png'],
    theory: false,
    background: null,
    engine: 'auto',
  },
  versions: { format: '2' },
} as const satisfies Run;

const measured = (bytes: number, rmse: number) => ({
  bytes,
  bitsPerDim: (8 * bytes) / DIMS,
  bpp: (24 * bytes) / DIMS,
  rmse,
  psnr: psnrOfRmse(rmse),
  msSsim: null,
  ssim: null,
});

/** Rates double as errors halve, from 1000 bytes at RMSE 32 down to `last`; another codec needs twice as much. */
function image(index: number, last: number, scale = 1): ImageResult {
  const errors = [32, 16, 8, 4, 2, 1].filter((error) => error >= last);
  const bytes = (error: number) => (scale * 32_000) / error;
  const points = errors.map((error, i) => ({
    ...measured(bytes(error), error),
    t: 1000 - 100 * i,
    klBits: 4 * bytes(error),
    decodeSeconds: i,
  }));
  const ours: OurCurve = {
    effort: 5,
    fileBytes: bytes(last),
    headerBytes: 12,
    steps: points.slice(1).map(({ t }) => ({ t, bits: 8, klBits: 4 })),
    points,
    encodeSeconds: 7,
    networkEvaluations: 9,
  };
  const other = { payloadBytes: 1, encodeSeconds: 1, decodeSeconds: 1 };
  return {
    index,
    name: String(index),
    width: 128,
    height: 128,
    pixels: '',
    model: { name: 'm', id: '1', timesteps: 1000 },
    ours: { 'ddpm-codec': ours },
    baselines: {
      webp: [32, 16, 8, 4, 2, 1].map((error, i) => ({
        ...measured(2 * bytes(error), error),
        quality: 10 * i,
        ...other,
      })),
      png: [{ ...measured(100_000 * scale, 0), quality: 100, ...other }],
    },
    theory: {},
    machine: {},
  };
}

/** A file without steps: all of it is in the tail. */
function drawing(index: number): ImageResult {
  const { ours, ...rest } = image(index, 1);
  const file = ours['ddpm-codec'];
  const points = file.points.map((point, i) => ({ ...point, t: 1000, klBits: 0, ...(i === 5 && measured(32_000, 0)) }));
  return { ...rest, ours: { 'ddpm-codec': { ...file, steps: [], points } } };
}

describe('drawings', () => {
  const at = (level: number, images: ImageResult[]) =>
    summarise(run, images).codecs[0].bitsPerDimAtRmse.find(({ rmse }) => rmse === level)!;

  it('count at an RMSE, and not in means along the steps', () => {
    const both = summarise(run, [image(0, 1), drawing(1)]);
    const alone = summarise(run, [image(0, 1)]);
    expect(both).toMatchObject({ images: 2, meanImages: 1 });
    expect(both.codecs.map(({ mean }) => mean)).toEqual(alone.codecs.map(({ mean }) => mean));
    expect(at(5, [image(0, 1), drawing(1)])).toMatchObject({ count: 2, mean: expect.closeTo((8 * 6400) / DIMS, 9) });
  });

  it('alone leave the others their means', async () => {
    const summary = summarise(run, [drawing(0), drawing(1)]);
    expect(summary.meanImages).toBe(2);
    expect(summary.codecs.map(({ mean }) => mean.length > 0)).toEqual([false, true, true]);
    expect((await drawFigures(summary)).length).toBeGreaterThan(0);
  });
});

describe('summarise', () => {
  const { codecs, comparisons } = summarise(run, [image(0, 1), image(1, 4, 3)]);
  const [ours, webp, png] = codecs;

  it('gives a rate at an RMSE only where all images come to it', () => {
    const at = (level: number) => ours.bitsPerDimAtRmse.find(({ rmse }) => rmse === level)!;
    const rate = (scale: number, level: number) => (8 * scale * 32_000) / level / DIMS;
    expect(at(5)).toMatchObject({ count: 2, mean: expect.closeTo((rate(1, 5) + rate(3, 5)) / 2, 9) });
    expect(at(5).standardError).toBeCloseTo(rate(1, 5), 9);
    expect(at(3)).toEqual({ rmse: 3, count: 1, mean: null, standardError: null, klBitsPerDim: null });
    expect(webp.bitsPerDimAtRmse.every(({ count }) => count === 2)).toBe(true);
  });

  it('gives the KL of our files there, and of no other codec', () => {
    const [fromOurs, fromWebp] = [ours, webp].map(
      ({ bitsPerDimAtRmse }) => bitsPerDimAtRmse.find(({ rmse }) => rmse === 5)!,
    );
    expect(fromOurs.klBitsPerDim).toBeCloseTo(fromOurs.mean! / 2, 12);
    expect(fromWebp.klBitsPerDim).toBe(null);
  });

  it('means end where the first file does, and a lossless codec is one point', () => {
    expect(ours.mean.at(-1)!.t).toBeGreaterThanOrEqual(700);
    expect(ours.mean[0]).toMatchObject({ t: 1000, meanRmse: expect.closeTo(32, 9), encodeSeconds: 7 });
    expect(ours.mean[0].klBitsPerDim).toBeCloseTo(ours.mean[0].bitsPerDim / 2, 12);
    expect(png.losslessBitsPerDim).toBeCloseTo((8 * 200_000) / DIMS, 9);
    expect(ours.losslessBitsPerDim).toBe(null);
    // Of larger pictures, files are compared whole.
    expect(codecs.map(({ name }) => name)).toEqual(['ddpm-codec', 'webp', 'png']);
  });

  it('compares with published curves of files by their means alone, not with sums of KL', () => {
    const twice = ours.mean.map(({ bpp, rmse, psnr }) => ({ bpp: 2 * bpp, rmse, psnr }));
    const curves = (['file', 'kl'] as const).map((rate) => ({ label: rate, rate, source: '', points: twice }));
    const [first, ...others] = summarise(run, [image(0, 1), image(1, 4, 3)], { set: '', curves }).comparisons.slice(
      comparisons.length,
    );
    expect(first).toMatchObject({ test: 'ddpm-codec', anchor: 'file', measure: 'psnr', meanOfImages: null });
    expect(first.bdRate!.value).toBeCloseTo(-50, 9);
    expect(others).toEqual([]);
  });

  it('half the bits are a BD-rate of -50 %, of mean curves and of images', () => {
    const [comparison] = comparisons;
    expect(comparison).toMatchObject({ test: 'ddpm-codec', anchor: 'webp', measure: 'psnr' });
    expect(comparison.bdRate!.value).toBeCloseTo(-50, 9);
    expect(comparison.meanOfImages!.mean).toBeCloseTo(-50, 9);
    expect(comparison.bdRate!.overlap[0]).toBeCloseTo(psnrOfRmse(32), 9);
    expect(comparisons.length).toBe(1);
  });

  it('of no images is nothing', () => {
    expect(summarise(run, [])).toEqual({ images: 0, meanImages: 0, codecs: [], comparisons: [] });
  });
});

it('differences name what two runs were made with', () => {
  const other = { options: { ...run.options, seed: 1, shard: { index: 0, count: 2 } }, versions: { format: '3' } };
  expect(differences(run, run)).toEqual([]);
  expect(differences(run, other, ['shard'])).toEqual(['version of format "2", now "3"', 'seed 0, now 1']);
});

it('files that are all below the KL of their steps have a figure, too', async () => {
  const images = [image(0, 1), image(1, 1)].map(({ ours, ...rest }) => ({
    ...rest,
    ours: {
      'ddpm-codec': {
        ...ours['ddpm-codec'],
        points: ours['ddpm-codec'].points.map((point) => ({ ...point, klBits: 12 * point.bytes })),
      },
    },
  }));
  const figures = await drawFigures(summarise(run, images));
  expect(figures.map(({ name }) => name)).toContain('overhead-vs-rate');
});
