/** What a rate-distortion run records: options, and the measured curves of each image. */
import { FORMAT_VERSION } from '../../codec/format/header.js';
import { DEFAULT_EFFORT } from '../../codec/options.js';
import type { Selection } from '../../codec/trellis/block-coder.js';
import { briefly } from '../../common/errors.js';
import type { Device, Precision } from '../../engine/engine.js';
import type { Rectangle } from '../../image/crop.js';
import { packageVersion } from '../../node/version.js';
import { type BaselinePoint, baselineVersions } from '../baselines.js';
import type { ProgressivePoint, StepSize } from '../progressive-sweep.js';
import type { TheoryPoint } from '../theory.js';
import type { Metric } from './metrics.js';
import type { Shard } from './shard.js';

/** Everything that decides the numbers of a run. */
export interface RdOptions {
  /** References to images, as the user named them. */
  readonly images: readonly string[];
  /** Total number of images. */
  readonly imageCount: number;
  readonly shard: Shard | null;
  /** Name or directory; `none` to measure the other codecs alone. */
  readonly model: string;
  /** IDs of the models that may be used: first 12 digits. */
  readonly modelIds: readonly string[];
  /** Each effort ... */
  readonly efforts: readonly number[];
  /** ... with each seed gives a file. */
  readonly seeds: readonly number[];
  /** Each file gives a curve for each realism. */
  readonly realisms: readonly number[];
  readonly selection: Selection;
  /** RMSE at which files end, in grey levels. */
  readonly targetRmse: number;
  /** Measured points of a file besides its bare header; null for all. */
  readonly points: number | null;
  /** Names of codecs, in the order of `BASELINES`. */
  readonly baselines: readonly string[];
  readonly theory: boolean;
  /** Metrics besides PSNR and MS-SSIM. */
  readonly metrics: readonly Metric[];
  /** Colour under transparent pixels. */
  readonly background: string | null;
  /** The requested engine. */
  readonly engine: string;
  /** Of the engine `onnx`: the requested device, or what `auto` was decided to be. */
  readonly device: Device;
  readonly precision: Precision;
}

/** `name` in results.json, by which a report is recognised. */
export const REPORT_NAME = 'ddpm-codec rd';

/** `run.json`: what all images of a report share. */
export interface Run {
  readonly options: RdOptions;
  readonly versions: Readonly<Record<string, string>>;
}

/** A file of ours, truncated at each of its points and decoded with one realism. */
export interface OurCurve {
  readonly effort: number;
  readonly fileBytes: number;
  readonly headerBytes: number;
  /** fileBytes are 8 headerBytes bits plus the bits of the steps, rounded up to a byte. */
  readonly steps: readonly StepSize[];
  readonly points: readonly ProgressivePoint[];
  readonly encodeSeconds: number;
  readonly networkEvaluations: number;
  /** Thousands of multiply-adds per pixel for decoding the whole file; missing in reports of earlier versions. */
  readonly decodingKmac?: number;
}

/** `images/NNNNN-NAME.json`. */
export interface ImageResult {
  /** Position among all images of the run, across all shards, from 0. */
  readonly index: number;
  readonly name: string;
  readonly width: number;
  readonly height: number;
  /** First 16 hexadecimal digits of the SHA-256 of its samples. */
  readonly pixels: string;
  readonly model: { readonly name: string; readonly id: string; readonly timesteps: number } | null;
  readonly ours: Readonly<Record<string, OurCurve>>;
  readonly baselines: Readonly<Record<string, readonly BaselinePoint[]>>;
  readonly theory: Readonly<Record<string, readonly TheoryPoint[]>>;
  /** Size of its {@link FeatureTable}, by network; only where FID or KID were asked for. */
  readonly features?: Readonly<Record<string, FeatureSize>>;
  readonly machine: Readonly<Record<string, string>>;
  /** Pictures for the page; not in `results.json`. */
  readonly pictures?: ImagePictures;
}

export interface FeatureSize {
  readonly patches: number;
  readonly dimensions: number;
}

/**
 * `images/NNNNN-NAME.NETWORK.f32`: features of an image and of all its decoded pictures, for distances between sets.
 * Rows are `dimensions` float32, little-endian, one for each patch: first those of the image, then those of each point
 * of our curves, then those of the other codecs' points, in their order.
 */
export interface FeatureTable extends FeatureSize {
  readonly rows: Float32Array;
}

/** By the SHA-256 of the network. */
export type FeatureTables = Readonly<Record<string, FeatureTable>>;

type Curves = Pick<ImageResult, 'ours' | 'baselines'>;

