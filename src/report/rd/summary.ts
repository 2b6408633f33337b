/** What the curves of a run come to: means, rates at a quality, comparisons. */
import { psnrOfRmse } from '../../image/metrics.js';
import { findBaseline } from '../baselines.js';
import type { BdResult } from '../bd-rate.js';
import type { PublishedSet } from '../published.js';
import {
  type Average,
  average,
  bitsPerDimAt,
  type CurvePoint,
  compareCurves,
  compareQualities,
  type MeanPoint,
  type Measure,
  meanCurve,
} from '../rate-curve.js';
import { type ImageResult, ourLabel, ourName, type RdOptions, type Run, THEORY_LABELS } from './results.js';

/** RMSEs at which rates are given, grey levels. */
export const LEVELS: readonly number[] = [15, 10, 7, 5, 3];
/** Reverse steps T - t of the paper's table 4, as shares of T. */
const TABLE_SHARES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
/** Images up to this many pixels are also compared with the others' files without their containers. */
const SMALL_PIXELS = 64 * 64;
/** dB below which a picture is next to nothing: our files begin there, with the bare header. */
export const LEAST_PSNR = 15;
/** Timesteps of a mean curve: each is this share of the one before. */
const TIMESTEP_RATIO = 0.92;

export type CodecKind = 'ours' | 'theory' | 'measured' | 'payload';

/** A point of a mean curve; what a kind of codec does not have is null. */
export interface MeanRdPoint extends MeanPoint {
  /** Timestep, of ours and of theory. */
  readonly t: number | null;
  /** Mean KL(q||p) so far, bits/dim. */
  readonly klBitsPerDim: number | null;
  /** Arithmetic mean; null where a picture has none. */
  readonly ssim: number | null;
  readonly encodeSeconds: number | null;
  readonly decodeSeconds: number | null;
}

export interface RateAtRmse {
  /** Grey levels. */
  readonly rmse: number;
  /** Mean bits/dim over all images; null unless every one of them comes to that RMSE. */
  readonly mean: number | null;
  readonly standardError: number | null;
  /** Images that do. */
  readonly count: number;
  /** Mean KL(q||p) of our files there, bits/dim: what an ideal coder needs for the same steps. Null where `mean` is. */
  readonly klBitsPerDim: number | null;
}

export interface CodecSummary {
  readonly name: string;
  readonly label: string;
  readonly kind: CodecKind;
  readonly bitsPerDimAtRmse: readonly RateAtRmse[];
  /** Mean bits/dim where all images are equal to the original; null where they never are. */
  readonly losslessBitsPerDim: number | null;
  /** Of whole files: of ours to the end, of the others over the qualities; null for theory. */
  readonly secondsPerImage: { readonly encode: number; readonly decode: number } | null;
  /** Mean of the images at equal settings: timesteps, or qualities. */
  readonly mean: readonly MeanRdPoint[];
  /** At the reverse steps of the paper's table 4; of ours and of theory. */
  readonly reverseSteps: readonly (MeanRdPoint & { readonly reverseSteps: number })[];
}

export interface Comparison {
  /** Name of one of ours. */
  readonly test: string;
  /** Name of a codec of the summary, or label of a published curve. */
  readonly anchor: string;
  readonly measure: Measure;
  /** Percent, of the mean curves. */
  readonly bdRate: BdResult | null;
  /** dB, of the mean curves. */
  readonly bdQuality: BdResult | null;
  /** Mean over images of their own BD-rates, percent; null against a published curve, which is a mean. */
  readonly meanOfImages: Average | null;
}

export interface Summary {
  readonly images: number;
  /** Images that the mean curves are of: those whose files have steps. Drawings have none; where all are, the others' means are of all. */
  readonly meanImages: number;
  readonly codecs: readonly CodecSummary[];
  /** Each of ours against each of the others, and against published curves of files. */
  readonly comparisons: readonly Comparison[];
}

/** What people call a codec or a published curve by the name that a comparison has. */
export function labelOf(name: string, { codecs }: Summary): string {
  return codecs.find((codec) => codec.name === name)?.label ?? `${name}, published`;
}

/** A codec's curves, one for each image. */
interface Codec {
  readonly name: string;
  readonly label: string;
  readonly kind: CodecKind;
  readonly curves: readonly (readonly RdPoint[])[];
  readonly timesteps?: number;
  readonly secondsPerImage: CodecSummary['secondsPerImage'];
}

interface RdPoint extends CurvePoint {
  /** Rises with quality along a curve. */
  readonly setting: number;
  readonly t: number | null;
  readonly klBitsPerDim: number | null;
  readonly ssim: number | null;
  readonly encodeSeconds: number | null;
  readonly decodeSeconds: number | null;
}

/**
 * Sums up a run. Every image has curves of every codec, so that all means are over the same images.
 * @param published curves of the same images
 */
