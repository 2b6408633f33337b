/** Tables of a report, for its page, and as Markdown and LaTeX for a paper. */
import { basename } from 'node:path';
import { counted } from '../../common/counted.js';
import type { BdResult } from '../bd-rate.js';
import { RESAMPLES } from '../bootstrap.js';
import { latexTable } from '../latex.js';
import { type PublishedSet, paperTable } from '../published.js';
import { markdownTable, type TextTable } from '../text-table.js';
import { type Comparison, LEAST_PSNR, type Standings } from './comparison.js';
import type { Report } from './export.js';
import { metricTables } from './metric-report.js';
import { type CodecSummary, LEVELS, labelOf, type Spread, type Summary } from './summary.js';

export interface Table extends TextTable {
  /** Name of the file, without extension, and of the section on the page. */
  readonly name: string;
  /** Only written as a file: the page shows the same in another form. */
  readonly fileOnly?: boolean;
}

/** A unit of rates, and its factor from bits/dim. */
const UNITS = [
  { unit: 'bits/dim', name: 'rates', title: 'Rates at an RMSE', perPixel: 1, fileOnly: false },
  { unit: 'bpp', name: 'rates-bpp', title: 'Rates at an RMSE, bits per pixel', perPixel: 3, fileOnly: true },
] as const;
type Unit = (typeof UNITS)[number];

/** All tables that have content. @param published source of the paper's table 4 beside ours */
export function reportTables(report: Report, published?: PublishedSet): Table[] {
  const { summary } = report;
  return [
    ...UNITS.map((unit) => rates(summary.codecs, unit)),
    standings(summary),
    scatter(summary),
    comparisons(summary),
    ...metricTables(report),
    imagesTable(report),
    paper(summary.codecs, published),
  ].filter((table) => table !== undefined);
}

/** The tables as files, by path in the report. */
export function tableFiles(tables: readonly Table[]): [string, string][] {
  return tables.flatMap((table): [string, string][] => [
    [`tables/${table.name}.tex`, latexTable(table)],
    [`tables/${table.name}.md`, markdownTable(table)],
  ]);
}

function rates(codecs: readonly CodecSummary[], unit: Unit): Table {
  return {
    name: unit.name,
    title: unit.title,
    note: `Mean over the images of ${unit.unit} interpolated at that RMSE (grey levels, 0–255), ± its standard error; a dash where not every image comes to it, with the number that do. Seconds per image: of ours for the whole file, of others the mean over their qualities. “Over KL”: by how much files are larger than what an ideal coder needs for the same steps.`,
    head: [`${unit.unit} at`, ...LEVELS.map((level) => `RMSE ${level}`), 'lossless', 'encode, s', 'decode, s'],
    rows: codecs.flatMap((codec) =>
      codec.kind === 'ours' ? [rateRow(codec, unit), overheadRow(codec)] : [rateRow(codec, unit)],
    ),
    ...(unit.fileOnly && { fileOnly: true }),
  };
}

function rateRow({ label, bitsPerDimAtRmse, losslessBitsPerDim, secondsPerImage }: CodecSummary, { perPixel }: Unit) {
  return [
    label,
    ...bitsPerDimAtRmse.map(({ mean, standardError, count }) =>
      mean === null
        ? count === 0
          ? '–'
          : `– (${counted(count, 'image')})`
        : `${(perPixel * mean).toFixed(4)}${plusMinus(standardError && perPixel * standardError, 4)}`,
    ),
    losslessBitsPerDim === null ? '–' : (perPixel * losslessBitsPerDim).toFixed(4),
    ...seconds(secondsPerImage),
  ];
}

/** Overhead of whole files over the KL of their own steps, header included. */
function overheadRow({ label, bitsPerDimAtRmse }: CodecSummary): string[] {
  const cells = bitsPerDimAtRmse.map(({ mean, klBitsPerDim }) =>
    mean === null || klBitsPerDim === null ? '–' : `${signed(100 * (mean / klBitsPerDim - 1), 1)} %`,
  );
  return [`${label}: over KL`, ...cells, '–', '–', '–'];
}

