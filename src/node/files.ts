/** Files and directories that users name, with errors for people. */
import { mkdir, readdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { CodecError } from '../common/errors.js';

/** Whether a file or directory of this name exists and is accessible. */
export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

export async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

/**
 * Paths of the files in a directory that have one of these extensions, sorted by name, without subdirectories.
 * @param extensions lower case, with their dots
 * @param kind name of such files in messages
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
 * Makes a directory and its parents, unless it exists.
 * @throws CodecError `file` when that fails or something else has its name
 */
export async function makeDirectory(path: string): Promise<void> {
  if (await isDirectory(path)) return;
  // Not mkdir's own `recursive`: it never returns where a directory is missing but cannot be made, as in /proc.
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
 * Reports an error where this process's working directory was deleted: relative paths are then useless.
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

/** Explains a file system error to people. */
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

/** A path for others to read: relative to the working directory, or only its last part when it leads elsewhere. */
export function publicPath(path: string): string {
  const here = relative('', resolve(path));
  return here === '..' || here.startsWith(`..${sep}`) || isAbsolute(here) ? basename(here) : here || '.';
}
