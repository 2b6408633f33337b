import { describe, expect, it } from 'vitest';
import { psnrOfRmse } from '../../src/image/metrics.js';
import { paperTable, readPublished, whyNotOfSet } from '../../src/report/published.js';

describe.each(['cifar10', 'kodak'])('published/%s.json', (name) => {
  it('has curves with sources, whose quality rises with the rate and whose RMSE is that of the PSNR', async () => {
    const { curves } = await readPublished(name);
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
