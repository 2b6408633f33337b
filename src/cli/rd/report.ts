/** The last part of `rd` and `rd merge`: makes the report from the finished images. */
import { counted } from '../../common/counted.js';
import { CodecError, invalidArgument } from '../../common/errors.js';
import type { ImageSet } from '../../data/image-set.js';
import type { RgbImage } from '../../image/image.js';
import type { PublishedSet } from '../../report/published.js';
import type { Report } from '../../report/rd/export.js';
import type { ImageFailure, RdOptions, Run } from '../../report/rd/results.js';
import type { Summary } from '../../report/rd/summary.js';
import { type Console, table } from '../console.js';
import { type ReportFile, readFeatures, readImages, saveFiles } from './directory.js';

/** Sets of published points in the package. */
const PUBLISHED_SETS = ['cifar10', 'kodak'] as const;
export type PublishedName = (typeof PUBLISHED_SETS)[number];

export const PUBLISHED_OPTION = {
  type: 'string',
  requiresArg: true,
  description:
    'Draw published points beside ours: cifar10 (DDPM, UQDM, VDM, BPG, JPEG) or kodak (VVC, AV1, HPCM, LALIC, MLIC+, ELIC, CTC, Cool-chic, C3 and others)',
} as const;

export const ANCHOR_OPTION = {
  type: 'string',
  requiresArg: true,
  description:
    'What all are compared with: a codec by its name, or a part of its label, such as avif or "VTM 9.1" [default: of --published kodak, VTM as CompressAI ran it; else the first codec of --baselines in the order of the report]',
} as const;

/** Refuses an `--anchor` that the run lacks, before anything is measured. @throws CodecError `usage` */
export async function checkAnchor(
  anchor: string | undefined,
  options: RdOptions,
  published: PublishedName | undefined,
): Promise<void> {
  if (anchor === undefined) return;
  const { readPublished } = await import('../../report/published.js');
  await findAnchor(anchor, options, published && (await readPublished(published)));
}

async function findAnchor(anchor: string, options: RdOptions, published: PublishedSet | undefined): Promise<void> {
  const { chooseAnchor } = await import('../../report/rd/comparison.js');
  const { anchorChoices } = await import('../../report/rd/summary.js');
  chooseAnchor(anchorChoices(options, published), anchor, published);
}

/** Checks `--published`. */
export function publishedSet(name: string | undefined): PublishedName | undefined {
  const found = PUBLISHED_SETS.find((one) => one === name);
  if (name !== undefined && found === undefined)
    throw invalidArgument('--published', PUBLISHED_SETS.join(' or '), name);
  return found;
}

/** The images of a set, in order. Measuring reports those that cannot be read, and leaves them out. */
export async function* readableImages(images: ImageSet): AsyncGenerator<RgbImage> {
  for (let index = 0; index < images.length; index++) {
    const loaded = await images.load(index).catch(() => undefined);
    if (loaded !== undefined) yield loaded.image;
  }
}

/**
 * Checks, before measuring, whether the images are those of a published set.
 * @throws CodecError `usage` when they are not
 */
export async function checkPublished(published: PublishedName | undefined, images: ImageSet): Promise<void> {
  if (published === undefined) return;
  const { readPublished, whyNotOfSet } = await import('../../report/published.js');
  const { pixelHash } = await import('../../data/pixel-hash.js');
  const pictures: { readonly width: number; readonly height: number; readonly pixels: string }[] = [];
  for await (const image of readableImages(images)) {
    pictures.push({ width: image.width, height: image.height, pixels: pixelHash(image) });
  }
  const reason = whyNotOfSet(await readPublished(published), pictures);
  if (reason !== undefined) throw new CodecError('usage', `--published ${published}: ${reason}`);
}

/** What the report shows beside the results of a run. */
export interface Beside {
  /** Left out, with a note, where the images are not those of that set. */
  readonly published: PublishedName | undefined;
  /** Left out, with a note, where it belongs to a set that is left out. */
  readonly anchor: string | undefined;
}

