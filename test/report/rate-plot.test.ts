import { describe, expect, it } from 'vitest';
import { type PlotCurve, ratePlot } from '../../src/report/rate-plot.js';

const points = [0.01, 0.1, 0.3, 1, 10].map((bpp, i) => ({ bpp, psnr: 25 + 4 * i, msSsim: 1 - 10 ** (-0.5 - i / 3) }));
const curves: PlotCurve[] = [
  { label: 'this codec', kind: 'ours', points },
  { label: 'AVIF', kind: 'measured', points: points.map((point) => ({ ...point, psnr: point.psnr + 1 })) },
  { label: 'VTM', kind: 'published', points: points.map(({ bpp, psnr }) => ({ bpp, psnr: psnr + 2 })) },
];

describe('ratePlot', () => {
  it('names axes with units, every curve and the title', () => {
    const svg = ratePlot(curves, 'psnr', { title: 'Mean of 24 photographs' });
    expect(svg).toMatch(/^<svg/);
    for (const text of ['bits per pixel', 'PSNR, dB', 'this codec', 'AVIF', 'VTM', 'Mean of 24 photographs']) {
      expect(svg).toContain(text);
    }
  });

  it('draws MS-SSIM in dB, and leaves out curves without it', () => {
    const svg = ratePlot(curves, 'msSsim');
    expect(svg).toContain('MS-SSIM, dB');
    expect(svg).toContain('AVIF');
    expect(svg).not.toContain('VTM');
  });

  it('scales to what is in the range, whatever the order of points', () => {
    const range = { bpp: [0.2, 2] as const };
    const svg = ratePlot(curves, 'psnr', range)!;
    const labels = [...svg.matchAll(/<text[^>]*>([\d.]+)<\/text>/g)].map(([, label]) => label);
    expect(labels).toContain('0.5');
    expect(labels).not.toContain('0.1');
    // The axis covers the 33 dB to 39 dB of the points inside.
    expect(labels).not.toContain('42');
    const shuffled = curves.map((curve) => ({ ...curve, points: curve.points.toReversed() }));
    expect(ratePlot(shuffled, 'psnr', range)).toBe(svg);
  });

  it('leaves equal pictures out, and draws nothing where nothing is left', () => {
    const equal: PlotCurve = { label: 'PNG', kind: 'measured', points: [{ bpp: 1, psnr: Infinity, msSsim: 1 }] };
    expect(ratePlot([...curves, equal], 'psnr')).not.toContain('PNG');
    expect(ratePlot([equal], 'psnr')).toBeUndefined();
    expect(ratePlot(curves, 'psnr', { bpp: [100, 200] })).toBeUndefined();
  });
});
