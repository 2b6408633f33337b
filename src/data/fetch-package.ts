/** Fetching a package's tarball from the user's npm registry, with everything npm is configured to: proxy, credentials. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import npmFetch from 'npm-registry-fetch';
import { CodecError } from '../errors.js';
import { makeDirectory, reasonOf } from '../files.js';

export interface PackageFile {
  readonly name: string;
  readonly version: string;
  /** `sha512-` and the base64 digest of the tarball. */
  readonly integrity: string;
  /** Of the tarball, for the progress. */
  readonly bytes: number;
}

export interface FetchOptions {
  /** Share that is there, 0..1. */
  readonly onProgress?: (fraction: number) => void;
  /** npm's configuration; default the user's. */
  readonly npm?: Readonly<Record<string, unknown>>;
}

/** A connection that breaks is taken up again where it broke, as long as each brings something. */
const MOST_ATTEMPTS = 10;

/**
 * Fetches the tarball to `path`. What an earlier call got before it was interrupted is kept beside it, and gone on from.
 * @throws CodecError('file') when the registry cannot be reached, the disk is full, or the bytes are not the expected ones
 */
export async function fetchPackage(
  { name, version, integrity, bytes }: PackageFile,
  path: string,
  { onProgress, npm }: FetchOptions = {},
): Promise<void> {
  const options = npm ?? (await userConfig());
  const partial = `${path}.partial`;
  await makeDirectory(dirname(path));
  try {
    const url = await tarballOf(name, version, options);
    let before = -1;
    for (let attempt = 1; ; attempt++) {
      const have = await sizeOf(partial);
      // Another attempt is only worth it when the last one brought something.
      const last = attempt === MOST_ATTEMPTS || have === before;
      before = have;
      try {
        await download(url, partial, have, options, (got) => onProgress?.(Math.min(1, got / bytes)));
        break;
      } catch (error) {
        if (last || !isBrokenConnection(error)) throw error;
      }
    }
  } catch (cause) {
    if (cause instanceof CodecError) throw cause;
    const got = await sizeOf(partial);
    const kept = got > 0 ? `; the ${got} bytes so far are kept, run the command again to go on` : '';
    throw new CodecError('file', `cannot fetch ${name}@${version}: ${reasonOf(cause)}${kept}`, { cause });
  }
  const found = await integrityOf(partial);
  if (found !== integrity) {
    await rm(partial, { force: true });
    throw new CodecError(
      'file',
      `${name}@${version}: expected a tarball with integrity ${integrity}, got ${found}; it was removed, run the command again`,
    );
  }
  await rename(partial, path);
}

async function tarballOf(name: string, version: string, options: object): Promise<string> {
  const document = (await npmFetch.json(`/${name}`, {
    ...options,
    // The short form of the document.
    headers: { accept: 'application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8' },
  })) as { versions?: Record<string, { dist?: { tarball?: string } }> };
  const url = document.versions?.[version]?.dist?.tarball;
  if (url === undefined) throw new CodecError('file', `the npm registry has no ${name}@${version}`);
  return url;
}

/** Appends what is missing after `have` bytes, or begins anew where the server sends the whole. */
async function download(
  url: string,
  path: string,
  have: number,
  options: object,
  onBytes: (got: number) => void,
): Promise<void> {
  const response = await npmFetch(url, {
    ...options,
    // npm's own cache would keep a second copy.
    ...({ cache: null } as object),
    headers: { 'accept-encoding': 'identity', ...(have > 0 && { range: `bytes=${have}-` }) },
  }).catch((error: { statusCode?: number }) => {
    // Nothing is left to send: it is all there, or too much, which the integrity will tell.
    if (have > 0 && error.statusCode === 416) return undefined;
    throw error;
  });
  if (response === undefined) return;
  const resumed = response.status === 206;
  let got = resumed ? have : 0;
  onBytes(got);
  // In the pipeline, not as a listener, which would set the body flowing before there is a file to flow to.
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      got += chunk.length;
      onBytes(got);
      done(null, chunk);
    },
  });
  await pipeline(
    response.body as NodeJS.ReadableStream,
    count,
    createWriteStream(path, { flags: resumed ? 'a' : 'w' }),
  );
  const length = Number(response.headers.get('content-length'));
  const expected = (resumed ? have : 0) + length;
  if (length > 0 && got < expected) {
    throw Object.assign(new Error(`the connection ended after ${got} of ${expected} bytes`), { code: 'ECONNRESET' });
  }
}

function isBrokenConnection(error: unknown): boolean {
  const { code } = error as { code?: string };
  return ['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE', 'ETIMEDOUT', 'EPIPE', 'UND_ERR_SOCKET'].includes(code ?? '');
}

async function userConfig(): Promise<Record<string, unknown>> {
  const { default: Config } = await import('@npmcli/config');
  const { default: definitions } = await import('@npmcli/config/lib/definitions/index.js');
  const config = new Config({ ...definitions, npmPath: dirname(process.execPath), argv: ['node', 'npm'] });
  await config.load();
  return config.flat;
}

async function integrityOf(path: string): Promise<string> {
  const hash = createHash('sha512');
  await pipeline(createReadStream(path), hash);
  return `sha512-${hash.digest('base64')}`;
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}
