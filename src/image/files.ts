/** Reading files that people name, with errors for people. */
import { readFile, stat } from 'node:fs/promises';
import { CodecError } from '../errors.js';

/**
 * Reads a whole file into memory.
 * @throws CodecError `file` when it is missing, not a regular file (a pipe or device could block for ever), or unreadable
 */
export async function readRegularFile(path: string): Promise<Buffer> {
  try {
    const status = await stat(path);
    if (!status.isFile()) {
      const kind = status.isDirectory() ? 'a directory' : 'not a regular file';
      throw new CodecError('file', `${path}: expected a file, but this is ${kind}`);
    }
    return await readFile(path);
  } catch (error) {
    if (error instanceof CodecError) throw error;
    throw new CodecError('file', `${path}: ${reasonOf(error)}`, { cause: error });
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
