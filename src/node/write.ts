/**
 * Writes files completely or not at all.
 *
 * A file is written under a temporary name in its final directory, and gets its own name when it is complete and on
 * disk. Temporary files are removed however the process ends. Only a kill that cannot be caught leaves them, and their
 * names say what they were for.
 *
 * A replaced file passes its permissions on to the new one, and, where that is allowed, its owner. A symbolic link
 * stays, and its target is replaced. If a file has several names (hard links), the others keep the old contents.
 */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { type FileHandle, link, lstat, mkdir, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { undoAtEnd } from './process.js';

export interface KeepOptions {
  /** Replace an existing file; otherwise that is an error, EEXIST, even where the file appears in the meantime. */
  readonly replace: boolean;
}

/** A file without its final name. */
export interface TemporaryFile {
  readonly handle: FileHandle;
  /** Writes it to disk and gives it its name. */
  keep(options: KeepOptions): Promise<void>;
  /** Removes it, unless it was kept. Always call this. */
  discard(): Promise<void>;
}

/**
 * Characters of a name that go into its temporary name: at up to three bytes each, the rest still fits into 255 bytes.
 */
const NAME_LENGTH = 70;

/** Permission bits to read, write and execute. */
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

/** Begins a file with the final name `path`. @throws an error of the file system */
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

/** Works in a temporary directory beside `path`, and removes it afterwards. @throws an error of the file system */
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
 * The path that writing to `path` creates or replaces: the path itself, or the target of a symbolic link.
 * @throws an error of the file system, `ENOENT` for a broken link
 */
export async function targetOf(path: string): Promise<string> {
  const status = await lstat(path).catch(() => undefined);
  return status?.isSymbolicLink() ? realpath(path) : path;
}

/** Whether a file of this name is temporary: left by a killed process, or still being written. */
export function isTemporary(name: string): boolean {
  return /^\..+\.[0-9a-f]{12}\.tmp$/.test(name);
}

function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path).slice(0, NAME_LENGTH)}.${randomBytes(6).toString('hex')}.tmp`);
}

/**
 * link(2) fails where a file of that name exists. Some file systems (FAT, some network ones) have no hard links; there
 * an empty file reserves the name until the complete one takes its place.
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

/** Opens a new file. At no time can it be read by users who cannot read the one at `earlier`. */
async function openLike(earlier: string, path: string): Promise<FileHandle> {
  const status = await stat(earlier).catch(() => undefined);
  if (!status?.isFile()) return open(path, 'wx');
  const handle = await open(path, 'wx', status.mode & PERMISSIONS);
  try {
    // Only root can change a file's owner.
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
  // Failures to remove it, for example where the directory is gone, do not hide the original error.
  await rm(path, { recursive: true, force: true }).catch(() => {});
  forget();
}
