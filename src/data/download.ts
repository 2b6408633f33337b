/** Downloads files of a known size, and resumes interrupted downloads. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { CodecError } from '../common/errors.js';
import { makeDirectory, reasonOf } from '../node/files.js';
import { lockDirectory } from '../node/lock.js';
import { type Answer, request, rootOf } from './http.js';

export interface Download {
  /** Name of the file, for people. */
  readonly name: string;
  readonly url: string;
  /** `algorithm` of node:crypto; `prefix` is hashed before the file. */
  readonly hash: { readonly algorithm: string; readonly prefix?: string; readonly digest: string };
  /** The expected size; no more bytes are accepted. */
  readonly bytes: number;
  /** Called with the number of bytes received so far, including those of an earlier call, up to the final number. */
  readonly onBytes?: (got: number) => void;
  /** Milliseconds without enough bytes after which the connection counts as broken; default 30 s. */
  readonly patience?: number;
}

/** Attempts for a file. A broken connection is resumed, as long as each attempt brings some bytes. */
const MOST_ATTEMPTS = 10;

/**
 * Downloads a file to `path`, unless it is there. After an interruption the received bytes are kept beside it, and the
 * next call resumes from there. One process at a time downloads into a directory.
 * @throws CodecError('file') when the server cannot be reached, stalls or sends too much, when the disk is full, when
 *   the bytes are not the expected ones, or another download into this directory is running; its cause says which
 */
export async function download(wanted: Download, path: string): Promise<void> {
  await makeDirectory(dirname(path));
  const lock = await lockDirectory(dirname(path));
  try {
    await downloadAlone(wanted, path);
  } finally {
    lock.release();
  }
}

async function downloadAlone(wanted: Download, path: string): Promise<void> {
  const { name, hash, bytes, onBytes } = wanted;
  const partial = `${path}.partial`;
  try {
    // Another process may have brought it since the caller looked.
    if (await isDownloaded(path, hash)) {
      onBytes?.(bytes);
      return;
    }
    let before = -1;
    for (let attempt = 1; ; attempt++) {
      const have = await sizeOf(partial);
      // Everything has arrived, or too much, which the hash will show.
      if (have > 0 && have >= bytes) break;
      // Another attempt only makes sense if the last one brought some bytes.
      const last = attempt === MOST_ATTEMPTS || have === before;
      before = have;
      try {
        await fetchRest(wanted, partial, have);
        break;
      } catch (error) {
        if (last || !isBrokenConnection(error)) throw error;
      }
    }
    await checkDownloaded(name, partial, hash);
    await rename(partial, path);
  } catch (cause) {
    if (cause instanceof CodecError) throw cause;
    const got = await sizeOf(partial);
    const kept = got > 0 ? `; the ${got} bytes so far are kept, run the command again to go on` : '';
    throw new CodecError('file', `cannot fetch ${name}: ${reasonOf(rootOf(cause))}${kept}`, { cause });
  }
}

/** Removes a file that is not the expected one. @throws CodecError('file') in that case */
export async function checkDownloaded(name: string, path: string, hash: Download['hash']): Promise<void> {
  const found = await digestOf(path, hash);
  if (found === hash.digest) return;
  await rm(path, { force: true });
  throw new CodecError(
    'file',
    `${name}: expected ${hash.algorithm} ${hash.digest}, got ${found}; it was removed, run the command again`,
  );
}

/** Whether the file exists and is the expected one. */
export async function isDownloaded(path: string, hash: Download['hash']): Promise<boolean> {
  return (await sizeOf(path)) > 0 && (await digestOf(path, hash)) === hash.digest;
}

/** Status of a server that has no bytes beyond the requested offset. */
const RANGE_NOT_SATISFIABLE = 416;
const PARTIAL_CONTENT = 206;

/** Requests the bytes after the first `have`. */
async function fetchRest(wanted: Download, partial: string, have: number): Promise<void> {
  const { url, patience } = wanted;
  const options = {
    ...(have > 0 && { headers: { range: `bytes=${have}-` }, statuses: [RANGE_NOT_SATISFIABLE] }),
    ...(patience !== undefined && { patience }),
  };
  await request(url, options, async (answer) => {
    if (answer.status !== RANGE_NOT_SATISFIABLE) await append(answer, partial, have, wanted);
  });
}

/** Appends the bytes after the first `have`, or starts over where the server sends the whole file. */
async function append(
  { status, length, body }: Answer,
  path: string,
  have: number,
  { name, bytes, onBytes }: Download,
): Promise<void> {
  const isResumed = status === PARTIAL_CONTENT;
  let got = isResumed ? have : 0;
  const announced = length === undefined ? undefined : got + length;
  onBytes?.(got);
  const check = (count: number) => {
    if (count <= bytes) return;
    throw new CodecError('file', `${name}: the server sends more than the ${bytes} bytes it has; it was removed`);
  };
  async function* counted() {
    for await (const chunk of body) {
      got += chunk.length;
      check(got);
      onBytes?.(got);
      yield chunk;
      // Do not wait for the server to end the response.
      if (got === bytes) return;
    }
  }
  try {
    check(announced ?? 0);
    await pipeline(counted, createWriteStream(path, { flags: isResumed ? 'a' : 'w' }));
  } catch (error) {
    if (error instanceof CodecError) await rm(path, { force: true });
    throw error;
  }
  if (announced !== undefined && got < announced) {
    throw Object.assign(new Error(`the connection ended after ${got} of ${announced} bytes`), { code: 'ECONNRESET' });
  }
}

function isBrokenConnection(error: unknown): boolean {
  const { code } = rootOf(error) as { code?: string };
  return ['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE', 'ETIMEDOUT', 'EPIPE', 'UND_ERR_SOCKET'].includes(code ?? '');
}

/** The digest in hexadecimal. */
async function digestOf(path: string, { algorithm, prefix = '' }: Download['hash']): Promise<string> {
  const hash = createHash(algorithm).update(prefix);
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}
