/** Loads models by URL, and keeps them in the browser's Cache Storage. */
import { array, object, pipe, regex, string } from 'valibot';
import { bandFile } from '../codec/bands.js';
import {
  CODEC_FILE,
  CONFIG_FILE,
  describeModel,
  type Model,
  type ModelDescription,
  openDescribed,
  UPDATE_FILE,
  WEIGHTS_FILE,
} from '../codec/model.js';
import { hexSha256 } from '../common/bytes.js';
import { CodecError } from '../common/errors.js';
import { checked, integerFrom, parseJson } from '../common/foreign.js';
import type { Engine } from '../engine/engine.js';
import type { Band } from '../model/bands.js';

/** A file of a model. */
export interface ModelFile {
  readonly name: string;
  readonly bytes: number;
  /** SHA-256 in hex. */
  readonly sha256: string;
}

/** Location of a model. */
export interface ModelSource {
  readonly name: string;
  /** SHA-256 in hex, as in the output of `ddpm-codec model info`. */
  readonly id: string;
  /** Of its directory, with a trailing slash. */
  readonly url: string;
  readonly files: readonly ModelFile[];
}

/** How much of a model has arrived. */
export interface DownloadProgress {
  readonly name: string;
  readonly bytes: number;
  readonly of: number;
}

/** Options for loading a model. */
export interface LoadModelOptions {
  /** Called while files are downloaded; not for those in the browser's cache. */
  readonly onDownload?: (progress: DownloadProgress) => void;
  readonly signal?: AbortSignal;
}

/** A model whose files have been loaded. */
export interface LoadedModel {
  readonly info: ModelDescription;
  /** @throws CodecError('model') when the weights do not fit the architecture, or the network's output is not finite */
  open(engine: Engine): Promise<Model>;
}

/** Name of the cache in Cache Storage. */
const CACHE = 'ddpm-codec-models';
/** Larger than any file of a model that a page has to load. */
const LARGEST_FILE = 2 ** 30;

const HASH = pipe(string(), regex(/^[0-9a-f]{64}$/, '64 hexadecimal digits'));
const INDEX = array(
  object({
    name: string(),
    id: HASH,
    url: string(),
    files: array(object({ name: string(), bytes: integerFrom(1, LARGEST_FILE), sha256: HASH })),
  }),
);

/**
 * Reads the list of models that `ddpm-codec page` serves and writes.
 * @param url of `index.json`; its URLs may be relative to it
 * @throws CodecError('model') where it cannot be loaded or is not such a list
 */
export async function readModelIndex(url: string | URL, signal?: AbortSignal): Promise<ModelSource[]> {
  const absolute = new URL(url, document.baseURI);
  const bytes = await download(absolute, LARGEST_FILE, signal);
  const sources = checked(INDEX, parseJson(absolute.href, bytes, 'model'), absolute.href, 'model');
  return sources.map((source) => ({ ...source, url: new URL(source.url, absolute).href }));
}

/**
 * Loads a model. The browser keeps its files, replacing earlier ones at the same address. Every file is checked by its
 * hash, whether cached or new.
 * @throws CodecError('model') where a file cannot be loaded or is not the expected one; the signal's reason
 */
