/**
 * The directory of a report in progress. `run.json` records the run's options and versions, and `images/` has a file
 * for each finished image, so that an interrupted run can continue. Everything else is made from those.
 */
import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import type { GenericSchema } from 'valibot';
import { CodecError } from '../../common/errors.js';
import { asFileName } from '../../common/file-name.js';
import { checked, isObject } from '../../common/foreign.js';
import { exists, makeDirectory } from '../../node/files.js';
import { LOCK_FILE, lockDirectory } from '../../node/lock.js';
import { readJsonFile, readRegularFile } from '../../node/read.js';
import { isTemporary } from '../../node/write.js';
import { formatJson } from '../../report/json.js';
import { ADDED } from '../../report/rd/join.js';
import {
  differences,
  type FeatureTable,
  type FeatureTables,
  featuredPictures,
  type ImageFailure,
  type ImageResult,
  type RdOptions,
  REPORT_NAME,
  type Run,
} from '../../report/rd/results.js';
import { failuresSchema, imageSchema, RUN } from '../../report/rd/schema.js';
import { writeAtomically } from '../output.js';
import { STANDARD_STREAM } from '../streams.js';

const RUN_FILE = 'run.json';
const RESULTS_FILE = 'results.json';
const IMAGES = 'images';
/** Names of files that belong to images. */
const MEASURED = /^\d+-.*\.(json|f32)$/;
/** Paths of files that not every report has. */
const MADE = /^(report\.html|distances\.csv|compressai\/.+\.json|figures\/.+\.(svg|png|tex)|tables\/.+\.(tex|md))$/;

/**
 * Makes the directory and locks it while the work goes on.
 * @throws CodecError `file` when another process works there
 */
export async function inReport(directory: string, work: () => Promise<void>): Promise<void> {
  if (directory === STANDARD_STREAM) throw new CodecError('usage', '-o -: expected the name of a directory');
  await makeDirectory(directory);
  const lock = await lockDirectory(directory);
  try {
    await work();
  } finally {
    lock.release();
  }
}

/**
 * Prepares the directory for a run, or finds that it belongs to the same run.
 * @param force start over where it belongs to another run, or to one without a record
 * @throws CodecError `file` when it belongs to another run, with the differences in the message, or holds other files
 */
export async function openReport(directory: string, run: Run, force: boolean): Promise<void> {
  const earlier = await readRun(directory);
  const changed = earlier === undefined ? [] : differences(earlier, run);
  if (earlier === undefined && !force) {
    const others = (await readdir(directory)).filter((name) => name !== LOCK_FILE && !isTemporary(name));
    if (others.length > 0) {
      throw new CodecError(
        'file',
        `${directory}: expected an empty directory or an earlier report, found ${others[0]}; name another one with -o`,
      );
    }
  }
  if (changed.length > 0 && !force) {
    throw new CodecError(
      'file',
      `${directory}: was made with other options: ${changed.join('; ')}; ${adviceFor(earlier!, run)}, or begin anew with --force`,
    );
  }
  // Nobody knows what images without a record were measured with.
  if (earlier === undefined || changed.length > 0) await removeImages(directory);
  await writeAtomically(join(directory, RUN_FILE), Buffer.from(formatJson(run)), { force: true });
  await makeDirectory(join(directory, IMAGES));
}

function adviceFor(earlier: Run, run: Run): string {
  const canBeJoined = differences(earlier, run, ADDED).length === 0;
  return canBeJoined
    ? "measure what is new in another directory and join both with 'rd merge'"
    : 'name another directory';
}

/**
 * The finished images of a report, in order.
 * @param options of its run
 * @throws CodecError `file` for a file that is not an image of this run
 */
export async function readImages(directory: string, options: RdOptions): Promise<ImageResult[]> {
  const schema = imageSchema(options);
  const images: ImageResult[] = [];
  for (const name of await resultsIn(directory)) {
    const path = join(directory, IMAGES, name);
    const image = await readChecked(path, schema, 'remove it, and its image is measured again');
    if (imageFile(image.index, image.name) !== name) {
      throw new CodecError(
        'file',
        `${path}: expected ${imageFile(image.index, image.name)} by what is in it; remove it`,
      );
    }
    images.push(image);
  }
  return images.sort((a, b) => a.index - b.index);
}

/** Removes what an earlier run measured, and no other files. */
async function removeImages(directory: string): Promise<void> {
  const names = await readdir(join(directory, IMAGES)).catch(() => []);
  for (const name of names.filter((one) => MEASURED.test(one))) await rm(join(directory, IMAGES, name));
}

async function resultsIn(directory: string): Promise<string[]> {
  const names = await readdir(join(directory, IMAGES)).catch(() => []);
  return names.filter((name) => /^\d+-.*\.json$/.test(name));
}

/** Name of the file with an image's features by a network. */
function featureFile({ index, name }: Pick<ImageResult, 'index' | 'name'>, network: string): string {
  return imageFile(index, name).replace(/\.json$/, `.${network.slice(0, 12)}.f32`);
}

/**
 * The features of an image and of its decoded pictures.
 * @throws CodecError `file` when they are missing, or their number differs from that in the image's results
 */
