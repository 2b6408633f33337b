import { describe, expect, it } from 'vitest';
import { psnrOfRmse } from '../../src/image/metrics.js';
import { paperTable, readPublished } from '../../src/report/published.js';

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
