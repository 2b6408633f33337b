/** The pictures of `decode --progressive`: one for each point on the way, and all of them on a contact sheet. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DecodePoint } from '../../codec/api.js';
import { CodecError } from '../../common/errors.js';
import { makeDirectory } from '../../node/files.js';
import { contactSheet, type Tile, thumbnail } from '../../node/image/contact-sheet.js';
import { encodePng } from '../../node/image/write.js';
import { checkWritable, type WriteOptions, writeAtomically } from '../output.js';

const SHEET_NAME = 'contact-sheet.png';

/** The names of {@link pictureName}. */
const PICTURE_NAME = /^\d{2,}-\d+\.\d{4}\.png$/;

export interface ProgressiveReport {
  readonly directory: string;
  readonly contactSheet: string;
  readonly points: readonly {
    readonly output: string;
    readonly bytesUsed: number;
    readonly stepsUsed: number;
    readonly t: number;
    readonly bitsPerDim: number;
  }[];
}

export interface ProgressiveOutput {
  /** Writes the picture of a point. */
  add(point: DecodePoint): Promise<void>;
  /** Writes the contact sheet. */
  finish(): Promise<ProgressiveReport>;
}

/**
 * Makes the directory and sees to it that its pictures will be those of one run.
 * @throws CodecError `file` when it cannot be written, or holds pictures of an earlier run and `force` is not set
 */
export async function openProgressiveOutput(directory: string, options: WriteOptions): Promise<ProgressiveOutput> {
  await makeDirectory(directory);
  const sheet = join(directory, SHEET_NAME);
  await checkWritable(sheet, options);
  // Pictures of another run, at other rates, would stay between the new ones.
  const earlier = (await readdir(directory)).filter((name) => PICTURE_NAME.test(name));
  if (earlier.length > 0 && !options.force) {
    const reason = `has pictures of an earlier run (${earlier[0]}); use --force to replace them`;
    throw new CodecError('file', `${directory}: ${reason}, or name another directory`);
  }
  for (const name of earlier) await rm(join(directory, name));
  const points: ProgressiveReport['points'][number][] = [];
  const tiles: Tile[] = [];
  return {
    async add({ image, bytesUsed, stepsUsed, t, bitsPerDim }) {
      const output = join(directory, pictureName(points.length + 1, bitsPerDim));
      await writeAtomically(output, await encodePng(image), options);
      points.push({ output, bytesUsed, stepsUsed, t, bitsPerDim });
      tiles.push({ image: await thumbnail(image), label: `${formatRate(bitsPerDim)} bits/dim` });
    },
    async finish() {
      await writeAtomically(sheet, await encodePng(await contactSheet(tiles)), options);
      return { directory, contactSheet: sheet, points };
    },
  };
}

function pictureName(number: number, bitsPerDim: number): string {
  return `${String(number).padStart(2, '0')}-${bitsPerDim.toFixed(4)}.png`;
}

/** Two decimals, more where the rate is so low that they would not tell points apart. */
function formatRate(bitsPerDim: number): string {
  return bitsPerDim.toFixed(bitsPerDim < 0.0995 ? 3 : 2);
}