/** All codecs against one anchor. */
function standings({ standings }: Summary): Table | undefined {
  if (standings === null || standings.rows.length === 0) return undefined;
  const rows = standings.rows.map(({ label, kind, psnr, msSsim, complexity, secondsPerImage }) => [
    kind === 'published' ? `${label}*` : label,
    percent(psnr),
    interval(psnr),
    percent(msSsim),
    interval(msSsim),
    complexity === null ? '–' : `${kmac(complexity.kmacPerPixel)}${complexity.of === 'model' ? '†' : ''}`,
    ...seconds(secondsPerImage),
  ]);
  return withoutEmptyColumns({
    name: 'standings',
    title: `BD-rates against ${standings.anchor}`,
    note: `${aboutAnchor(standings)} BD-rates of the mean curves in percent, negative where fewer bits are needed at equal quality; PCHIP of log(rate), over the qualities that both curves cover. ${ABOUT_INTERVALS} kMAC/pixel: thousands of multiply-adds of networks for a pixel, decoding; † of the model as a whole, encoder and decoder, as its paper counts them. Seconds per image as measured here. * published, not measured here.`,
    head: ['', 'PSNR, %', '95 %', 'MS-SSIM, %', '95 %', 'kMAC/pixel', 'encode, s', 'decode, s'],
    rows,
  });
}

function scatter(summary: Summary): Table | undefined {
  const { scatter } = summary;
  if (scatter.length === 0) return undefined;
  const [{ bdRates, seeds }] = scatter;
  const cell = (over: Spread | null, digits: number) =>
    over === null ? '–' : `${over.mean.toFixed(digits)} ± ${over.deviation.toFixed(digits)}`;
  return withoutEmptyColumns({
    name: 'scatter',
    title: 'Scatter over seeds',
    note: `Files of the same images with ${seeds} seeds: mean over the seeds ± their standard deviation, of mean bits/dim at an RMSE and of BD-rates by PSNR in percent.`,
    head: [
      'bits/dim at',
      ...LEVELS.map((level) => `RMSE ${level}`),
      ...bdRates.map(({ anchor }) => `BD-rate against ${labelOf(anchor, summary)}, %`),
    ],
    rows: scatter.map(({ label, bitsPerDimAtRmse, bdRates }) => [
      label,
      ...bitsPerDimAtRmse.map(({ over }) => cell(over, 5)),
      ...bdRates.map(({ over }) => cell(over, 2)),
    ]),
  });
}

function withoutEmptyColumns({ head, rows, ...table }: Table): Table {
  const kept = head.map((_, i) => i === 0 || rows.some((row) => row[i] !== '–'));
  const keep = (cells: readonly string[]) => cells.filter((_, i) => kept[i]);
  return { ...table, head: keep(head), rows: rows.map(keep) };
}

function aboutAnchor({ anchor, source }: Standings): string {
  return `Anchor: ${anchor}, ${source === null ? 'measured here' : `published (${source})`}.`;
}

const ABOUT_INTERVALS = `95 %: percentile intervals of ${RESAMPLES} bootstrap resamples of the images, the same ones of both codecs; there are none against published means, whose images' own curves are not known.`;

function comparisons(summary: Summary): Table | undefined {
  if (summary.comparisons.length === 0) return undefined;
  const overlap = (result: BdResult | null, digits: number, unit: string) =>
    result === null ? '–' : `${result.overlap.map((end) => end.toFixed(digits)).join('–')} ${unit}`;
  const rows = summary.comparisons.map((comparison) => {
    const { test, anchor, measure, bdRate, bdQuality, meanOfImages } = comparison;
    return [
      `${labelOf(test, summary)} against ${labelOf(anchor, summary)}`,
      measure === 'psnr' ? 'PSNR' : 'MS-SSIM',
      bdRate === null ? '–' : `${percent(comparison)} %`,
      interval(comparison),
      overlap(bdRate, 1, 'dB'),
      meanOfImages === null
        ? '–'
        : `${signed(meanOfImages.mean, 1)}${plusMinus(meanOfImages.standardError, 1)} % (${meanOfImages.count})`,
      bdQuality === null ? '–' : `${signed(bdQuality.value, 2)} dB`,
      overlap(bdQuality, 3, 'bpp'),
    ];
  });
  return {
    name: 'bd',
    title: 'BD-rate and BD-PSNR',
    note: `Bjøntegaard's averages of the mean curves, piecewise cubic (PCHIP) in log(rate), over the range that both curves cover, which is given; points below ${LEAST_PSNR} dB, where our files begin, are left out. A negative BD-rate is fewer bits at equal quality, a positive BD-PSNR better quality at equal rate. ${ABOUT_INTERVALS} “Mean of images” is the mean of each image's own BD-rate, ± its standard error, with the number of images whose curves overlap.`,
    head: ['', 'by', 'BD-rate', '95 %', 'over', 'mean of images', 'BD-quality', 'over'],
    rows,
  };
}