export function summarise({ options }: Run, images: readonly ImageResult[], published?: PublishedSet): Summary {
  if (images.length === 0) return { images: 0, meanImages: 0, codecs: [], comparisons: [] };
  const walked = [...images.keys()].filter((i) => Object.values(images[i].ours).every(({ steps }) => steps.length > 0));
  const codecs = [
    ...ourCodecs(options, images),
    ...theoryCodecs(images),
    ...options.baselines.map((name) => baselineCodec(name, images)),
    ...(images.every(({ width, height }) => width * height <= SMALL_PIXELS)
      ? options.baselines.map((name) => payloadCodec(name, images))
      : []),
  ];
  const summaries = codecs.map((codec) => summariseCodec(codec, walked));
  const anchors: Anchor[] = [
    ...codecs.flatMap(({ name, kind, curves }, i) =>
      kind === 'ours' ? [] : [{ name, mean: summaries[i].mean, curves }],
    ),
    ...publishedAnchors(published),
  ];
  const comparisons = codecs.flatMap((test, i) =>
    test.kind === 'ours' ? anchors.flatMap((anchor) => compare(test, summaries[i].mean, anchor)) : [],
  );
  return { images: images.length, meanImages: walked.length || images.length, codecs: summaries, comparisons };
}

/** @param walked places of the images that mean curves are of */
function summariseCodec(codec: Codec, walked: readonly number[]): CodecSummary {
  const { name, label, kind, curves, timesteps, secondsPerImage } = codec;
  const rates = LEVELS.map((rmse) => {
    const reached = average(curves.map((points) => bitsPerDimAt(points, rmse)));
    const count = reached?.count ?? 0;
    const all = count === curves.length ? reached : null;
    const kl = all && average(curves.map((points) => bitsPerDimAt(klCurve(points), rmse)));
    return {
      rmse,
      mean: all?.mean ?? null,
      standardError: all?.standardError ?? null,
      count,
      klBitsPerDim: kind === 'ours' ? (kl?.mean ?? null) : null,
    };
  });
  const along = walked.length === 0 && timesteps === undefined ? curves : walked.map((i) => curves[i]);
  const mean = meanOf(along, timesteps === undefined ? undefined : timestepGrid(timesteps));
  const table =
    timesteps === undefined ? [] : TABLE_SHARES.map((share) => Math.max(1, Math.round((1 - share) * timesteps)));
  return {
    name,
    label,
    kind,
    bitsPerDimAtRmse: rates,
    losslessBitsPerDim: mean.find(({ rmse }) => rmse === 0)?.bitsPerDim ?? null,
    secondsPerImage,
    mean,
    reverseSteps:
      timesteps === undefined
        ? []
        : meanOf(along, table).map((point) => ({
            // The network's last prediction, at t = 1, is what the paper has after T steps.
            reverseSteps: point.t === 1 ? timesteps : timesteps - point.t!,
            ...point,
          })),
  };
}

/** A curve of ours with the sums of KL in the place of the sizes; the bare header has none. */
function klCurve(points: readonly RdPoint[]): CurvePoint[] {
  return points.flatMap(({ klBitsPerDim, rmse, msSsim }) =>
    klBitsPerDim! > 0 ? [{ bpp: 3 * klBitsPerDim!, rmse, msSsim }] : [],
  );
}

/**
 * The mean of what was coded with one setting, as published means are: for ours the noise level at which a file is cut
 * off, for the others the quality. Means at equal PSNR or at equal rate are other curves. Ours ends where the first of the
 * files does. An ideal coder that is done before its first step has no curve, and no mean then.
 */
function meanOf(curves: Codec['curves'], timesteps?: readonly number[]): MeanRdPoint[] {
  if (curves.length === 0 || curves.some((points) => points.length === 0)) return [];
  const [first] = curves[0];
  const more = {
    klBitsPerDim: (point: RdPoint) => point.klBitsPerDim,
    ssim: (point: RdPoint) => point.ssim,
    encodeSeconds: (point: RdPoint) => point.encodeSeconds,
    decodeSeconds: (point: RdPoint) => point.decodeSeconds,
  };
  const grid = timesteps?.map((t) => -t);
  const mean = meanCurve(curves, ({ setting }) => setting, grid, more);
  return mean.map((point) => ({ t: first.t === null ? null : -point.setting, ...point }));
}

/** From T down to 1. */
function timestepGrid(timesteps: number): number[] {
  const count = Math.ceil(Math.log(timesteps) / -Math.log(TIMESTEP_RATIO)) + 1;
  const places = Array.from({ length: count }, (_, i) => Math.max(1, Math.round(timesteps * TIMESTEP_RATIO ** i)));
  return [...new Set(places)];
}

