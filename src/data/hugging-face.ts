/**
 * Fetching files of a public model repository from the Hugging Face Hub. HF_ENDPOINT names another server of the same
 * kind, as with Hugging Face's own tools.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CodecError } from '../common/errors.js';
import { reasonOf } from '../node/files.js';
import { cacheDirectory } from './cache.js';
import { type Download, download, isDownloaded, requestPart, rootOf } from './download.js';

const ENDPOINT = 'https://huggingface.co';

/** A repository at one of its commits. */
export interface HubRepository {
  readonly id: string;
  /** Hex, so that what is fetched later is of the same version. */
  readonly commit: string;
  readonly files: readonly HubFile[];
}

export interface HubFile {
  /** Relative to the repository, with slashes. */
  readonly path: string;
  readonly bytes: number;
  readonly hash: Download['hash'];
}

/** Whether a text has the form of a repository's id: `owner/name`. */
export function isRepositoryId(text: string): boolean {
  return /^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(text);
}

/**
 * Lists a repository.
 * @throws CodecError('file') when the server cannot be reached, or has no such public repository
 */
export async function listRepository(id: string): Promise<HubRepository> {
  const { sha } = (await getJson(id, 'revision/main')) as { sha?: unknown };
  if (typeof sha !== 'string' || !/^[0-9a-f]{40}$/.test(sha)) throw unexpected(id);
  const tree = await getJson(id, `tree/${sha}?recursive=true`);
  if (!Array.isArray(tree)) throw unexpected(id);
  const files = (tree as TreeEntry[]).flatMap(({ type, path, size, oid, lfs }) => {
    if (type !== 'file') return [];
    if (typeof path !== 'string' || path.split('/').includes('..') || typeof oid !== 'string') throw unexpected(id);
    // Large files are known by their own hash, small ones by git's.
    const bytes = lfs?.size ?? size ?? 0;
    const hash = lfs?.oid
      ? { algorithm: 'sha256', digest: lfs.oid.replace(/^sha256:/, '') }
      : { algorithm: 'sha1', prefix: `blob ${bytes}\0`, digest: oid };
    return [{ path, bytes, hash }];
  });
  return { id, commit: sha, files };
}

interface TreeEntry {
  readonly type?: string;
  readonly path?: string;
  readonly size?: number;
  readonly oid?: string;
  readonly lfs?: { readonly oid?: string; readonly size?: number };
}

/**
 * Fetches a file into the cache directory, unless it is there. An interrupted download goes on where it stopped.
 * @param onProgress share that is there, 0..1
 * @returns where it is
 * @throws CodecError('file') when that fails or the file is not the one the server announced
 */
export async function fetchFile(
  { id, commit }: HubRepository,
  { path, bytes, hash }: HubFile,
  onProgress?: (fraction: number) => void,
): Promise<string> {
  const to = join(cacheDirectory(), 'hugging-face', ...id.split('/'), commit, ...path.split('/'));
  const isThere = await stat(to).catch(() => undefined);
  if (isThere && (await isDownloaded(to, hash))) return to;
  const url = `${endpoint()}/${id}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`;
  await download(
    {
      name: `${id}/${path}`,
      request: (from) => requestPart(url, from),
      hash,
      bytes,
      onBytes: (got) => onProgress?.(bytes === 0 ? 1 : Math.min(1, got / bytes)),
    },
    to,
  );
  return to;
}

function endpoint(): string {
  return (process.env.HF_ENDPOINT || ENDPOINT).replace(/\/+$/, '');
}

async function getJson(id: string, what: string): Promise<unknown> {
  const url = `${endpoint()}/api/models/${id}/${what}`;
  const response = await fetch(url).catch((cause: unknown) => {
    throw new CodecError(
      'file',
      `cannot reach ${endpoint()}: ${reasonOf(rootOf(cause))}; without a connection, put config.json, scheduler_config.json and diffusion_pytorch_model.safetensors (or .bin) of ${ENDPOINT}/${id} into a directory and give that`,
      { cause },
    );
  });
  // The Hub does not tell the two apart.
  if (response.status === 401 || response.status === 404) {
    throw new CodecError('file', `${endpoint()} has no public model ${id}`);
  }
  if (!response.ok) throw new CodecError('file', `${url}: the server answered ${response.status}`);
  return response.json().catch(() => {
    throw unexpected(id);
  });
}

function unexpected(id: string): CodecError {
  return new CodecError('file', `${endpoint()}: the answer about ${id} is not what the Hugging Face Hub sends`);
}
