/**
 * Fetching a package's tarball from the user's npm registry.
 *
 * npm says where the tarball is, and it is downloaded from there so that what an interruption leaves is gone on from. Where
 * that is refused, as by a registry that wants credentials or from behind a proxy, npm itself fetches it, which can do all
 * that, but always begins anew.
 */
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CodecError } from '../common/errors.js';
import { makeDirectory, reasonOf } from '../node/files.js';
import { inTemporaryDirectory } from '../node/write.js';
import { checkDownloaded, type Download, download, requestPart } from './download.js';
import { NpmMissing, npm } from './npm.js';

export interface PackageFile {
  readonly name: string;
  readonly version: string;
  /** `sha512-` and the base64 digest of the tarball. */
  readonly integrity: string;
  /** Of the tarball. */
  readonly bytes: number;
}

export interface FetchOptions {
  /** Share that is there, 0..1. */
  readonly onProgress?: (fraction: number) => void;
}

/** npm's own default, for machines without npm. */
const REGISTRY = 'https://registry.npmjs.org';
/** Milliseconds between looks at what npm has fetched. */
const LOOK = 200;
/** Bytes that npm keeps beside the tarball: what the registry says about the package. */
const MOST_BESIDE = 2 ** 24;

/**
 * Fetches the tarball to `path`. What an earlier call got before it was interrupted is kept beside it, and gone on from.
 * @throws CodecError('file') when the registry cannot be reached, the disk is full, or the bytes are not the expected ones
 */
export async function fetchPackage(file: PackageFile, path: string, { onProgress }: FetchOptions = {}): Promise<void> {
  const { name, version, integrity, bytes } = file;
  const [algorithm, base64] = integrity.split('-');
  const url = await tarballOf(file);
  let isRefused = false;
  const wanted: Download = {
    name: `${name}@${version}`,
    request: async (from) => {
      isRefused = true;
      const part = await requestPart(url, from);
      isRefused = false;
      return part;
    },
    hash: { algorithm, digest: Buffer.from(base64, 'base64').toString('hex') },
    bytes,
    onBytes: (got) => onProgress?.(Math.min(1, got / bytes)),
  };
  try {
    await download(wanted, path);
  } catch (error) {
    if (!isRefused) throw error;
    await pack(wanted, path).catch((reason) => {
      throw reason instanceof NpmMissing ? error : reason;
    });
    await rm(`${path}.partial`, { force: true });
  }
}

async function tarballOf({ name, version }: PackageFile): Promise<string> {
  const url = await npm(['view', `${name}@${version}`, 'dist.tarball']).catch((cause: unknown) => {
    if (cause instanceof NpmMissing) return conventional(name, version);
    throw new CodecError('file', `cannot fetch ${name}@${version}: ${reasonOf(cause)}`, { cause });
  });
  // Before version 11, npm says nothing of a version that is not there.
  if (typeof url !== 'string') throw new CodecError('file', `the npm registry has no ${name}@${version}`);
  return url;
}

/** Where all registries have tarballs. */
function conventional(name: string, version: string): string {
  const registry = process.env.npm_config_registry || REGISTRY;
  return `${registry.replace(/\/+$/, '')}/${name}/-/${name.replace(/^.*\//, '')}-${version}.tgz`;
}

/** @throws NpmMissing, CodecError('file') */
async function pack({ name, hash, bytes, onBytes }: Download, path: string): Promise<void> {
  await makeDirectory(dirname(path));
  await inTemporaryDirectory(path, async (directory) => {
    const cache = join(directory, 'cache');
    const tooMuch = new AbortController();
    const timer = setInterval(async () => {
      const got = await sizeOf(cache);
      onBytes?.(Math.min(got, bytes));
      if (got > bytes + MOST_BESIDE) tooMuch.abort(new Error(`more than the ${bytes} bytes that it has`));
    }, LOOK);
    try {
      // Its own cache, or it would keep a second copy.
      const config = { pack_destination: directory, cache };
      await npm(['pack', name], { config, signal: tooMuch.signal });
    } catch (cause) {
      if (cause instanceof NpmMissing) throw cause;
      throw new CodecError('file', `cannot fetch ${name}: ${reasonOf(cause)}`, { cause });
    } finally {
      clearInterval(timer);
    }
    const tarball = (await readdir(directory)).find((file) => file.endsWith('.tgz'));
    if (tarball === undefined) throw new CodecError('file', `cannot fetch ${name}: npm left no tarball`);
    await checkDownloaded(name, join(directory, tarball), hash);
    onBytes?.(bytes);
    await rename(join(directory, tarball), path);
  });
}

/** Bytes of the files in a directory that changes meanwhile. */
async function sizeOf(directory: string): Promise<number> {
  const names = await readdir(directory, { recursive: true }).catch(() => []);
  const statuses = await Promise.all(names.map((name) => stat(join(directory, name)).catch(() => undefined)));
  return statuses.reduce((sum, status) => sum + (status?.isFile() ? status.size : 0), 0);
}
