/** Writes results, and explains to people what prevents it. */
import { constants, type Stats } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname, extname, resolve } from 'node:path';
import { CodecError, invalidArgument } from '../common/errors.js';
import { reasonOf } from '../node/files.js';
import { READABLE_EXTENSIONS } from '../node/image/read.js';
import { type OutputFormat, outputFormat } from '../node/image/write.js';
import { targetOf, writeWhole } from '../node/write.js';
import { STANDARD_STREAM, writeStandardOutput } from './streams.js';

export interface WriteOptions {
  /** Replace an existing file. */
  readonly force: boolean;
}

/**
 * Writes a command's result for one input to a file, or to standard output for `-o -`. It is written whole or not at
 * all.
 */
export async function writeResult(path: string, data: Uint8Array, options: WriteOptions): Promise<void> {
  await (path === STANDARD_STREAM ? writeStandardOutput(data) : writeAtomically(path, data, options));
}

/** The format of a picture for {@link writeResult}: standard output has no extension to tell it. */
export function formatOf(path: string): OutputFormat {
  return path === STANDARD_STREAM ? 'png' : outputFormat(path);
}

/**
 * Refuses a coded file's name that would present it as a picture.
 * @throws CodecError `usage` for a picture's extension
 */
export function checkCodedName(path: string | undefined): void {
  if (path === undefined || !READABLE_EXTENSIONS.includes(extname(path).toLowerCase())) return;
  throw invalidArgument('--output', "a .ddc name, not a picture's", path);
}

/** {@link checkWritable} for {@link writeResult}. */
export async function checkResult(path: string, options: WriteOptions): Promise<void> {
  if (path !== STANDARD_STREAM)
    await checkWritable(path, options, `name another one, or write into it with -o - > ${path}`);
}

/**
 * Writes a file whole or not at all.
 * @throws CodecError `file` when the file exists and `force` is not set, or when it cannot be written
 */
export async function writeAtomically(path: string, data: Uint8Array, { force }: WriteOptions): Promise<void> {
  try {
    await writeWhole(path, data, { replace: force });
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? alreadyExists(path) : cannotWrite(path, error);
  }
}

/**
 * Reports, before long work, what would make {@link writeAtomically} fail afterwards.
 * @param path where a result will be written; its directory must exist
 * @param instead advice where the path is a pipe or device
 * @throws CodecError `file` when the path exists and is not a regular file, when it exists and `force` is not set, or
 *   when its directory is missing or not writable; for a symbolic link all that applies to its target
 */
export async function checkWritable(
  path: string,
  { force }: WriteOptions,
  instead = 'name another output',
): Promise<void> {
  const target = await targetOf(path).catch((error: NodeJS.ErrnoException) => {
    throw new CodecError(
      'file',
      `${path}: this symbolic link leads nowhere (${reasonOf(error)}); remove it, or make the file that it names`,
      { cause: error },
    );
  });
  const status = await stat(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw cannotWrite(path, error);
  });
  if (status?.isDirectory())
    throw new CodecError('file', `${path}: expected the name of a file, but this is a directory`);
  if (status !== undefined && !status.isFile()) {
    throw new CodecError('file', `${path}: expected the name of a file, but this is ${kindOf(status)}; ${instead}`);
  }
  if (status !== undefined && !force) throw alreadyExists(path);
  const directory = dirname(target);
  await access(directory, constants.W_OK | constants.X_OK).catch((error) => {
    throw cannotWrite(path, error, directory);
  });
}

function kindOf(status: Stats): string {
  if (status.isFIFO()) return 'a pipe';
  return status.isSocket() ? 'a socket' : 'a device';
}

function alreadyExists(path: string): CodecError {
  return new CodecError('file', `${path}: exists already; use --force to replace it, or name another output with -o`);
}

function cannotWrite(path: string, error: unknown, directory = dirname(resolve(path))): CodecError {
  return new CodecError('file', `${path}: cannot write in ${directory}: ${reasonOf(error)}`, { cause: error });
}
