/** Comparisons of codecs: BD-rates, with confidence intervals over the images, and costs. */
import { CodecError } from '../../common/errors.js';
import { psnrOfRmse } from '../../image/metrics.js';
import type { BdResult } from '../bd-rate.js';
import { percentileInterval, resamplesOf } from '../bootstrap.js';
import type { Complexity, Family, PublishedSet } from '../published.js';
import {
  type Average,
  average,
  type CurvePoint,
  compareCurves,
  compareQualities,
  type Measure,
} from '../rate-curve.js';

/** PSNR in dB below which a picture shows next to nothing. Curves of our files start with the bare header, below it. */
export const LEAST_PSNR = 15;

/** A codec in the comparison. */
export interface Contender {
  readonly name: string;
  /** For people. */
  readonly label: string;
  readonly kind: 'ours' | 'measured' | 'published' | 'theory' | 'payload';
  readonly mean: readonly CurvePoint[];
  /** One curve for each image, empty for those that are not in the mean; missing where only the mean is known. */
  readonly curves?: readonly (readonly CurvePoint[])[];
  /**
   * Mean curves of resamples of the images, as drawn by {@link resamplesOf}; only where there are curves of single
   * images.
   */
  readonly resampled?: () => readonly (readonly CurvePoint[])[];
  readonly family?: Family;
  readonly complexity?: Omit<Complexity, 'source'>;
  readonly secondsPerImage?: { readonly encode: number; readonly decode: number } | null;
}

export interface Comparison {
  /** Name of the test codec. */
  readonly test: string;
  /** Name of a codec of the summary, or label of a published curve. */
  readonly anchor: string;
  readonly measure: Measure;
  /** BD-rate of the mean curves, in percent. */
  readonly bdRate: BdResult | null;
  /**
   * 95 % interval of the BD-rate of the mean curves over resamples of the images, in percent. Null against a published
   * curve: without a curve for each image, the two codecs cannot be resampled together. An interval would then tell how
   * much the images vary, not how much the codecs differ.
   */
  readonly interval: readonly [number, number] | null;
  /** BD-PSNR or BD-MS-SSIM of the mean curves, in dB. */
  readonly bdQuality: BdResult | null;
  /** Mean over the BD-rates of single images, percent; null against a published curve, which is a mean. */
  readonly meanOfImages: Average | null;
  /**
   * BD-rates of the images, percent, in their order; null where curves do not overlap, and for drawings. Empty against a
   * published curve.
   */
  readonly perImage: readonly (number | null)[];
}

/** All codecs compared with one anchor. */
export interface Standings {
  /** Label of the anchor. */
  readonly anchor: string;
  /** Source of the anchor's curve, where others published it. */
  readonly source: string | null;
  /** The best by PSNR first, those without a BD-rate by PSNR last. */
  readonly rows: readonly Standing[];
}

export interface Standing extends Pick<Contender, 'name' | 'label' | 'kind'> {
  readonly family: Family | null;
  readonly psnr: Comparison | null;
  readonly msSsim: Comparison | null;
  readonly complexity: Omit<Complexity, 'source'> | null;
  readonly secondsPerImage: { readonly encode: number; readonly decode: number } | null;
}

/** Compares by each measure that both have. */
export function compare(test: Contender, anchor: Contender): Comparison[] {
  return (['psnr', 'msSsim'] as const).flatMap((measure): Comparison[] => {
    const [anchored, tested] = [anchor.mean, test.mean].map(seen);
    const bdRate = compareCurves(anchored, tested, measure);
    const bdQuality = compareQualities(anchored, tested, measure);
    if (bdRate === null && bdQuality === null) return [];
    const [{ curves: ofTest }, { curves: ofAnchor }] = [test, anchor];
    const perImage =
      ofTest === undefined || ofAnchor === undefined
        ? []
        : ofAnchor.map((points, i) => compareCurves(seen(points), seen(ofTest[i]), measure)?.value ?? null);
    return [
      {
        test: test.name,
        anchor: anchor.name,
        measure,
        bdRate,
        interval: bdRate === null ? null : intervalOf(test, anchor, measure),
        bdQuality,
        meanOfImages: average(perImage),
        perImage,
      },
    ];
  });
}

