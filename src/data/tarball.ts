/** Tarballs of others: fetched from an address, and unpacked as far as is wanted of them. */
import { createReadStream, createWriteStream } from 'node:fs';
import { basename } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract, list } from 'tar';
import { CodecError } from '../common/errors.js';
import { reasonOf } from '../node/files.js';
import { request, rootOf } from './http.js';

/**
 * Fetches a file of unknown size and contents.
 * @param most bytes that it may have
 * @param onProgress share that is there, 0..1, where the server says how much there is
 * @throws CodecError('file') where it cannot be had whole
 */
export async function fetchTarball(
  address: string,
  path: string,
  most: number,
  onProgress?: (fraction: number) => void,
): Promise<void> {
  try {
    await request(address, {}, async ({ body, length }) => {
      let got = 0;
      async function* limited() {
        for await (const chunk of body) {
          got += chunk.length;
          if (got > most) throw new Error(`the server sends more than ${most} bytes`);
          if (length) onProgress?.(Math.min(1, got / length));
          yield chunk;
        }
      }
      await pipeline(limited, createWriteStream(path));
      if (length !== undefined && got < length) throw new Error(`the connection ended after ${got} of ${length} bytes`);
    });
  } catch (cause) {
    throw new CodecError('file', `cannot fetch ${address}: ${reasonOf(rootOf(cause))}`, { cause });
  }
}

export interface UnpackOptions {
  /** Whether a file of this name is unpacked; links and directories are not. */
  readonly wanted: (name: string) => boolean;
  /** Bytes that the tarball may unpack to. */
  readonly most: number;
  /** What it is called in messages. */
  readonly label: string;
}

/**
 * Unpacks the files that are beside a file of this name, of several the outermost.
 * @returns false where there is none
 * @throws CodecError('file') for what is no gzipped tarball, or a larger one
 */
export async function unpackBeside(
  name: string,
  tarball: string,
  to: string,
  { wanted, most, label }: UnpackOptions,
): Promise<boolean> {
  const directories: string[] = [];
  try {
    await checkUnpacked(tarball, most);
    await list({
      file: tarball,
      strict: true,
      onReadEntry: ({ path, type }) => {
        if (type === 'File' && basename(path) === name) directories.push(directoryOf(path));
      },
    });
    const depth = (path: string) => path.split('/').length;
    const [from] = directories.sort((a, b) => depth(a) - depth(b));
    if (from === undefined) return false;
    const filter = (path: string, entry: object) =>
      directoryOf(path) === from && wanted(basename(path)) && 'type' in entry && entry.type === 'File';
    await extract({ file: tarball, cwd: to, strip: from.split('/').length - 1, filter, strict: true, noMtime: true });
    return true;
  } catch (cause) {
    throw new CodecError('file', `${label}: cannot unpack this tarball: ${reasonOf(cause)}`, { cause });
  }
}

/** Refuses what grows without end, before anything of it is looked at. */
async function checkUnpacked(tarball: string, most: number): Promise<void> {
  let bytes = 0;
  await pipeline(createReadStream(tarball), createGunzip(), async (chunks: AsyncIterable<Uint8Array>) => {
    for await (const chunk of chunks) {
      bytes += chunk.length;
      if (bytes > most) throw new Error(`it has more than ${most} bytes`);
    }
  });
}

/** With the slash at its end. */
function directoryOf(path: string): string {
  return path.slice(0, path.length - basename(path).length);
}
