/** Files and directories that people name, with errors for people. */
import { constants } from 'node:fs';
import { access, mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, extname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { CodecError, invalidArgument } from '../common/errors.js';

/**
 * Reads a whole file into memory.
 * @throws CodecError `file` when it is missing, not a regular file (a pipe or device could block for ever), or unreadable
 */
export async function readRegularFile(path: string): Promise<Buffer> {
  await checkReadable(path);
  return readFile(path).catch((error) => {
    throw new CodecError('file', `${path}: ${reasonOf(error)}`, { cause: error });
  });
}

/**
 * Says before long work what would make {@link readRegularFile} fail after it.
 * @throws CodecError `usage` when it is no path, else as {@link readRegularFile}
 */
export async function checkReadable(path: string): Promise<void> {
  if (typeof path !== 'string') throw invalidArgument('path', 'the name of a file', path);
  const status = await stat(path).catch((error) => {
    throw new CodecError('file', `${path}: ${reasonOf(error)}`, { cause: error });
  });
  if (!status.isFile()) {
    const kind = status.isDirectory() ? 'a directory' : 'not a regular file';
    throw new CodecError('file', `${path}: expected a file, but this is ${kind}`);
  }
  await access(path, constants.R_OK).catch((error) => {
    throw new CodecError('file', `${path}: ${reasonOf(error)}`, { cause: error });
  });
}

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
  ERR_FS_FILE_TOO_LARGE: 'larger than 2 GiB',
};

/** A path for others to read: as it is from the working directory, or its last part alone when it leads elsewhere. */
export function publicPath(path: string): string {
  const here = relative('', resolve(path));
  return here === '..' || here.startsWith(`..${sep}`) || isAbsolute(here) ? basename(here) : here || '.';
}
