import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { type LinePlot, linePlot } from '../../src/report/line-plot.js';

const plot = (label: string, points = [1, 2, 3].map((x) => ({ x, y: x * x }))): LinePlot => ({
  title: `about ${label}`,
  x: { title: 'x', type: 'linear', domain: [0, 2.5] },
  y: { title: 'y', type: 'linear' },
  lines: [{ label, kind: 'measured', points }],
});

describe('linePlot', () => {
  it('is sound whatever labels say', async () => {
    // As XML: there, a control character or half a surrogate pair is an error even when escaped.
    for (const label of ['a<b>&"\'.png', 'a\x00\x1b[31mb', 'half \ud83d', '😀 ü 数']) {
      const { width } = await sharp(Buffer.from(linePlot(plot(label))!)).metadata();
      expect(width).toBeGreaterThan(500);
    }
  });

  it('is the same for the same data, and cuts by an id of its own otherwise', () => {
    const id = (svg: string) => /clipPath id="([^"]+)"/.exec(svg)![1];
    const svg = linePlot(plot('a'))!;
    expect(linePlot(plot('a'))).toBe(svg);
    expect(svg).toContain(`url(#${id(svg)})`);
    expect(id(linePlot(plot('a', [{ x: 1, y: 2 }]))!)).not.toBe(id(svg));
  });

  it('draws nothing beyond the axes', async () => {
    const beyond = plot('a', [
      { x: 1, y: 1 },
      { x: 1000, y: 1 },
    ]);
    const { data, info } = await sharp(Buffer.from(linePlot(beyond)!))
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    const blue = Array.from({ length: info.width * info.height }, (_, i) => i).filter(
      (i) => data[3 * i] < 60 && data[3 * i + 2] > 150,
    );
    const columns = blue.map((i) => i % info.width);
    // The right edge of the plot area, with room for a label up to the figure's edge.
    expect(Math.max(...columns)).toBeLessThan(info.width - 20);
    expect(Math.max(...columns)).toBeGreaterThan(info.width - 30);
  });

  it('leaves the middle of a long label out', () => {
    const svg = linePlot(plot(`ddpm-codec, model ${'a long directory/'.repeat(9)}mine, effort 5`));
    expect(svg).toMatch(/>ddpm-codec, model a lo….*mine, effort 5<\/text>/);
  });

  const rates = [0.01, 0.1, 0.3, 1, 10].map((x, i) => ({ x, y: 25 + 4 * i }));
  const over = (points: { x: number; y: number }[], domain: [number, number] = [0.03, 3]): LinePlot => ({
    x: { title: 'bits per pixel', type: 'log', domain },
    y: { title: 'PSNR, dB', type: 'linear' },
    lines: [{ label: 'AVIF', kind: 'measured', points }],
  });

  it('names axes, every line and the title', () => {
    const svg = linePlot({ ...over(rates), title: 'Mean of 24 photographs' });
    expect(svg).toMatch(/^<svg/);
    for (const text of ['bits per pixel', 'PSNR, dB', 'AVIF', 'Mean of 24 photographs']) expect(svg).toContain(text);
  });

  it('scales to what is in the range, whatever the order of points', () => {
    const svg = linePlot(over(rates, [0.2, 2]))!;
    const labels = [...svg.matchAll(/<text[^>]*>([\d.]+)<\/text>/g)].map(([, label]) => label);
    expect(labels).toContain('0.5');
    expect(labels).not.toContain('0.1');
    // The axis covers the 33 dB to 37 dB of the points inside.
    expect(labels).not.toContain('42');
    expect(linePlot(over(rates.toReversed(), [0.2, 2]))).toBe(svg);
  });

  it('leaves out what has no finite value, and draws nothing where nothing is left', () => {
    const exact = { label: 'PNG', kind: 'measured', points: [{ x: 1, y: Number.POSITIVE_INFINITY }] } as const;
    const some = over(rates);
    expect(linePlot({ ...some, lines: [...some.lines, exact] })).not.toContain('PNG');
    expect(linePlot({ ...some, lines: [exact] })).toBeUndefined();
    expect(linePlot(over(rates, [100, 200]))).toBeUndefined();
  });
});
