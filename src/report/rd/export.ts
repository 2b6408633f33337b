/** Results of a run for other programs: `results.json`, curves in CompressAI's format, CSV. */
import { asFileName } from '../../common/file-name.js';
import { printable } from '../../common/printable.js';
import { imageSetName } from '../../data/image-set.js';
import { formatJson } from '../json.js';
import type { SetDistance } from './distances.js';
import { metricsOf } from './metrics.js';
import { type ImageFailure, type ImageResult, REPORT_NAME, type Run } from './results.js';
import type { CodecSummary, Summary } from './summary.js';

/** A run with its images and their summary. */
export interface Report {
  readonly run: Run;
  readonly images: readonly ImageResult[];
  readonly failed: readonly ImageFailure[];
  readonly summary: Summary;
  /** FID and KID, where they were asked for. */
  readonly distances: readonly SetDistance[];
}

/** Files of numbers, by path in the report. */
export function numberFiles(report: Report): [string, string][] {
  const curves = report.summary.codecs.map((codec): [string, string] => [
    `compressai/${asFileName(codec.name)}.json`,
    formatJson(compressAi(codec, report)),
  ]);
  return [
    ['results.json', resultsJson(report)],
    ['images.csv', imagesCsv(report)],
    ['mean.csv', meanCsv(report.summary, pictureMetrics(report))],
    ...(report.distances.length === 0 ? [] : [['distances.csv', distancesCsv(report)] as [string, string]]),
    ...curves,
  ];
}

/** Names of the metrics of pictures, in their order. */
function pictureMetrics({ run }: Report): string[] {
  return metricsOf(run.options.metrics, 'picture').map(({ name }) => name);
}

function resultsJson({ run, images, failed, summary, distances }: Report): string {
  const { imageCount, shard } = run.options;
  return formatJson({
    name: REPORT_NAME,
    description:
      'Rate and distortion of whole files, measured on what a decoder makes of them. bitsPerDim: 8 bytes / (3 width height); ' +
      'bpp: 8 bytes / (width height); rmse in grey levels 0..255; psnr in dB, null for equal pictures; t: timestep reached.',
    ...run,
    images: images.map(({ pictures, ...image }) => image),
    failed,
    missing: missingImages({ imageCount, shard }, images, failed),
    summary,
    ...(distances.length > 0 && { distances }),
  });
}

/** Number of the run's images that are neither measured nor known to have failed. */
function missingImages(
  { imageCount, shard }: Pick<Run['options'], 'imageCount' | 'shard'>,
  images: readonly ImageResult[],
  failed: readonly ImageFailure[],
): number {
  const expected = shard === null ? imageCount : Math.ceil((imageCount - shard.index) / shard.count);
  return expected - images.length - failed.length;
}

/** A mean curve in the form of CompressAI's published results. */
function compressAi({ label, kind, mean }: CodecSummary, { run, summary }: Report) {
  const { encode = '', rate } = DESCRIPTIONS[kind];
  const column = (value: (point: CodecSummary['mean'][number]) => number | null) => {
    const values = mean.map(value);
    return values.some((one) => one === null) ? [] : values;
  };
  return {
    name: label,
    description: `${rate}; mean of ${summary.meanImages} images (${run.options.images.map(imageSetName).join(', ')})${encode}`,
    results: {
      bpp: column(({ bpp }) => bpp),
      'psnr-rgb': column(({ psnr }) => psnr),
      'ms-ssim-rgb': column(({ msSsim }) => msSsim),
      encoding_time: column(({ encodeSeconds }) => encodeSeconds),
      decoding_time: column(({ decodeSeconds }) => decodeSeconds),
      ...Object.fromEntries(
        metricsOf(run.options.metrics, 'picture').map(({ name }) => [
          name,
          column(({ metrics }) => metrics[name] ?? null),
        ]),
      ),
    },
  };
}

const DESCRIPTIONS: Readonly<Record<CodecSummary['kind'], { readonly rate: string; readonly encode?: string }>> = {
  ours: { rate: 'Whole files, cut off', encode: '; encoding_time is that of the whole file, which is encoded once' },
  theory: { rate: 'Sums of KL, no files' },
  measured: { rate: 'Whole files' },
  payload: { rate: 'Files without what their containers add' },
};

