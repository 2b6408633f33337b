/** Figures of rate-distortion curves: quality over bits per pixel. */
import * as vega from 'vega';
import { invalidArgument } from '../errors.js';
import { msSsimDecibels } from '../image/ms-ssim.js';
import type { Measure } from './rate-curve.js';

/** A curve of a figure. */
export interface PlotCurve {
  /** For the legend; unlike those of the other curves. */
  readonly label: string;
  /** Ours is drawn thick, others that were measured here thin, published ones dashed. */
  readonly kind: 'ours' | 'measured' | 'published';
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
  /** Above the figure. */
  readonly title?: string;
  /** Bits per pixel at the left and right edge. Default: 0.03 to 3. */
  readonly bpp?: readonly [number, number];
}

const WIDTH = 640;
const HEIGHT = 440;
const OUR_COLOUR = '#d62728';
/** Of the others, by kind; used again where there are more curves. */
const COLOURS: Readonly<Record<Exclude<PlotCurve['kind'], 'ours'>, readonly string[]>> = {
  measured: '#1f77b4 #2ca02c #9467bd #ff7f0e #17becf #8c564b'.split(' '),
  published: '#e377c2 #8da0cb #66a61e #a6761d #66c2a5 #e6ab02 #7570b3 #fb9a99 #444444 #5f9ea0'.split(' '),
};
const DASH = [6, 3];
const TITLES: Readonly<Record<Measure, string>> = { psnr: 'PSNR, dB', msSsim: 'MS-SSIM, dB: -10 log10(1 - x)' };
/** Ticks of the axis of rates, bits per pixel. */
const TICKS = [1, 2, 5].flatMap((digit) => [-3, -2, -1, 0, 1].map((power) => Number(`${digit}e${power}`)));

/**
 * An SVG of PSNR or MS-SSIM in dB over bits per pixel, logarithmic, with the legend beside it.
 * @param curves in the order of the legend; those without the measure, or with no point in the range, are left out
 * @throws CodecError `usage` when nothing is left
 */
export async function ratePlot(
  curves: readonly PlotCurve[],
  measure: Measure,
  options: PlotOptions = {},
): Promise<string> {
  const { title, bpp: range = [0.03, 3] } = options;
  const inside = ({ bpp }: { bpp: number }) => bpp >= range[0] && bpp <= range[1];
  const drawn = curves
    .map((curve) => ({ ...curve, values: curve.points.flatMap((point) => plotted(point, measure)) }))
    .filter(({ values }) => values.some(inside));
  const visible = drawn.flatMap(({ values }) => values.filter(inside));
  if (visible.length === 0) throw invalidArgument('curves', `points within ${range.join(' to ')} bpp`, 'none');
  const labels = drawn.map(({ label }) => label);
  const values = drawn.flatMap(({ label, kind, values: points }) =>
    points.toSorted((a, b) => a.bpp - b.bpp).map((point) => ({ ...point, label, kind })),
  );
  const spec: vega.Spec = {
    $schema: 'https://vega.github.io/schema/vega/v6.json',
    background: 'white',
    padding: 8,
    width: WIDTH,
    height: HEIGHT,
    ...(title === undefined ? {} : { title: { text: title, anchor: 'start', fontWeight: 'normal' } }),
    data: [
      { name: 'points', values },
      { name: 'visible', values: visible },
    ],
    scales: [
      { name: 'x', type: 'log', domain: [...range], range: 'width' },
      { name: 'y', domain: { data: 'visible', field: 'value' }, range: 'height', nice: true, zero: false },
      { name: 'colour', type: 'ordinal', domain: labels, range: coloursOf(drawn) },
      { name: 'dash', type: 'ordinal', domain: labels, range: drawn.map(({ kind }) => dashOf(kind)) },
      { name: 'thickness', type: 'ordinal', domain: labels, range: drawn.map(({ kind }) => thicknessOf(kind)) },
    ],
    axes: [
      {
        scale: 'x',
        orient: 'bottom',
        title: 'bits per pixel',
        grid: true,
        values: TICKS.filter((bpp) => inside({ bpp })),
        // The logarithmic axis would leave labels out by itself.
        format: '~g',
        labelOverlap: false,
      },
      { scale: 'y', orient: 'left', title: TITLES[measure], grid: true },
    ],
    legends: [
      {
        orient: 'right',
        stroke: 'colour',
        strokeDash: 'dash',
        strokeWidth: 'thickness',
        symbolType: 'stroke',
        symbolSize: 500,
        labelLimit: 260,
        rowPadding: 4,
      },
    ],
    marks: [
      {
        type: 'group',
        clip: true,
        encode: { enter: { width: { signal: 'width' }, height: { signal: 'height' } } },
        marks: [
          {
            type: 'group',
            from: { facet: { name: 'curve', data: 'points', groupby: 'label' } },
            marks: [lineMark(), symbolMark()],
          },
        ],
      },
    ],
  };
  return new vega.View(vega.parse(spec), { renderer: 'none' }).toSVG();
}

function plotted({ bpp, psnr, msSsim }: PlotPoint, measure: Measure): { bpp: number; value: number }[] {
  const value = measure === 'psnr' ? psnr : typeof msSsim === 'number' ? msSsimDecibels(msSsim) : undefined;
  return typeof value === 'number' && Number.isFinite(value) && bpp > 0 ? [{ bpp, value }] : [];
}

const place: vega.EncodeEntry = {
  x: { scale: 'x', field: 'bpp' },
  y: { scale: 'y', field: 'value' },
};

function lineMark(): vega.LineMark {
  return {
    type: 'line',
    from: { data: 'curve' },
    encode: {
      enter: {
        ...place,
        stroke: { scale: 'colour', field: 'label' },
        strokeDash: { scale: 'dash', field: 'label' },
        strokeWidth: { scale: 'thickness', field: 'label' },
      },
    },
  };
}

/** Dots where there was a file; not for published curves, whose lines would drown in them. */
function symbolMark(): vega.SymbolMark {
  return {
    type: 'symbol',
    from: { data: 'curve' },
    encode: {
      enter: {
        ...place,
        fill: { scale: 'colour', field: 'label' },
        size: { signal: "datum.kind === 'measured' ? 16 : 0" },
      },
    },
  };
}

function coloursOf(curves: readonly PlotCurve[]): string[] {
  const used = { measured: 0, published: 0 };
  return curves.map(({ kind }) => (kind === 'ours' ? OUR_COLOUR : COLOURS[kind][used[kind]++ % COLOURS[kind].length]));
}

const dashOf = (kind: PlotCurve['kind']) => (kind === 'published' ? DASH : [1, 0]);
const thicknessOf = (kind: PlotCurve['kind']) => ({ ours: 3, measured: 2, published: 1.2 })[kind];
