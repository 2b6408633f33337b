/** Downloads that go on where they were interrupted. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { CodecError } from '../common/errors.js';
import { makeDirectory, reasonOf } from '../node/files.js';

/** What a server sends of a file. */
export interface Part {
  /** It is what was asked for, the rest of the file; otherwise all of it. */
  readonly resumed: boolean;
  /** Bytes that will come; 0 where the server does not say. */
  readonly length: number;
  readonly body: NodeJS.ReadableStream;
}

export interface Download {
  /** For people. */
  readonly name: string;
  /** Asks for the file from a byte on; `undefined` when nothing is left to send. */
  readonly request: (from: number) => Promise<Part | undefined>;
  /** `algorithm` of node:crypto; `prefix` is hashed before the file. */
  readonly hash: { readonly algorithm: string; readonly prefix?: string; readonly digest: string };
  /** Announced; a server that sends more is not listened to any longer. */
  readonly bytes: number;
  /** Bytes that are there, and are there at the end. */
  readonly onBytes?: (got: number) => void;
}

/** A connection that breaks is taken up again where it broke, as long as each brings something. */
const MOST_ATTEMPTS = 10;

/**
 * Downloads a file to `path`. What an earlier call got before it was interrupted is kept beside it, and gone on from.
 * @throws CodecError('file') when the server cannot be reached, the disk is full, or the bytes are not the expected ones
 */
export async function download(wanted: Download, path: string): Promise<void> {
  const { name, request, hash } = wanted;
  const partial = `${path}.partial`;
  await makeDirectory(dirname(path));
  try {
    let before = -1;
    for (let attempt = 1; ; attempt++) {
      const have = await sizeOf(partial);
      // Another attempt is only worth it when the last one brought something.
      const last = attempt === MOST_ATTEMPTS || have === before;
      before = have;
      try {
        await append(await request(have), partial, have, wanted);
        break;
      } catch (error) {
        if (last || !isBrokenConnection(error)) throw error;
      }
    }
  } catch (cause) {
    if (cause instanceof CodecError) throw cause;
    const got = await sizeOf(partial);
    const kept = got > 0 ? `; the ${got} bytes so far are kept, run the command again to go on` : '';
    throw new CodecError('file', `cannot fetch ${name}: ${reasonOf(rootOf(cause))}${kept}`, { cause });
  }
  await checkDownloaded(name, partial, hash);
  await rename(partial, path);
}

/** Removes a file that is not the expected one. @throws CodecError('file') when it is not */
export async function checkDownloaded(name: string, path: string, hash: Download['hash']): Promise<void> {
  const found = await digestOf(path, hash);
  if (found === hash.digest) return;
  await rm(path, { force: true });
  throw new CodecError(
    'file',
    `${name}: expected ${hash.algorithm} ${hash.digest}, got ${found}; it was removed, run the command again`,
  );
}

/** Asks a server for a file from a byte on, as `Download` has it. @throws an error of fetch, or with the server's answer */
export async function requestPart(url: string, from: number): Promise<Part | undefined> {
  const headers = { 'accept-encoding': 'identity', ...(from > 0 && { range: `bytes=${from}-` }) };
  const response = await fetch(url, { headers });
  if (from > 0 && response.status === 416) return undefined;
  if (!response.ok || response.body === null) throw new Error(`the server answered ${response.status}`);
  return {
    resumed: response.status === 206,
    length: Number(response.headers.get('content-length')),
    body: Readable.fromWeb(response.body as ReadableStream),
  };
}

/** Whether a file is there and is the expected one. */
export async function isDownloaded(path: string, hash: Download['hash']): Promise<boolean> {
  return (await sizeOf(path)) > 0 && (await digestOf(path, hash)) === hash.digest;
}

/** Appends what is missing after `have` bytes, or begins anew where the server sends the whole. */
async function append(
  part: Part | undefined,
  path: string,
  have: number,
  { name, bytes, onBytes }: Download,
): Promise<void> {
  // It is all there, or too much, which the hash will tell.
  if (part === undefined) return;
  let got = part.resumed ? have : 0;
  const expected = got + part.length;
  onBytes?.(got);
  // In the pipeline, not as a listener, which would set the body flowing before there is a file to flow to.
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      got += chunk.length;
      if (got > bytes) {
        done(new CodecError('file', `${name}: the server sends more than the ${bytes} bytes it has; it was removed`));
        return;
      }
      onBytes?.(got);
      done(null, chunk);
    },
  });
  await pipeline(part.body, count, createWriteStream(path, { flags: part.resumed ? 'a' : 'w' })).catch(
    async (error) => {
      if (error instanceof CodecError) await rm(path, { force: true });
      throw error;
    },
  );
  if (part.length > 0 && got < expected) {
    throw Object.assign(new Error(`the connection ended after ${got} of ${expected} bytes`), { code: 'ECONNRESET' });
  }
}

function isBrokenConnection(error: unknown): boolean {
  const { code } = rootOf(error) as { code?: string };
  return ['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE', 'ETIMEDOUT', 'EPIPE', 'UND_ERR_SOCKET'].includes(code ?? '');
}

/** Node's fetch says "fetch failed" or "terminated", and why in the cause. */
export function rootOf(error: unknown): unknown {
  return error instanceof TypeError && error.cause !== undefined ? error.cause : error;
}

/** In hexadecimal. */
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
