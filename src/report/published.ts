/**
 * Points that others have published, from `published/`: figures show them beside our measurements, with their sources.
 */
import { readFile } from 'node:fs/promises';
import { counted } from '../common/counted.js';
import type { ImageResult } from './rd/results.js';

const DIRECTORY = new URL('../../published/', import.meta.url);

export interface PublishedSet {
  /** Name of the set of images. */
  readonly set: string;
  /** Hashes of the images' pixels, as in `ImageResult`; where the means hold for exactly these images. */
  readonly pixels?: readonly string[];
  /** Width and height of every image; where means over a part of the set are close enough to compare. */
  readonly side?: number;
  /** Label of the default anchor: the curve that others are compared with. */
  readonly anchor?: string;
  readonly curves: readonly PublishedCurve[];
}

export interface PublishedCurve {
  readonly label: string;
  /** Sizes of files, or sums of KL without a file. */
  readonly rate: 'file' | 'kl';
  /** Source of the points, and their licence. */
  readonly source: string;
  /** Kind of codec. */
  readonly family?: Family;
  /** Whether figures without room for all curves show this one. Where no curve of a set is prominent, they show all. */
  readonly prominent?: boolean;
  /** Where its authors or others state it. */
  readonly complexity?: Complexity;
  readonly points: readonly PublishedPoint[];
}

/** Standards and similar codecs; networks trained on many pictures; networks fitted to a single picture. */
export type Family = 'classical' | 'learned' | 'overfitted';

export interface Complexity {
  /** Thousands of multiply-adds per pixel of the networks, for the largest of its models. */
  readonly kmacPerPixel: number;
  /** What its source counts: decoding alone, or the whole model, which encodes and decodes. */
  readonly of: 'decoder' | 'model';
  readonly source: string;
}

/** Means over the set, as published. Most are means of PSNR, and the RMSE then belongs to the mean PSNR. */
export interface PublishedPoint {
  readonly bpp: number;
  /** In dB. */
  readonly psnr: number;
  /** RMSE of that PSNR, in grey levels. */
  readonly rmse: number;
  readonly msSsim?: number;
  /** T - t, where the source states it. */
  readonly reverseSteps?: number;
}

/** @param name `cifar10` or `kodak` */
export async function readPublished(name: string): Promise<PublishedSet> {
  return JSON.parse(await readFile(new URL(`${name}.json`, DIRECTORY), 'utf8'));
}

/**
 * Why means over these pictures cannot be compared with those of a set.
 * @returns undefined where they can
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

/** The curve of the paper's table 4: rate and distortion by reverse step. */
export function paperTable({ curves }: PublishedSet): readonly PublishedPoint[] | undefined {
  return curves.find(({ points }) => points.every(({ reverseSteps }) => reverseSteps !== undefined))?.points;
}

/** Keeps the prominent curves and the anchor, for figures without room for all. @param anchor its label */
export function prominentCurves(published: PublishedSet, anchor: string | undefined): PublishedSet {
  const some = published.curves.filter(({ prominent, label }) => prominent || label === anchor);
  return published.curves.some(({ prominent }) => prominent) ? { ...published, curves: some } : published;
}
