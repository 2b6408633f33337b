/** Writing results, with what is in the way said for people. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { CodecError } from '../common/errors.js';
import { reasonOf } from '../node/files.js';
import { type OutputFormat, outputFormat } from '../node/image/write.js';
import { writeWhole } from '../node/write.js';
import { STANDARD_STREAM, writeStandardOutput } from './streams.js';

export interface WriteOptions {
  /** Replace an existing file. */
  readonly force: boolean;
}

/** Writes what a command makes of one input: to a file, or where `-o -` says so to standard output. Whole or not at all. */
export async function writeResult(path: string, data: Uint8Array, options: WriteOptions): Promise<void> {
  await (path === STANDARD_STREAM ? writeStandardOutput(data) : writeAtomically(path, data, options));
}

/** The format of a picture that {@link writeResult} gets: standard output has no extension that would say it. */
export function formatOf(path: string): OutputFormat {
  return path === STANDARD_STREAM ? 'png' : outputFormat(path);
}

/** {@link checkWritable} for {@link writeResult}. */
export async function checkResult(path: string, options: WriteOptions): Promise<void> {
  if (path !== STANDARD_STREAM) await checkWritable(path, options);
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

function alreadyExists(path: string): CodecError {
  return new CodecError('file', `${path}: exists already; use --force to replace it, or name another output with -o`);
}

function cannotWrite(path: string, error: unknown, directory = dirname(resolve(path))): CodecError {
  return new CodecError('file', `${path}: cannot write in ${directory}: ${reasonOf(error)}`, { cause: error });
}
