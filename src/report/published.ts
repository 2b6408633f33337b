/** Points that others have published, in `published/`: what is drawn beside measurements, with where it is from. */
import { readFile } from 'node:fs/promises';

const DIRECTORY = new URL('../../published/', import.meta.url);

export interface PublishedSet {
  /** Which images. */
  readonly set: string;
  readonly curves: readonly PublishedCurve[];
}

export interface PublishedCurve {
  readonly label: string;
  /** Sizes of files, or sums of KL that no file was made of. */
  readonly rate: 'file' | 'kl';
  readonly source: string;
  readonly points: readonly PublishedPoint[];
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

/** The curve with the paper's table 4: rate and distortion by reverse step. */
export function paperTable({ curves }: PublishedSet): readonly PublishedPoint[] | undefined {
  return curves.find(({ points }) => points.every(({ reverseSteps }) => reverseSteps !== undefined))?.points;
}
