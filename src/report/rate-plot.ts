/** Figures of rate-distortion curves: quality over bits per pixel. */
import { msSsimDecibels } from '../image/ms-ssim.js';
import { type LineKind, type LinePlot, linePlot } from './line-plot.js';
import type { Family } from './published.js';
import type { Measure } from './rate-curve.js';

/** A curve of a figure. */
export interface PlotCurve {
  /** For the legend; different from those of the other curves. */
  readonly label: string;
  readonly kind: LineKind;
  /** Family of a published curve. */
  readonly family?: Family;
  readonly points: readonly PlotPoint[];
}

export interface PlotPoint {
  readonly bpp: number;
  /** In dB. */
  readonly psnr?: number | null;
  /** 0..1. */
  readonly msSsim?: number | null;
}

export interface PlotOptions {
  /** Shown above the figure. */
  readonly title?: string;
  /** Bits per pixel at the left and right edge. Default: 0.03 to 3. */
  readonly bpp?: readonly [number, number];
}

const TITLES: Readonly<Record<Measure, string>> = { psnr: 'PSNR, dB', msSsim: 'MS-SSIM, dB: -10 log10(1 - x)' };

/**
 * An SVG of PSNR or MS-SSIM in dB over bits per pixel, logarithmic.
 * @param curves in the order of the legend; those without the measure, or with no point in the range, are left out
 * @returns undefined when nothing is left
 */
export function ratePlot(
  curves: readonly PlotCurve[],
  measure: Measure,
  options: PlotOptions = {},
): string | undefined {
  return linePlot(rateLines(curves, measure, options));
}

/** The lines of that figure before it is drawn. */
export function rateLines(curves: readonly PlotCurve[], measure: Measure, options: PlotOptions = {}): LinePlot {
  const { title, bpp: domain = [0.03, 3] } = options;
  return {
    ...(title === undefined ? {} : { title }),
    x: { title: 'bits per pixel', type: 'log', domain },
    y: { title: TITLES[measure], type: 'linear' },
    lines: curves.map(({ label, kind, family, points }) => ({
      label,
      kind,
      ...(family && { family }),
      points: points.map((point) => ({ x: point.bpp, y: qualityOf(point, measure) })),
    })),
  };
}

/** Quality in dB; NaN where there is none. */
function qualityOf({ psnr, msSsim }: PlotPoint, measure: Measure): number {
  if (measure === 'psnr') return psnr ?? Number.NaN;
  return typeof msSsim === 'number' ? msSsimDecibels(msSsim) : Number.NaN;
}
