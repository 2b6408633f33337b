/** Figures and tables of the metrics that were asked for. */
import { evenlySpread } from '../../common/evenly-spread.js';
import { psnrOfRmse } from '../../image/metrics.js';
import type { TextTable } from '../text-table.js';
import { LEAST_PSNR } from './comparison.js';
import type { Report } from './export.js';
import { draw, type Figure, LINES } from './figures.js';
import { type Metric, type MetricKind, metricKind, PATCH } from './metrics.js';
import { ourFiles, ourSettings } from './results.js';
import type { CodecKind, CodecSummary, MeanRdPoint } from './summary.js';

/** Bits per pixel at which tables list metrics. */
const RATES = [0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7, 10];
/** By how much an axis of rates is longer than the curves on it. */
const MARGIN = 1.08;

/** Values of a metric for one codec, in order of rate. */
interface Curve {
  readonly label: string;
  readonly kind: CodecKind;
  readonly points: readonly CurvePoint[];
}

interface CurvePoint {
  readonly bpp: number;
  readonly value: number;
  readonly standardError: number | null;
}

/** A table of a metric at several rates, with the name of its file. */
export type MetricTable = TextTable & { readonly name: string };

/** A figure for each metric, over bits per pixel. */
export function drawMetricFigures(report: Report): Figure[] {
  const { meanImages } = report.summary;
  const figures = report.run.options.metrics.map(({ name }): Figure | undefined => {
    const kind = metricKind(name);
    const curves = curvesOf(report, kind).filter(({ points }) => points.length > 1);
    const rates = curves.flatMap(({ points }) => points.map(({ bpp }) => bpp));
    if (rates.length === 0) return undefined;
    return draw(`${name}-vs-rate`, `${captionOf(kind)} over bits per pixel, logarithmic.`, {
      title: `${kind.of === 'picture' ? 'Mean of' : 'Over'} ${meanImages} image${meanImages === 1 ? '' : 's'}`,
      x: { title: 'bits per pixel', type: 'log', domain: [Math.min(...rates) / MARGIN, Math.max(...rates) * MARGIN] },
      y: { title: `${kind.label}, ${kind.better} is better`, type: kind.name === 'fid' ? 'log' : 'linear' },
      lines: curves.map(({ label, kind: of, points }) => ({
        label,
        kind: LINES[of],
        points: points.map(({ bpp, value }) => ({ x: bpp, y: value })),
      })),
    });
  });
  return figures.filter((figure) => figure !== undefined);
}

/** Maximum number of rates drawn as lines of a figure. */
const MOST_RATES = 6;

/**
 * A figure for each metric of sets where files were decoded with several realisms: the distance from the originals over
 * the error, with a line for each rate (Blau & Michaeli 2019). Each further realism is the next point on the line.
 */
export function drawRealismFigures(report: Report): Figure[] {
  const settings = ourSettings(report.run.options);
  return report.run.options.metrics.flatMap(({ name }): Figure[] => {
    const kind = metricKind(name);
    if (kind.of !== 'set') return [];
    const files = ourFiles(report.run.options);
    return files.flatMap((file) => {
      const dial = settings
        .filter(({ effort, seed }) => effort === file.effort && seed === file.seed)
        .sort((a, b) => a.realism - b.realism);
      const along = dial.map((setting) =>
        report.distances.find((one) => one.metric === name && one.codec === setting.name),
      );
      const first = along[0];
      if (dial.length < 2 || first === undefined || along.some((one) => one?.points.length !== first.points.length))
        return [];
      const shown = evenlySpread(
        first.points.map((_, i) => i).filter((i) => shows(psnrOfRmse(first.points[i].meanRmse))),
        MOST_RATES,
      );
      if (shown.length === 0) return [];
      const { efforts, seeds } = report.run.options;
      const ofEffort = efforts.length > 1 ? `-effort-${file.effort}` : '';
      const ofSeed = seeds.length > 1 ? `-seed-${file.seed}` : '';
      const values = dial.map(({ realism }) => realism).join(', ');
      const drawn = draw(
        `${name}-vs-rmse${ofEffort}${ofSeed}`,
        `${captionOf(kind)} over mean RMSE, realism ${values} on each line.`,
        {
          title: `Realism ${values}, at equal files`,
          x: { title: 'mean RMSE, grey levels', type: 'linear' },
          y: { title: `${kind.label}, ${kind.better} is better`, type: 'linear' },
          lines: shown.map((i) => ({
            label: `${first.points[i].bpp.toPrecision(3)} bits/pixel`,
            // Measured lines have dots, and there are enough colours for them.
            kind: 'measured',
            points: along.map((one) => ({ x: one!.points[i].meanRmse, y: one!.points[i].value })),
          })),
        },
      );
      return drawn === undefined ? [] : [drawn];
    });
  });
}