export async function loadModel(source: ModelSource, options: LoadModelOptions = {}): Promise<LoadedModel> {
  const { name, files } = source;
  const of = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const arrived = new Map<string, number>();
  const contents = new Map<string, Uint8Array>();
  await Promise.all(
    files.map(async (file) => {
      const onBytes = (bytes: number) => {
        arrived.set(file.name, bytes);
        options.onDownload?.({ name, bytes: [...arrived.values()].reduce((a, b) => a + b, 0), of });
      };
      contents.set(file.name, await fileOf(source, file, options.signal, onBytes));
    }),
  );
  const contentOf = (file: string) => {
    const bytes = contents.get(file);
    if (!bytes) throw new CodecError('model', `model ${name}: expected ${file} among its files`);
    return bytes;
  };
  const jsonOf = (file: string) => parseJson(`${name}/${file}`, contentOf(file), 'model');
  const update = contents.get(UPDATE_FILE);
  const parts = {
    name,
    config: jsonOf(CONFIG_FILE),
    codec: jsonOf(CODEC_FILE),
    weights: contentOf(WEIGHTS_FILE),
    ...(update && { update }),
    // Every chain reaches the bands of strong noise, so all weights are loaded at once.
    readBand: async (band: Band) => contentOf(bandFile(band)),
  };
  const info = await describeModel(parts);
  if (info.id !== source.id) throw new CodecError('model', `model ${name}: expected id ${source.id}, got ${info.id}`);
  await forgetOthers(source);
  return { info, open: (engine) => openDescribed(info, parts, engine) };
}

async function fileOf(
  source: ModelSource,
  file: ModelFile,
  signal?: AbortSignal,
  onBytes?: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const { bytes: size, sha256 } = file;
  const address = new URL(file.name, source.url);
  const key = keyOf(source, file);
  const cache = await openCache();
  if (!globalThis.crypto?.subtle) {
    throw new CodecError('engine', 'expected a page from https or localhost: only there browsers compute hashes');
  }
  const kept = await cache?.match(key).catch(() => undefined);
  if (kept) {
    const bytes = new Uint8Array(await kept.arrayBuffer());
    if ((await hexSha256(bytes)) === sha256) return bytes;
    await cache?.delete(key).catch(() => false);
  }
  const bytes = await download(address, size, signal, onBytes);
  if ((await hexSha256(bytes)) !== sha256) {
    throw new CodecError(
      'model',
      `${address}: expected ${size} bytes with SHA-256 ${sha256}, got ${bytes.length} others; load the page again`,
    );
  }
  // Without room in the cache, it is downloaded again next time.
  await cache?.put(key, new Response(bytes)).catch(() => {});
  return bytes;
}

/** The cache. It is undefined on pages from an insecure origin, and may be refused in private windows. */
async function openCache(): Promise<Cache | undefined> {
  return globalThis.caches?.open(CACHE).catch(() => undefined);
}

function keyOf({ url }: ModelSource, { name, sha256 }: ModelFile): URL {
  return new URL(`?sha256=${sha256}`, new URL(name, url));
}

/** Removes cached files at a model's address that no longer belong to the model. */
async function forgetOthers(source: ModelSource): Promise<void> {
  const present = new Set(source.files.map((file) => keyOf(source, file).href));
  const directory = new URL('.', source.url).href;
  try {
    const cache = await openCache();
    for (const { url } of (await cache?.keys()) ?? []) {
      if (new URL('.', url).href === directory && !present.has(url)) await cache!.delete(url);
    }
  } catch {
    // They only take up space.
  }
}

/** @throws CodecError('model') where it cannot be loaded, or is longer than `most` bytes; the signal's reason */
async function download(
  url: URL,
  most: number,
  signal?: AbortSignal,
  onBytes?: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const lost = (cause: unknown): never => {
    signal?.throwIfAborted();
    const reason = cause instanceof Error ? cause.message : cause;
    throw new CodecError('model', `${url}: does not come (${reason})`, { cause });
  };
  const response = await fetch(url, signal ? { signal } : {}).catch(lost);
  if (!response.ok || !response.body)
    throw new CodecError('model', `${url}: expected the file, got HTTP ${response.status}`);
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = response.body.getReader();
  const next = () => reader.read().catch(lost);
  for (let { done, value } = await next(); !done; { done, value } = await next()) {
    length += value!.length;
    if (length > most) {
      await reader.cancel();
      throw new CodecError('model', `${url}: expected ${most} bytes, got more`);
    }
    chunks.push(value!);
    onBytes?.(length);
  }
  return new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
}
