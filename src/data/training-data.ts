/**
 * The data of a training run: crops in random order, mirrored at random, from one or several sets of images. The crops
 * of a step depend only on the seed and the step, so a run can be resumed anywhere.
 */

import { counted } from '../common/counted.js';
import { CodecError, invalidArgument } from '../common/errors.js';
import { integerStream, uniforms } from '../common/random.js';
import { crop, cropInto } from '../image/crop.js';
import type { RgbImage } from '../image/image.js';
import { isDirectory } from '../node/files.js';
import { CIFAR10_SIDE, cifar10Image, openCifar10 } from './cifar10.js';
import { openFolder } from './folder.js';
import { createOrder } from './order.js';
import type { ImageSource, SkippedFile } from './source.js';

export interface TrainingData {
  /** Description for people and the model card. */
  readonly description: string;
  readonly trainingImages: number;
  /** Number of held-out images: 0 where there is only one image. */
  readonly validationImages: number;
  /** Whether CIFAR-10 is the only set. */
  readonly isCifar10: boolean;
  /**
   * Crops for one step, each mirrored with probability 1/2: count * side * side * 3 bytes, R, G, B interleaved. A pure
   * function of (seed, step, count).
   * @param step from 0
   */
  batch(step: number, count: number): Promise<Uint8Array>;
  /**
   * Crops of held-out images, which `batch` never returns: at most `most`. They are spread evenly over the images and
   * their scales, and, where there are fewer images than crops, over the area of the images. They do not depend on the
   * seed. Training images are used where none are held out, or none of those can be decoded.
   */
  validation(most: number): Promise<{ readonly crops: PictureCrop[]; readonly heldOut: boolean }>;
  /**
   * Crops of training images, chosen in the same way, for calibration; at least one, where `batch` has not thrown.
   * @param side maximum side of the crops; smaller images give smaller crops
   */
  calibration(most: number, side: number): Promise<RgbImage[]>;
  /** Files left out so far, with reasons. */
  readonly skipped: readonly SkippedFile[];
  dispose(): Promise<void>;
}

/** A crop, with a number that all crops of one picture share. */
export interface PictureCrop extends RgbImage {
  readonly picture: number;
}

export interface TrainingDataOptions {
  /** Width and height of the crops in pixels. */
  readonly side: number;
  /** Seed of all random choices. */
  readonly seed: string;
  /** Cache directory that holds CIFAR-10; by default the user's. */
  readonly cache?: string;
}

/** Name of CIFAR-10's training split among the sets. */
export const CIFAR10 = 'cifar10';

/** One in this many images of each set is held out; for small sets one in sixteen, up to eight. */
const HELD_OUT = 100;
const HELD_OUT_OF_FEW = 16;
const HELD_OUT_OF_FEW_MOST = 8;

/**
 * @param sources `cifar10` (its training split) or directories of pictures, each with an optional share of the crops as
 *   in `photos=0.8`; without shares all sets get equal ones
 * @throws CodecError('usage') for invalid shares, 'file' for data that is missing or unusable
 */
