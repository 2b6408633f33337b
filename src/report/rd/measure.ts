/** Measures all curves of one image. */

import { availableParallelism, cpus } from 'node:os';
import { evenlySpread } from '../../common/evenly-spread.js';
import { integerStream } from '../../common/random.js';
import { pixelHash } from '../../data/pixel-hash.js';
import { crop, middleOf } from '../../image/crop.js';
import type { RgbImage } from '../../image/image.js';
import { encodeImage } from '../../node/image/write.js';
import type { Model } from '../../node/models.js';
import { findBaseline, sweepBaseline } from '../baselines.js';
import { decodingKmac } from '../complexity.js';
import { sweepProgressive } from '../progressive-sweep.js';
import type { RatePoint } from '../rate-point.js';
import { chainCurve, independentCurve } from '../theory.js';
import type { Measures } from './metrics.js';
import {
  type FeatureTables,
  type ImagePictures,
  type ImageResult,
  type OurCurve,
  ourFiles,
  ourSettings,
  PICTURE_SIDE,
  type RdOptions,
} from './results.js';

/** Number of images, the first of a run, whose pictures are kept for the page. */
const PICTURED_IMAGES = 64;
/** Number of reconstructions kept per image. */
const PICTURES = 16;

/**
 * Time of the ideal coders and of another codec, relative to one file of ours; rough, for estimating when a run ends.
 */
const IDEAL_WORK = 0.8;
const BASELINE_WORK = 0.05;

/** An image of a run. */
export interface Subject {
  readonly index: number;
  readonly name: string;
  readonly image: RgbImage;
}

/** What measuring needs besides the options. */
export interface Means {
  /** The model for this image; null to measure the other codecs alone. */
  model(image: RgbImage): Promise<Model | null>;
  /** The engine that the model runs on. */
  engine(): Promise<string | null>;
  readonly measures: Measures;
  /** Called with the fraction of the image's work that is done, 0..1. */
  readonly onProgress?: (fraction: number) => void;
}

/** The measurements of an image, and the files kept beside them. */
export interface Measured {
  readonly result: ImageResult;
  readonly features: FeatureTables;
}

/**
 * Measures an image with every codec of the run.
 * @throws CodecError as `encode` does
 */
export async function measureImage(
  { index, name, image }: Subject,
  options: RdOptions,
  means: Means,
): Promise<Measured> {
  const { realisms, selection, seeds, targetRmse, points, baselines, theory } = options;
  const model = await means.model(image);
  const engine = await means.engine();
  const files = ourFiles(options);
  const settings = ourSettings(options);
  const ours: Record<string, OurCurve> = {};
  const ideal: Record<string, ImageResult['theory'][string]> = {};
  const pixels = pixelHash(image);
  const noise = (use: string) => integerStream(`ddpm-codec rd/${seeds[0]}/${use}/${pixels}`);
  const collected = await collectMetrics(image, means.measures);
  const album = index < PICTURED_IMAGES ? createAlbum(image) : undefined;
  const work = shareWork(
    {
      ours: model === null ? 0 : files.length,
      theory: theory ? IDEAL_WORK : 0,
      baselines: baselines.length * BASELINE_WORK,
    },
    means.onProgress,
  );
  if (model !== null) {
    for (const [i, { effort, seed }] of files.entries()) {
      const { bytes, curves, ...file } = await sweepProgressive(image, model, {
        effort,
        realisms,
        selection,
        seed,
        targetRmse,
        ...(points === null ? {} : { points }),
        onProgress: (fraction) => work('ours', (i + fraction) / files.length),
        onPicture: async (picture, point, curve) => {
          if (i === 0 && curve === 0) album?.add(picture);
          await collected.add(picture, point);
        },
      });
      const decoding = decodingKmac(bytes, model);
      const ofFile = settings.slice(i * realisms.length, (i + 1) * realisms.length);
      for (const [curve, { name, realism }] of ofFile.entries()) {
        const points = collected.complete(curves[curve]);
        const { headerBytes, steps, encodeSeconds, networkEvaluations } = file;
        ours[name] = {
          ...{ effort, fileBytes: bytes.length, headerBytes, steps, points, encodeSeconds, networkEvaluations },
          // Only for realism 0: the work for pictures of more realism is not computed.
          ...(realism === 0 && { decodingKmac: decoding }),
        };
      }
      if (theory && i === 0) {
        ideal['kl-independent'] = await independentCurve(image, model, noise('independent'), (done) =>
          work('theory', done / 2),
        );
        ideal['kl-chain'] = await chainCurve(image, bytes, model, targetRmse, noise('chain'), (done) =>
          work('theory', 0.5 + done / 2),
        );
      }
    }
  }
  const others: Record<string, ImageResult['baselines'][string]> = {};
  for (const [i, codec] of baselines.entries()) {
    const sweep = await sweepBaseline(image, findBaseline(codec), (point, picture) => collected.add(picture, point));
    others[codec] = collected.complete(sweep);
    work('baselines', (i + 1) / baselines.length);
  }
  const features = collected.features();
  const sizes = Object.entries(features).map(([network, { rows, ...size }]) => [network, size] as const);
  const result: ImageResult = {
    index,
    name,
    width: image.width,
    height: image.height,
    pixels,
    model: model && { name: model.name, id: model.id.slice(0, 12), timesteps: model.schedule.timesteps },
    ours,
    baselines: others,
    theory: ideal,
    ...(sizes.length > 0 && { features: Object.fromEntries(sizes) }),
    machine: { node: process.version, ...(engine === null ? {} : { engine }), processor: processor() },
    ...(album === undefined || model === null ? {} : { pictures: await album.finish() }),
  };
  return { result, features };
}

