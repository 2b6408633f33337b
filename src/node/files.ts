/** Files and directories that people name, with errors for people. */
import { mkdir, readdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { CodecError } from '../common/errors.js';

/** Whether there is anything with this name that can be looked at. */
export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

export async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

/**
 * Paths of the files in a directory that have one of these extensions, sorted by name; not those in directories below.
 * @param extensions lower case, with their dots
 * @param kind what these files are called in messages
 * @throws CodecError `file` when the directory cannot be read or has no such files
 */
export async function listFiles(directory: string, extensions: readonly string[], kind: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((error) => {
    throw new CodecError('file', `${directory}: ${reasonOf(error)}`, { cause: error });
  });
  const files = entries
    .filter((entry) => !entry.isDirectory() && extensions.includes(extname(entry.name).toLowerCase()))
    .map(({ name }) => name)
    .sort()
    .map((name) => join(directory, name));
  if (files.length > 0) return files;
  throw new CodecError('file', `${directory}: this directory has no ${kind} (${extensions.join(', ')})`);
}

/**
 * Makes a directory, and those above it, unless it is there.
 * @throws CodecError `file` when that fails or something else has its name
 */
export async function makeDirectory(path: string): Promise<void> {
  if (await isDirectory(path)) return;
  // Not mkdir's own `recursive`, which never returns where a directory can be missing and yet not be made, as in /proc.
  const parent = dirname(path);
  if (parent !== path) await makeDirectory(parent);
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Another process may have made it meanwhile.
    if (code === 'EEXIST' && (await isDirectory(path))) return;
    const reason = code === 'EEXIST' ? 'a file has that name' : reasonOf(error);
    throw new CodecError('file', `${path}: cannot make this directory: ${reason}`, { cause: error });
  }
}

/**
 * Says what is wrong where the directory that this process works in was deleted: paths lead nowhere from there.
 * @throws CodecError `file`
 */
export function checkWorkingDirectory(): void {
  try {
    process.cwd();
  } catch (cause) {
    const message = `the working directory: ${reasonOf(cause)}; it was deleted, change to one that is there`;
    throw new CodecError('file', message, { cause });
  }
}

/** What a file system error says to a person. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return (code !== undefined && FILE_REASONS[code]) || (message ?? String(error));
}

const FILE_REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  ENOTDIR: 'a part of the path is not a directory',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EISDIR: 'is a directory',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space left on the device',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'too many symbolic links',
  EMFILE: 'too many open files',
};

/** A path for others to read: as it is from the working directory, or its last part alone when it leads elsewhere. */
export function publicPath(path: string): string {
  const here = relative('', resolve(path));
  return here === '..' || here.startsWith(`..${sep}`) || isAbsolute(here) ? basename(here) : here || '.';
}
