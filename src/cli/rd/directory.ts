/**
 * The directory of a report while it is made: `run.json` says what all of it was made with, and `images/` has a file for each
 * image that is finished, so that a run that was interrupted goes on where it was. Everything else is made from those.
 */
import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { CodecError } from '../../common/errors.js';
import { exists, makeDirectory, reasonOf } from '../../node/files.js';
import { readRegularFile } from '../../node/read.js';
import { isTemporary } from '../../node/write.js';
import { formatJson } from '../../report/json.js';
import { differences, type ImageFailure, type ImageResult, type Run } from '../../report/rd/results.js';
import { writeAtomically } from '../output.js';
import { STANDARD_STREAM } from '../streams.js';

const RUN_FILE = 'run.json';
const IMAGES = 'images';

/**
 * Makes the directory ready for a run, or finds it to be of the same one.
 * @param force begin anew where it is of another run
 * @throws CodecError `file` when it is of another run, which the message tells apart, or holds other files
 */
export async function openReport(directory: string, run: Run, force: boolean): Promise<void> {
  if (directory === STANDARD_STREAM) throw new CodecError('usage', '-o -: expected the name of a directory');
  await makeDirectory(directory);
  const earlier = await readRun(directory);
  if (earlier === undefined) {
    const others = (await readdir(directory)).filter((name) => !isTemporary(name));
    if (others.length > 0 && !force) {
      throw new CodecError(
        'file',
        `${directory}: expected an empty directory or an earlier report, found ${others[0]}; name another one with -o`,
      );
    }
  } else {
    const changed = differences(earlier, run);
    if (changed.length > 0 && !force) {
      throw new CodecError(
        'file',
        `${directory}: was made with other options: ${changed.join('; ')}; name another directory, or begin anew with --force`,
      );
    }
    if (changed.length > 0) await removeImages(directory);
  }
  await writeAtomically(join(directory, RUN_FILE), Buffer.from(formatJson(run)), { force: true });
  await makeDirectory(join(directory, IMAGES));
}

/**
 * The images of a report that are finished, in order.
 * @throws CodecError `file` for a file that is not one of an image
 */
export async function readImages(directory: string): Promise<ImageResult[]> {
  const images: ImageResult[] = [];
  for (const name of await resultsIn(directory))
    images.push((await readJson(join(directory, IMAGES, name))) as ImageResult);
  return images.sort((a, b) => a.index - b.index);
}

/** Removes what an earlier run measured, and nothing else that lies there. */
async function removeImages(directory: string): Promise<void> {
  for (const name of await resultsIn(directory)) await rm(join(directory, IMAGES, name));
}

async function resultsIn(directory: string): Promise<string[]> {
  const names = await readdir(join(directory, IMAGES)).catch(() => []);
  return names.filter((name) => /^\d+-.*\.json$/.test(name));
}

/** Numbers and names of the images that are finished. */
export async function finishedImages(directory: string): Promise<Set<string>> {
  return new Set(await readdir(join(directory, IMAGES)));
}

/** `images/00007-kodim07.json`. */
export function imageFile(index: number, name: string): string {
  const stem = basename(name, extname(name)).replace(/[^\w.-]/g, '_');
  return `${String(index).padStart(5, '0')}-${stem.slice(0, 80)}.json`;
}

export async function saveImage(directory: string, result: ImageResult): Promise<void> {
  const path = join(directory, IMAGES, imageFile(result.index, result.name));
  await writeAtomically(path, Buffer.from(formatJson(result)), { force: true });
}

/** Writes files of a report, by path in it, over earlier ones. */
export async function saveFiles(
  directory: string,
  files: Iterable<readonly [string, string | Uint8Array]>,
): Promise<void> {
  for (const [name, content] of files) {
    const path = join(directory, name);
    await makeDirectory(dirname(path));
    await writeAtomically(path, typeof content === 'string' ? Buffer.from(content) : content, { force: true });
  }
}

/** What a report was made with; undefined where there is none. */
export async function readRun(directory: string): Promise<Run | undefined> {
  const path = join(directory, RUN_FILE);
  if (!(await exists(path))) return undefined;
  const run = (await readJson(path)) as Partial<Run> | null;
  if (run?.options && run.versions) return run as Run;
  throw new CodecError('file', `${path}: not of a report; name another directory with -o`);
}

async function readJson(path: string): Promise<unknown> {
  const bytes = await readRegularFile(path);
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new CodecError('file', `${path}: damaged (${reasonOf(error)}); remove it, and its image is measured again`, {
      cause: error,
    });
  }
}

/** The images that failed in the run before, as its results have them. */
export async function readFailures(directory: string): Promise<ImageFailure[]> {
  const path = join(directory, 'results.json');
  if (!(await exists(path))) return [];
  return ((await readJson(path)) as { readonly failed: ImageFailure[] }).failed;
}
