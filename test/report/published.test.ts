import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { psnrOfRmse } from '../../src/image/metrics.js';
import { paperTable, readPublished, whyNotOfSet } from '../../src/report/published.js';
import { compareCurves } from '../../src/report/rate-curve.js';

describe.each(['cifar10', 'kodak'])('published/%s.json', (name) => {
  it('has curves with sources, whose quality rises with the rate and whose RMSE is that of the PSNR', async () => {
    const { curves, anchor } = await readPublished(name);
    if (anchor !== undefined) expect(curves.map(({ label }) => label)).toContain(anchor);
    for (const { complexity } of curves) {
      if (complexity !== undefined) expect(complexity.source).not.toBe('');
    }
    expect(new Set(curves.map(({ label }) => label)).size).toBe(curves.length);
    for (const { label, source, rate, points } of curves) {
      expect(source, label).not.toBe('');
      expect(['file', 'kl']).toContain(rate);
      const sorted = points.toSorted((a, b) => a.bpp - b.bpp);
      sorted.forEach(({ bpp, psnr, rmse }, i) => {
        expect(psnrOfRmse(rmse), label).toBeCloseTo(psnr, 2);
        expect(bpp).toBeGreaterThanOrEqual(0);
        if (i > 0) expect(psnr, label).toBeGreaterThan(sorted[i - 1].psnr);
      });
    }
  });
});

it("the paper's table 4 is among those of CIFAR-10 only", async () => {
  const table = paperTable(await readPublished('cifar10'))!;
  expect(table.map(({ reverseSteps }) => reverseSteps)).toEqual([100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]);
  expect(table.at(-1)!.bpp / 3).toBeCloseTo(1.77581, 5);
  expect(table.at(-1)!.rmse).toBe(0.95136);
  expect(paperTable(await readPublished('kodak'))).toBe(undefined);
});

it("Kodak's means are compared with those of its 24 photographs alone", async () => {
  const kodak = await readPublished('kodak');
  const all = kodak.pixels!.map((pixels) => ({ pixels, width: 768, height: 512 }));
  expect(new Set(kodak.pixels).size).toBe(24);
  expect(whyNotOfSet(kodak, all.toReversed())).toBe(undefined);
  const other = { ...all[0], pixels: '0123456789abcdef' };
  expect(whyNotOfSet(kodak, all.slice(1))).toMatch(/expected Kodak's 24 photographs, .* got 23 of them among 23/);
  expect(whyNotOfSet(kodak, [...all.slice(1), other])).toMatch(/got 23 of them among 24/);
  expect(whyNotOfSet(kodak, [...all, other])).toMatch(/got 24 of them among 25/);
  expect(whyNotOfSet(kodak, [...all.slice(1), all[1]])).toMatch(/got 23 of them among 24/);
});

it('those of CIFAR-10 with means over any part, but not over larger pictures', async () => {
  const cifar10 = await readPublished('cifar10');
  const image = { pixels: '0123456789abcdef', width: 32, height: 32 };
  expect(whyNotOfSet(cifar10, [image])).toBe(undefined);
  expect(whyNotOfSet(cifar10, [image, { ...image, width: 48 }])).toMatch(/of 32x32, got a picture of 48x32/);
});

describe("BD-rates of Kodak's published curves", () => {
  const bdRates = async () => {
    const { curves } = await readPublished('kodak');
    const points = new Map(
      curves.map(({ label, points }) => [label, points.map((point) => ({ msSsim: null, ...point }))]),
    );
    return (anchor: string, test: string) =>
      compareCurves(points.get(anchor)!, points.get(test)!, 'psnr')?.value ?? null;
  };

  it("among themselves are scipy's (bench/bd_rates.py)", async () => {
    const outside = JSON.parse(await readFile(new URL('../../bench/results/bd-rates.json', import.meta.url), 'utf8'));
    const bdRate = await bdRates();
    const labels = (await readPublished('kodak')).curves.map(({ label }) => label);
    expect(Object.keys(outside)).toEqual(labels);
    for (const anchor of labels) {
      for (const test of labels) {
        const expected = outside[anchor][test];
        if (expected === undefined) expect(bdRate(anchor, test), `${anchor}, ${test}`).toBe(null);
        // Our values come from the RMSE, which has five digits.
        else expect(Math.abs(bdRate(anchor, test)! - expected), `${anchor}, ${test}`).toBeLessThan(0.1);
      }
    }
  });

  it.each([
    ['HPCM-Large (2025)', -20.0],
    ['HPCM-Base (2025)', -16.0],
    ['LALIC (2025)', -15.3],
    ['MLIC+ (2023)', -13.1],
    ['MLIC (2023)', -9.7],
    ['ELIC (2022), MSE', -7.0],
    ['Cool-chic 5.0', -6.6],
    ['STF (2022)', -4.1],
    ['Cool-chic 4.2', 1.0],
    ['C3 adaptive (2024)', 3.4],
    // Two runs of VTM differ by this much.
    ['VVC intra (VTM 9.1, run of LALIC)', -1.5],
  ])('%s needs %f %% against VTM', async (label, percent) => {
    const { anchor } = await readPublished('kodak');
    expect(Math.abs((await bdRates())(anchor!, label)! - percent)).toBeLessThan(0.1);
  });
});
