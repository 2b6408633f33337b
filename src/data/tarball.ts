/** Foreign tarballs: fetches them from an address, and unpacks the wanted files. */
import { createReadStream, createWriteStream } from 'node:fs';
import { posix } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract, list } from 'tar';
import { CodecError } from '../common/errors.js';
import { reasonOf } from '../node/files.js';
import { request, rootOf } from './http.js';

/** Paths in tarballs have slashes on every system. */
const { basename } = posix;

/**
 * Fetches a file of unknown size and contents.
 * @param most maximum size in bytes
 * @param onProgress called with the fraction that has arrived, 0..1, where the server states the size
 * @throws CodecError('file') where it cannot be fetched completely
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
  /** Whether to unpack a file of this name; links and directories are never unpacked. */
  readonly wanted: (name: string) => boolean;
  /** Maximum unpacked size in bytes. */
  readonly most: number;
  /** Its name in messages. */
  readonly label: string;
}

/**
 * Unpacks the files beside a file of this name; of several such files the outermost one counts.
 * @returns false where there is none
 * @throws CodecError('file') for anything but a gzipped tarball, and for one that is too large
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

/** Checks the unpacked size before reading any contents, as protection against archives that grow without end. */
async function checkUnpacked(tarball: string, most: number): Promise<void> {
  let bytes = 0;
  await pipeline(createReadStream(tarball), createGunzip(), async (chunks: AsyncIterable<Uint8Array>) => {
    for await (const chunk of chunks) {
      bytes += chunk.length;
      if (bytes > most) throw new Error(`it has more than ${most} bytes`);
    }
  });
}

/** The directory, with a trailing slash. */
function directoryOf(path: string): string {
  return path.slice(0, path.length - basename(path).length);
}
