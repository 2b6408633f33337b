/** The summary of a run's curves: means, rates at a quality, comparisons. */
import { findBaseline } from '../baselines.js';
import type { PublishedSet } from '../published.js';
import { average, bitsPerDimAt, type CurvePoint, type MeanPoint, meanCurve, meansOfSome } from '../rate-curve.js';
import {
  type AnchorChoice,
  type Comparison,
  type Contender,
  chooseAnchor,
  compare,
  publishedContenders,
  resampler,
  type Standings,
  standingsOf,
} from './comparison.js';
import { type ImageResult, ourSettings, type RdOptions, type Run, THEORY_LABELS } from './results.js';

/** RMSEs at which rates are listed, in grey levels. */
export const LEVELS: readonly number[] = [15, 10, 7, 5, 3];
/** Reverse steps T - t of the paper's table 4, as fractions of T. */
const TABLE_SHARES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
/** Images up to this many pixels are also compared with the other codecs' files without containers. */
const SMALL_PIXELS = 64 * 64;
/** Ratio between consecutive timesteps of a mean curve. */
const TIMESTEP_RATIO = 0.92;

export type CodecKind = Exclude<Contender['kind'], 'published'>;

/** A point of a mean curve; null where a kind of codec has no such value. */
export interface MeanRdPoint extends MeanPoint {
  /** Timestep, for ours and theory. */
  readonly t: number | null;
  /** Mean KL(q||p) so far, bits/dim. */
  readonly klBitsPerDim: number | null;
  /** Arithmetic mean; null where a picture has none. */
  readonly ssim: number | null;
  readonly encodeSeconds: number | null;
  readonly decodeSeconds: number | null;
  /** Arithmetic means of the requested metrics of pictures; null where a picture has none. */
  readonly metrics: Readonly<Record<string, number | null>>;
}

export interface RateAtRmse {
  /** Grey levels. */
  readonly rmse: number;
  /** Mean bits/dim over all images; null unless every image reaches that RMSE. */
  readonly mean: number | null;
  readonly standardError: number | null;
  /** Number of images that reach it. */
  readonly count: number;
  /**
   * Mean KL(q||p) of our files at that RMSE, bits/dim: what an ideal coder needs for the same steps. Null where `mean`
   * is null, and where a file gets there without steps: a drawing, or in its tail.
   */
  readonly klBitsPerDim: number | null;
}

export interface CodecSummary {
  readonly name: string;
  readonly label: string;
  readonly kind: CodecKind;
  readonly bitsPerDimAtRmse: readonly RateAtRmse[];
  /** Mean bits/dim where all images are equal to the original; null where they never are. */
  readonly losslessBitsPerDim: number | null;
  /** Seconds for whole files: for ours to the end, for the others the mean over the qualities; null for theory. */
  readonly secondsPerImage: { readonly encode: number; readonly decode: number } | null;
  /** kMAC/pixel of decoding whole files with steps, mean over the images; for ours, where all such images have it. */
  readonly decodingKmac: number | null;
  /** Mean over the images at equal settings: timesteps, or qualities. */
  readonly mean: readonly MeanRdPoint[];
  /** Points at the reverse steps of the paper's table 4; for ours and theory. */
  readonly reverseSteps: readonly (MeanRdPoint & { readonly reverseSteps: number })[];
}

/** How much a result depends on chance: results of files with different seeds. */
export interface Scatter {
  /** Label of our files, without the seed. */
  readonly label: string;
  readonly seeds: number;
  /** Spread over the seeds of the mean over the images; null unless every image reaches that RMSE with every seed. */
  readonly bitsPerDimAtRmse: readonly { readonly rmse: number; readonly over: Spread | null }[];
  /**
   * Spread of BD-rates by PSNR, in percent, against the same codecs for all of ours; null unless every seed has one.
   */
  readonly bdRates: readonly { readonly anchor: string; readonly over: Spread | null }[];
}

export interface Spread {
  readonly mean: number;
  /** Sample standard deviation. */
  readonly deviation: number;
}