/** A table for each metric: every codec at several rates. */
export function metricTables(report: Report): MetricTable[] {
  return report.run.options.metrics.flatMap((metric): MetricTable[] => {
    const { name } = metric;
    const kind = metricKind(name);
    const curves = curvesOf(report, kind);
    const rates = RATES.filter((rate) => curves.some(({ points }) => valueAt(points, rate) !== undefined));
    if (rates.length === 0) return [];
    const shown = curves.filter(({ points }) => rates.some((rate) => valueAt(points, rate) !== undefined));
    const rows = shown.map(({ label, points }) => [
      label,
      ...rates.map((rate) => {
        const found = valueAt(points, rate);
        if (found === undefined) return '–';
        const error = found.standardError === null ? '' : ` ± ${found.standardError.toFixed(kind.digits)}`;
        return found.value.toFixed(kind.digits) + error;
      }),
    ]);
    const note = `${noteOf(metric, report)}${networkOf(metric)}. Between two points linear in log(rate).`;
    return [{ name, title: kind.label, note, head: [`${kind.label} at bits/pixel`, ...rates.map(String)], rows }];
  });
}

function noteOf({ name }: Metric, { distances, run }: Report): string {
  const { label, of } = metricKind(name);
  if (name === 'ssimulacra2') return 'SSIMULACRA2: version 2.1; 100 for equal pictures; for sides of 8 pixels and more';
  if (of === 'picture') return `${label}: of whole pictures, RGB from 0 to 1, the original and what was decoded`;
  const patches = distances.find(({ metric }) => metric === name)?.patches ?? 0;
  const pictures = `${patches} patches of ${PATCH}×${PATCH} pixels, side by side from the origin and again ${PATCH / 2} pixels right and down; smaller pictures whole`;
  const how =
    name === 'kid'
      ? 'kernel of degree 3, unbiased for pairs, ± a jackknife’s standard error over images'
      : 'of Gaussians; it falls with the number of patches';
  const at = run.options.points === null ? 'the nearest timesteps' : 'equal shares of the bytes of our files';
  return `${label}: all originals against all that was decoded, at equal qualities or ${at}: ${pictures}; ${how}`;
}

function networkOf({ network }: Metric): string {
  return network === null ? '' : `; network with SHA-256 ${network}`;
}

function captionOf({ label, of }: MetricKind): string {
  return of === 'picture' ? `Mean ${label}` : `${label} of all images as a set`;
}

function curvesOf({ summary, distances }: Report, { name, of }: MetricKind): Curve[] {
  const codecs = summary.codecs.filter(({ kind }) => kind === 'ours' || kind === 'measured');
  return codecs.map((codec) => {
    const points = of === 'picture' ? meanPoints(codec, name) : [];
    const set = distances.find((distance) => distance.metric === name && distance.codec === codec.name);
    return {
      label: codec.label,
      kind: codec.kind,
      points: [...points, ...(set?.points.filter(({ meanRmse }) => shows(psnrOfRmse(meanRmse))) ?? [])].sort(
        (a, b) => a.bpp - b.bpp,
      ),
    };
  });
}

/** Whether pictures of that PSNR show enough; figures of PSNR use the same limit. */
function shows(psnr: number): boolean {
  return psnr >= LEAST_PSNR;
}

function meanPoints({ mean }: CodecSummary, name: string): CurvePoint[] {
  return mean.flatMap(({ bpp, psnr, metrics }: MeanRdPoint) => {
    const value = metrics[name];
    return typeof value === 'number' && shows(psnr) ? [{ bpp, value, standardError: null }] : [];
  });
}

/** Interpolates linearly in log(rate) between the two neighbouring points. */
function valueAt(points: readonly CurvePoint[], bpp: number): Omit<CurvePoint, 'bpp'> | undefined {
  const after = points.findIndex((point) => point.bpp >= bpp);
  if (after < 0) return undefined;
  const b = points[after];
  if (b.bpp === bpp) return b;
  if (after === 0) return undefined;
  const a = points[after - 1];
  const share = Math.log(bpp / a.bpp) / Math.log(b.bpp / a.bpp);
  const between = (from: number, to: number) => from + share * (to - from);
  const [errorA, errorB] = [a.standardError, b.standardError];
  return {
    value: between(a.value, b.value),
    standardError: errorA === null || errorB === null ? null : between(errorA, errorB),
  };
}
