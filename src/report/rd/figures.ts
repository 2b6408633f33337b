/** The figures of a report: the paper's figure 5, quality over rate, and what files take above an ideal coder. */
import sharp from 'sharp';
import { type LineKind, linePlot, type PlotAxis, type PlotLine } from '../line-plot.js';
import type { PublishedSet } from '../published.js';
import type { Measure } from '../rate-curve.js';
import { type PlotCurve, ratePlot } from '../rate-plot.js';
import type { CodecKind, CodecSummary, MeanRdPoint, Summary } from './summary.js';

export interface Figure {
  /** File name without extension. */
  readonly name: string;
  /** What it shows, for the page. */
  readonly caption: string;
  readonly svg: string;
  readonly png: Uint8Array;
}

/** Pixels of a PNG for each of the SVG's. */
const ZOOM = 2;
/** The line of a curve of ours starts at the bare header, which is cheap and no picture; ends of axes leave it out. */
const WIDEST_RATES = 400;
const LINES: Readonly<Record<CodecKind, LineKind>> = {
  ours: 'ours',
  theory: 'theory',
  measured: 'measured',
  payload: 'measured',
};
const STEPS: PlotAxis = { title: 'reverse process steps, T - t', type: 'linear' };
const RMSE: PlotAxis = { title: 'distortion: mean RMSE, grey levels 0..255', type: 'linear' };
const RATE: PlotAxis = { title: 'rate, bits/dim', type: 'linear' };

/** All figures there is something to draw in. @param published drawn beside, dashed */
export async function drawFigures(summary: Summary, published?: PublishedSet): Promise<Figure[]> {
  const { codecs } = summary;
  const chains = codecs.filter(({ kind }) => kind === 'ours' || kind === 'theory');
  const timesteps = chains[0]?.mean[0]?.t ?? 0;
  const figures: (Figure | undefined)[] = [];
  if (chains.length > 0) {
    const origin = Math.max(...chains.flatMap(({ mean }) => mean.map(({ t }) => t!)), timesteps);
    const steps = ({ t }: MeanRdPoint) => origin - t!;
    const paper = (published?.curves ?? []).filter(({ points }) => points[0].reverseSteps !== undefined);
    const besides = (y: (point: { readonly bpp: number; readonly rmse: number }) => number): PlotLine[] =>
      paper.map(({ label, points }) => ({
        label,
        kind: 'published',
        points: points.map((point) => ({ x: point.reverseSteps!, y: y(point) })),
      }));
    figures.push(
      await draw(
        'distortion-vs-steps',
        'Figure 5 of the paper, left: distortion over the steps of the reverse process.',
        {
          x: STEPS,
          y: { ...RMSE, domain: [0, 80] },
          lines: [...linesOf(chains, steps, (point) => point.meanRmse), ...besides(({ rmse }) => rmse)],
        },
      ),
      await draw('rate-vs-steps', 'Figure 5, middle: bits spent up to a step.', {
        x: STEPS,
        y: RATE,
        lines: [...linesOf(chains, steps, (point) => point.bitsPerDim), ...besides(({ bpp }) => bpp / 3)],
      }),
      await draw('distortion-vs-rate', 'Figure 5, right: distortion over rate.', {
        x: { ...RATE, domain: [0, highest(chains.map(({ mean }) => mean)) / 3] },
        y: { ...RMSE, domain: [0, 80] },
        lines: [
          ...linesOf(
            codecs.filter(({ kind }) => kind !== 'payload'),
            ({ bitsPerDim }) => bitsPerDim,
            (point) => point.meanRmse,
          ),
          ...publishedLines(
            published,
            ({ bpp }) => bpp / 3,
            ({ rmse }) => rmse,
          ),
        ],
      }),
    );
  }
  for (const measure of ['psnr', 'msSsim'] as const) figures.push(await quality(codecs, measure, published));
  figures.push(await overhead(codecs));
  return figures.filter((figure) => figure !== undefined);
}

async function quality(
  codecs: readonly CodecSummary[],
  measure: Measure,
  published: PublishedSet | undefined,
): Promise<Figure | undefined> {
  const curves: PlotCurve[] = [
    ...codecs.map(({ label, kind, mean }) => ({ label, kind: LINES[kind], points: mean })),
    ...(published?.curves ?? []).map(({ label, points }) => ({
      label: `${label}, published`,
      kind: 'published' as const,
      points,
    })),
  ].filter(({ points }) => points.some((point) => point[measure] !== null && point[measure] !== undefined));
  if (curves.length === 0) return undefined;
  const lossy = codecs.filter(({ mean }) => mean.length > 1).map(({ mean }) => mean);
  const high = highest(lossy.length > 0 ? lossy : codecs.map(({ mean }) => mean));
  const low = Math.max(high / WIDEST_RATES, Math.min(...codecs.flatMap(({ mean }) => mean.map(({ bpp }) => bpp))));
  const [name, words] = measure === 'psnr' ? ['psnr-vs-rate', 'Mean PSNR'] : ['ms-ssim-vs-rate', 'Mean MS-SSIM'];
  const svg = await ratePlot(curves, measure, { bpp: [low / 1.05, high * 1.05] });
  return figure(name, `${words} over bits per pixel, logarithmic. A lossless codec has no PSNR and is not drawn.`, svg);
}

/** Bits of files over what an ideal coder would have needed for the same steps. */
async function overhead(codecs: readonly CodecSummary[]): Promise<Figure | undefined> {
  const lines = codecs
    .filter(({ kind }) => kind === 'ours')
    .map(({ label, mean }) => ({
      label,
      kind: 'ours' as const,
      points: mean.flatMap(({ bitsPerDim, klBitsPerDim }) =>
        klBitsPerDim! > 0 ? [{ x: bitsPerDim, y: bitsPerDim / klBitsPerDim! }] : [],
      ),
    }));
  if (lines.every(({ points }) => points.length < 2)) return undefined;
  return draw('overhead-vs-rate', 'What whole files, header included, take above the sum of KL of their own steps.', {
    x: { title: 'rate, bits/dim', type: 'log' },
    y: { title: 'bits of the file / bits of KL', type: 'log', domain: overheadRange(lines) },
    lines,
  });
}

/** From 1, an ideal coder, to where the header alone makes it large. */
function overheadRange(lines: readonly PlotLine[]): [number, number] {
  const highest = Math.max(...lines.flatMap(({ points }) => points.map(({ y }) => y)));
  return [1, Math.min(10, Math.max(2, highest))];
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
  x: (point: PublishedSet['curves'][number]['points'][number]) => number,
  y: (point: PublishedSet['curves'][number]['points'][number]) => number,
): PlotLine[] {
  return (published?.curves ?? []).map(({ label, points }) => ({
    label: `${label}, published`,
    kind: 'published',
    points: points.map((point) => ({ x: x(point), y: y(point) })),
  }));
}

/** Bits per pixel at the right end of the widest curve. */
function highest(curves: readonly (readonly MeanRdPoint[])[]): number {
  return Math.max(...curves.flatMap((mean) => mean.map(({ bpp }) => bpp)));
}

async function draw(name: string, caption: string, plot: Parameters<typeof linePlot>[0]): Promise<Figure> {
  return figure(name, caption, await linePlot(plot));
}

async function figure(name: string, caption: string, svg: string): Promise<Figure> {
  const png = await sharp(Buffer.from(svg), { density: 72 * ZOOM })
    .png()
    .toBuffer();
  return { name, caption, svg, png };
}