export async function openTrainingData(
  sources: readonly string[],
  { side, seed, cache }: TrainingDataOptions,
): Promise<TrainingData> {
  const asked = await parseSources(sources);
  const sets: TrainingSet[] = [];
  for (const { name, share } of asked) {
    const source = name === CIFAR10 ? await openCifar10Source(side, cache) : await openFolder(name, { side });
    sets.push(split(source, share, `${seed}/${name}`));
  }
  const pick = createPicker(sets.map(({ share }) => share));
  const size = side * side * 3;

  async function drawCrop(into: Uint8Array, number: number, draws: readonly number[]): Promise<void> {
    const { set, position } = pick(number);
    const { source, training, order } = sets[set];
    // A broken image is replaced by the next one.
    for (let i = 0; i < training.length; i++) {
      const images = await source.scales(training[order.at(position + i)]);
      if (!images) continue;
      const [scale, across, down, mirrored] = draws;
      const image = images[Math.floor(scale * images.length)];
      const left = Math.floor(across * (image.width - side + 1));
      const top = Math.floor(down * (image.height - side + 1));
      cropInto(image.data, image.width, { left, top, width: side, height: side }, into);
      if (mirrored < 0.5) mirror(into, side);
      return;
    }
    const { path, reason } = source.skipped[source.skipped.length - 1];
    throw new CodecError('file', `${source.name}: none of its pictures can be used; ${path}: ${reason}`);
  }

  return {
    description: describe(sets),
    trainingImages: sets.reduce((sum, { training }) => sum + training.length, 0),
    validationImages: sets.reduce((sum, { heldOut }) => sum + heldOut.length, 0),
    isCifar10: asked.every(({ name }) => name === CIFAR10),
    async batch(step, count) {
      const crops = new Uint8Array(count * size);
      const uniform = uniforms(integerStream(`${seed}/augmentation/${step}`));
      await Promise.all(
        Array.from({ length: count }, (_, i) => {
          const draws = [uniform(), uniform(), uniform(), uniform()];
          return drawCrop(crops.subarray(i * size, (i + 1) * size), step * count + i, draws);
        }),
      );
      return crops;
    },
    async validation(most) {
      const crops = await evenCrops(sets, ({ heldOut }) => heldOut, most, side);
      if (crops.length > 0) return { crops, heldOut: true };
      return { crops: await evenCrops(sets, ({ training }) => training, most, side), heldOut: false };
    },
    calibration: (most, largest) => evenCrops(sets, ({ training }) => training, most, largest),
    get skipped() {
      return sets.flatMap(({ source }) => source.skipped);
    },
    async dispose() {},
  };
}

interface TrainingSet {
  readonly source: ImageSource;
  readonly share: number;
  readonly training: readonly number[];
  readonly heldOut: readonly number[];
  readonly order: ReturnType<typeof createOrder>;
}

/**
 * Parses sets and their shares of the crops. If a directory has the whole text as its name, as `a=1` may, there is no
 * share.
 * @throws CodecError('usage') for invalid shares
 */
export async function parseSources(sources: readonly string[]): Promise<{ name: string; share: number }[]> {
  if (sources.length === 0) throw invalidArgument('data', 'cifar10 or directories', 'nothing');
  const parsed = await Promise.all(
    sources.map(async (source) => {
      const at = source.lastIndexOf('=');
      if (at < 0 || (await isDirectory(source))) return { name: source, share: undefined };
      const share = Number(source.slice(at + 1));
      if (!(share > 0 && share <= 1))
        throw invalidArgument(`share of ${source.slice(0, at)}`, 'a number above 0, up to 1', source.slice(at + 1));
      return { name: source.slice(0, at), share };
    }),
  );
  const given = parsed.reduce((sum, { share = 0 }) => sum + share, 0);
  const open = parsed.filter(({ share }) => share === undefined).length;
  const left = 1 - given;
  // Sets without a share divide the rest evenly.
  if (open > 0 && left <= 0) throw invalidArgument('shares', 'a sum below 1, with a set that has none', given);
  return parsed.map(({ name, share }) => ({ name, share: share ?? left / open }));
}

async function openCifar10Source(side: number, cache: string | undefined): Promise<ImageSource> {
  if (side > CIFAR10_SIDE) {
    throw new CodecError(
      'usage',
      `\`crop\`: expected at most ${CIFAR10_SIDE} with cifar10, whose images are that large, got ${side}`,
    );
  }
  const { count, images } = await openCifar10('train', { cache });
  return {
    name: 'CIFAR-10',
    count,
    skipped: [],
    scales: async (index) => [cifar10Image(images, index)],
  };
}

/** Holds out images at even distances, independent of the seed. */
function split(source: ImageSource, share: number, seed: string): TrainingSet {
  const { count } = source;
  const few = Math.min(HELD_OUT_OF_FEW_MOST, Math.floor(count / HELD_OUT_OF_FEW));
  const out = count < 2 ? 0 : Math.max(1, few, Math.floor(count / HELD_OUT));
  const heldOut = Array.from({ length: out }, (_, i) => Math.floor(((i + 0.5) * count) / out));
  const isHeldOut = new Set(heldOut);
  const training = Array.from({ length: count }, (_, i) => i).filter((i) => !isHeldOut.has(i));
  return { source, share, training, heldOut, order: createOrder(training.length, seed) };
}

