/** The figures of a report: the paper's figure 5, quality over rate, and the overhead of files over an ideal coder. */
import { msSsimDecibels } from '../../image/ms-ssim.js';
import {
  COLUMN_SIZE,
  FAMILY_COLOURS,
  type LineKind,
  type LinePlot,
  linePlot,
  type PlotAxis,
  type PlotLine,
} from '../line-plot.js';
import { type PublishedPoint, type PublishedSet, prominentCurves } from '../published.js';
import { type CurvePoint, type Measure, relativeRateCurve } from '../rate-curve.js';
import { type ScatterPoint, scatterPlot } from '../scatter-plot.js';
import { LEAST_PSNR, type Standings, seen } from './comparison.js';
import { type CodecKind, type CodecSummary, labelOf, type MeanRdPoint, type Summary } from './summary.js';

export interface Figure {
  /** File name without extension. */
  readonly name: string;
  /** Caption for the page. */
  readonly caption: string;
  readonly svg: string;
  /** The same figure for a column of a paper, without a title, since papers use a caption. */
  readonly column: string;
}

/** By how much an axis of rates is longer than the curves on it. */
const MARGIN = 1.08;
export const LINES: Readonly<Record<CodecKind, LineKind>> = {
  ours: 'ours',
  theory: 'theory',
  measured: 'measured',
  payload: 'measured',
};
/** Number of points on a curve relative to the anchor. */
const RELATIVE_POINTS = 100;
/** Highest rate against the anchor that is drawn, in percent. */
const MOST_PERCENT = 60;
const OUR_COLOUR = '#d62728';
const STEPS: PlotAxis = { title: 'reverse process steps, T - t', type: 'linear' };
const RMSE: PlotAxis = { title: 'distortion: mean RMSE, grey levels 0..255', type: 'linear', domain: [0, 80] };
const QUALITIES: Readonly<Record<Measure, string>> = { psnr: 'PSNR, dB', msSsim: 'MS-SSIM, dB: -10 log10(1 - x)' };
const RATE: PlotAxis = { title: 'rate, bits/dim', type: 'linear' };

/** All figures that have at least a point within their axes. @param published drawn as dashed lines */
export function drawFigures(summary: Summary, published?: PublishedSet): Figure[] {
  const { codecs, meanImages: images, standings } = summary;
  const title = `Mean of ${images} image${images === 1 ? '' : 's'}`;
  const [whole, payload] = [
    codecs.filter(({ kind }) => kind !== 'payload'),
    codecs.filter(({ kind }) => kind === 'payload'),
  ];
  const ours = codecs.filter(({ kind }) => kind === 'ours');
  const some = published && prominentCurves(published, standings?.anchor);
  return [
    ...figure5(whole, title, some),
    quality('psnr-vs-rate', title, 'psnr', whole, some),
    quality('ms-ssim-vs-rate', title, 'msSsim', whole, some),
    relativeRate(whole, title, standings, published),
    complexity(title, standings, published),
    imagesFigure(summary),
    payload.length === 0
      ? undefined
      : quality('psnr-vs-rate-no-container', `${title}; no such files exist of others`, 'psnr', [...ours, ...payload]),
    overhead(ours, title),
  ].filter((figure) => figure !== undefined);
}

/**
 * Distortion and rate over the steps of the reverse process, and distortion over rate; axes linear, as in the paper.
 */