/** The BD-rates of each image. */
function imagesTable({ images, summary }: Report): Table | undefined {
  const columns = summary.comparisons.filter(
    ({ measure, perImage, anchor }) =>
      measure === 'psnr' &&
      perImage.some((value) => value !== null) &&
      summary.codecs.some(({ name, kind }) => name === anchor && kind === 'measured'),
  );
  if (columns.length === 0) return undefined;
  return {
    name: 'bd-images',
    title: 'BD-rates of the images',
    note: "Each image's own BD-rate by PSNR, percent; a dash for a drawing, and where its curves have fewer than four points or no quality in common.",
    head: ['', ...columns.map(({ test, anchor }) => `${labelOf(test, summary)} against ${labelOf(anchor, summary)}`)],
    rows: images.map(({ name }, i) => [
      basename(name),
      ...columns.map(({ perImage }) => (perImage[i] === null ? '–' : signed(perImage[i], 1))),
    ]),
    fileOnly: true,
  };
}

/** The paper's table 4 with our columns. */
function paper(codecs: readonly CodecSummary[], published: PublishedSet | undefined): Table | undefined {
  const chains = codecs.filter(({ reverseSteps }) => reverseSteps.length > 0);
  if (chains.length === 0) return undefined;
  const theirs = published && paperTable(published);
  const columns = chains.map(({ label, reverseSteps }) => ({
    label,
    at: (steps: number) => reverseSteps.find((point) => point.reverseSteps === steps),
  }));
  const steps = distinct([
    ...chains.flatMap(({ reverseSteps }) => reverseSteps.map((point) => String(point.reverseSteps))),
    ...(theirs ?? []).map((point) => String(point.reverseSteps)),
  ]).map(Number);
  const head = [
    'reverse steps',
    ...(theirs === undefined ? [] : ['paper: bits/dim', 'RMSE']),
    ...columns.flatMap(({ label }) => [`${label}: bits/dim`, 'mean RMSE', 'root of mean MSE']),
  ];
  const rows = steps
    .sort((a, b) => a - b)
    .map((step) => {
      const their = theirs?.find(({ reverseSteps }) => reverseSteps === step);
      return [
        String(step),
        ...(theirs === undefined
          ? []
          : their === undefined
            ? ['–', '–']
            : [(their.bpp / 3).toFixed(5), their.rmse.toFixed(2)]),
        ...columns.flatMap(({ at }) => {
          const point = at(step);
          return point === undefined
            ? ['–', '–', '–']
            : [point.bitsPerDim.toFixed(5), point.meanRmse.toFixed(2), point.rootMeanMse.toFixed(2)];
        }),
      ];
    });
  return {
    name: 'table4',
    title: 'Table 4 of the paper',
    note: `Rate and distortion at the same reverse steps T - t. Ours are sizes of files, header included, between two of their points interpolated; the paper's rates, like those of the ideal coders, are sums of KL that no file was made of. The last row is the prediction at t = 1.${theirs === undefined ? ' Add --published cifar10 for its columns.' : ''}`,
    head,
    rows,
  };
}

function percent(comparison: Comparison | null): string {
  return comparison?.bdRate ? signed(comparison.bdRate.value, 1) : '–';
}

function interval(comparison: Comparison | null): string {
  return comparison?.interval ? comparison.interval.map((end) => signed(end, 1)).join(' to ') : '–';
}

function kmac(value: number): string {
  return value < 10 ? value.toFixed(1) : value.toFixed(0);
}

function seconds(secondsPerImage: CodecSummary['secondsPerImage']): string[] {
  return secondsPerImage === null
    ? ['–', '–']
    : [secondsPerImage.encode, secondsPerImage.decode].map((value) =>
        value < 100 ? value.toPrecision(2) : value.toFixed(0),
      );
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)];
}

function plusMinus(error: number | null, digits: number): string {
  return error === null ? '' : ` ± ${error.toFixed(digits)}`;
}

function signed(value: number, digits: number): string {
  const text = value.toFixed(digits);
  // A value that rounds to zero gets no sign.
  return Number(text) > 0 ? `+${text}` : Number(text) === 0 ? text.replace('-', '') : text;
}
