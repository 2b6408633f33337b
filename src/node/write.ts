/**
 * Files that are there whole or not at all.
 *
 * A file is written under a temporary name in the directory it is for, and gets its own name when it is complete and on disk. What
 * is temporary is removed however the process ends; only a kill that cannot be caught leaves it, and its name says what it was for.
 *
 * A file that is replaced hands its permissions, and where that is allowed its owner, to the new one. A symbolic link stays, and what
 * it leads to is replaced. Of a file with several names (hard links) the others keep what was there.
 */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { type FileHandle, link, lstat, mkdir, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { undoAtEnd } from './process.js';

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

/** Who may read, write and run a file. */
const PERMISSIONS = 0o777;

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
  const target = await targetOf(path);
  const temporary = temporaryName(target);
  const forget = removeAtEnd(temporary);
  const handle = await openLike(target, temporary).catch(async (error) => {
    await remove(temporary, forget);
    throw error;
  });
  return {
    handle,
    async keep({ replace }) {
      await handle.sync();
      await handle.close();
      await (replace ? rename(temporary, target) : linkOrClaim(temporary, target));
    },
    async discard() {
      await handle.close().catch(() => {});
      await remove(temporary, forget);
    },
  };
}

/** Does something in a directory beside `path` that is removed afterwards. @throws an error of the file system */
export async function inTemporaryDirectory<R>(path: string, work: (directory: string) => Promise<R>): Promise<R> {
  const directory = temporaryName(path);
  const forget = removeAtEnd(directory);
  try {
    await mkdir(directory);
    return await work(directory);
  } finally {
    await remove(directory, forget);
  }
}

/**
 * What is made or replaced by writing to `path`: the place itself, or where a symbolic link leads.
 * @throws an error of the file system, `ENOENT` for a link that leads nowhere
 */
export async function targetOf(path: string): Promise<string> {
  const status = await lstat(path).catch(() => undefined);
  return status?.isSymbolicLink() ? realpath(path) : path;
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
    const forget = removeAtEnd(path);
    try {
      await rename(temporary, path);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      forget();
    }
  }
}

/** Opens a new file that whoever may not read the one at `earlier` cannot read either, at no time. */
async function openLike(earlier: string, path: string): Promise<FileHandle> {
  const status = await stat(earlier).catch(() => undefined);
  if (!status?.isFile()) return open(path, 'wx');
  const handle = await open(path, 'wx', status.mode & PERMISSIONS);
  try {
    // Only root gives files away.
    await handle.chown(status.uid, status.gid).catch(() => {});
    await handle.chmod(status.mode & PERMISSIONS);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function removeAtEnd(path: string): () => void {
  return undoAtEnd(() => rmSync(path, { recursive: true, force: true }));
}

async function remove(path: string, forget: () => void): Promise<void> {
  // What cannot be removed, as where the directory is gone, hides nothing that went wrong before.
  await rm(path, { recursive: true, force: true }).catch(() => {});
  forget();
}