function figure5(
  codecs: readonly CodecSummary[],
  title: string,
  published: PublishedSet | undefined,
): (Figure | undefined)[] {
  const chains = codecs.filter(({ kind }) => kind === 'ours' || kind === 'theory');
  if (chains.length === 0) return [];
  const ours = chains.filter(({ kind }) => kind === 'ours');
  const timesteps = Math.max(...chains.flatMap(({ mean }) => mean.map(({ t }) => t!)));
  const steps = ({ t }: MeanRdPoint) => timesteps - t!;
  const paper = published && {
    ...published,
    curves: published.curves.filter(({ points }) => points[0].reverseSteps !== undefined),
  };
  const theirSteps = ({ reverseSteps }: PublishedPoint) => reverseSteps!;
  return [
    draw('distortion-vs-steps', 'Figure 5 of the paper, left: distortion over the steps of the reverse process.', {
      title: titled(title, paper),
      x: STEPS,
      y: RMSE,
      lines: [
        ...linesOf(chains, steps, ({ meanRmse }) => meanRmse),
        ...publishedLines(paper, theirSteps, ({ rmse }) => rmse),
      ],
    }),
    draw('rate-vs-steps', 'Figure 5, middle: bits spent up to a step, the same for every realism.', {
      title: titled(title, paper),
      x: STEPS,
      y: RATE,
      lines: [
        ...distinct(linesOf(chains, steps, ({ bitsPerDim }) => bitsPerDim)),
        ...publishedLines(paper, theirSteps, ({ bpp }) => bpp / 3),
      ],
    }),
    draw('distortion-vs-rate', 'Figure 5, right: distortion over rate, with other codecs.', {
      title: titled(title, published),
      x: { ...RATE, domain: [0, (MARGIN * highest(ours)) / 3] },
      y: RMSE,
      lines: [
        ...linesOf(
          codecs,
          ({ bitsPerDim }) => bitsPerDim,
          ({ meanRmse }) => meanRmse,
        ),
        ...publishedLines(
          published,
          ({ bpp }) => bpp / 3,
          ({ rmse }) => rmse,
        ),
      ],
    }),
  ];
}

function quality(
  name: string,
  title: string,
  measure: Measure,
  codecs: readonly CodecSummary[],
  published?: PublishedSet,
): Figure | undefined {
  const lossy = codecs.filter(({ kind, mean }) => kind !== 'theory' && mean.length > 1);
  if (!lossy.some(({ mean }) => mean.some((point) => point[measure] !== null))) return undefined;
  const rates = lossy.flatMap(({ mean }) => mean.filter(({ psnr }) => psnr >= LEAST_PSNR).map(({ bpp }) => bpp));
  if (rates.length === 0) return undefined;
  const [low, high] = [Math.min(...rates), Math.max(...rates)];
  const rate = ({ bpp }: { readonly bpp: number }) => bpp;
  const decibels = (point: QualityPoint) => decibelsOf(point, measure);
  const words = measure === 'psnr' ? 'Mean PSNR' : 'Mean MS-SSIM';
  return draw(name, `${words} over bits per pixel, logarithmic. A lossless codec has no such point and is not drawn.`, {
    title: titled(title, published),
    x: { title: 'bits per pixel', type: 'log', domain: [low / MARGIN, high * MARGIN] },
    y: { title: QUALITIES[measure], type: 'linear' },
    lines: [...linesOf(codecs, rate, decibels), ...publishedLines(published, rate, decibels)],
  });
}

type QualityPoint = Pick<PublishedPoint, 'psnr'> & { readonly msSsim?: number | null };

/** Quality in dB; NaN, which is not drawn, where there is none, and below {@link LEAST_PSNR}. */
function decibelsOf({ psnr, msSsim }: QualityPoint, measure: Measure): number {
  if (psnr < LEAST_PSNR) return Number.NaN;
  if (measure === 'psnr') return psnr;
  return typeof msSsim === 'number' ? msSsimDecibels(msSsim) : Number.NaN;
}

