/**
 * Fetches a package's tarball from the user's npm registry.
 *
 * npm tells the tarball's address. It is downloaded directly, so that an interrupted download can be resumed. Where a
 * direct download is refused, for example by a registry with credentials or because of a proxy, npm fetches the tarball
 * itself. npm handles these cases, but always starts from the beginning.
 */
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CodecError } from '../common/errors.js';
import { makeDirectory, reasonOf } from '../node/files.js';
import { inTemporaryDirectory } from '../node/write.js';
import { checkDownloaded, type Download, download } from './download.js';
import { Unanswered } from './http.js';
import { NpmMissing, npm } from './npm.js';

export interface PackageFile {
  readonly name: string;
  readonly version: string;
  /** `sha512-` and the base64 digest of the tarball. */
  readonly integrity: string;
  /** Size of the tarball. */
  readonly bytes: number;
}

export interface FetchOptions {
  /** Called with the fraction that has arrived, 0..1. */
  readonly onProgress?: (fraction: number) => void;
  /** Milliseconds that npm has to answer, and to bring more bytes; default 2 minutes. */
  readonly patience?: number;
}

/** npm's default registry, for machines without npm. */
const REGISTRY = 'https://registry.npmjs.org';
/** Milliseconds between checks of what npm has fetched. */
const LOOK = 200;
const PATIENCE = 120_000;
/** Allowance for what npm stores beside the tarball: the registry's information about the package. */
const MOST_BESIDE = 2 ** 24;

/**
 * Fetches the tarball to `path`. After an interruption the received bytes are kept beside it, and the next call resumes
 * from there.
 * @throws CodecError('file') when the registry cannot be reached, the disk is full, or the bytes are not the expected
 *   ones
 */
export async function fetchPackage(
  file: PackageFile,
  path: string,
  { onProgress, patience = PATIENCE }: FetchOptions = {},
): Promise<void> {
  const { name, version, integrity, bytes } = file;
  const [algorithm, base64] = integrity.split('-');
  const url = await tarballOf(file, patience);
  const wanted: Download = {
    name: `${name}@${version}`,
    url,
    hash: { algorithm, digest: Buffer.from(base64, 'base64').toString('hex') },
    bytes,
    onBytes: (got) => onProgress?.(Math.min(1, got / bytes)),
  };
  try {
    await download(wanted, path);
  } catch (error) {
    if (!(error instanceof CodecError && error.cause instanceof Unanswered)) throw error;
    await pack(wanted, path, patience).catch((reason) => {
      throw reason instanceof NpmMissing ? error : reason;
    });
    await rm(`${path}.partial`, { force: true });
  }
}

async function tarballOf({ name, version }: PackageFile, patience: number): Promise<string> {
  const signal = AbortSignal.timeout(patience);
  const url = await npm(['view', `${name}@${version}`, 'dist.tarball'], { signal }).catch((cause: unknown) => {
    if (cause instanceof NpmMissing) return conventional(name, version);
    const reason = signal.aborted ? noAnswer(patience) : reasonOf(cause);
    throw new CodecError('file', `cannot fetch ${name}@${version}: ${reason}`, { cause });
  });
  // Before version 11, npm prints nothing for a version that does not exist.
  if (typeof url !== 'string') throw new CodecError('file', `the npm registry has no ${name}@${version}`);
  return url;
}

function noAnswer(patience: number): string {
  return `nothing came from the npm registry in ${patience / 1000} s`;
}

/** Address of a tarball by the convention of all registries. */
function conventional(name: string, version: string): string {
  const registry = process.env.npm_config_registry || REGISTRY;
  return `${registry.replace(/\/+$/, '')}/${name}/-/${name.replace(/^.*\//, '')}-${version}.tgz`;
}

/** @throws NpmMissing, CodecError('file') */
async function pack({ name, hash, bytes, onBytes }: Download, path: string, patience: number): Promise<void> {
  await makeDirectory(dirname(path));
  await inTemporaryDirectory(path, async (directory) => {
    const onGot = (got: number) => onBytes?.(Math.min(got, bytes));
    const tarball = await npmPack(name, directory, { most: bytes, onBytes: onGot, patience });
    await checkDownloaded(name, tarball, hash);
    onBytes?.(bytes);
    await rename(tarball, path);
  });
}

export interface NpmPackOptions {
  /** Maximum size of the package in bytes. */
  readonly most: number;
  /** Called with the number of bytes that have arrived. */
  readonly onBytes?: (got: number) => void;
  /** Milliseconds that npm has to bring more bytes; default 2 minutes. */
  readonly patience?: number;
}

/**
 * Lets npm fetch a package and check it against the registry's hash.
 * @param spec `name` or `name@version`
 * @param directory an empty one
 * @returns path of the tarball
 * @throws NpmMissing, CodecError('file')
 */
export async function npmPack(
  spec: string,
  directory: string,
  { most, onBytes, patience = PATIENCE }: NpmPackOptions,
): Promise<string> {
  const cache = join(directory, 'cache');
  const stop = new AbortController();
  let before = { got: 0, at: Date.now() };
  const timer = setInterval(async () => {
    const got = await sizeOf(cache);
    onBytes?.(got);
    if (got > most + MOST_BESIDE) stop.abort(new Error(`more than the ${most} bytes that it may have`));
    if (got > before.got) before = { got, at: Date.now() };
    else if (Date.now() - before.at > patience) stop.abort(new Error(noAnswer(patience)));
  }, LOOK);
  try {
    // A separate cache: in the user's, npm would keep a second copy.
    const config = { pack_destination: directory, cache };
    await npm(['pack', spec], { config, signal: stop.signal });
  } catch (cause) {
    if (cause instanceof NpmMissing) throw cause;
    throw new CodecError('file', `cannot fetch ${spec}: ${reasonOf(cause)}`, { cause });
  } finally {
    clearInterval(timer);
  }
  const tarball = (await readdir(directory)).find((file) => file.endsWith('.tgz'));
  if (tarball === undefined) throw new CodecError('file', `cannot fetch ${spec}: npm left no tarball`);
  return join(directory, tarball);
}

/** Total size of the files in a directory that may change meanwhile. */
async function sizeOf(directory: string): Promise<number> {
  const names = await readdir(directory, { recursive: true }).catch(() => []);
  const statuses = await Promise.all(names.map((name) => stat(join(directory, name)).catch(() => undefined)));
  return statuses.reduce((sum, status) => sum + (status?.isFile() ? status.size : 0), 0);
}
