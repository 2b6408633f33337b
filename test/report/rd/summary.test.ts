/** Summaries of generated curves whose means are known. */
import { describe, expect, it } from 'vitest';
import { psnrOfRmse } from '../../../src/image/metrics.js';
import { drawFigures } from '../../../src/report/rd/figures.js';
import type { ImageResult, OurCurve, Run } from '../../../src/report/rd/results.js';
import { differences } from '../../../src/report/rd/results.js';
import { summarise } from '../../../src/report/rd/summary.js';
import { reportTables } from '../../../src/report/rd/tables.js';

const DIMS = 128 * 128 * 3;

const run = {
  options: {
    images: ['x'],
    imageCount: 2,
    shard: null,
    model: 'auto',
    modelIds: ['1'],
    efforts: [5],
    seeds: [0],
    realisms: [0],
    selection: 'greedy',
    targetRmse: 3,
    points: null,
    baselines: ['webp', 'png'],
    theory: false,
    metrics: [],
    background: null,
    engine: 'auto',
    device: 'cpu',
    precision: 'fp32',
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

/** Rates double as errors halve, from 1000 bytes at RMSE 32 down to `last`. Another codec needs twice as much. */
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

  it('are not in comparisons, of images either, nor in what decoding takes', () => {
    const withKmac = ({ ours, ...rest }: ImageResult, decodingKmac: number) => ({
      ...rest,
      ours: { 'ddpm-codec': { ...ours['ddpm-codec'], decodingKmac } },
    });
    const other = image(2, 1, 3);
    const alone = summarise(run, [withKmac(image(0, 1), 100), withKmac(other, 300)]);
    const all = summarise(run, [withKmac(image(0, 1), 100), withKmac(drawing(1), 0), withKmac(other, 300)]);
    expect(all.codecs[0].decodingKmac).toBe(200);
    expect(all.comparisons).toEqual(
      alone.comparisons.map((one) => ({ ...one, perImage: [one.perImage[0], null, one.perImage[1]] })),
    );
    expect(all.comparisons[0].meanOfImages!.count).toBe(2);
    expect(summarise(run, [withKmac(drawing(0), 0)]).codecs[0].decodingKmac).toBe(null);
  });

  it('alone leave the others their means', async () => {
    const summary = summarise(run, [drawing(0), drawing(1)]);
    expect(summary.meanImages).toBe(2);
    expect(summary.codecs.map(({ mean }) => mean.length > 0)).toEqual([false, true, true]);
    expect(drawFigures(summary).length).toBeGreaterThan(0);
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

  it('gives that KL only where the steps of all files get there', () => {
    const kl = (images: ImageResult[]) =>
      summarise(run, images).codecs[0].bitsPerDimAtRmse.map((at) => at.klBitsPerDim);
    const missing = [null, null, null, null, null];
    expect(kl([image(0, 1), drawing(1)])).toEqual(missing);
    // From an RMSE of 4 on, the file is a tail.
    const { ours, ...rest } = image(0, 1);
    const { points, ...file } = ours['ddpm-codec'];
    const tailed = points.map((point) => ({ ...point, klBits: Math.min(point.klBits, points[3].klBits) }));
    const withTail = { ...rest, ours: { 'ddpm-codec': { ...file, points: tailed } } };
    expect(kl([withTail])).toEqual([...kl([image(0, 1)]).slice(0, 4), null]);
  });

  it('means end where the first file does, and a lossless codec is one point', () => {
    expect(ours.mean.at(-1)!.t).toBeGreaterThanOrEqual(700);
    expect(ours.mean[0]).toMatchObject({ t: 1000, meanRmse: expect.closeTo(32, 9), encodeSeconds: 7 });
    expect(ours.mean[0].klBitsPerDim).toBeCloseTo(ours.mean[0].bitsPerDim / 2, 12);
    expect(png.losslessBitsPerDim).toBeCloseTo((8 * 200_000) / DIMS, 9);
    expect(ours.losslessBitsPerDim).toBe(null);
    // For larger pictures, whole files are compared.
    expect(codecs.map(({ name }) => name)).toEqual(['ddpm-codec', 'webp', 'png']);
  });

  it('a lossy codec stays one where it meets a single picture exactly', () => {
    const exact = ({ baselines, ...rest }: ImageResult): ImageResult => ({
      ...rest,
      baselines: {
        ...baselines,
        webp: baselines.webp.map((point) => (point.quality < 50 ? point : { ...point, rmse: 0, psnr: Infinity })),
      },
    });
    const losslessOf = (...images: ImageResult[]) => summarise(run, images).codecs[1].losslessBitsPerDim;
    expect(losslessOf(exact(image(0, 1)), image(1, 1))).toBe(null);
    expect(losslessOf(exact(image(0, 1)), exact(image(1, 1)))).toBeCloseTo((8 * 64_000) / DIMS, 9);
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
    expect(summarise(run, [])).toEqual({
      images: 0,
      meanImages: 0,
      codecs: [],
      comparisons: [],
      scatter: [],
      standings: null,
    });
  });
});

describe('standings', () => {
  const images = [image(0, 1), image(1, 4, 3), image(2, 2, 2)];
  const curve = (label: string, factor: number) => ({
    label,
    rate: 'file' as const,
    source: `source of ${label}`,
    points: [32, 16, 8, 4].map((rmse) => ({
      bpp: (factor * 24 * 64_000) / rmse / DIMS,
      rmse,
      psnr: psnrOfRmse(rmse),
    })),
  });
  const published = {
    set: '',
    anchor: 'VTM, first run',
    curves: [curve('VTM, first run', 1), curve('VTM, second run', 0.98), curve('STF', 0.9)],
  };
  const standings = (anchor?: string, set: typeof published | undefined = published) =>
    summarise(run, images, set, anchor).standings!;

  it('are of all that have files, the best first, against the anchor of the published set', () => {
    const { anchor, source, rows } = standings();
    expect({ anchor, source }).toEqual({ anchor: 'VTM, first run', source: 'source of VTM, first run' });
    const rates = rows.map(({ name, psnr }): [string, number] => [name, psnr!.bdRate!.value]);
    // Means of three pictures whose scales are 1, 2 and 3.
    expect(Object.fromEntries(rates)).toEqual({
      'ddpm-codec': expect.closeTo(0, 6),
      STF: expect.closeTo(-10, 6),
      'VTM, second run': expect.closeTo(-2, 6),
      'VTM, first run': expect.closeTo(0, 6),
      webp: expect.closeTo(100, 6),
    });
    const values = rates.map(([, value]) => value);
    expect(values).toEqual(values.toSorted((a, b) => a - b));
  });

  it('have intervals where both have curves of the images, and none against a published mean', () => {
    expect(standings().rows.every(({ psnr }) => psnr!.interval === null)).toBe(true);
    const against = standings('webp').rows;
    const ours = against.find(({ name }) => name === 'ddpm-codec')!.psnr!;
    // Each picture needs half the bits, and so does every resample.
    expect(ours.interval).toEqual([expect.closeTo(-50, 6), expect.closeTo(-50, 6)]);
    expect(ours.perImage).toEqual([-50, -50, -50].map((value) => expect.closeTo(value, 6)));
    expect(against.find(({ name }) => name === 'STF')!.psnr!.interval).toBe(null);
    const [comparison] = summarise(run, images).comparisons;
    expect(comparison.interval).toEqual(ours.interval);
    expect(summarise(run, [image(0, 1)]).comparisons[0].interval).toBe(null);
  });

  it('are against the first codec measured where nothing is published, or against what is asked for', () => {
    expect(summarise(run, images).standings!.anchor).toBe('WebP');
    expect(summarise(run, images).standings!.source).toBe(null);
    expect(standings('second').anchor).toBe('VTM, second run');
    expect(standings('VTM, second run').anchor).toBe('VTM, second run');
    expect(standings('stf').anchor).toBe('STF');
    expect(summarise({ ...run, options: { ...run.options, baselines: [] } }, images).standings).toBe(null);
  });

  it('refuse an anchor that is none, or several', () => {
    expect(() => standings('avif')).toThrow(/`anchor` avif: expected one of ddpm-codec; webp; png; VTM, first run/);
    expect(() => standings('vtm')).toThrow(/expected one of VTM, first run; VTM, second run$/);
  });

  it("are in a table, with the anchor's source, and in figures", () => {
    const summary = summarise(run, images, published);
    const report = { run, images, failed: [], distances: [], summary };
    const tables = reportTables(report, published);
    const { title, note, rows } = tables.find(({ name }) => name === 'standings')!;
    expect(title).toBe('BD-rates against VTM, first run');
    expect(note).toContain('source of VTM, first run');
    expect(rows.map(([label]) => label)).toContain('STF*');
    const bpp = tables.find(({ name }) => name === 'rates-bpp')!.rows[0].slice(1, 3);
    const perDim = tables.find(({ name }) => name === 'rates')!.rows[0].slice(1, 3);
    bpp.forEach((cell, i) => {
      expect(Number.parseFloat(cell)).toBeCloseTo(3 * Number.parseFloat(perDim[i]), 3);
    });
    const names = drawFigures(summary, published).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['rate-vs-anchor', 'bd-rate-of-images']));
    expect(names).not.toContain('bd-rate-vs-kmac');
  });

  it('say what decoding takes where all images have it', () => {
    const counted = (kmac: number[]) =>
      images.map(({ ours, ...rest }, i) => ({
        ...rest,
        ours: { 'ddpm-codec': { ...ours['ddpm-codec'], ...(i < kmac.length && { decodingKmac: kmac[i] }) } },
      }));
    const complexity = { kmacPerPixel: 900, of: 'model' as const, source: 'a paper' };
    const set = {
      ...published,
      curves: [...published.curves, { ...curve('HPCM', 0.8), family: 'learned' as const, complexity }],
    };
    const of = (kmac: number[]) => summarise(run, counted(kmac), set);
    const rowOf = (name: string) => of([100, 200, 600]).standings!.rows.find((row) => row.name === name)!;
    expect(rowOf('ddpm-codec').complexity).toEqual({ kmacPerPixel: 300, of: 'decoder' });
    expect(rowOf('HPCM').complexity).toEqual({ kmacPerPixel: 900, of: 'model' });
    expect(of([100, 200]).standings!.rows.find(({ name }) => name === 'ddpm-codec')!.complexity).toBe(null);
    expect(drawFigures(of([100, 200, 600]), set).map(({ name }) => name)).toContain('bd-rate-vs-kmac');
  });

  it('name our codec once along the line over kMAC/pixel, and each of its efforts', () => {
    const kmac = { 1: 300, 5: 600, 7: 900 };
    const images = [image(0, 1), image(1, 1)].map(({ ours: { 'ddpm-codec': ours }, ...rest }) => ({
      ...rest,
      ours: Object.fromEntries(
        Object.entries(kmac).map(([effort, decodingKmac]) => [
          `ddpm-codec-effort-${effort}`,
          { ...ours, effort: Number(effort), decodingKmac },
        ]),
      ),
    }));
    const ofEfforts = { ...run, options: { ...run.options, efforts: [1, 5, 7] } };
    const figure = drawFigures(summarise(ofEfforts, images, published), published).find(
      ({ name }) => name === 'bd-rate-vs-kmac',
    )!;
    expect([...figure.svg.matchAll(/fill="[^"]*">([^<]*effort[^<]*)</g)].map(([, label]) => label).toSorted()).toEqual([
      'ddpm-codec, effort 1',
      'effort 5',
      'effort 7',
    ]);
  });
});

it('differences name what two runs were made with', () => {
  const other = { options: { ...run.options, seeds: [1], shard: { index: 0, count: 2 } }, versions: { format: '3' } };
  expect(differences(run, run)).toEqual([]);
  expect(differences(run, other, ['shard'])).toEqual(['version of format "2", now "3"', 'seeds [0], now [1]']);
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
  const figures = drawFigures(summarise(run, images));
  expect(figures.map(({ name }) => name)).toContain('overhead-vs-rate');
});
