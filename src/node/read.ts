/**
 * Reads files that others may have made: only regular ones, up to a stated size. Nothing else in the program opens a
 * file to read.
 */
import { constants, type Stats } from 'node:fs';
import { access, type FileHandle, open, stat } from 'node:fs/promises';
import { CodecError, type ErrorCode, invalidArgument } from '../common/errors.js';
import { parseJson } from '../common/foreign.js';
import { reasonOf } from './files.js';

/** Maximum size that Node reads into one buffer: 2 GiB. */
const LARGEST = 2 ** 31 - 1;
/** JSON documents are far smaller. */
const LARGEST_JSON = 64 * 2 ** 20;

export interface ReadOptions {
  /** Maximum size in bytes; default 2 GiB. */
  readonly largest?: number;
}

/**
 * Reads a whole file into memory.
 * @throws CodecError `file` when it is missing, not a regular file (a pipe or device could block for ever), larger than allowed, or
 *   unreadable
 */
export async function readRegularFile(path: string, { largest = LARGEST }: ReadOptions = {}): Promise<Buffer> {
  checkPath(path);
  const file = await openRegularFile(path);
  try {
    const { size } = await file.stat();
    if (size > largest) {
      throw new CodecError('file', `${path}: expected at most ${largest} bytes, but this file has ${size}`);
    }
    return await file.readFile();
  } catch (error) {
    throw error instanceof CodecError ? error : unreadable(path, error);
  } finally {
    await file.close();
  }
}

/**
 * Reads a JSON file of at most 64 MiB.
 * @param code of the error for anything but JSON
 * @throws CodecError as {@link readRegularFile}, and when it is not JSON
 */
export async function readJsonFile(path: string, code: ErrorCode = 'file'): Promise<unknown> {
  return parseJson(path, await readRegularFile(path, { largest: LARGEST_JSON }), code);
}

/**
 * Reports, before long work, what would make {@link readRegularFile} fail afterwards.
 * @throws CodecError `usage` when it is not a path, otherwise as {@link readRegularFile}
 */
export async function checkReadable(path: string): Promise<void> {
  checkPath(path);
  checkRegular(
    path,
    await stat(path).catch((error) => {
      throw unreadable(path, error);
    }),
  );
  await access(path, constants.R_OK).catch((error) => {
    throw unreadable(path, error);
  });
}

/**
 * Opens without waiting, as a pipe without a writer would, and then checks what was opened: the name may mean another
 * file by now.
 */
async function openRegularFile(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error) => {
    throw unreadable(path, error);
  });
  try {
    checkRegular(path, await file.stat());
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

function checkPath(path: unknown): void {
  if (typeof path !== 'string' || path.includes('\0')) throw invalidArgument('path', 'the name of a file', path);
}

function checkRegular(path: string, status: Stats): void {
  if (status.isFile()) return;
  const kind = status.isDirectory() ? 'a directory' : 'not a regular file';
  throw new CodecError('file', `${path}: expected a file, but this is ${kind}`);
}

function unreadable(path: string, error: unknown): CodecError {
  return new CodecError('file', `${path}: ${reasonOf(error)}`, { cause: error });
}
