/** FID and KID of a run: how far all decoded pictures of a codec are from the originals, as sets. */
import { CodecError } from '../../common/errors.js';
import { evenlySpread } from '../../common/evenly-spread.js';
import { frechetDistanceOfSets } from '../fid.js';
import { kernelDistance } from '../kid.js';
import type { RatePoint } from '../rate-point.js';
import { metricsOf } from './metrics.js';
import { type FeatureTable, type ImageResult, ourSettings, picturesBefore, type RdOptions } from './results.js';

/** Maximum number of levels at which our files are compared: about as many as other codecs have qualities. */
const LEVELS = 16;

/** A metric of sets along a codec's curve. */
export interface SetDistance {
  /** The metric's name in `METRICS`. */
  readonly metric: string;
  /** The codec's name in the summary. */
  readonly codec: string;
  /** Number of patches of all images together. */
  readonly patches: number;
  /** In order of rate, ascending. */
  readonly points: readonly SetPoint[];
}

/** One picture of every image, decoded at equal settings. */
export interface SetPoint {
  /**
   * Timestep, for ours: that of one image's point; the other images use their nearest timestep. Null where files are
   * compared at equal shares of their bytes.
   */
  readonly t: number | null;
  readonly quality: number | null;
  /** Arithmetic means over the compared pictures, here and below. */
  readonly bpp: number;
  readonly bitsPerDim: number;
  readonly meanRmse: number;
  readonly value: number;
  /** For KID. */
  readonly standardError: number | null;
}

/** Reads the features of an image. */
export type FeatureReader = (image: ImageResult, network: string) => Promise<FeatureTable>;

/**
 * Compares decoded pictures with the originals, codec by codec.
 *
 * The other codecs are compared quality by quality. Ours are compared at up to 16 noise levels, like mean curves: from
 * each file comes the point with the nearest timestep, by its logarithm. With `points` there are too few for that, and
 * files are compared at equal shares of their bytes, the last of which is the whole file. Features cannot be interpolated
 * between points. Lossless codecs are left out, since their distance is 0. Images whose files have no steps are left out
 * for all codecs.
 * @returns empty for fewer than two patches
 * @throws CodecError `file` for features that do not belong together
 */
export async function setDistances(
  options: RdOptions,
  images: readonly ImageResult[],
  read: FeatureReader,
): Promise<SetDistance[]> {
  const walked = images.filter(({ ours }) => Object.values(ours).every(({ steps }) => steps.length > 0));
  const { metrics, baselines } = options;
  const ours = ourSettings(options).map(({ name }) => name);
  const found: SetDistance[] = [];
  for (const { name: metric, network } of metricsOf(metrics, 'set')) {
    for (const codec of [...ours, ...baselines]) {
      const levels = levelsOf(codec, walked, options.points);
      if (levels.length < 2) continue;
      const { originals, decoded, groups } = await gather(walked, codec, levels, (image) => read(image, network!));
      if (originals.length < 2) continue;
      const points = levels.map((level, k): SetPoint => {
        const distance =
          metric === 'kid'
            ? kernelDistance(originals, decoded[k], groups)
            : { value: frechetDistanceOfSets(originals, decoded[k]), standardError: null };
        return { ...level.setting, ...meansOf(level, codec, walked), ...distance };
      });
      found.push({ metric, codec, patches: originals.length, points });
    }
  }
  return found;
}

/** A setting, and the index of its point for each image. */
interface Level {
  readonly setting: Pick<SetPoint, 't' | 'quality'>;
  readonly places: readonly number[];
}

function levelsOf(codec: string, images: readonly ImageResult[], wanted: number | null): Level[] {
  if (images.length === 0) return [];
  if (images[0].baselines[codec] !== undefined) {
    return images[0].baselines[codec].map(({ quality }, i) => ({
      setting: { t: null, quality },
      places: images.map(() => i),
    }));
  }
  const files = images.map(({ ours }) => ours[codec].points.map(({ t }) => t));
  if (wanted !== null) {
    const count = Math.min(...files.map(({ length }) => length));
    return evenlySpread([...Array(count).keys()], LEVELS).map((k) => ({
      setting: { t: null, quality: null },
      places: files.map(({ length }) => length - count + k),
    }));
  }
  // All files have about the same levels: take those of the file with the fewest points.
  const fewest = files.reduce((a, b) => (b.length < a.length ? b : a));
  const last = Math.max(...files.map((timesteps) => timesteps[timesteps.length - 1]));
  const levels = [...new Set(fewest)].filter((t) => t >= last);
  return evenlySpread(levels, LEVELS).map((t) => ({
    setting: { t, quality: null },
    places: files.map((timesteps) => nearest(timesteps, t)),
  }));
}

function nearest(timesteps: readonly number[], t: number): number {
  const distances = timesteps.map((other) => Math.abs(Math.log((other + 1) / (t + 1))));
  return distances.indexOf(Math.min(...distances));
}

function pointsOf(image: ImageResult, codec: string): readonly RatePoint[] {
  return image.ours[codec]?.points ?? image.baselines[codec];
}

function meansOf({ places }: Level, codec: string, images: readonly ImageResult[]) {
  const points = images.map((image, i) => pointsOf(image, codec)[places[i]]);
  const mean = (value: (point: RatePoint) => number) =>
    points.reduce((sum, point) => sum + value(point), 0) / points.length;
  return {
    bpp: mean(({ bpp }) => bpp),
    bitsPerDim: mean(({ bitsPerDim }) => bitsPerDim),
    meanRmse: mean(({ rmse }) => rmse),
  };
}

/** Features of the originals, and of the decoded pictures at each level; patches of one image form a group. */
async function gather(
  images: readonly ImageResult[],
  codec: string,
  levels: readonly Level[],
  read: (image: ImageResult) => Promise<FeatureTable>,
) {
  const originals: Float32Array[] = [];
  const decoded = levels.map((): Float32Array[] => []);
  const groups: number[] = [];
  let first: FeatureTable | undefined;
  for (const [i, image] of images.entries()) {
    const table = await read(image);
    first ??= table;
    if (table.dimensions !== first.dimensions) {
      throw new CodecError(
        'file',
        `features of ${image.name}: expected ${first.dimensions} of each patch, as of the others, got ${table.dimensions}`,
      );
    }
    const before = picturesBefore(image, codec);
    originals.push(...rowsOf(table, 0));
    for (const [k, { places }] of levels.entries()) decoded[k].push(...rowsOf(table, before + places[i]));
    groups.push(...Array.from({ length: table.patches }, () => i));
  }
  return { originals, decoded, groups };
}

/** Copies the rows: views would keep the whole table in memory. */
function rowsOf({ patches, dimensions, rows }: FeatureTable, picture: number): Float32Array[] {
  return Array.from({ length: patches }, (_, i) => {
    const at = (picture * patches + i) * dimensions;
    return rows.slice(at, at + dimensions);
  });
}
