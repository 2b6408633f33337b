/**
 * Files that are there whole or not at all.
 *
 * A file is written under a temporary name in the directory it is for, and gets its own name when it is complete and on disk. What
 * is temporary is removed however the process ends; only a kill that cannot be caught leaves it, and its name says what it was for.
 */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { type FileHandle, link, mkdir, open, rename, rm } from 'node:fs/promises';
import { constants } from 'node:os';
import { basename, dirname, join } from 'node:path';

export interface KeepOptions {
  /** In the place of an existing file; otherwise that is an error, EEXIST, also where it appears meanwhile. */
  readonly replace: boolean;
}

/** A file that does not have its name yet. */
export interface TemporaryFile {
  readonly handle: FileHandle;
  /** Puts it on disk and gives it its name. */
  keep(options: KeepOptions): Promise<void>;
  /** Removes it, unless it was kept. To be called in any case. */
  discard(): Promise<void>;
}

/** Characters of a name that are kept in a temporary one: three bytes each, as some have, leave room for the rest in 255. */
const NAME_LENGTH = 70;

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What exists now and is to be gone in the end. */
const temporaries = new Set<string>();

/** Writes a file whole or not at all. @throws an error of the file system */
export async function writeWhole(path: string, data: Uint8Array, options: KeepOptions): Promise<void> {
  const temporary = await createTemporaryFile(path);
  try {
    await temporary.handle.writeFile(data);
    await temporary.keep(options);
  } finally {
    await temporary.discard();
  }
}

/** Begins a file that will have the name `path`. @throws an error of the file system */
export async function createTemporaryFile(path: string): Promise<TemporaryFile> {
  const temporary = temporaryName(path);
  track(temporary);
  const handle = await open(temporary, 'wx').catch((error) => {
    untrack(temporary);
    throw error;
  });
  return {
    handle,
    async keep({ replace }) {
      await handle.sync();
      await handle.close();
      await (replace ? rename(temporary, path) : linkOrClaim(temporary, path));
    },
    async discard() {
      await handle.close().catch(() => {});
      await remove(temporary);
    },
  };
}

/** Does something in a directory beside `path` that is removed afterwards. @throws an error of the file system */
export async function inTemporaryDirectory<R>(path: string, work: (directory: string) => Promise<R>): Promise<R> {
  const directory = temporaryName(path);
  track(directory);
  try {
    await mkdir(directory);
    return await work(directory);
  } finally {
    await remove(directory);
  }
}

/** Whether a file of this name is one that a killed process left, or one that goes on. */
export function isTemporary(name: string): boolean {
  return /^\..+\.[0-9a-f]{12}\.tmp$/.test(name);
}

function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path).slice(0, NAME_LENGTH)}.${randomBytes(6).toString('hex')}.tmp`);
}

/**
 * link(2) fails where a file of that name exists. Some file systems (FAT, some network ones) have no links; there an empty file holds
 * the name until the whole one takes its place.
 */
async function linkOrClaim(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
  } catch (error) {
    if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    await (await open(path, 'wx')).close();
    track(path);
    try {
      await rename(temporary, path);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      untrack(path);
    }
  }
}

async function remove(path: string): Promise<void> {
  try {
    // What cannot be removed, as where the directory is gone, hides nothing that went wrong before.
    await rm(path, { recursive: true, force: true }).catch(() => {});
  } finally {
    untrack(path);
  }
}

function track(path: string): void {
  if (temporaries.size === 0) {
    process.on('exit', removeAll);
    for (const signal of SIGNALS) process.on(signal, removeAndStop);
  }
  temporaries.add(path);
}

function untrack(path: string): void {
  temporaries.delete(path);
  if (temporaries.size > 0) return;
  process.off('exit', removeAll);
  for (const signal of SIGNALS) process.off(signal, removeAndStop);
}

function removeAll(): void {
  for (const path of temporaries) {
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {
      // The others are still to be removed.
    }
  }
}

/**
 * Only listened for while there is something to remove: at any other time a signal ends the process by itself. Where a
 * command listens, too, what the signal means is its business, and the file is finished.
 */
function removeAndStop(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  process.exit(128 + constants.signals[signal]);
}
