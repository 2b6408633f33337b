/** Points that others have published, in `published/`: what is drawn beside measurements, with where it is from. */
import { readFile } from 'node:fs/promises';
import { counted } from '../common/counted.js';
import type { ImageResult } from './rd/results.js';

const DIRECTORY = new URL('../../published/', import.meta.url);

export interface PublishedSet {
  /** Which images. */
  readonly set: string;
  /** Hashes of their pixels, where the means are over exactly these, as `ImageResult` has them. */
  readonly pixels?: readonly string[];
  /** Width and height of each of them, where those of a part are near enough. */
  readonly side?: number;
  /** Label of the curve that others are compared with unless another is asked for. */
  readonly anchor?: string;
  readonly curves: readonly PublishedCurve[];
}

export interface PublishedCurve {
  readonly label: string;
  /** Sizes of files, or sums of KL that no file was made of. */
  readonly rate: 'file' | 'kl';
  /** Where the points are from, and their licence. */
  readonly source: string;
  /** What kind of codec it is. */
  readonly family?: Family;
  /** In figures that not all curves of the set have room in it is drawn; where none of a set is, all are. */
  readonly prominent?: boolean;
  /** Where its authors or others say it. */
  readonly complexity?: Complexity;
  readonly points: readonly PublishedPoint[];
}

/** Standards and what is like them; networks trained on many pictures; networks fitted to the one picture. */
export type Family = 'classical' | 'learned' | 'overfitted';

export interface Complexity {
  /** Thousands of multiply-adds of networks for a pixel, of the largest of its models. */
  readonly kmacPerPixel: number;
  /** Of decoding alone, or of the model as a whole, which codes and decodes, as its source counts them. */
  readonly of: 'decoder' | 'model';
  readonly source: string;
}

/** Means over the set, as published: most are means of PSNR, so that the RMSE is that of the mean. */
export interface PublishedPoint {
  readonly bpp: number;
  /** In dB. */
  readonly psnr: number;
  /** Of that PSNR, grey levels. */
  readonly rmse: number;
  readonly msSsim?: number;
  /** T - t, where the source tells it. */
  readonly reverseSteps?: number;
}

/** @param name `cifar10` or `kodak` */
export async function readPublished(name: string): Promise<PublishedSet> {
  return JSON.parse(await readFile(new URL(`${name}.json`, DIRECTORY), 'utf8'));
}

/**
 * Why means over these pictures are not to be compared with those of a set.
 * @returns undefined where they may be
 */
export function whyNotOfSet(
  { set, pixels, side }: PublishedSet,
  pictures: readonly Pick<ImageResult, 'pixels' | 'width' | 'height'>[],
): string | undefined {
  const wanted = new Set(pixels);
  const found = new Set(pictures.map((picture) => picture.pixels).filter((hash) => wanted.has(hash)));
  if (pixels !== undefined && (found.size < wanted.size || pictures.length > wanted.size)) {
    return `expected ${set}, all of them and no others, got ${found.size} of them among ${counted(pictures.length, 'picture')}`;
  }
  const other = pictures.find(({ width, height }) => side !== undefined && (width !== side || height !== side));
  return other && `expected ${set} of ${side}x${side}, got a picture of ${other.width}x${other.height}`;
}

/** The curve with the paper's table 4: rate and distortion by reverse step. */
export function paperTable({ curves }: PublishedSet): readonly PublishedPoint[] | undefined {
  return curves.find(({ points }) => points.every(({ reverseSteps }) => reverseSteps !== undefined))?.points;
}

/** The curves for figures in which not all have room, and the anchor. @param anchor its label */
export function prominentCurves(published: PublishedSet, anchor: string | undefined): PublishedSet {
  const some = published.curves.filter(({ prominent, label }) => prominent || label === anchor);
  return published.curves.some(({ prominent }) => prominent) ? { ...published, curves: some } : published;
}