/** The curves that BD-rates are means of: each codec's rate against the anchor's, over PSNR. */
function relativeRate(
  codecs: readonly CodecSummary[],
  title: string,
  standings: Standings | null,
  published: PublishedSet | undefined,
): Figure | undefined {
  if (standings === null) return undefined;
  const curves: (Pick<PlotLine, 'label' | 'kind' | 'family'> & { readonly points: readonly CurvePoint[] })[] = [
    ...codecs
      .filter(({ kind }) => kind !== 'theory')
      .map(({ label, kind, mean }) => ({ label, kind: LINES[kind], points: mean })),
    ...(published?.curves ?? [])
      .filter(({ rate }) => rate === 'file')
      .map(({ label, family, points }) => ({
        label,
        kind: 'published' as const,
        ...(family && { family }),
        points: points.map((point) => ({ msSsim: null, ...point })),
      })),
  ];
  const anchor = curves.find(({ label }) => label === standings.anchor);
  if (anchor === undefined) return undefined;
  const lines = curves.flatMap(({ points, ...curve }): PlotLine[] => {
    const relative = relativeRateCurve(seen(anchor.points), seen(points), 'psnr', RELATIVE_POINTS);
    const line = relative.map(({ quality, percent }) => ({ x: quality, y: percent }));
    return line.length === 0 ? [] : [{ ...curve, points: line }];
  });
  if (lines.length < 2) return undefined;
  return draw(
    'rate-vs-anchor',
    `By how many percent the rate at a PSNR differs from that of ${standings.anchor}; BD-rates are means of these curves.`,
    {
      title: titled(title, published),
      x: { title: 'PSNR, dB', type: 'linear', domain: qualityRange(lines) },
      y: { title: `rate against ${standings.anchor}, %`, type: 'linear', domain: relativeRange(lines) },
      lines,
      names: 'beside',
    },
  );
}

/** The range of our curves, or of all without ours, plus a margin. */
function qualityRange(lines: readonly PlotLine[]): [number, number] {
  const ours = lines.filter(({ kind }) => kind === 'ours');
  const all = (ours.length > 0 ? ours : lines).flatMap(({ points }) => points.map(({ x }) => x));
  return [Math.min(...all) - 0.5, Math.max(...all) + 0.5];
}

/** Far worse curves are left to the tables. */
function relativeRange(lines: readonly PlotLine[]): [number, number] {
  const all = lines.flatMap(({ points }) => points.map(({ y }) => y));
  return [Math.max(-100, Math.min(...all) - 5), Math.min(MOST_PERCENT, Math.max(...all) + 5)];
}

/** BD-rate over the complexity of decoding. */
function complexity(
  title: string,
  standings: Standings | null,
  published: PublishedSet | undefined,
): Figure | undefined {
  const rows = standings?.rows ?? [];
  const numbers = { classical: 0, learned: 0, overfitted: 0 };
  const points = rows.flatMap(({ label, kind, family, psnr, complexity }): (ScatterPoint & { ours: boolean })[] => {
    if (!psnr?.bdRate || !(complexity && complexity.kmacPerPixel > 0)) return [];
    const colour =
      family === null ? OUR_COLOUR : FAMILY_COLOURS[family][numbers[family]++ % FAMILY_COLOURS[family].length];
    return [
      {
        label,
        colour,
        x: complexity.kmacPerPixel,
        y: psnr.bdRate.value,
        hollow: complexity.of === 'model',
        ours: kind === 'ours',
      },
    ];
  });
  const ours = points.filter((point) => point.ours).toSorted((a, b) => a.x - b.x);
  if (points.length < 2 || ours.length === 0) return undefined;
  // The line joins them, so the first says whose they are.
  const named = points.map((point) =>
    point.ours && point !== ours[0] ? { ...point, label: point.label.replace(/^ddpm-codec, /, '') } : point,
  );
  const plot = {
    x: { title: 'kMAC/pixel', type: 'log' },
    y: { title: `BD-rate against ${standings!.anchor}, %`, type: 'linear' },
    points: named,
    line: ours,
  } as const;
  const ofAll = published === undefined ? title : `${title}, and as published of ${published.set}`;
  return figure(
    'bd-rate-vs-kmac',
    'BD-rate by PSNR over the multiply-adds of networks for each pixel, decoding; rings: of the model as a whole, encoder and decoder, as its paper counts them.',
    scatterPlot({ title: ofAll, ...plot }),
    scatterPlot(plot),
  );
}

