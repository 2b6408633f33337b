/** The copy of a model that has something more: an update, or weights for a band of noise. */
import { join } from 'node:path';
import { bandFile } from '../../codec/bands.js';
import { isObject, parseJson } from '../../common/foreign.js';
import { exists } from '../../node/files.js';
import { CODEC_FILE, CONFIG_FILE, type ModelInfo, SCHEDULER_FILE, WEIGHTS_FILE } from '../../node/models.js';
import { readRegularFile } from '../../node/read.js';
import type { RunFiles } from './files.js';

/** Contents of a model's files by name, but for its update, which would not fit the copy. */
export type ModelContents = ReadonlyMap<string, Uint8Array>;

/** Reads a model's files at once, so that the copy is one of what was trained for. */
export async function readModelContents({ directory, bands = [] }: ModelInfo): Promise<ModelContents> {
  const files = new Map<string, Uint8Array>();
  for (const name of [CONFIG_FILE, WEIGHTS_FILE, SCHEDULER_FILE, 'README.md', CODEC_FILE, ...bands.map(bandFile)]) {
    const path = join(directory, name);
    if (await exists(path)) files.set(name, await readRegularFile(path));
  }
  return files;
}

/**
 * Writes the copy.
 * @param more files that are new
 * @param codec what is new in `codec.json`, `about` in what that says for people
 */
export async function writeModelCopy(
  files: RunFiles,
  model: ModelContents,
  more: Readonly<Record<string, Uint8Array>>,
  { about: moreAbout, ...codec }: { readonly about: object } & Readonly<Record<string, unknown>>,
): Promise<void> {
  const earlier = parseJson(CODEC_FILE, model.get(CODEC_FILE)!) as { readonly about?: unknown };
  const about = { ...(isObject(earlier.about) && earlier.about), ...moreAbout };
  for (const [name, bytes] of [...model, ...Object.entries(more)]) {
    if (name !== CODEC_FILE) await files.write(name, bytes);
  }
  // Last: without it there is no model yet.
  await files.write(CODEC_FILE, `${JSON.stringify({ ...earlier, ...codec, about })}\n`);
}