export interface Summary {
  readonly images: number;
  /**
   * Number of images in the mean curves: those whose files have steps. Drawings have none; where all images are
   * drawings, the other codecs' means cover all images.
   */
  readonly meanImages: number;
  readonly codecs: readonly CodecSummary[];
  /** Each of ours against each other codec, and against published curves of files. */
  readonly comparisons: readonly Comparison[];
  /** Spread over seeds, for each effort and realism; empty with one seed. */
  readonly scatter: readonly Scatter[];
  /** All codecs with files against one anchor; null where there is no anchor. */
  readonly standings: Standings | null;
}

/** The label of a codec or published curve, from its name in a comparison. */
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
  readonly decodingKmac: number | null;
}

interface RdPoint extends CurvePoint {
  /** Rises with quality along a curve. */
  readonly setting: number;
  readonly t: number | null;
  readonly klBitsPerDim: number | null;
  readonly ssim: number | null;
  readonly encodeSeconds: number | null;
  readonly decodeSeconds: number | null;
  readonly metrics?: Readonly<Record<string, number | null>>;
}

/**
 * Summarises a run. Every image has curves of every codec, so that all means are over the same images.
 * @param published curves of the same images
 * @param anchor what all are compared with; default: see {@link chooseAnchor}
 * @throws CodecError `usage` where `anchor` matches none of them, or several
 */
export function summarise(
  { options }: Run,
  images: readonly ImageResult[],
  published?: PublishedSet,
  anchor?: string,
): Summary {
  if (images.length === 0)
    return { images: 0, meanImages: 0, codecs: [], comparisons: [], scatter: [], standings: null };
  const walked = [...images.keys()].filter((i) => Object.values(images[i].ours).every(({ steps }) => steps.length > 0));
  const codecs = [
    ...ourCodecs(options, images, walked),
    ...theoryCodecs(images),
    ...options.baselines.map((name) => baselineCodec(name, images)),
    ...(images.every(({ width, height }) => width * height <= SMALL_PIXELS)
      ? options.baselines.map((name) => payloadCodec(name, images))
      : []),
  ];
  const summaries = codecs.map((codec) => summariseCodec(codec, walked));
  const contenders = [
    ...codecs.map((codec, i) => contenderOf(codec, summaries[i], walked)),
    ...publishedContenders(published),
  ];
  const [ours, others] = [true, false].map((ours) => contenders.filter(({ kind }) => (kind === 'ours') === ours));
  const against = chooseAnchor(contenders, anchor, published);
  const comparisons = ours.flatMap((test) => others.flatMap((other) => compare(test, other)));
  return {
    images: images.length,
    meanImages: walked.length || images.length,
    codecs: summaries,
    comparisons,
    scatter: scatterOf(options, summaries, comparisons),
    standings: against === undefined ? null : standingsOf(contenders, against, published),
  };
}

function scatterOf(options: RdOptions, codecs: readonly CodecSummary[], comparisons: readonly Comparison[]): Scatter[] {
  const { seeds } = options;
  if (seeds.length < 2) return [];
  const settings = ourSettings(options);
  const byPsnr = comparisons.filter(({ measure }) => measure === 'psnr');
  const anchors = [...new Set(byPsnr.map(({ anchor }) => anchor))];
  return ourSettings({ ...options, seeds: [seeds[0]] }).map(({ label, effort, realism }) => {
    const names = settings
      .filter((setting) => setting.effort === effort && setting.realism === realism)
      .map(({ name }) => name);
    const summaries = names.map((name) => codecs.find((codec) => codec.name === name)!);
    const bdRateOf = (name: string, anchor: string) =>
      byPsnr.find((one) => one.test === name && one.anchor === anchor)?.bdRate?.value ?? null;
    return {
      label,
      seeds: seeds.length,
      bitsPerDimAtRmse: LEVELS.map((rmse, i) => ({
        rmse,
        over: spread(summaries.map(({ bitsPerDimAtRmse }) => bitsPerDimAtRmse[i].mean)),
      })),
      bdRates: anchors.map((anchor) => ({ anchor, over: spread(names.map((name) => bdRateOf(name, anchor))) })),
    };
  });
}