/** The golden ratio: the fractional parts of its multiples are spread as evenly as possible. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** Determines the set that a crop comes from, and the number of earlier crops from that set. */
function createPicker(shares: readonly number[]): (crop: number) => { set: number; position: number } {
  const total = shares.reduce((sum, share) => sum + share, 0);
  const setOf = (crop: number) => {
    let left = ((crop * GOLDEN) % 1) * total;
    const found = shares.findIndex((share) => {
      left -= share;
      return left < 0;
    });
    return found < 0 ? shares.length - 1 : found;
  };
  let counted = 0;
  const before = shares.map(() => 0);
  return (crop) => {
    if (shares.length === 1) return { set: 0, position: crop };
    if (crop < counted) {
      counted = 0;
      before.fill(0);
    }
    for (; counted < crop; counted++) before[setOf(counted)]++;
    const set = setOf(crop);
    return { set, position: before[set] };
  };
}

/** Mirrors a square from left to right, in place. */
function mirror(square: Uint8Array, side: number): void {
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side >> 1; x++) {
      const [left, right] = [(y * side + x) * 3, (y * side + side - 1 - x) * 3];
      for (let c = 0; c < 3; c++) {
        const kept = square[left + c];
        square[left + c] = square[right + c];
        square[right + c] = kept;
      }
    }
  }
}

/** The real solution of x^3 = x + 1: multiples of (1/x, 1/x^2) fill a square evenly (Roberts 2018, the sequence R2). */
const PLASTIC = 1.324717957244746;

/**
 * Crops as `TrainingData.validation` describes: first one of each image, then more as long as they differ.
 * @param largest maximum side; smaller images give the largest square that fits
 */
async function evenCrops(
  sets: readonly TrainingSet[],
  choose: (set: TrainingSet) => readonly number[],
  most: number,
  largest: number,
): Promise<PictureCrop[]> {
  const all = sets.flatMap((set) => choose(set).map((index) => ({ source: set.source, index })));
  const count = Math.min(most, all.length);
  const crops: PictureCrop[] = [];
  const cut = (scales: readonly RgbImage[], i: number, round: number) => {
    const image = scales[(i + round) % scales.length];
    const side = Math.min(largest, image.width, image.height);
    const isWhole = scales.length === 1 && image.width === side && image.height === side;
    if (isWhole && round > 0) return;
    const left = Math.round(((0.5 + round / PLASTIC) % 1) * (image.width - side));
    const top = Math.round(((0.5 + round / PLASTIC ** 2) % 1) * (image.height - side));
    crops.push({ ...crop(image, { left, top, width: side, height: side }), picture: i });
  };
  const chosen: typeof all = [];
  const seen = new Set<number>();
  for (let i = 0; i < count; i++) {
    // A broken image is replaced by the next one.
    for (let at = Math.floor(((i + 0.5) * all.length) / count); seen.size < all.length; at = (at + 1) % all.length) {
      if (seen.size === seen.add(at).size) continue;
      const scales = await all[at].source.scales(all[at].index);
      if (!scales) continue;
      cut(scales, chosen.length, 0);
      chosen.push(all[at]);
      break;
    }
  }
  for (let round = 1, before = 0; before < crops.length && crops.length < most; round++) {
    before = crops.length;
    for (const [i, { source, index }] of chosen.entries()) {
      if (crops.length < most) cut((await source.scales(index))!, i, round);
    }
  }
  return crops;
}

function describe(sets: readonly TrainingSet[]): string {
  const parts = sets.map(({ source, share, training }) => {
    const part = sets.length > 1 ? ` (${Math.round(100 * share)} % of the crops)` : '';
    return `${source.name}: ${counted(training.length, 'training image')}${part}`;
  });
  return parts.join('; ');
}
