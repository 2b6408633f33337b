/** The pictures of `decode --progressive`: one for each intermediate point, and a contact sheet of all. */
import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { DecodePoint } from '../../codec/api.js';
import { fileParts, type Layout } from '../../codec/format/layout.js';
import { CodecError } from '../../common/errors.js';
import type { RgbImage } from '../../image/image.js';
import { exists, makeDirectory } from '../../node/files.js';
import { contactSheet, thumbnail } from '../../node/image/contact-sheet.js';
import { encodePng } from '../../node/image/write.js';
import { type Job, type JobPlan, outputsOf, placeOf } from '../jobs.js';
import { checkWritable, type WriteOptions, writeAtomically } from '../output.js';
import { STANDARD_STREAM } from '../streams.js';

const SHEET_NAME = 'contact-sheet.png';

/** File names as {@link pictureName} makes them. */
const PICTURE_NAME = /^\d{2,}-\d+\.\d{4,}\.png$/;

/**
 * About `points` sizes in bytes, up to the end of the decoded part of a file. Each is larger than the one before by
 * about the same factor, since the first hundredth of a file changes as much as all the rest. Sizes within the steps
 * are ends of steps.
 * @param bytes the file, from its first byte on
 * @param limits of the part to decode
 */
export function sizesOnTheWay(
  bytes: Uint8Array,
  layout: Layout,
  {
    points,
    maxBytes = Number.POSITIVE_INFINITY,
    maxSteps,
  }: { points: number; maxBytes: number | undefined; maxSteps: number | undefined },
): number[] {
  const { boundaries } = layout;
  const [first] = boundaries;
  const steps = boundaries.slice(0, (maxSteps ?? boundaries.length) + 1);
  const all = maxSteps === undefined ? (fileParts(bytes, layout).tail ?? bytes.length) : steps[steps.length - 1];
  const end = Math.min(all, bytes.length, maxBytes);
  // It is not known where the steps begin: the length of the alpha plane is cut off, or damaged.
  if (first === Number.POSITIVE_INFINITY) return [end];
  const goals = Array.from({ length: points }, (_, i) => Math.ceil(first * (end / first) ** ((i + 1) / points)));
  return [...new Set(goals.map((goal) => steps.find((boundary) => boundary >= goal) ?? goal))];
}

/** An intermediate picture. */
export interface PointReport extends Pick<DecodePoint, 'bytesUsed' | 'stepsUsed' | 't' | 'bitsPerDim' | 'alpha'> {
  readonly output: string;
}

export interface ProgressiveReport {
  readonly directory: string;
  readonly contactSheet: string;
  readonly points: readonly PointReport[];
}

export interface ProgressiveOutput {
  /** Writes the picture of a point. */
  add(point: DecodePoint): Promise<void>;
  /** Writes the contact sheet. */
  finish(): Promise<ProgressiveReport>;
}

/** The directory of a job's pictures: the named one for a single file; for several files a subdirectory for each. */
export function directoryOf({ output }: Job, { batch }: JobPlan, named: string): string {
  return batch ? join(named, basename(output)) : named;
}

/**
 * Reports, before long work, what would make {@link openProgressiveOutput} fail or overwrite other files afterwards.
 * @param named the directory that `--progressive` names
 * @throws CodecError `usage` for directories that collide with an output or with each other, and as
 *   {@link openProgressiveOutput}
 */
export async function checkDirectories(plan: JobPlan, named: string, options: WriteOptions): Promise<void> {
  const outputs = new Map<string, string>();
  for (const output of plan.jobs.flatMap(outputsOf)) {
    if (output !== STANDARD_STREAM) outputs.set(await placeOf(output), output);
  }
  const taken = new Set<string>();
  for (const job of plan.jobs) {
    const directory = directoryOf(job, plan, named);
    const place = await placeOf(directory);
    const inside = dirname(await placeOf(join(directory, SHEET_NAME)));
    const ours = [...outputs].find(([path]) => dirname(path) === inside && isOurs(basename(path)));
    const other = outputs.get(place) ?? ours?.[1];
    const problem =
      other !== undefined
        ? `${directory} and the output ${other} are in each other's way; name another directory`
        : taken.has(place) && `${directory} would be of two of these files; decode them one by one`;
    if (problem) throw new CodecError('usage', `--progressive: ${problem}`);
    taken.add(place);
    if (await exists(directory)) await findEarlier(directory, options);
  }
}

/**
 * Makes the directory and ensures that it will only hold pictures of this run.
 * @throws CodecError `file` when it cannot be written, or holds pictures of an earlier run and `force` is not set
 */
export async function openProgressiveOutput(directory: string, options: WriteOptions): Promise<ProgressiveOutput> {
  for (const name of await findEarlier(directory, options)) await rm(join(directory, name));
  const sheet = join(directory, SHEET_NAME);
  const points: PointReport[] = [];
  const pictures: RgbImage[] = [];
  return {
    async add({ image, bytesUsed, stepsUsed, t, bitsPerDim, alpha }) {
      const output = join(directory, pictureName(points.length + 1, bitsPerDim));
      await writeAtomically(output, await encodePng(image), options);
      points.push({ output, bytesUsed, stepsUsed, t, bitsPerDim, alpha });
      pictures.push(await thumbnail(image));
    },
    async finish() {
      const labels = distinctLabels(points.map(({ bitsPerDim }) => bitsPerDim));
      const tiles = pictures.map((image, i) => ({ image, label: `${labels[i]} bits/dim` }));
      await writeAtomically(sheet, await encodePng(await contactSheet(tiles)), options);
      return { directory, contactSheet: sheet, points };
    },
  };
}

/** Names of pictures of an earlier run and its contact sheet, which would mix with the new ones. Without `force` any of them is an error. */
async function findEarlier(directory: string, options: WriteOptions): Promise<string[]> {
  await makeDirectory(directory);
  await checkWritable(join(directory, SHEET_NAME), options);
  const earlier = (await readdir(directory)).filter(isOurs).sort();
  if (earlier.length === 0 || options.force) return earlier;
  const reason = `has pictures of an earlier run (${earlier[0]}); use --force to replace them`;
  throw new CodecError('file', `${directory}: ${reason}, or name another directory`);
}

function pictureName(number: number, bitsPerDim: number): string {
  return `${String(number).padStart(2, '0')}-${bitsPerDim.toFixed(Math.max(4, decimalsFor(bitsPerDim, 3)))}.png`;
}

/** Rates with two significant digits, or more where needed to tell them apart. */
export function distinctLabels(rates: readonly number[]): string[] {
  const withDigits = (digits: number) => rates.map((rate) => rate.toFixed(Math.max(2, decimalsFor(rate, digits))));
  const apart = [2, 3, 4, 5].find((digits) => new Set(withDigits(digits)).size === new Set(rates).size);
  return withDigits(apart ?? 6);
}

/** Decimals that show so many digits after the leading zeros of a number. */
function decimalsFor(value: number, digits: number): number {
  return value > 0 && value < 1 ? digits - 1 - Math.floor(Math.log10(value)) : digits - 1;
}

/** Whether this run could write a file of this name in the directory. */
function isOurs(name: string): boolean {
  return name === SHEET_NAME || PICTURE_NAME.test(name);
}