/** Measures decoded pictures while they are in memory. */
async function collectMetrics(original: RgbImage, measures: Measures) {
  const tables = new Map([...(await measures.features(original))].map(([network, rows]) => [network, [...rows]]));
  const patches = new Map([...tables].map(([network, rows]) => [network, rows.length]));
  const values = new Map<RatePoint, Record<string, number | null>>();
  const features = new Map<RatePoint, Awaited<ReturnType<Measures['features']>>>();
  return {
    async add(picture: RgbImage, point: RatePoint): Promise<void> {
      values.set(point, await measures.of(original, picture));
      features.set(point, await measures.features(picture));
    },
    /** Adds the metrics to a curve's points. Call it curve by curve, in the order of {@link FeatureTable}. */
    complete<P extends RatePoint>(curve: readonly P[]): P[] {
      return curve.map((point) => {
        for (const [network, rows] of features.get(point) ?? []) tables.get(network)!.push(...rows);
        features.delete(point);
        const metrics = values.get(point) ?? {};
        return Object.keys(metrics).length === 0 ? point : { ...point, metrics };
      });
    },
    features(): FeatureTables {
      const found = [...tables].map(([network, rows]) => {
        const dimensions = rows[0].length;
        const all = new Float32Array(rows.length * dimensions);
        for (const [i, row] of rows.entries()) all.set(row, i * dimensions);
        return [network, { patches: patches.get(network)!, dimensions, rows: all }] as const;
      });
      return Object.fromEntries(found);
    },
  };
}

/**
 * Combines the progress of parts: returns a function that takes a part's fraction and reports the fraction of the
 * whole.
 */
function shareWork<K extends string>(
  weights: Readonly<Record<K, number>>,
  onProgress: (fraction: number) => void = () => {},
): (part: K, fraction: number) => void {
  const names = Object.keys(weights) as K[];
  const total = names.reduce((sum, name) => sum + weights[name], 0);
  const done = new Map<K, number>();
  return (part, fraction) => {
    done.set(part, fraction);
    onProgress(names.reduce((sum, name) => sum + weights[name] * (done.get(name) ?? 0), 0) / total);
  };
}

function processor(): string {
  return `${cpus()[0]?.model.trim()}, ${availableParallelism()} threads`;
}

/** Keeps reconstructions in the order of points; in the end some of them become {@link ImagePictures}. */
function createAlbum(original: RgbImage) {
  const part = middleOf(original, PICTURE_SIDE);
  const pictures: RgbImage[] = [];
  return {
    add: (picture: RgbImage) => void pictures.push(crop(picture, part)),
    async finish(): Promise<ImagePictures> {
      const points = [];
      for (const index of evenlySpread([...pictures.keys()], PICTURES)) {
        points.push({ index, picture: await base64(pictures[index]) });
      }
      return { crop: part, original: await base64(crop(original, part)), points };
    },
  };
}

async function base64(image: RgbImage): Promise<string> {
  return (await encodeImage(image, 'webp')).toString('base64');
}
