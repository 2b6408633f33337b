/** The user's store of models: what files were made with is found there by its id, as long as it is kept. */
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MODEL_ID_DIGITS } from '../codec/format/header.js';
import { CodecError, invalidArgument } from '../common/errors.js';
import { readSafetensors } from '../model/safetensors.js';
import { createUpdate } from '../model/update.js';
import { makeDirectory, reasonOf } from './files.js';
import { isIdPrefix, isModelName, type StoredModel, storeDirectory, storedModels } from './model-places.js';
import {
  CODEC_FILE,
  CONFIG_FILE,
  isDependentFile,
  loadModelInfo,
  loadWeights,
  type ModelInfo,
  type NamedModel,
  readNamedModels,
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
 * @throws CodecError('usage') for a name that is none or is another model's, and for another model than the expected one; 'model' for files that are
 *   not whole, or where a model there has the same first 24 bits of id, which is all that a file says of its model; 'file'
 */
export async function storeModel(
  name: string,
  expected: string | undefined,
  fill: (directory: string) => Promise<void>,
): Promise<Stored> {
  if (!isModelName(name)) {
    const wanted =
      'letters, digits, ".", "_" and "-", at most 64, the first a letter or digit, and no word of a system';
    throw invalidArgument('name', `${wanted}; give one with --name`, name);
  }
  const store = storeDirectory();
  await makeDirectory(store);
  return aboutStore(() =>
    inTemporaryDirectory(join(store, name), async (temporary) => {
      const directory = join(temporary, name);
      await mkdir(directory);
      await fill(directory);
      const info = await checkModel(directory, name);
      if (expected !== undefined && !info.id.startsWith(expected)) {
        throw invalidArgument('id', `one that begins with ${expected}`, info.id);
      }
      const known = await storedAs(info.id);
      if (known) return { info: known, isNew: false };
      await checkUnambiguous(name, info.id);
      const target = join(store, info.id);
      // What is left of one that was there.
      await rm(target, { recursive: true, force: true });
      try {
        await rename(temporary, target);
      } catch (error) {
        // Another process may have been quicker.
        const other = await storedAs(info.id);
        if (!other) throw error;
        return { info: other, isNew: false };
      }
      return { info: { ...info, directory: join(target, name) }, isNew: true };
    }),
  );
}

/**
 * Takes a model out of the store.
 * @param nameOrId id: 6 hex digits or more that it begins with
 * @throws CodecError('usage') unless there is exactly one; 'file'
 */
export async function removeModel(nameOrId: string): Promise<StoredModel> {
  const stored = await storedModels();
  const meant = stored.filter(({ name, id }) => name === nameOrId || (isIdPrefix(nameOrId) && id.startsWith(nameOrId)));
  const [model] = meant;
  if (meant.length !== 1) {
    const known = (meant.length > 0 ? meant : stored).map(({ name, id }) => `${name} (${id.slice(0, 12)})`).join(', ');
    throw invalidArgument('model', known === '' ? 'a model in the store, which is empty' : `one of ${known}`, nameOrId);
  }
  const directory = dirname(model.directory);
  await aboutStore(() =>
    // Nobody finds half of it.
    inTemporaryDirectory(directory, (temporary) => rename(directory, join(temporary, model.id))),
  );
  return model;
}

/** A model of the store that can be read. */
async function storedAs(id: string): Promise<ModelInfo | undefined> {
  const stored = (await storedModels()).some((model) => model.id === id);
  return stored ? loadModelInfo(id).catch(() => undefined) : undefined;
}

/** @throws CodecError where another model has the name, or its files could not be told from those of this one */
async function checkUnambiguous(name: string, id: string): Promise<void> {
  const named = await readNamedModels();
  const digits = id.slice(0, MODEL_ID_DIGITS);
  const alike = named.flatMap((one) => ('model' in one && one.model.info.id !== id ? [one.model.info] : []));
  const twin = alike.find((other) => other.id.startsWith(digits));
  if (twin) {
    throw new CodecError(
      'model',
      `files could not tell ${name} (${id}) from ${twin.name} (${twin.id}): their ids begin alike`,
    );
  }
  const isAnother = (one: NamedModel) => !('model' in one) || one.model.info.id !== id;
  if (named.some((one) => one.place.name === name && isAnother(one))) {
    throw invalidArgument('name', 'one that no model has (ddpm-codec model list); give one with --name', name);
  }
}

/** Reads all of a model. @throws CodecError('model') when something of it is missing or does not fit */
async function checkModel(directory: string, name: string): Promise<ModelInfo> {
  try {
    const info = await loadModelInfo(directory);
    const { bands = [], updates, config } = info;
    for (const band of [undefined, ...bands]) await loadWeights(directory, band);
    if (updates) {
      const update = readSafetensors(await readRegularFile(join(directory, UPDATE_FILE)));
      createUpdate(update, config.blockOutChannels[0]);
    }
    return info;
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    // Not where it is for the moment.
    const reason = error.message.replace(`model ${directory}: `, '');
    throw new CodecError(error.code, `${name}: ${reason}`, { cause: error });
  }
}

async function aboutStore<R>(work: () => Promise<R>): Promise<R> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof CodecError) throw cause;
    throw new CodecError('file', `the store of models, ${storeDirectory()}: ${reasonOf(cause)}`, { cause });
  }
}
