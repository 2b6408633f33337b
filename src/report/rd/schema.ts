/** Schemas of the files of a report: parts of a run come from other machines, and people edit files. */
import {
  array,
  boolean,
  check,
  exactOptional,
  finite,
  type GenericSchema,
  type InferOutput,
  integer,
  maxLength,
  maxValue,
  minLength,
  minValue,
  null_,
  nullable,
  number,
  object,
  optional,
  picklist,
  pipe,
  record,
  regex,
  string,
  transform,
  unknown,
} from 'valibot';
import { MAX_EFFORT } from '../../codec/options.js';
import { isObject } from '../../common/foreign.js';
import { parseImageSet } from '../../data/image-set.js';
import { DEVICES, PRECISIONS } from '../../engine/engine.js';
import { MAX_SIDE } from '../../image/image.js';
import { MAX_TIMESTEPS } from '../../model/schedule.js';
import { BASELINES } from '../baselines.js';
import { featureNetworks, METRICS, metricKind, metricsOf } from './metrics.js';
import { MOST_REALISMS } from './realisms.js';
import {
  type ImageFailure,
  type ImageResult,
  MOST_SEED,
  MOST_SEEDS,
  ourSettings,
  PICTURE_SIDE,
  type RdOptions,
  type Run,
  THEORY_LABELS,
} from './results.js';

/** More images than anyone measures. */
const MOST_IMAGES = 2 ** 24;
/** Most points of a curve: one for each step of the longest chain, and some in a tail. */
const MOST_POINTS = MAX_TIMESTEPS + 100;
const MOST_SAFE = Number.MAX_SAFE_INTEGER;

const whole = (least: number, most = MOST_SAFE) => {
  const words = `an integer ${most === MOST_SAFE ? `of ${least} or more` : `from ${least} to ${most}`}`;
  return pipe(number(words), integer(words), minValue(least, words), maxValue(most, words));
};
const within = (least: number, most: number) => {
  const words = `a number from ${least} to ${most}`;
  return pipe(number(words), minValue(least, words), maxValue(most, words));
};
const above0 = pipe(
  number(),
  finite('a finite number'),
  check((value) => value > 0, 'a number above 0'),
);
const atLeast0 = pipe(number(), finite('a finite number'), minValue(0, 'a number of 0 or more'));
const listOf = <S extends GenericSchema>(item: S, most: number) =>
  pipe(array(item), minLength(1, 'a list that is not empty'), maxLength(most, `a list of at most ${most}`));
const once = <T>(words: string) => check((values: T[]) => new Set(values).size === values.length, words);
const textRecord = record(string(), string());

const METRIC = pipe(
  object({
    name: picklist(
      METRICS.map(({ name }) => name),
      'the name of a metric',
    ),
    network: nullable(pipe(string(), regex(/^[0-9a-f]{64}$/, '64 hexadecimal digits'))),
  }),
  check(({ name, network }) => metricKind(name).network === (network !== null), 'a network where the metric has one'),
);
const BASELINE_NAMES = BASELINES.map(({ name }) => name);

/** Reads options of earlier versions, which had a single seed. */
function withSeeds(options: unknown): unknown {
  return isObject(options) && 'seed' in options && !('seeds' in options)
    ? { ...options, seeds: [options.seed] }
    : options;
}

const OPTIONS = pipe(
  unknown(),
  transform(withSeeds),
  object({
    images: listOf(pipe(string(), check(isImageSet, 'the name of images')), MOST_IMAGES),
    imageCount: whole(1, MOST_IMAGES),
    shard: nullable(
      pipe(
        object({ index: whole(0), count: whole(1, MOST_IMAGES) }),
        check(({ index, count }) => index < count, 'a part, with an index below the count'),
      ),
    ),
    model: string(),
    modelIds: array(string()),
    efforts: pipe(listOf(whole(1, MAX_EFFORT), MAX_EFFORT), once<number>('each effort once')),
    seeds: pipe(listOf(whole(0, MOST_SEED), MOST_SEEDS), once<number>('each seed once')),
    // Reports of earlier versions lack it.
    realisms: optional(pipe(listOf(within(0, 1), MOST_REALISMS), once<number>('each realism once')), [0]),
    selection: picklist(['greedy', 'sample'], 'greedy or sample'),
    targetRmse: above0,
    points: nullable(whole(2, MAX_TIMESTEPS)),
    baselines: pipe(
      array(picklist(BASELINE_NAMES, `one of ${BASELINE_NAMES.join(', ')}`)),
      once<string>('each codec once'),
    ),
    theory: boolean(),
    metrics: optional(
      pipe(
        array(METRIC),
        check((metrics) => new Set(metrics.map(({ name }) => name)).size === metrics.length, 'each metric once'),
      ),
      [],
    ),
    background: nullable(string()),
    engine: string(),
    // Reports of earlier versions lack these two.
    device: optional(picklist(DEVICES, `one of ${DEVICES.join(', ')}`), 'cpu'),
    precision: optional(picklist(PRECISIONS, PRECISIONS.join(' or ')), 'fp32'),
  }),
  check(({ model, baselines }) => model !== 'none' || baselines.length > 0, 'a model or other codecs'),
);

/** `run.json`. */
export const RUN: GenericSchema<unknown, Run> = object({ options: OPTIONS, versions: textRecord });

