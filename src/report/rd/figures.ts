/** The figures of a report: the paper's figure 5, quality over rate, and what files take above an ideal coder. */
import { encodeFigure } from '../figure.js';
import { type LineKind, type LinePlot, linePlot, type PlotAxis, type PlotLine } from '../line-plot.js';
import type { PublishedPoint, PublishedSet } from '../published.js';
import type { Measure } from '../rate-curve.js';
import { type PlotCurve, ratePlot } from '../rate-plot.js';
import { type CodecKind, type CodecSummary, LEAST_PSNR, type MeanRdPoint, type Summary } from './summary.js';

export interface Figure {
  /** File name without extension. */
  readonly name: string;
  /** What it shows, for the page. */
  readonly caption: string;
  readonly svg: string;
  readonly png: Uint8Array;
}

/** By how much an axis of rates is longer than the curves on it. */
const MARGIN = 1.08;
const LINES: Readonly<Record<CodecKind, LineKind>> = {
  ours: 'ours',
  theory: 'theory',
  measured: 'measured',
  payload: 'measured',
};
const STEPS: PlotAxis = { title: 'reverse process steps, T - t', type: 'linear' };
const RMSE: PlotAxis = { title: 'distortion: mean RMSE, grey levels 0..255', type: 'linear', domain: [0, 80] };
const RATE: PlotAxis = { title: 'rate, bits/dim', type: 'linear' };

/** All figures there is something to draw in: at least a point within their axes. @param published drawn beside, dashed */
export async function drawFigures(summary: Summary, published?: PublishedSet): Promise<Figure[]> {
  const { codecs, meanImages: images } = summary;
  const title = `Mean of ${images} image${images === 1 ? '' : 's'}`;
  const [whole, payload] = [
    codecs.filter(({ kind }) => kind !== 'payload'),
    codecs.filter(({ kind }) => kind === 'payload'),
  ];
  const ours = codecs.filter(({ kind }) => kind === 'ours');
  return (
    await Promise.all([
      figure5(whole, title, published),
      quality('psnr-vs-rate', title, 'psnr', whole, published),
      quality('ms-ssim-vs-rate', title, 'msSsim', whole, published),
      payload.length === 0
        ? undefined
        : quality('psnr-vs-rate-no-container', `${title}; no such files exist of others`, 'psnr', [
            ...ours,
            ...payload,
          ]),
      overhead(ours, title),
    ])
  )
    .flat()
    .filter((figure) => figure !== undefined);
}

/** Distortion and rate over the steps of the reverse process, and over each other; axes linear, as in the paper. */
async function figure5(
  codecs: readonly CodecSummary[],
  title: string,
  published: PublishedSet | undefined,
): Promise<(Figure | undefined)[]> {
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
  return Promise.all([
    draw('distortion-vs-steps', 'Figure 5 of the paper, left: distortion over the steps of the reverse process.', {
      title: titled(title, paper),
      x: STEPS,
      y: RMSE,
      lines: [
        ...linesOf(chains, steps, ({ meanRmse }) => meanRmse),
        ...publishedLines(paper, theirSteps, ({ rmse }) => rmse),
      ],
    }),
    draw('rate-vs-steps', 'Figure 5, middle: bits spent up to a step.', {
      title: titled(title, paper),
      x: STEPS,
      y: RATE,
      lines: [
        ...linesOf(chains, steps, ({ bitsPerDim }) => bitsPerDim),
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
  ]);
}

async function quality(
  name: string,
  title: string,
  measure: Measure,
  codecs: readonly CodecSummary[],
  published?: PublishedSet,
): Promise<Figure | undefined> {
  const curves: PlotCurve[] = [
    ...codecs.map(({ label, kind, mean }) => ({ label, kind: LINES[kind], points: mean })),
    ...(published?.curves ?? []).map(({ label, points }) => ({ label, kind: 'published' as const, points })),
  ].map((curve) => ({ ...curve, points: curve.points.filter(({ psnr }) => psnr >= LEAST_PSNR) }));
  const lossy = codecs.filter(({ kind, mean }) => kind !== 'theory' && mean.length > 1);
  if (!lossy.some(({ mean }) => mean.some((point) => point[measure] !== null))) return undefined;
  const rates = lossy.flatMap(({ mean }) => mean.filter(({ psnr }) => psnr >= LEAST_PSNR).map(({ bpp }) => bpp));
  if (rates.length === 0) return undefined;
  const [low, high] = [Math.min(...rates), Math.max(...rates)];
  const svg = ratePlot(curves, measure, {
    title: titled(title, published),
    bpp: [low / MARGIN, high * MARGIN],
  });
  const words = measure === 'psnr' ? 'Mean PSNR' : 'Mean MS-SSIM';
  return figure(
    name,
    `${words} over bits per pixel, logarithmic. A lossless codec has no such point and is not drawn.`,
    svg,
  );
}

/** Bits of files over what an ideal coder would have needed for the same steps. */
async function overhead(ours: readonly CodecSummary[], title: string): Promise<Figure | undefined> {
  const lines = ours.map(({ label, mean }) => ({
    label,
    kind: 'ours' as const,
    points: mean.flatMap(({ bitsPerDim, klBitsPerDim }) =>
      klBitsPerDim! > 0 ? [{ x: bitsPerDim, y: bitsPerDim / klBitsPerDim! }] : [],
    ),
  }));
  if (lines.every(({ points }) => points.length < 2)) return undefined;
  return draw('overhead-vs-rate', 'What whole files, header included, take above the sum of KL of their own steps.', {
    title,
    x: { title: 'rate, bits/dim', type: 'log' },
    y: { title: 'bits of the file / bits of KL', type: 'log', domain: overheadRange(lines) },
    lines,
  });
}

/** From 1, an ideal coder, or from below that, where a closed loop got, to where the header alone makes it large. */
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

function publishedLines(
  published: PublishedSet | undefined,
  x: (point: PublishedPoint) => number,
  y: (point: PublishedPoint) => number,
): PlotLine[] {
  return (published?.curves ?? []).map(({ label, points }) => ({
    label,
    kind: 'published',
    points: points.map((point) => ({ x: x(point), y: y(point) })),
  }));
}

function titled(title: string, published: PublishedSet | undefined): string {
  return published === undefined || published.curves.length === 0
    ? title
    : `${title}; dashed: published, ${published.set}`;
}

/** Bits per pixel at the right end of the widest curve. */
function highest(codecs: readonly CodecSummary[]): number {
  return Math.max(...codecs.flatMap(({ mean }) => mean.map(({ bpp }) => bpp)));
}

async function draw(name: string, caption: string, plot: LinePlot): Promise<Figure | undefined> {
  return figure(name, caption, linePlot(plot));
}

async function figure(name: string, caption: string, svg: string | undefined): Promise<Figure | undefined> {
  return svg === undefined ? undefined : { name, caption, svg, png: await encodeFigure(svg, 'png') };
}
