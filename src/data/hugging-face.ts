/**
 * Fetches files of a public model repository from the Hugging Face Hub. HF_ENDPOINT names another compatible server, as
 * with Hugging Face's own tools.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { array, check, literal, object, optional, pipe, regex, string } from 'valibot';
import { CodecError } from '../common/errors.js';
import { checked, integerFrom } from '../common/foreign.js';
import { reasonOf } from '../node/files.js';
import { cacheDirectory } from './cache.js';
import { type Download, download, isDownloaded } from './download.js';
import { requestJson, rootOf, Unanswered } from './http.js';

const ENDPOINT = 'https://huggingface.co';

/** A repository at one of its commits. */
export interface HubRepository {
  readonly id: string;
  /** Hex; later requests use the same version. */
  readonly commit: string;
  readonly files: readonly HubFile[];
}

export interface HubFile {
  /** Path relative to the repository, with slashes. */
  readonly path: string;
  readonly bytes: number;
  readonly hash: Download['hash'];
}

/** Whether a text has the form of a repository's id: `owner/name`. */
export function isRepositoryId(text: string): boolean {
  return /^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(text);
}

/** Hex digits of a hash. */
const digits = (count: number) =>
  pipe(string(), regex(new RegExp(`^[0-9a-f]{${count}}$`), `a hash of ${count} hexadecimal digits`));

const REVISION = object({ sha: digits(40) });
const TREE = array(object({ type: string() }));
const FILE = object({
  type: literal('file'),
  path: pipe(string(), check(isInside, 'the path of a file in the repository')),
  size: integerFrom(0),
  oid: digits(40),
  // Large files are identified by their SHA-256, small ones by git's hash.
  lfs: optional(object({ oid: pipe(string(), regex(/^(sha256:)?[0-9a-f]{64}$/, 'a SHA-256')), size: integerFrom(0) })),
});

/**
 * Whether a path stays inside a directory on any system: it has no `..`, root, drive, stream or invisible characters.
 */
function isInside(path: string): boolean {
  return path.split('/').every((part) => !/^\.{0,2}$|[\\:\p{Cc}]/u.test(part));
}

/**
 * Lists a repository.
 * @throws CodecError('file') when the server cannot be reached, has no such public repository, or its answer is invalid
 */
export async function listRepository(id: string): Promise<HubRepository> {
  const about = `${endpoint()}: the answer about ${id} is not what the Hugging Face Hub sends`;
  const { sha: commit } = checked(REVISION, await getJson(id, 'revision/main'), about, 'file');
  const answer = await getJson(id, `tree/${commit}?recursive=true`);
  const entries = checked(TREE, answer, about, 'file').flatMap(({ type }, i) =>
    type === 'file' ? [checked(FILE, (answer as unknown[])[i], `${about}: ${i}`, 'file')] : [],
  );
  const files = entries.map(({ path, size, oid, lfs }): HubFile => {
    const bytes = lfs?.size ?? size;
    const hash = lfs
      ? { algorithm: 'sha256', digest: lfs.oid.replace(/^sha256:/, '') }
      : { algorithm: 'sha1', prefix: `blob ${bytes}\0`, digest: oid };
    return { path, bytes, hash };
  });
  return { id, commit, files };
}

/**
 * Fetches a file into the cache directory, unless it is already there. Interrupted downloads are resumed.
 * @param onProgress called with the fraction that has arrived, 0..1
 * @returns path of the file
 * @throws CodecError('file') when that fails or the file is not the one that the server announced
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
      url,
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
  try {
    return await requestJson(`${endpoint()}/api/models/${id}/${what}`);
  } catch (cause) {
    if (cause instanceof CodecError) throw cause;
    if (cause instanceof Unanswered && cause.status !== undefined) {
      // The Hub does not distinguish between a missing and a private repository.
      const isMissing = cause.status === 401 || cause.status === 404;
      const what = isMissing ? ` has no public model ${id}` : `: ${cause.message} when asked about ${id}`;
      throw new CodecError('file', endpoint() + what, { cause });
    }
    throw new CodecError(
      'file',
      `cannot reach ${endpoint()}: ${reasonOf(rootOf(cause))}; without a connection, put config.json, scheduler_config.json and diffusion_pytorch_model.safetensors (or .bin) of ${ENDPOINT}/${id} into a directory, of a finished model codec.json, too, and give that`,
      { cause },
    );
  }
}