/** @returns null where any value is null */
function spread(values: readonly (number | null)[]): Spread | null {
  const found = average(values);
  if (found === null || found.count < values.length || found.standardError === null) return null;
  return { mean: found.mean, deviation: found.standardError * Math.sqrt(found.count) };
}

/** The possible anchors of a run, known before anything is measured. */
export function anchorChoices(options: RdOptions, published: PublishedSet | undefined): AnchorChoice[] {
  return [
    ...ourSettings(options).map(({ name, label }) => ({ name, label, kind: 'ours' as const })),
    ...options.baselines.map((name) => ({ name, label: findBaseline(name).label, kind: 'measured' as const })),
    ...publishedContenders(published),
  ];
}

function contenderOf(
  codec: Codec,
  { mean, secondsPerImage, decodingKmac }: CodecSummary,
  walked: readonly number[],
): Contender {
  const { name, label, kind, curves } = codec;
  const along = curvesOfMean(codec, walked);
  const inMean = new Set(walked);
  return {
    name,
    label,
    kind,
    mean,
    curves: walked.length === 0 ? curves : curves.map((points, i) => (inMean.has(i) ? points : [])),
    ...(along.length > 1 &&
      along.every((points) => points.length > 0) && {
        resampled: resampler(
          meansOfSome(along, ({ setting }) => setting, gridOf(codec)),
          along.length,
        ),
      }),
    ...(decodingKmac !== null && { complexity: { kmacPerPixel: decodingKmac, of: 'decoder' } }),
    secondsPerImage,
  };
}

/** The curves that go into a mean curve. */
function curvesOfMean({ curves, timesteps }: Codec, walked: readonly number[]): Codec['curves'] {
  return walked.length === 0 && timesteps === undefined ? curves : walked.map((i) => curves[i]);
}

/** The settings of a mean curve; undefined for all settings of the curves. */
function gridOf({ timesteps }: Codec): number[] | undefined {
  return timesteps === undefined ? undefined : timestepGrid(timesteps).map((t) => -t);
}

/** @param walked indices of the images that mean curves cover */
function summariseCodec(codec: Codec, walked: readonly number[]): CodecSummary {
  const { name, label, kind, curves, timesteps, secondsPerImage, decodingKmac } = codec;
  const rates = LEVELS.map((rmse) => {
    const reached = average(curves.map((points) => bitsPerDimAt(points, rmse)));
    const count = reached?.count ?? 0;
    const all = count === curves.length ? reached : null;
    const kl = kind === 'ours' && all ? average(curves.map((points) => bitsPerDimAt(klCurve(points), rmse))) : null;
    return {
      rmse,
      mean: all?.mean ?? null,
      standardError: all?.standardError ?? null,
      count,
      klBitsPerDim: kl?.count === count ? kl.mean : null,
    };
  });
  const along = curvesOfMean(codec, walked);
  const mean = meanOf(along, gridOf(codec));
  const table =
    timesteps === undefined ? [] : TABLE_SHARES.map((share) => Math.max(1, Math.round((1 - share) * timesteps)));
  return {
    name,
    label,
    kind,
    bitsPerDimAtRmse: rates,
    losslessBitsPerDim: mean.find(({ rootMeanMse }) => rootMeanMse === 0)?.bitsPerDim ?? null,
    secondsPerImage,
    decodingKmac,
    mean,
    reverseSteps:
      timesteps === undefined
        ? []
        : meanOf(
            along,
            table.map((t) => -t),
          ).map((point) => ({
            // The network's last prediction, at t = 1, is the paper's result after T steps.
            reverseSteps: point.t === 1 ? timesteps : timesteps - point.t!,
            ...point,
          })),
  };
}

/**
 * A curve of ours with sums of KL in place of sizes; without the bare header and points in a tail, which add nothing to
 * the sum.
 */
