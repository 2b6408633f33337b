/** All curves of one image. */
import { availableParallelism, cpus } from 'node:os';
import type { RgbImage } from '../../image/image.js';
import { encodeImage } from '../../image/write.js';
import type { Model } from '../../model/model.js';
import { integerStream } from '../../random.js';
import { findBaseline, sweepBaseline } from '../baselines.js';
import { sweepProgressive } from '../progressive-sweep.js';
import { chainCurve, independentCurve } from '../theory.js';
import { type ImagePictures, type ImageResult, type OurCurve, ourName, pixelHash, type RdOptions } from './results.js';

/** Images of a run, the first of it, whose pictures are kept for the page. */
const PICTURED_IMAGES = 64;
/** Side of the middle part that is kept of larger pictures. */
const PICTURE_SIDE = 192;
/** Reconstructions that are kept of an image. */
const PICTURES = 16;

/** An image of a run. */
export interface Subject {
  readonly index: number;
  readonly name: string;
  readonly image: RgbImage;
}

/** What measuring takes besides the options. */
export interface Means {
  /** The model for this image; null for the other codecs alone. */
  model(image: RgbImage): Promise<Model | null>;
  /** What the model runs on. */
  engine(): Promise<string | null>;
  /** Share of the image's work that is done, 0..1. */
  readonly onProgress?: (fraction: number) => void;
}

/**
 * Measures an image by every codec of the run.
 * @throws CodecError as `encode` does
 */
export async function measureImage(
  { index, name, image }: Subject,
  options: RdOptions,
  means: Means,
): Promise<ImageResult> {
  const { efforts, selection, seed, targetRmse, points, baselines, theory } = options;
  const model = await means.model(image);
  const engine = await means.engine();
  const ours: Record<string, OurCurve> = {};
  const ideal: Record<string, ImageResult['theory'][string]> = {};
  const noise = (use: string) => integerStream(`ddpm-codec rd/${seed}/${use}/${pixelHash(image)}`);
  const album = index < PICTURED_IMAGES ? createAlbum(image) : undefined;
  // Only ours tell how far they are; others are quick beside them.
  const parts = efforts.length + (baselines.length > 0 ? 0.2 : 0) + (theory ? 0.5 : 0);
  if (model !== null) {
    for (const [i, effort] of efforts.entries()) {
      const { bytes, ...sweep } = await sweepProgressive(image, model, {
        effort,
        selection,
        seed,
        targetRmse,
        ...(points === null ? {} : { points }),
        onProgress: (fraction) => means.onProgress?.((i + fraction) / parts),
        onPicture: (picture) => i === 0 && album?.add(picture),
      });
      ours[ourName(effort, efforts)] = { effort, fileBytes: bytes.length, ...sweep };
      if (theory && i === 0) {
        ideal['kl-independent'] = await independentCurve(image, model, noise('independent'));
        ideal['kl-chain'] = await chainCurve(image, bytes, model, targetRmse, noise('chain'));
      }
    }
  }
  const others: Record<string, ImageResult['baselines'][string]> = {};
  for (const codec of baselines) others[codec] = await sweepBaseline(image, findBaseline(codec));
  means.onProgress?.(1);
  return {
    index,
    name,
    width: image.width,
    height: image.height,
    pixels: pixelHash(image),
    model: model && { name: model.name, id: model.id.slice(0, 12), timesteps: model.schedule.timesteps },
    ours,
    baselines: others,
    theory: ideal,
    machine: { node: process.version, ...(engine === null ? {} : { engine }), processor: processor() },
    ...(album === undefined || model === null ? {} : { pictures: await album.finish() }),
  };
}

function processor(): string {
  return `${cpus()[0]?.model.trim()}, ${availableParallelism()} threads`;
}

/** Keeps reconstructions, in the order of points, until {@link ImagePictures} are made of some of them. */
function createAlbum(original: RgbImage) {
  const width = Math.min(PICTURE_SIDE, original.width);
  const height = Math.min(PICTURE_SIDE, original.height);
  const left = (original.width - width) >> 1;
  const top = (original.height - height) >> 1;
  const crop = { left, top, width, height };
  const pictures: RgbImage[] = [];
  return {
    add: (picture: RgbImage) => void pictures.push(cut(picture, crop)),
    async finish(): Promise<ImagePictures> {
      const points = [];
      for (const index of spread(pictures.length, PICTURES)) {
        points.push({ index, picture: await base64(pictures[index]) });
      }
      return { crop, original: await base64(cut(original, crop)), points };
    },
  };
}

function cut(image: RgbImage, { left, top, width, height }: ImagePictures['crop']): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * image.width + left) * 3;
    data.set(image.data.subarray(from, from + width * 3), y * width * 3);
  }
  return { width, height, data };
}

/** At most `most` of the numbers 0..length-1, evenly spread, first and last included. */
function spread(length: number, most: number): number[] {
  if (length <= most) return Array.from({ length }, (_, i) => i);
  return Array.from({ length: most }, (_, i) => Math.round((i * (length - 1)) / (most - 1)));
}

async function base64(image: RgbImage): Promise<string> {
  return (await encodeImage(image, 'webp')).toString('base64');
}