export async function readFeatures(directory: string, image: ImageResult, network: string): Promise<FeatureTable> {
  const { patches, dimensions } = image.features![network];
  const path = join(directory, IMAGES, featureFile(image, network));
  const advice = `remove ${imageFile(image.index, image.name)} beside it, and its image is measured again`;
  const bytes = await readRegularFile(path).catch((error: CodecError) => {
    throw new CodecError('file', `${error.message}; ${advice}`, { cause: error });
  });
  const count = featuredPictures(image) * patches * dimensions;
  if (bytes.length !== 4 * count) {
    throw new CodecError('file', `${path}: expected ${4 * count} bytes, got ${bytes.length}; ${advice}`);
  }
  const rows = Float32Array.from({ length: count }, (_, i) => bytes.readFloatLE(4 * i));
  if (!rows.every(Number.isFinite)) {
    throw new CodecError('file', `${path}: expected finite numbers; ${advice}`);
  }
  return { patches, dimensions, rows };
}

/** All features of an image. */
export async function readAllFeatures(directory: string, image: ImageResult): Promise<FeatureTables> {
  const tables: Record<string, FeatureTable> = {};
  for (const network of Object.keys(image.features ?? {})) {
    tables[network] = await readFeatures(directory, image, network);
  }
  return tables;
}

/** Indices and names of the finished images. */
export async function finishedImages(directory: string): Promise<Set<string>> {
  return new Set(await readdir(join(directory, IMAGES)));
}

/** `images/00007-kodim07.json`. */
export function imageFile(index: number, name: string): string {
  return `${String(index).padStart(5, '0')}-${asFileName(basename(name, extname(name)))}.json`;
}

/**
 * Saves the measurements of an image. The results come last: with them it counts as finished.
 * @throws CodecError `image` for numbers that no report can use, such as NaN
 */
export async function saveImage(
  directory: string,
  result: ImageResult,
  options: RdOptions,
  features: FeatureTables = {},
): Promise<void> {
  const text = formatJson(result);
  checked(imageSchema(options), JSON.parse(text), result.name, 'image');
  for (const [network, { rows }] of Object.entries(features)) {
    const bytes = Buffer.alloc(4 * rows.length);
    for (const [i, value] of rows.entries()) bytes.writeFloatLE(value, 4 * i);
    await writeAtomically(join(directory, IMAGES, featureFile(result, network)), bytes, { force: true });
  }
  const path = join(directory, IMAGES, imageFile(result.index, result.name));
  await writeAtomically(path, Buffer.from(text), { force: true });
}

/** A file that is made from the images: its path in the report, with slashes, and what is in it. */
export type ReportFile = readonly [path: string, content: string | Uint8Array];

/** Whether a report was finished in this directory before. */
async function hasResults(directory: string): Promise<boolean> {
  const results: unknown = await readJsonFile(join(directory, RESULTS_FILE)).catch(() => undefined);
  return isObject(results) && results.name === REPORT_NAME;
}

/**
 * Writes all files of a report but its images and the record of the run, and removes those of an earlier report, where
 * there was one: a directory that somebody else fills may have figures and tables, too.
 * @returns paths of what was removed
 */
export async function saveFiles(directory: string, files: readonly ReportFile[]): Promise<string[]> {
  const wasReport = await hasResults(directory);
  for (const [name, content] of files) {
    const path = join(directory, name);
    await makeDirectory(dirname(path));
    await writeAtomically(path, typeof content === 'string' ? Buffer.from(content) : content, { force: true });
  }
  if (!wasReport) return [];
  const saved = new Set(files.map(([name]) => name));
  const removed: string[] = [];
  for (const folder of ['', 'compressai/', 'figures/', 'tables/']) {
    const entries = await readdir(join(directory, folder), { withFileTypes: true }).catch(() => []);
    const paths = entries.filter((entry) => entry.isFile()).map(({ name }) => folder + name);
    removed.push(...paths.filter((path) => MADE.test(path) && !saved.has(path)));
  }
  for (const path of removed) await rm(join(directory, path));
  return removed;
}

/**
 * The record of a report's run; undefined where there is none.
 * @throws CodecError `file` for a file that does not belong to a report
 */
export async function readRun(directory: string): Promise<Run | undefined> {
  const path = join(directory, RUN_FILE);
  if (!(await exists(path))) return undefined;
  return readChecked(path, RUN, 'not of a report, or of another version; make it anew in another directory');
}

/** The images that failed in the previous run, according to its results, and have not been measured since. */
export async function readFailures(directory: string, options: RdOptions): Promise<readonly ImageFailure[]> {
  const path = join(directory, RESULTS_FILE);
  if (!(await exists(path))) return [];
  return (await readChecked(path, failuresSchema(options), "give that report's command again, which writes it anew"))
    .failed;
}

/** @param advice how to fix a file that is not JSON of that shape */
async function readChecked<T>(path: string, schema: GenericSchema<unknown, T>, advice: string): Promise<T> {
  try {
    return checked(schema, await readJsonFile(path), path, 'file');
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    throw new CodecError('file', `${error.message}; ${advice}`, { cause: error });
  }
}