function klCurve(points: readonly RdPoint[]): CurvePoint[] {
  return points.flatMap(({ klBitsPerDim, rmse, msSsim }, i) =>
    klBitsPerDim! > (points[i - 1]?.klBitsPerDim ?? 0) ? [{ bpp: 3 * klBitsPerDim!, rmse, msSsim }] : [],
  );
}

/**
 * The mean over pictures coded with the same setting, as in published means: for ours the setting is the noise level at
 * which a file is cut off, for the others the quality. Means at equal PSNR or at equal rate would be other curves. Our
 * mean ends where the first file ends. An ideal coder that is done before its first step has no curve; then there is no
 * mean.
 */
function meanOf(curves: Codec['curves'], grid?: readonly number[]): MeanRdPoint[] {
  if (curves.length === 0 || curves.some((points) => points.length === 0)) return [];
  const [first] = curves[0];
  const more = {
    klBitsPerDim: (point: RdPoint) => point.klBitsPerDim,
    ssim: (point: RdPoint) => point.ssim,
    encodeSeconds: (point: RdPoint) => point.encodeSeconds,
    decodeSeconds: (point: RdPoint) => point.decodeSeconds,
  };
  const metrics = Object.fromEntries(
    Object.keys(first.metrics ?? {}).map((name) => [name, (point: RdPoint) => point.metrics![name]]),
  );
  const setting = (point: RdPoint) => point.setting;
  const values = meanCurve(curves, setting, grid, metrics);
  return meanCurve(curves, setting, grid, more).map((point, i) => ({
    t: first.t === null ? null : -point.setting,
    ...point,
    metrics: Object.fromEntries(Object.keys(metrics).map((name) => [name, values[i][name]])),
  }));
}

/** From T down to 1. */
function timestepGrid(timesteps: number): number[] {
  const count = Math.ceil(Math.log(timesteps) / -Math.log(TIMESTEP_RATIO)) + 1;
  const places = Array.from({ length: count }, (_, i) => Math.max(1, Math.round(timesteps * TIMESTEP_RATIO ** i)));
  return [...new Set(places)];
}

function ourCodecs(options: RdOptions, images: readonly ImageResult[], walked: readonly number[]): Codec[] {
  return ourSettings(options).map(({ name, label }) => {
    const files = images.map(({ ours }) => ours[name]);
    const kmacs = walked.map((i) => files[i].decodingKmac ?? null);
    return {
      name,
      label,
      kind: 'ours',
      timesteps: images[0].model!.timesteps,
      secondsPerImage: {
        encode: average(files.map(({ encodeSeconds }) => encodeSeconds))!.mean,
        decode: average(files.map(({ points }) => points[points.length - 1].decodeSeconds))!.mean,
      },
      decodingKmac: kmacs.includes(null) ? null : (average(kmacs)?.mean ?? null),
      curves: files.map(({ points, encodeSeconds }) =>
        points.map(({ t, klBits, bytes, bitsPerDim, bpp, rmse, msSsim, ssim, metrics = {}, decodeSeconds }) => ({
          setting: -t,
          t,
          bpp,
          rmse,
          msSsim,
          ssim,
          klBitsPerDim: (klBits * bitsPerDim) / (8 * bytes),
          encodeSeconds,
          decodeSeconds,
          metrics,
        })),
      ),
    };
  });
}

/** Without their first point, which takes no bits and has no place on a logarithmic axis. */
function theoryCodecs(images: readonly ImageResult[]): Codec[] {
  return Object.keys(images[0].theory).map((name) => ({
    name,
    label: THEORY_LABELS[name],
    kind: 'theory',
    timesteps: images[0].model!.timesteps,
    secondsPerImage: null,
    decodingKmac: null,
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
    decodingKmac: null,
    curves: sweeps.map((points) =>
      points.map(({ quality, bpp, rmse, msSsim, ssim, encodeSeconds, decodeSeconds, metrics = {} }) => ({
        setting: quality,
        t: null,
        bpp,
        rmse,
        msSsim,
        ssim,
        klBitsPerDim: null,
        encodeSeconds,
        decodeSeconds,
        metrics,
      })),
    ),
  };
}

/** The same pictures at smaller sizes: the files without their containers. */
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