function intervalOf(test: Contender, anchor: Contender, measure: Measure): [number, number] | null {
  if (!test.resampled || !anchor.resampled || test.name === anchor.name) return null;
  const [tests, anchors] = [test.resampled(), anchor.resampled()];
  return percentileInterval(
    tests.map((curve, i) => compareCurves(seen(anchors[i]), seen(curve), measure)?.value ?? null),
  );
}

/** Points at `LEAST_PSNR` or above. */
export function seen<T extends CurvePoint>(points: readonly T[]): T[] {
  return points.filter(({ rmse }) => psnrOfRmse(rmse) >= LEAST_PSNR);
}

/** Published curves that are sizes of files. */
export function publishedContenders(published: PublishedSet | undefined): Contender[] {
  const files = published?.curves.filter(({ rate }) => rate === 'file') ?? [];
  return files.map(({ label, points, family, complexity }) => ({
    name: label,
    label,
    kind: 'published',
    mean: points.map(({ bpp, rmse, msSsim }) => ({ bpp, rmse, msSsim: msSsim ?? null })),
    ...(family && { family }),
    ...(complexity && { complexity }),
  }));
}

/** A possible anchor: a codec or a published curve by its name and its label. */
export type AnchorChoice = Pick<Contender, 'name' | 'label' | 'kind'>;

/**
 * The codec that others are compared with.
 * @param wanted its name, or a part of its label that no other label has; by default the published set's anchor, or
 *   else the first codec that was measured
 * @returns undefined where there is none
 * @throws CodecError `usage` where `wanted` matches none, or several
 */
export function chooseAnchor<T extends AnchorChoice>(
  choices: readonly T[],
  wanted: string | undefined,
  published: PublishedSet | undefined,
): T | undefined {
  const possible = choices.filter(({ kind }) => kind !== 'theory' && kind !== 'payload');
  if (wanted === undefined) {
    return (
      possible.find(({ name, kind }) => kind === 'published' && name === published?.anchor) ??
      possible.find(({ kind }) => kind === 'measured')
    );
  }
  const exact = possible.find(({ name, label }) => name === wanted || label === wanted);
  const found = possible.filter(({ label }) => label.toLowerCase().includes(wanted.toLowerCase()));
  if (exact !== undefined || found.length === 1) return exact ?? found[0];
  const names = (found.length > 1 ? found : possible).map(({ name }) => name).join('; ');
  throw new CodecError(
    'usage',
    `\`anchor\` ${wanted}: expected one of ${names || 'the codecs of a run, which has none'}`,
  );
}

/** Compares each codec that has files with the anchor. */
export function standingsOf(
  contenders: readonly Contender[],
  anchor: Contender,
  published: PublishedSet | undefined,
): Standings {
  const rows = contenders
    .filter(({ kind }) => kind !== 'theory' && kind !== 'payload')
    .map((contender): Standing => {
      const comparisons = compare(contender, anchor);
      const by = (wanted: Measure) => comparisons.find(({ measure }) => measure === wanted) ?? null;
      const { name, label, kind, family, complexity, secondsPerImage } = contender;
      return {
        name,
        label,
        kind,
        family: family ?? null,
        psnr: by('psnr'),
        msSsim: by('msSsim'),
        complexity: complexity ? { kmacPerPixel: complexity.kmacPerPixel, of: complexity.of } : null,
        secondsPerImage: secondsPerImage ?? null,
      };
    })
    .filter(({ psnr, msSsim }) => psnr?.bdRate || msSsim?.bdRate);
  const place = ({ psnr }: Standing) => psnr?.bdRate?.value ?? Number.POSITIVE_INFINITY;
  const source = published?.curves.find(({ label }) => label === anchor.name)?.source;
  return {
    anchor: anchor.label,
    source: anchor.kind === 'published' ? (source ?? null) : null,
    rows: rows.toSorted((a, b) => place(a) - place(b) || 0),
  };
}

/**
 * @param means the mean curve of the images at some indices
 * @param count number of all images
 */
export function resampler(
  means: (picked: readonly number[]) => readonly CurvePoint[],
  count: number,
): () => readonly (readonly CurvePoint[])[] {
  let made: readonly (readonly CurvePoint[])[] | undefined;
  return () => {
    made ??= resamplesOf(count).map(means);
    return made;
  };
}
