/**
 * Writing results so that nothing is ever lost or half there.
 *
 * A result goes to a temporary file in the directory it is for, and gets its name when it is complete. Without
 * `force` the name is given with link(2), which fails where a file of that name exists, so not even one that appears
 * meanwhile is overwritten.
 */
import { randomBytes } from 'node:crypto';
import { constants, rmSync } from 'node:fs';
import { access, copyFile, link, open, rename, rm, stat } from 'node:fs/promises';
import { constants as osConstants } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { CodecError } from '../errors.js';
import { reasonOf } from '../files.js';

export interface WriteOptions {
  /** Replace an existing file. */
  readonly force: boolean;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Temporary files that exist now. */
const temporaries = new Set<string>();

/**
 * Writes a file whole or not at all.
 * @throws CodecError `file` when the file exists and `force` is not set, or when it cannot be written
 */
export async function writeAtomically(path: string, data: Uint8Array, { force }: WriteOptions): Promise<void> {
  // The name says what it is for, should the machine stop between here and the end.
  const temporary = join(dirname(path), `.${basename(path).slice(0, 100)}.${randomBytes(6).toString('hex')}.tmp`);
  track(temporary);
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    if (force) await rename(temporary, path);
    else await linkOrCopy(temporary, path);
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? alreadyExists(path) : cannotWrite(path, error);
  } finally {
    await rm(temporary, { force: true });
    untrack(temporary);
  }
}

/**
 * Says before long work what would make {@link writeAtomically} fail after it.
 * @param path where a result will be written; its directory must exist
 * @throws CodecError `file` when the path is a directory, exists and `force` is not set, or its directory is missing or
 *   not writable
 */
export async function checkWritable(path: string, { force }: WriteOptions): Promise<void> {
  const status = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw cannotWrite(path, error);
  });
  if (status?.isDirectory())
    throw new CodecError('file', `${path}: expected the name of a file, but this is a directory`);
  if (status !== undefined && !force) throw alreadyExists(path);
  if (status !== undefined && !status.isFile()) {
    throw new CodecError('file', `${path}: not a regular file, so it is not replaced; name another output`);
  }
  await access(dirname(path), constants.W_OK | constants.X_OK).catch((error) => {
    throw cannotWrite(path, error, dirname(path));
  });
}

function track(temporary: string): void {
  if (temporaries.size === 0) for (const signal of SIGNALS) process.on(signal, removeAndStop);
  temporaries.add(temporary);
}

function untrack(temporary: string): void {
  temporaries.delete(temporary);
  if (temporaries.size === 0) for (const signal of SIGNALS) process.off(signal, removeAndStop);
}

/**
 * Only listened for while there is something to remove: at any other time a signal ends the process by itself. Where a
 * command listens, too, what the signal means is its business, and the file is finished.
 */
function removeAndStop(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  for (const path of temporaries) rmSync(path, { force: true });
  process.exit(128 + osConstants.signals[signal]);
}

/** Some file systems (FAT, some network ones) have no links; an exclusive copy is the next safest way. */
async function linkOrCopy(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
  } catch (error) {
    if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    await copyFile(temporary, path, constants.COPYFILE_EXCL);
  }
}

function alreadyExists(path: string): CodecError {
  return new CodecError('file', `${path}: exists already; use --force to replace it, or name another output with -o`);
}

function cannotWrite(path: string, error: unknown, directory = dirname(resolve(path))): CodecError {
  return new CodecError('file', `${path}: cannot write in ${directory}: ${reasonOf(error)}`, { cause: error });
}
