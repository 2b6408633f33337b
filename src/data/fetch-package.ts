/** Fetching a package's tarball from the user's npm registry, with everything npm is configured to: proxy, credentials. */
import { dirname } from 'node:path';
import npmFetch from 'npm-registry-fetch';
import { CodecError } from '../common/errors.js';
import { reasonOf } from '../node/files.js';
import { download, type Part } from './download.js';

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
  const url = await tarballOf(name, version, options);
  const [algorithm, base64] = integrity.split('-');
  await download(
    {
      name: `${name}@${version}`,
      request: (from) => request(url, from, options),
      hash: { algorithm, digest: Buffer.from(base64, 'base64').toString('hex') },
      onBytes: (got) => onProgress?.(Math.min(1, got / bytes)),
    },
    path,
  );
}

async function tarballOf(name: string, version: string, options: object): Promise<string> {
  const document = (await npmFetch
    .json(`/${name}`, {
      ...options,
      // The short form of the document.
      headers: { accept: 'application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8' },
    })
    .catch((cause: unknown) => {
      throw new CodecError('file', `cannot fetch ${name}@${version}: ${reasonOf(cause)}`, { cause });
    })) as { versions?: Record<string, { dist?: { tarball?: string } }> };
  const url = document.versions?.[version]?.dist?.tarball;
  if (url === undefined) throw new CodecError('file', `the npm registry has no ${name}@${version}`);
  return url;
}

async function request(url: string, from: number, options: object): Promise<Part | undefined> {
  const response = await npmFetch(url, {
    ...options,
    // npm's own cache would keep a second copy.
    ...({ cache: null } as object),
    headers: { 'accept-encoding': 'identity', ...(from > 0 && { range: `bytes=${from}-` }) },
  }).catch((error: { statusCode?: number }) => {
    if (from > 0 && error.statusCode === 416) return undefined;
    throw error;
  });
  return (
    response && {
      resumed: response.status === 206,
      length: Number(response.headers.get('content-length')),
      body: response.body as NodeJS.ReadableStream,
    }
  );
}

async function userConfig(): Promise<Record<string, unknown>> {
  const { default: Config } = await import('@npmcli/config');
  const { default: definitions } = await import('@npmcli/config/lib/definitions/index.js');
  const config = new Config({ ...definitions, npmPath: dirname(process.execPath), argv: ['node', 'npm'] });
  await config.load();
  return config.flat;
}