/** null stands for the infinite PSNR of equal pictures. */
const PSNR = pipe(
  nullable(pipe(number(), finite('a finite number'))),
  transform((value) => value ?? Number.POSITIVE_INFINITY),
);
const RATES = { bitsPerDim: above0, bpp: above0 };
const RATE_POINT = {
  bytes: whole(1),
  ...RATES,
  rmse: within(0, 255),
  psnr: PSNR,
  // For almost equal pictures, rounding may exceed 1.
  msSsim: nullable(within(0, 1.000001)),
  ssim: nullable(within(-1.000001, 1.000001)),
};
/** Schema of a point's `metrics`, where there are any. */
type PointMetrics = Readonly<Record<string, GenericSchema<unknown, Readonly<Record<string, number | null>>>>>;
const VALUE = nullable(pipe(number(), finite('a finite number')));
const TIMESTEP = whole(0, MAX_TIMESTEPS);

/** @param more additional fields of each point */
const ourCurve = (more: PointMetrics) =>
  object({
    effort: whole(1, MAX_EFFORT),
    fileBytes: whole(1),
    headerBytes: above0,
    steps: pipe(
      array(object({ t: TIMESTEP, bits: whole(0), klBits: atLeast0 })),
      maxLength(MAX_TIMESTEPS, 'fewer steps'),
    ),
    points: listOf(
      object({ ...RATE_POINT, ...more, t: TIMESTEP, klBits: atLeast0, decodeSeconds: atLeast0 }),
      MOST_POINTS,
    ),
    encodeSeconds: atLeast0,
    networkEvaluations: atLeast0,
    decodingKmac: exactOptional(atLeast0),
  });

const baselineCurve = (more: PointMetrics) =>
  listOf(
    object({
      quality: whole(1, 100),
      ...RATE_POINT,
      ...more,
      payloadBytes: whole(1),
      encodeSeconds: atLeast0,
      decodeSeconds: atLeast0,
    }),
    100,
  );

const THEORY_CURVE = listOf(
  object({
    t: TIMESTEP,
    klBits: atLeast0,
    bitsPerDim: atLeast0,
    bpp: atLeast0,
    rmse: within(0, 255),
    psnr: PSNR,
    msSsim: pipe(
      nullable(number()),
      transform(() => null),
    ),
  }),
  MOST_POINTS,
);

const FEATURES = object({ patches: whole(1), dimensions: whole(1, 2 ** 14) });
const WEBP = pipe(string(), regex(/^[A-Za-z0-9+/]+={0,2}$/, 'a picture in base64'));
const PICTURES = object({
  crop: object({
    left: whole(0, MAX_SIDE),
    top: whole(0, MAX_SIDE),
    width: whole(1, PICTURE_SIDE),
    height: whole(1, PICTURE_SIDE),
  }),
  original: WEBP,
  points: listOf(object({ index: whole(0), picture: WEBP }), MOST_POINTS),
});

/**
 * Schema of `images/NNNNN-NAME.json` for a run, with fields in the order of writing: one image with all curves that the
 * run asks for.
 */
export function imageSchema(options: RdOptions): GenericSchema<unknown, ImageResult> {
  const { baselines, theory, metrics } = options;
  const values = metricsOf(metrics, 'picture').map(({ name }) => [name, VALUE] as const);
  const more = values.length === 0 ? {} : { metrics: object(Object.fromEntries(values)) };
  const networks = featureNetworks(metrics);
  const withModel = options.model !== 'none';
  const model = object({ name: string(), id: string(), timesteps: whole(2, MAX_TIMESTEPS) });
  const ourNames = ourSettings(options).map(({ name }) => name);
  const schema: GenericSchema<unknown, ImageResult> = object({
    index: indexIn(options),
    name: string(),
    width: whole(1, MAX_SIDE),
    height: whole(1, MAX_SIDE),
    pixels: string(),
    model: withModel ? model : null_('null'),
    ours: curves(ourNames, ourCurve(more)),
    baselines: curves(baselines, baselineCurve(more)),
    theory: curves(withModel && theory ? Object.keys(THEORY_LABELS) : [], THEORY_CURVE),
    features: exactOptional(curves(networks, FEATURES)),
    machine: textRecord,
    pictures: exactOptional(PICTURES),
  });
  return pipe(
    schema,
    check(({ features }) => (features === undefined) === (networks.length === 0), 'features by each network asked for'),
    check(
      ({ ours, pictures }) =>
        pictures === undefined ||
        (withModel && pictures.points.every(({ index }) => index < ours[ourNames[0]].points.length)),
      'pictures of points that were measured',
    ),
  );
}

/** The part of `results.json` that is read again: the images that failed. */
export function failuresSchema(
  options: RdOptions,
): GenericSchema<unknown, { readonly failed: readonly ImageFailure[] }> {
  return object({
    failed: array(
      object({ index: indexIn(options), name: string(), error: object({ code: string(), message: string() }) }),
    ),
  });
}

/** Index of an image that belongs to the run, or to its part. */
function indexIn({ imageCount, shard }: RdOptions) {
  return pipe(
    whole(0, imageCount - 1),
    check((index) => shard === null || index % shard.count === shard.index, 'an image of this part'),
  );
}

function isImageSet(text: string): boolean {
  try {
    parseImageSet(text);
    return true;
  } catch {
    return false;
  }
}

function curves<S extends GenericSchema>(
  names: readonly string[],
  curve: S,
): GenericSchema<unknown, Record<string, InferOutput<S>>> {
  return object(Object.fromEntries(names.map((name) => [name, curve])));
}