/** What ours are compared with. */
interface Anchor {
  readonly name: string;
  readonly mean: readonly CurvePoint[];
  /** One for each image, unless only the mean is known. */
  readonly curves?: readonly (readonly CurvePoint[])[];
}

function publishedAnchors(published: PublishedSet | undefined): Anchor[] {
  const files = published?.curves.filter(({ rate }) => rate === 'file') ?? [];
  return files.map(({ label, points }) => ({
    name: label,
    mean: points.map(({ bpp, rmse, msSsim }) => ({ bpp, rmse, msSsim: msSsim ?? null })),
  }));
}

function compare(test: Codec, testMean: readonly CurvePoint[], anchor: Anchor): Comparison[] {
  return (['psnr', 'msSsim'] as const).flatMap((measure): Comparison[] => {
    const [anchored, tested] = [anchor.mean, testMean].map(seen);
    const bdRate = compareCurves(anchored, tested, measure);
    const bdQuality = compareQualities(anchored, tested, measure);
    if (bdRate === null && bdQuality === null) return [];
    const each = (anchor.curves ?? []).map(
      (points, i) => compareCurves(seen(points), seen(test.curves[i]), measure)?.value ?? null,
    );
    return [{ test: test.name, anchor: anchor.name, measure, bdRate, bdQuality, meanOfImages: average(each) }];
  });
}

/** The points of a curve that show something. */
function seen<T extends CurvePoint>(points: readonly T[]): T[] {
  return points.filter(({ rmse }) => psnrOfRmse(rmse) >= LEAST_PSNR);
}

function ourCodecs(options: RdOptions, images: readonly ImageResult[]): Codec[] {
  const efforts = options.model === 'none' ? [] : options.efforts;
  return efforts.map((effort) => {
    const name = ourName(effort, options.efforts);
    const files = images.map(({ ours }) => ours[name]);
    return {
      name,
      label: ourLabel(effort, options),
      kind: 'ours',
      timesteps: images[0].model!.timesteps,
      secondsPerImage: {
        encode: average(files.map(({ encodeSeconds }) => encodeSeconds))!.mean,
        decode: average(files.map(({ points }) => points[points.length - 1].decodeSeconds))!.mean,
      },
      curves: files.map(({ points, encodeSeconds }) =>
        points.map(({ t, klBits, bytes, bitsPerDim, bpp, rmse, msSsim, ssim, decodeSeconds }) => ({
          setting: -t,
          t,
          bpp,
          rmse,
          msSsim,
          ssim,
          klBitsPerDim: (klBits * bitsPerDim) / (8 * bytes),
          encodeSeconds,
          decodeSeconds,
        })),
      ),
    };
  });
}

/** Without their first point, which takes no bits at all and has no place on a logarithmic axis. */
function theoryCodecs(images: readonly ImageResult[]): Codec[] {
  return Object.keys(images[0].theory).map((name) => ({
    name,
    label: THEORY_LABELS[name],
    kind: 'theory',
    timesteps: images[0].model!.timesteps,
    secondsPerImage: null,
    curves: images.map(({ theory }) =>
      theory[name]
        .filter(({ klBits }) => klBits > 0)
        .map(({ t, bpp, rmse, bitsPerDim }) => ({
          setting: -t,
          t,
          bpp,
          rmse,
          msSsim: null,
          ssim: null,
          klBitsPerDim: bitsPerDim,
          encodeSeconds: null,
          decodeSeconds: null,
        })),
    ),
  }));
}

function baselineCodec(name: string, images: readonly ImageResult[]): Codec {
  const sweeps = images.map(({ baselines }) => baselines[name]);
  const all = sweeps.flat();
  return {
    name,
    label: findBaseline(name).label,
    kind: 'measured',
    secondsPerImage: {
      encode: average(all.map(({ encodeSeconds }) => encodeSeconds))!.mean,
      decode: average(all.map(({ decodeSeconds }) => decodeSeconds))!.mean,
    },
    curves: sweeps.map((points) =>
      points.map(({ quality, bpp, rmse, msSsim, ssim, encodeSeconds, decodeSeconds }) => ({
        setting: quality,
        t: null,
        bpp,
        rmse,
        msSsim,
        ssim,
        klBitsPerDim: null,
        encodeSeconds,
        decodeSeconds,
      })),
    ),
  };
}

/** The same pictures for fewer bytes: the files without what their containers add. */
function payloadCodec(name: string, images: readonly ImageResult[]): Codec {
  const whole = baselineCodec(name, images);
  return {
    ...whole,
    name: `${name}-payload`,
    label: `${whole.label.replace(/ \(.*/, '')}, no container`,
    kind: 'payload',
    curves: whole.curves.map((points, i) =>
      points.map((point, k) => {
        const { bytes, payloadBytes } = images[i].baselines[name][k];
        return { ...point, bpp: (point.bpp * payloadBytes) / bytes };
      }),
    ),
  };
}
