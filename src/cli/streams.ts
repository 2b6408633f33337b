/** Standard input and output in place of files, by the name `-`; a file of that name is `./-`. */
import { constants, readFileSync, readlinkSync } from 'node:fs';
import { CodecError } from '../common/errors.js';
import { reasonOf } from '../node/files.js';
import { readRegularFile } from '../node/read.js';

export const STANDARD_STREAM = '-';

/** Maximum bytes that are read into memory, the same as for a file. */
const MAX_BYTES = 2 ** 31;

/** An input's name in messages. */
export function inputName(path: string): string {
  return path === STANDARD_STREAM ? 'standard input' : path;
}

/** An output's name in messages. */
export function outputName(path: string): string {
  return path === STANDARD_STREAM ? 'standard output' : path;
}

/**
 * Reads a file, or standard input to its end.
 * @throws CodecError as {@link readRegularFile} and {@link standardInput}
 */
export async function readInput(path: string): Promise<Buffer> {
  if (path !== STANDARD_STREAM) return readRegularFile(path);
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of standardInput()) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > MAX_BYTES) throw new CodecError('file', 'standard input: larger than 2 GiB');
  }
  return Buffer.concat(chunks);
}

/**
 * Standard input as it arrives. A caller that does not read all of it has to call `return`, or the process waits for
 * its end.
 * @throws CodecError `usage` where it is a terminal, `file` when it cannot be read
 */
export async function* standardInput(): AsyncGenerator<Buffer, void, undefined> {
  if (process.stdin.isTTY) {
    throw new CodecError(
      'usage',
      'standard input: expected a file or what another program writes, but this is a terminal',
    );
  }
  try {
    for await (const chunk of process.stdin) yield chunk;
  } catch (error) {
    throw new CodecError('file', `standard input: ${reasonOf(error)}`, { cause: error });
  }
}

/**
 * Writes to standard output.
 * @throws CodecError `file` when not all of it can be written
 */
export function writeStandardOutput(data: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(data, (error?: NodeJS.ErrnoException | null) =>
      error ? reject(cannotPrint(error)) : resolve(),
    );
  });
}

/** The error for output lost on standard output. */
export function cannotPrint(cause: NodeJS.ErrnoException): CodecError {
  const reason =
    cause.code === 'EPIPE' ? 'its reader closed it before all was written' : `cannot write: ${reasonOf(cause)}`;
  return new CodecError('file', `standard output: ${reason}`, { cause });
}

/**
 * The stream for lines about results: not the one that the result itself goes to.
 * @throws CodecError `usage` when a result cannot go where it should: to a terminal, or between the lines of a document
 */
export function streamForLines(
  { output, json }: { readonly output?: string | undefined; readonly json: boolean },
  { stdout, stderr }: Pick<NodeJS.Process, 'stdout' | 'stderr'> = process,
): NodeJS.WriteStream {
  if (output !== STANDARD_STREAM) return stdout;
  if (json)
    throw new CodecError('usage', '--json: expected an output file with it; with -o - both go to standard output');
  const inTheWay = stdout.isTTY ? 'a terminal, which cannot show it' : isStandardOutputClosed() ? 'closed' : undefined;
  if (inTheWay === undefined) return stderr;
  throw new CodecError(
    'usage',
    `-o -: standard output is ${inTheWay}; expected a file or another program, as with > or |`,
  );
}

/**
 * Whether the process was started without a standard output (`>&-`). Node then opens /dev/null in its place, and opens
 * it for reading, too. A user who redirects output to /dev/null does not do that. It can be detected on Linux only.
 */
function isStandardOutputClosed(): boolean {
  try {
    const [, flags] = /^flags:\s*([0-7]+)$/m.exec(readFileSync('/proc/self/fdinfo/1', 'utf8')) ?? [];
    const mode = Number.parseInt(flags, 8) & (constants.O_WRONLY | constants.O_RDWR);
    return mode === constants.O_RDWR && readlinkSync('/proc/self/fd/1') === '/dev/null';
  } catch {
    return false;
  }
}
