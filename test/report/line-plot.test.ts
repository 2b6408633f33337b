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
});