/** A line for each image, codec and point. */
function imagesCsv(report: Report): string {
  const { images } = report;
  const names = pictureMetrics(report);
  const values = (metrics: Readonly<Record<string, number | null>> = {}) => names.map((name) => metrics[name] ?? null);
  const rows: unknown[][] = [
    [
      ...['image', 'codec', 't', 'quality', 'bytes', 'bits_per_dim', 'bpp', 'rmse', 'psnr', 'ms_ssim', 'ssim'],
      ...['kl_bits_per_dim', 'payload_bytes', 'encode_seconds', 'decode_seconds'],
      ...names,
    ],
  ];
  for (const { name, width, height, ours, baselines, theory } of images) {
    const dims = 3 * width * height;
    for (const [codec, { points, encodeSeconds }] of Object.entries(ours)) {
      for (const { t, bytes, bitsPerDim, bpp, rmse, psnr, msSsim, ssim, klBits, decodeSeconds, metrics } of points) {
        const measured = [bytes, bitsPerDim, bpp, rmse, psnr, msSsim, ssim];
        const seconds = [encodeSeconds, decodeSeconds];
        rows.push([name, codec, t, null, ...measured, klBits / dims, null, ...seconds, ...values(metrics)]);
      }
    }
    for (const [codec, points] of Object.entries(theory)) {
      for (const { t, bitsPerDim, bpp, rmse, psnr } of points) {
        const measured = [null, bitsPerDim, bpp, rmse, psnr, null, null];
        rows.push([name, codec, t, null, ...measured, bitsPerDim, null, null, null, ...values()]);
      }
    }
    for (const [codec, points] of Object.entries(baselines)) {
      for (const point of points) {
        const { quality, bytes, bitsPerDim, bpp, rmse, psnr, msSsim, ssim, payloadBytes } = point;
        const measured = [bytes, bitsPerDim, bpp, rmse, psnr, msSsim, ssim];
        const seconds = [point.encodeSeconds, point.decodeSeconds];
        rows.push([name, codec, null, quality, ...measured, null, payloadBytes, ...seconds, ...values(point.metrics)]);
      }
    }
  }
  return csv(rows);
}

/** A line for each codec and point of its mean curve. */
function meanCsv({ codecs }: Summary, metrics: readonly string[]): string {
  const names = [
    't',
    'bitsPerDim',
    'bpp',
    'meanRmse',
    'rootMeanMse',
    'psnr',
    'msSsim',
    'ssim',
    'klBitsPerDim',
  ] as const;
  const quality = ['mean_rmse', 'root_mean_mse', 'mean_psnr', 'mean_ms_ssim', 'mean_ssim'];
  const header = ['bits_per_dim', 'bpp', ...quality, 'kl_bits_per_dim'];
  const rows = codecs.flatMap(({ name, mean }) =>
    mean.map((point) => [
      name,
      ...names.map((key) => point[key]),
      ...metrics.map((metric) => point.metrics[metric] ?? null),
    ]),
  );
  return csv([['codec', 't', ...header, ...metrics.map((metric) => `mean_${metric}`)], ...rows]);
}

/** A line for each metric of sets, codec and point. */
function distancesCsv({ distances }: Report): string {
  const names = ['t', 'quality', 'bitsPerDim', 'bpp', 'meanRmse', 'value', 'standardError'] as const;
  const header = ['t', 'quality', 'bits_per_dim', 'bpp', 'mean_rmse', 'value', 'standard_error'];
  const rows = distances.flatMap(({ metric, codec, patches, points }) =>
    points.map((point) => [metric, codec, patches, ...names.map((name) => point[name])]),
  );
  return csv([['metric', 'codec', 'patches', ...header], ...rows]);
}

/** RFC 4180, with LF; missing values are empty. */
function csv(rows: readonly (readonly unknown[])[]): string {
  return rows.map((row) => `${row.map(cell).join(',')}\n`).join('');
}

function cell(value: unknown): string {
  if (typeof value === 'string') return textCell(value);
  return value === null || (typeof value === 'number' && !Number.isFinite(value)) ? '' : String(value);
}

/**
 * Puts an apostrophe before text that a spreadsheet would take for a formula, also where the sign has its fullwidth
 * form.
 */
function textCell(value: string): string {
  const text = printable(value).replace(/^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]/, "'$&");
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
