/** Joins what several runs measured on the same images into what a single run would have measured. */
import { CodecError } from '../../common/errors.js';
import { findBaselines } from '../baselines.js';
import type { Measured } from './measure.js';
import {
  differences,
  type FeatureTable,
  type FeatureTables,
  type ImageResult,
  MOST_SEEDS,
  type OurFile,
  type OurSetting,
  ourFiles,
  ourSettings,
  picturesBefore,
  type RdOptions,
  type Run,
} from './results.js';

/** A report, and the run that it is of. */
export interface Part {
  readonly directory: string;
  readonly run: Run;
}

/** What a part measured of an image. */
export interface PartOfImage extends Part {
  readonly image: ImageResult;
}

/** Options in which parts may differ: each adds images or curves. */
export const ADDED = ['shard', 'efforts', 'seeds', 'baselines'] as const;
/** Options that say nothing of a run without a model. */
const OF_MODELS = [
  ...['model', 'modelIds', 'realisms', 'selection', 'targetRmse', 'points', 'theory'],
  ...['engine', 'device', 'precision'],
] as (keyof RdOptions)[];

const hasModel = ({ run }: Part) => run.options.model !== 'none';
const named = ({ effort, seed }: OurFile) => `effort ${effort} with seed ${seed}`;

/**
 * The run that would have measured what the parts have: all images, and each effort with each seed, in the order of the parts.
 * @throws CodecError `file` when the parts are of different runs, or some effort was not measured with some seed
 */
export function joinRuns(parts: readonly Part[]): Run {
  const first = parts.find(hasModel) ?? parts[0];
  for (const part of parts) {
    const ignored = hasModel(first) && !hasModel(part) ? [...ADDED, ...OF_MODELS] : ADDED;
    const changed = differences(first.run, part.run, ignored);
    if (changed.length === 0) continue;
    throw new CodecError('file', `${part.directory}: is of another run than ${first.directory}: ${changed.join('; ')}`);
  }
  const modelled = hasModel(first) ? parts.filter(hasModel) : parts;
  const all = <T>(from: readonly Part[], values: (options: RdOptions) => readonly T[]) => [
    ...new Set(from.flatMap(({ run }) => values(run.options))),
  ];
  const options: RdOptions = {
    ...first.run.options,
    shard: null,
    efforts: all(modelled, ({ efforts }) => efforts),
    seeds: all(modelled, ({ seeds }) => seeds),
    baselines: findBaselines(all(parts, ({ baselines }) => baselines)).map(({ name }) => name),
  };
  if (options.seeds.length > MOST_SEEDS) {
    throw new CodecError('file', `expected at most ${MOST_SEEDS} seeds in all reports, got ${options.seeds.length}`);
  }
  const measured = new Set(modelled.flatMap(({ run }) => ourFiles(run.options)).map(named));
  const missing = ourFiles(options).find((file) => !measured.has(named(file)));
  if (missing !== undefined) {
    throw new CodecError(
      'file',
      `expected each effort with each seed, but none of these reports has ${named(missing)}; measure it, or leave a report out`,
    );
  }
  return { ...first.run, options };
}

/**
 * What the parts lack of an image; undefined when they have all that the joined run asks for.
 * @throws CodecError `file` when a part has nothing that the parts before it lack, has a file of ours that they have,
 * or is of another picture
 */
export function lacking(options: RdOptions, parts: readonly PartOfImage[]): string | undefined {
  const files = new Set<string>();
  const codecs = new Set<string>();
  for (const { directory, image, run } of parts) {
    const { pixels, name } = parts[0].image;
    if (image.pixels !== pixels) {
      throw new CodecError('file', `${directory}: ${name} is another picture than in ${parts[0].directory}`);
    }
    const ours = ourFiles(run.options).map(named);
    const before = files.size + codecs.size;
    const twice = ours.some((file) => files.has(file));
    for (const file of ours) files.add(file);
    for (const codec of run.options.baselines) codecs.add(codec);
    if (!twice && files.size + codecs.size > before) continue;
    throw new CodecError('file', `${directory}: ${name} is in another of these reports, too; name each part once`);
  }
  const file = ourFiles(options).find((one) => !files.has(named(one)));
  return file === undefined ? options.baselines.find((codec) => !codecs.has(codec)) : named(file);
}

interface MeasuredPart extends PartOfImage {
  readonly features: FeatureTables;
}

/** Where a curve of the joined run comes from: a part, and the curve's name there. */
interface Source {
  readonly name: string;
  readonly part: MeasuredPart;
  readonly own: string;
}

function sourcesOf(options: RdOptions, parts: readonly MeasuredPart[]) {
  const measured = parts.flatMap((part) => ourSettings(part.run.options).map((setting) => ({ part, setting })));
  const ours = ourSettings(options).map(({ name, effort, seed, realism }): Source => {
    const isSame = (one: OurSetting) => one.effort === effort && one.seed === seed && one.realism === realism;
    const { part, setting } = measured.find((one) => isSame(one.setting))!;
    return { name, part, own: setting.name };
  });
  const baselines = options.baselines.map((name): Source => {
    return { name, part: parts.find(({ run }) => run.options.baselines.includes(name))!, own: name };
  });
  return { ours, baselines };
}

/** The features of a number of pictures, from the given one on. */
function rowsOf({ patches, dimensions, rows }: FeatureTable, from: number, pictures: number): Float32Array {
  const each = patches * dimensions;
  return rows.subarray(from * each, (from + pictures) * each);
}

/**
 * An image of the joined run. Codecs that several parts measured come from the first of them. Ideal coders, pictures and the machine
 * come from the part that begins with the same file as the whole; where none does, pictures are left out.
 * @param parts none of which lacks anything, see {@link lacking}, with their features
 */
export function joinImage(options: RdOptions, parts: readonly MeasuredPart[]): Measured {
  const { ours, baselines } = sourcesOf(options, parts);
  const features = Object.fromEntries(
    Object.entries(parts[0].features).map(([network, table]) => {
      const curves = [
        ...ours.map((source) => ({ ...source, points: source.part.image.ours[source.own].points.length })),
        ...baselines.map((source) => ({ ...source, points: source.part.image.baselines[source.own].length })),
      ].map(({ part, own, points }) => rowsOf(part.features[network], picturesBefore(part.image, own), points));
      return [network, { ...table, rows: joined([rowsOf(table, 0, 1), ...curves]) }];
    }),
  );
  const [first] = ourFiles(options).map(named);
  const leading = parts.find(({ run }) => ourFiles(run.options).map(named)[0] === first);
  const { pictures, ...image } = (leading ?? parts.find(hasModel)!).image;
  const result: ImageResult = {
    ...image,
    ours: Object.fromEntries(ours.map(({ name, part, own }) => [name, part.image.ours[own]])),
    baselines: Object.fromEntries(baselines.map(({ name, part, own }) => [name, part.image.baselines[own]])),
    ...(pictures !== undefined && leading !== undefined && { pictures }),
  };
  return { result, features };
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