/** The BD-rate of each image, in ascending order, for the first of ours. */
function imagesFigure(summary: Summary): Figure | undefined {
  const { codecs, comparisons } = summary;
  const ours = codecs.find(({ kind }) => kind === 'ours');
  const lines = comparisons.flatMap(({ test, anchor, measure, perImage }): PlotLine[] => {
    const measured = codecs.some(({ name, kind }) => name === anchor && kind === 'measured');
    const values = perImage.filter((value) => value !== null).sort((a, b) => a - b);
    if (test !== ours?.name || measure !== 'psnr' || !measured || values.length < 2) return [];
    return [
      {
        label: labelOf(anchor, summary),
        kind: 'measured',
        points: values.map((y, i) => ({ x: i + 1, y })),
      },
    ];
  });
  return draw('bd-rate-of-images', "Each image's own BD-rate by PSNR, ascending.", {
    title: `Each image's own BD-rate of ${ours?.label}`,
    x: { title: 'images, in order of BD-rate', type: 'linear' },
    y: { title: 'BD-rate against each, %', type: 'linear' },
    lines,
    names: 'beside',
  });
}

/** Bits of files relative to what an ideal coder would have needed for the same steps. */
function overhead(ours: readonly CodecSummary[], title: string): Figure | undefined {
  const lines = distinct(
    ours.map(({ label, mean }) => ({
      label,
      kind: 'ours' as const,
      points: mean.flatMap(({ bitsPerDim, klBitsPerDim }) =>
        klBitsPerDim! > 0 ? [{ x: bitsPerDim, y: bitsPerDim / klBitsPerDim! }] : [],
      ),
    })),
  );
  if (lines.every(({ points }) => points.length < 2)) return undefined;
  return draw(
    'overhead-vs-rate',
    'What whole files, header included, take above the sum of KL of their own steps, the same for every realism.',
    {
      title,
      x: { title: 'rate, bits/dim', type: 'log' },
      y: { title: 'bits of the file / bits of KL', type: 'log', domain: overheadRange(lines) },
      lines,
    },
  );
}

/** From 1, an ideal coder, or lower where a closed loop got below it, up to where the header dominates. */
function overheadRange(lines: readonly PlotLine[]): [number, number] {
  const ratios = lines.flatMap(({ points }) => points.map(({ y }) => y));
  return [Math.min(1, ...ratios), Math.min(10, Math.max(2, ...ratios))];
}

function linesOf(
  codecs: readonly CodecSummary[],
  x: (point: MeanRdPoint) => number,
  y: (point: MeanRdPoint) => number,
): PlotLine[] {
  return codecs.map(({ label, kind, mean }) => ({
    label,
    kind: LINES[kind],
    points: mean.map((point) => ({ x: x(point), y: y(point) })),
  }));
}

/** Lines through the points of an earlier one are empty: the bits of a file are the same whatever the realism. */
function distinct(lines: readonly PlotLine[]): PlotLine[] {
  const points = lines.map((line) => JSON.stringify(line.points));
  return lines.map((line, i) => (points.indexOf(points[i]) === i ? line : { ...line, points: [] }));
}

function publishedLines(
  published: PublishedSet | undefined,
  x: (point: PublishedPoint) => number,
  y: (point: PublishedPoint) => number,
): PlotLine[] {
  return (published?.curves ?? []).map(({ label, family, points }) => ({
    label,
    kind: 'published',
    ...(family && { family }),
    points: points.map((point) => ({ x: x(point), y: y(point) })),
  }));
}

function titled(title: string, published: PublishedSet | undefined): string {
  return published === undefined || published.curves.length === 0
    ? title
    : `${title}; dashed: published, ${published.set}`;
}

/** Highest bits per pixel of all curves. */
function highest(codecs: readonly CodecSummary[]): number {
  return Math.max(...codecs.flatMap(({ mean }) => mean.map(({ bpp }) => bpp)));
}

export function draw(name: string, caption: string, plot: LinePlot): Figure | undefined {
  const { title, ...untitled } = plot;
  return figure(name, caption, linePlot(plot), linePlot({ ...untitled, size: COLUMN_SIZE }));
}

function figure(
  name: string,
  caption: string,
  svg: string | undefined,
  column: string | undefined,
): Figure | undefined {
  return svg === undefined || column === undefined ? undefined : { name, caption, svg, column };
}