/** Names and numbers of points of all curves, in the order of a {@link FeatureTable}. */
function curveLengths({ ours, baselines }: Curves): (readonly [name: string, points: number])[] {
  return [
    ...Object.entries(ours).map(([name, { points }]) => [name, points.length] as const),
    ...Object.entries(baselines).map(([name, points]) => [name, points.length] as const),
  ];
}

/** Number of an image's pictures in a {@link FeatureTable}: the image itself, and all of its points. */
export function featuredPictures(curves: Curves): number {
  return curveLengths(curves).reduce((sum, [, points]) => sum + points, 1);
}

/** Number of pictures in an image's {@link FeatureTable} before those of a curve. */
export function picturesBefore(curves: Curves, name: string): number {
  const lengths = curveLengths(curves);
  const before = lengths.slice(
    0,
    lengths.findIndex(([one]) => one === name),
  );
  return before.reduce((sum, [, points]) => sum + points, 1);
}

/** Side of the middle part that is kept of larger pictures. */
export const PICTURE_SIDE = 192;

/** Lossless WebP files, base64. */
export interface ImagePictures {
  /** The visible part: its offset from the left and top, and its size, in pixels. */
  readonly crop: Rectangle;
  readonly original: string;
  /** Decoded pictures of the first of our files at some of its points, in order of rate. */
  readonly points: readonly { readonly index: number; readonly picture: string }[];
}

/** An image that could not be measured. */
export interface ImageFailure {
  readonly index: number;
  readonly name: string;
  readonly error: { readonly code: string; readonly message: string };
}

/** Labels of the two ideal coders in {@link ImageResult.theory}. */
export const THEORY_LABELS: Readonly<Record<string, string>> = {
  'kl-independent': 'ideal coder, independent x_t',
  'kl-chain': "ideal coder, the file's chain",
};

/** The largest seed of a file. */
export const MOST_SEED = 2 ** 32 - 1;
/** Maximum number of seeds in a run: more than anyone measures. */
export const MOST_SEEDS = 20;

/** The settings of one of our curves. */
export interface OurSetting {
  /** Name of the codec in a report. */
  readonly name: string;
  /** For legends. */
  readonly label: string;
  readonly effort: number;
  readonly seed: number;
  readonly realism: number;
}

/** A file of ours in a run. */
export type OurFile = Pick<OurSetting, 'effort' | 'seed'>;

/** Our files in a run, in order; none without a model. */
export function ourFiles({ model, efforts, seeds }: RdOptions): OurFile[] {
  return model === 'none' ? [] : efforts.flatMap((effort) => seeds.map((seed) => ({ effort, seed })));
}

/** Our curves in a run, in order: for each file one per realism. */
export function ourSettings(options: RdOptions): OurSetting[] {
  const { efforts, seeds, realisms, selection } = options;
  return ourFiles(options).flatMap(({ effort, seed }) =>
    realisms.map((realism) => {
      const ofEffort = efforts.length > 1 ? `-effort-${effort}` : '';
      const ofSeed = seeds.length > 1 ? `-seed-${seed}` : '';
      const ofRealism = realisms.length > 1 ? `-realism-${realism}` : '';
      const labels = [
        'ddpm-codec',
        ...(efforts.length > 1 || effort !== DEFAULT_EFFORT ? [`effort ${effort}`] : []),
        ...(realisms.length > 1 || realism !== 0 ? [`realism ${realism}`] : []),
        ...(seeds.length > 1 ? [`seed ${seed}`] : []),
        ...(selection === 'sample' ? ['selection by sampling'] : []),
      ];
      return { name: `ddpm-codec${ofEffort}${ofSeed}${ofRealism}`, label: labels.join(', '), effort, seed, realism };
    }),
  );
}

/** Versions of everything that affects the numbers, except the machine. */
export function runVersions(): Record<string, string> {
  return { 'ddpm-codec': packageVersion(), format: String(FORMAT_VERSION), ...baselineVersions() };
}

/** Differences between two runs, a line for each; empty when their images can share a report. */
export function differences(a: Run, b: Run, ignored: readonly (keyof RdOptions)[] = []): string[] {
  const flat = ({ options, versions }: Run) => ({ ...Object.fromEntries(prefixed(versions)), ...options });
  const [left, right] = [flat(a), flat(b)] as Record<string, unknown>[];
  const names = [...new Set([...Object.keys(left), ...Object.keys(right)])];
  return names
    .filter((name) => !ignored.includes(name as keyof RdOptions))
    .filter((name) => JSON.stringify(left[name]) !== JSON.stringify(right[name]))
    .map((name) => `${name} ${briefly(left[name])}, now ${briefly(right[name])}`);
}

function prefixed(versions: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(versions).map(([name, version]) => [`version of ${name}`, version]);
}
