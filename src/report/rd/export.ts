/** Results of a run for other programs: `results.json`, curves in CompressAI's form, CSV. */
import { asFileName } from '../../common/file-name.js';
import { printable } from '../../common/printable.js';
import { imageSetName } from '../../data/image-set.js';
import { formatJson } from '../json.js';
import type { ImageFailure, ImageResult, Run } from './results.js';
import type { CodecSummary, Summary } from './summary.js';

/** A run with its images and what they come to. */
export interface Report {
  readonly run: Run;
  readonly images: readonly ImageResult[];
  readonly failed: readonly ImageFailure[];
  readonly summary: Summary;
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
    ['mean.csv', meanCsv(report.summary)],
    ...curves,
  ];
}

function resultsJson({ run, images, failed, summary }: Report): string {
  const { imageCount, shard } = run.options;
  return formatJson({
    name: 'ddpm-codec rd',
    description:
      'Rate and distortion of whole files, measured on what a decoder makes of them. bitsPerDim: 8 bytes / (3 width height); ' +
      'bpp: 8 bytes / (width height); rmse in grey levels 0..255; psnr in dB, null for equal pictures; t: timestep reached.',
    ...run,
    images: images.map(({ pictures, ...image }) => image),
    failed,
    missing: missingImages({ imageCount, shard }, images, failed),
    summary,
  });
}

/** How many images of the run are neither measured nor known to have failed. */
function missingImages(
  { imageCount, shard }: Pick<Run['options'], 'imageCount' | 'shard'>,
  images: readonly ImageResult[],
  failed: readonly ImageFailure[],
): number {
  const expected = shard === null ? imageCount : Math.ceil((imageCount - shard.index) / shard.count);
  return expected - images.length - failed.length;
}

/** A mean curve as CompressAI publishes results. */
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
function imagesCsv({ images }: Report): string {
  const rows: unknown[][] = [
    [
      ...['image', 'codec', 't', 'quality', 'bytes', 'bits_per_dim', 'bpp', 'rmse', 'psnr', 'ms_ssim', 'ssim'],
      ...['kl_bits_per_dim', 'payload_bytes', 'encode_seconds', 'decode_seconds'],
    ],
  ];
  for (const { name, width, height, ours, baselines, theory } of images) {
    const dims = 3 * width * height;
    for (const [codec, { points, encodeSeconds }] of Object.entries(ours)) {
      for (const { t, bytes, bitsPerDim, bpp, rmse, psnr, msSsim, ssim, klBits, decodeSeconds } of points) {
        const measured = [bytes, bitsPerDim, bpp, rmse, psnr, msSsim, ssim];
        rows.push([name, codec, t, null, ...measured, klBits / dims, null, encodeSeconds, decodeSeconds]);
      }
    }
    for (const [codec, points] of Object.entries(theory)) {
      for (const { t, bitsPerDim, bpp, rmse, psnr } of points) {
        rows.push([name, codec, t, null, null, bitsPerDim, bpp, rmse, psnr, null, null, bitsPerDim, null, null, null]);
      }
    }
    for (const [codec, points] of Object.entries(baselines)) {
      for (const point of points) {
        const { quality, bytes, bitsPerDim, bpp, rmse, psnr, msSsim, ssim, payloadBytes } = point;
        const measured = [bytes, bitsPerDim, bpp, rmse, psnr, msSsim, ssim];
        const seconds = [point.encodeSeconds, point.decodeSeconds];
        rows.push([name, codec, null, quality, ...measured, null, payloadBytes, ...seconds]);
      }
    }
  }
  return csv(rows);
}

/** A line for each codec and point of its mean curve. */
function meanCsv({ codecs }: Summary): string {
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
  const rows = codecs.flatMap(({ name, mean }) => mean.map((point) => [name, ...names.map((key) => point[key])]));
  return csv([['codec', 't', ...header], ...rows]);
}

/** RFC 4180, with LF; what is not there is empty. */
function csv(rows: readonly (readonly unknown[])[]): string {
  return rows.map((row) => `${row.map(cell).join(',')}\n`).join('');
}

function cell(value: unknown): string {
  if (typeof value === 'string') return textCell(value);
  return value === null || (typeof value === 'number' && !Number.isFinite(value)) ? '' : String(value);
}

/** With an apostrophe before what a spreadsheet would compute, in the wide form of these signs, too. */
function textCell(value: string): string {
  const text = printable(value).replace(/^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]/, "'$&");
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
