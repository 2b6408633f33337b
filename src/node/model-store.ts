/** The user's store of models: what files were made with is found there by its id, as long as it is kept. */
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MODEL_ID_DIGITS } from '../codec/format/header.js';
import { CodecError, invalidArgument } from '../common/errors.js';
import { readSafetensors } from '../model/safetensors.js';
import { createUpdate } from '../model/update.js';
import { makeDirectory, reasonOf } from './files.js';
import { isIdPrefix, type StoredModel, storeDirectory, storedModels } from './model-places.js';
import {
  CODEC_FILE,
  CONFIG_FILE,
  isDependentFile,
  loadModelInfo,
  loadWeights,
  type ModelInfo,
  SCHEDULER_FILE,
  UPDATE_FILE,
  WEIGHTS_FILE,
} from './models.js';
import { readRegularFile } from './read.js';
import { inTemporaryDirectory } from './write.js';

/** Files that a model has or may have; the store takes no others. */
export function isModelFile(name: string): boolean {
  return (
    [CONFIG_FILE, CODEC_FILE, WEIGHTS_FILE, SCHEDULER_FILE].includes(name) ||
    isDependentFile(name) ||
    /^(README|LICEN[CS]E|NOTICE)(\.(md|txt))?$/i.test(name)
  );
}

/** What {@link storeModel} has done. */
export interface Stored {
  readonly info: ModelInfo;
  /** False where it was there already. */
  readonly isNew: boolean;
}

/**
 * Puts a model into the store, whole or not at all.
 * @param name what it will be called
 * @param expected hex digits that its id begins with, where they are known
 * @param fill writes the model's files into a directory
 * @throws CodecError('usage') for what is no name or not the model expected; 'model' for files that are not whole, or where another model
 *   there has the same first 24 bits of id, which is all that a file says of its model; 'file'
 */
export async function storeModel(
  name: string,
  expected: string | undefined,
  fill: (directory: string) => Promise<void>,
): Promise<Stored> {
  checkName(name);
  const store = storeDirectory();
  await makeDirectory(store);
  return inTemporaryDirectory(join(store, name), async (temporary) => {
    const directory = join(temporary, name);
    await mkdir(directory);
    await fill(directory);
    const info = await checkModel(directory).catch((error: unknown) => {
      if (!(error instanceof CodecError)) throw error;
      // Not where it is for the moment.
      const reason = error.message.replace(`model ${directory}: `, '');
      throw new CodecError(error.code, `${name}: ${reason}`, { cause: error });
    });
    const { id } = info;
    if (expected !== undefined && !id.startsWith(expected))
      throw invalidArgument('id', `one that begins with ${expected}`, id);
    const others = (await storedModels()).filter((other) => other.id.startsWith(id.slice(0, MODEL_ID_DIGITS)));
    const same = others.find((other) => other.id === id);
    if (same) return { info: await loadModelInfo(same.id), isNew: false };
    const [other] = others;
    if (other) {
      throw new CodecError(
        'model',
        `files could not tell ${name} (${id}) from ${other.name} (${other.id}), which is in the store: their ids begin alike`,
      );
    }
    const target = join(store, id);
    await rename(temporary, target).catch((cause) => {
      throw new CodecError('file', `${target}: cannot make this directory: ${reasonOf(cause)}`, { cause });
    });
    return { info: { ...info, directory: join(target, name) }, isNew: true };
  });
}

/**
 * Takes a model out of the store.
 * @param nameOrId id: 6 hex digits or more that it begins with
 * @throws CodecError('usage') unless there is exactly one
 */
export async function removeModel(nameOrId: string): Promise<StoredModel> {
  const stored = await storedModels();
  const meant = stored.filter(({ name, id }) => name === nameOrId || (isIdPrefix(nameOrId) && id.startsWith(nameOrId)));
  const [model] = meant;
  if (meant.length !== 1) {
    const known = (meant.length > 0 ? meant : stored).map(({ name, id }) => `${name} (${id.slice(0, 12)})`).join(', ');
    throw invalidArgument('model', known === '' ? 'a model in the store, which is empty' : `one of ${known}`, nameOrId);
  }
  await rm(dirname(model.directory), { recursive: true });
  return model;
}

/** Reads all of a model. @throws CodecError('model') when something of it is missing or does not fit */
async function checkModel(directory: string): Promise<ModelInfo> {
  const info = await loadModelInfo(directory);
  const { bands = [], updates, config } = info;
  for (const band of [undefined, ...bands]) await loadWeights(directory, band);
  if (updates) {
    const update = readSafetensors(await readRegularFile(join(directory, UPDATE_FILE)));
    createUpdate(update, config.blockOutChannels[0]);
  }
  return info;
}

/** One that is a directory's on any system. */
function checkName(name: string): void {
  if (/^[a-z0-9][\w.-]{0,63}$/i.test(name)) return;
  throw invalidArgument('name', 'letters, digits, ".", "_" and "-", at most 64, the first a letter or digit', name);
}
