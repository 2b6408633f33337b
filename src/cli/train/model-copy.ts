/** Copies a model with an addition: an update, or weights for a band of noise levels. */
import { join } from 'node:path';
import { bandFile, checkBandWeights } from '../../codec/bands.js';
import { isObject, parseJson } from '../../common/foreign.js';
import { exists } from '../../node/files.js';
import {
  CODEC_FILE,
  CONFIG_FILE,
  dependentFiles,
  type ModelInfo,
  SCHEDULER_FILE,
  WEIGHTS_FILE,
} from '../../node/models.js';
import { readRegularFile } from '../../node/read.js';
import type { Console } from '../console.js';
import type { RunFiles } from './files.js';

/** Contents of a model's files by name, except for its update, which would not fit the copy. */
export type ModelContents = ReadonlyMap<string, Uint8Array>;

/**
 * Reads all files of a model up front, so that the copy belongs to the model that training started from.
 * @throws CodecError('file') for one that cannot be read; 'model' for weights of a band that differ from those that the
 *   model names
 */
export async function readModelContents({ directory, bands = [] }: ModelInfo): Promise<ModelContents> {
  const files = new Map<string, Uint8Array>();
  const read = async (name: string) => files.set(name, await readRegularFile(join(directory, name)));
  for (const name of [CONFIG_FILE, WEIGHTS_FILE, CODEC_FILE, ...bands.map(bandFile)]) await read(name);
  for (const name of [SCHEDULER_FILE, 'README.md']) if (await exists(join(directory, name))) await read(name);
  for (const band of bands) await checkBandWeights(band, files.get(bandFile(band))!);
  return files;
}

/**
 * Removes a directory's files that depend on the previous weights ({@link dependentFiles}), and notes it.
 * @param kept names of files to keep
 */
export async function removeDependents(files: RunFiles, console: Console, kept: readonly string[] = []): Promise<void> {
  for (const name of await dependentFiles(files.directory)) {
    if (kept.includes(name)) continue;
    await files.remove(name);
    console.note(`${name} was of the weights before, and is removed`);
  }
}

/**
 * Writes the copy.
 * @param more new files
 * @param codec new fields of `codec.json`; `about` is merged into the part for people
 */
export async function writeModelCopy(
  { files, console }: { readonly files: RunFiles; readonly console: Console },
  model: ModelContents,
  more: Readonly<Record<string, Uint8Array>>,
  { about: moreAbout, ...codec }: { readonly about: object } & Readonly<Record<string, unknown>>,
): Promise<void> {
  const earlier = parseJson(CODEC_FILE, model.get(CODEC_FILE)!) as { readonly about?: unknown };
  const about = { ...(isObject(earlier.about) && earlier.about), ...moreAbout };
  const copied = [...model, ...Object.entries(more)].filter(([name]) => name !== CODEC_FILE);
  // Files of a different model that may have been there.
  await removeDependents(
    files,
    console,
    copied.map(([name]) => name),
  );
  for (const [name, bytes] of copied) await files.write(name, bytes);
  // Written last: the model exists only with this file.
  await files.write(CODEC_FILE, `${JSON.stringify({ ...earlier, ...codec, about })}\n`);
}