/** Writes everything but the images themselves, and prints a summary. */
export async function finishReport(
  directory: string,
  run: Run,
  failed: readonly ImageFailure[],
  { published, anchor }: Beside,
  console: Console,
): Promise<void> {
  const { labelOf, summarise } = await import('../../report/rd/summary.js');
  const { numberFiles } = await import('../../report/rd/export.js');
  const { readPublished, whyNotOfSet } = await import('../../report/published.js');
  const { encodeFigure, FIGURE_FORMATS } = await import('../../report/figure.js');
  const { drawFigures } = await import('../../report/rd/figures.js');
  const { reportTables, tableFiles } = await import('../../report/rd/tables.js');
  const { drawMetricFigures, drawRealismFigures, metricTables } = await import('../../report/rd/metric-report.js');
  const { setDistances } = await import('../../report/rd/distances.js');
  const { reportPage } = await import('../../report/rd/page.js');
  const images = await readImages(directory, run.options);
  const set = published === undefined ? undefined : await readPublished(published);
  const reason = set && whyNotOfSet(set, images);
  if (reason !== undefined) console.note(`--published ${published} is left out: ${reason}`);
  const others = reason === undefined ? set : undefined;
  let against = anchor;
  if (reason !== undefined && anchor !== undefined) {
    await findAnchor(anchor, run.options, others).catch(() => {
      console.note(`--anchor ${anchor} is left out: it is of --published ${published}`);
      against = undefined;
    });
  }
  const distances = await setDistances(run.options, images, (image, network) =>
    readFeatures(directory, image, network),
  );
  const report: Report = { run, images, failed, summary: summarise(run, images, others, against), distances };
  const files: ReportFile[] = numberFiles(report);
  if (images.length > 0) {
    const figures = [
      ...drawFigures(report.summary, others),
      ...drawMetricFigures(report),
      ...drawRealismFigures(report),
    ];
    for (const { name, svg, column } of figures) {
      for (const format of FIGURE_FORMATS) {
        files.push([`figures/${name}.${format}`, await encodeFigure(format === 'tex' ? column : svg, format)]);
      }
    }
    files.push(...tableFiles(reportTables(report, others)));
    files.push(['report.html', await reportPage(report, figures, others)]);
  }
  const removed = await saveFiles(directory, files);
  if (removed.length > 0) console.note(`removed what this report does not have: ${removed.join(', ')}`);
  const { summary } = report;
  const measured = distances.length > 0 ? { distances } : {};
  console.document({ report: directory, images: images.length, failed, summary, ...measured });
  if (images.length > 0) console.result(ratesTable(report));
  if (summary.comparisons.length > 0) console.result(comparisonsTable(summary, labelOf));
  for (const { head, rows } of metricTables(report)) console.result(table([head, ...rows]));
  console.result(
    `${counted(images.length, 'image')} in ${directory}${images.length > 0 ? ', see report.html there' : ''}`,
  );
}

/**
 * Bits/dim at RMSEs, and lossless where a codec is; where only some images reach an RMSE, the cell has their number.
 */
function ratesTable({ summary: { codecs } }: Report): string[] {
  const lossless = codecs.some(({ losslessBitsPerDim }) => losslessBitsPerDim !== null);
  const head = codecs[0].bitsPerDimAtRmse.map(({ rmse }) => `RMSE ${rmse}`);
  const rows = codecs.map(({ label, bitsPerDimAtRmse, losslessBitsPerDim }) => [
    label,
    ...bitsPerDimAtRmse.map(
      ({ mean, count }) => mean?.toFixed(4) ?? (count === 0 ? '-' : `(${counted(count, 'image')})`),
    ),
    ...(lossless ? [losslessBitsPerDim?.toFixed(4) ?? '-'] : []),
  ]);
  return table([['bits/dim at', ...head, ...(lossless ? ['lossless'] : [])], ...rows]);
}

/** BD-rates of the mean curves, in percent. */
function comparisonsTable(summary: Summary, label: (name: string, summary: Summary) => string): string[] {
  const { comparisons } = summary;
  const rows = comparisons
    .filter(({ measure }) => measure === 'psnr')
    .map(({ test, anchor }) => [
      `${label(test, summary)} against ${label(anchor, summary)}`,
      ...(['psnr', 'msSsim'] as const).map((measure) => {
        const found = comparisons.find((one) => one.test === test && one.anchor === anchor && one.measure === measure);
        return found?.bdRate?.value.toFixed(1) ?? '-';
      }),
    ]);
  return table([['BD-rate, %', 'PSNR', 'MS-SSIM'], ...rows]);
}
