/** The sources of networks for `ddpm-codec model import`. */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { counted } from '../../common/counted.js';
import { CodecError } from '../../common/errors.js';
import type { ImportedNetwork, NetworkFiles } from '../../model/import/network.js';
import { exists, publicPath } from '../../node/files.js';
import { readRegularFile } from '../../node/read.js';
import type { Console } from '../console.js';
import { openProgress } from '../progress.js';

/** The files of a source: lists and reads them. */
export interface Source {
  /** For the record: no path of this machine beyond the working directory. */
  readonly name: string;
  readonly files: NetworkFiles;
  /** Local files, except those in a cache. */
  readonly paths: readonly string[];
  readonly read: (file: string) => Promise<Uint8Array>;
}

/**
 * Finds a network's files: in a directory, beside a file of weights, or on the Hugging Face Hub.
 * @param config `config.json` for a file of weights, where it is elsewhere
 * @throws CodecError `file` when nothing is there, `model` when files are missing, `usage` when it is already a model
 */
export async function openSource(path: string, config: string | undefined, console: Console): Promise<Source> {
  const { findNetworkFiles, isIndex } = await import('../../model/import/network.js');
  const { CODEC_FILE, CONFIG_FILE, SCHEDULER_FILE } = await import('../../node/models.js');
  const status = await stat(path).catch(() => undefined);
  if (status === undefined) {
    if (await isMeantForHub(path)) return openRepository(path, console);
    throw new CodecError(
      'file',
      `${path}: expected a directory, a file of weights, or owner/name of a repository; there is no such file`,
    );
  }
  const name = publicPath(path);
  // The index of a sharded network stands for its shards.
  const isDirectory = status.isDirectory();
  const root = isDirectory ? path : dirname(path);
  const names = await listFiles(root);
  if (names.includes(CODEC_FILE)) {
    throw new CodecError('usage', `${root} is a model already (it has ${CODEC_FILE}); use it as --model`);
  }
  if (isDirectory || isIndex(path)) {
    const read = (file: string) => readPart(join(root, file));
    const files = await findNetworkFiles(names, read, isDirectory ? undefined : basename(path));
    if (config !== undefined) {
      throw new CodecError('usage', `--config: ${path} has its own (${files.config}); name a file of weights instead`);
    }
    return { name, read, files, paths: pathsOf(files).map((file) => join(root, file)) };
  }
  const beside = (file: string) => (names.includes(file) ? join(root, file) : undefined);
  const files = { config: config ?? beside(CONFIG_FILE), scheduler: beside(SCHEDULER_FILE), weights: [path] };
  return { name, files, read: readPart, paths: pathsOf(files) };
}

/** Reads a file of a network; JSON documents have a size limit. */
async function readPart(path: string): Promise<Uint8Array> {
  const { LARGEST_MODEL_JSON } = await import('../../node/models.js');
  return readRegularFile(path, extname(path) === '.json' ? { largest: LARGEST_MODEL_JSON } : {});
}

/** Whether a name without a file is meant as a repository's id, rather than as a mistyped path. */
async function isMeantForHub(source: string): Promise<boolean> {
  const { isRepositoryId } = await import('../../data/hugging-face.js');
  const { WEIGHT_EXTENSIONS } = await import('../../model/import/network.js');
  if (!isRepositoryId(source) || WEIGHT_EXTENSIONS.includes(extname(source))) return false;
  return !(await exists(dirname(source)));
}

/** Files of a directory and of a pipeline's subdirectories, with slashes. */
async function listFiles(directory: string): Promise<string[]> {
  const lists = await Promise.all(
    ['', 'unet', 'scheduler'].map(async (part) => {
      const entries = await readdir(join(directory, part), { withFileTypes: true }).catch(() => []);
      return entries.filter((entry) => !entry.isDirectory()).map(({ name }) => (part ? `${part}/${name}` : name));
    }),
  );
  return lists.flat();
}

async function openRepository(id: string, console: Console): Promise<Source> {
  const { fetchFile, listRepository } = await import('../../data/hugging-face.js');
  const { findNetworkFiles } = await import('../../model/import/network.js');
  const repository = await listRepository(id);
  const byPath = new Map(repository.files.map((file) => [file.path, file]));
  const read = async (path: string): Promise<Uint8Array> => {
    const file = byPath.get(path)!;
    const progress = openProgress(console, `fetching ${basename(path)}, ${formatBytes(file.bytes)}`);
    try {
      return await readRegularFile(await fetchFile(repository, file, (fraction) => progress.update(fraction)));
    } finally {
      progress.stop();
    }
  };
  const files = await findNetworkFiles([...byPath.keys()], read);
  const needed = pathsOf(files).flatMap((path) => byPath.get(path) ?? []);
  const bytes = needed.reduce((sum, file) => sum + file.bytes, 0);
  console.note(`${id} at ${repository.commit.slice(0, 8)}: ${counted(needed.length, 'file')}, ${formatBytes(bytes)}`);
  return { name: `${id}@${repository.commit}`, files, read, paths: [] };
}

function pathsOf({ config, scheduler, weights }: NetworkFiles): string[] {
  return [config, scheduler, ...weights].filter((path) => path !== undefined);
}

/** Reads all files, fetching those on the Hub. @throws as `readNetwork` */
export async function readSource({ files, read }: Source): Promise<{ network: ImportedNetwork; scheduler: unknown }> {
  const { readNetwork } = await import('../../model/import/network.js');
  const { parseJson } = await import('../../common/foreign.js');
  const json = async (file: string | undefined) => (file === undefined ? undefined : parseJson(file, await read(file)));
  const [config, scheduler] = [await json(files.config), await json(files.scheduler)];
  const weights: { name: string; bytes: Uint8Array }[] = [];
  for (const name of files.weights) weights.push({ name: basename(name), bytes: await read(name) });
  return { network: readNetwork(config, weights), scheduler };
}

function formatBytes(bytes: number): string {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
