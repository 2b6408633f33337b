/** The user's store of models: it keeps the models that files were made with, and finds them by id. */
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MODEL_ID_DIGITS } from '../codec/format/header.js';
import { CodecError, invalidArgument } from '../common/errors.js';
import { readSafetensors } from '../model/safetensors.js';
import { createUpdate } from '../model/update.js';
import { makeDirectory, reasonOf } from './files.js';
import { isModelName, type StoredModel, storeDirectory, storedModels, storedModelsNamed } from './model-places.js';
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

/** Whether a model may have a file of this name; the store takes no others. */
export function isModelFile(name: string): boolean {
  return (
    [CONFIG_FILE, CODEC_FILE, WEIGHTS_FILE, SCHEDULER_FILE].includes(name) ||
    isDependentFile(name) ||
    /^(README|LICEN[CS]E|NOTICE)(\.(md|txt))?$/i.test(name)
  );
}

/** Result of {@link storeModel}. */
export interface Stored {
  readonly info: ModelInfo;
  /** False where the store already had it. */
  readonly isNew: boolean;
}

/**
 * Puts a model into the store, completely or not at all.
 * @param name of the model in the store
 * @param expected first hex digits of its id, where they are known
 * @param fill writes the model's files into a directory
 * @throws CodecError('usage') for an invalid name or another model's name, and for a model other than the expected one;
 *   'model' for incomplete files, or where a model there has the same first 24 bits of id, which is all that a file
 *   says about its model; 'file'
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
      // Remains of an earlier one.
      await rm(target, { recursive: true, force: true });
      try {
        await rename(temporary, target);
      } catch (error) {
        // Another process may have been faster.
        const other = await storedAs(info.id);
        if (!other) throw error;
        return { info: other, isNew: false };
      }
      return { info: { ...info, directory: join(target, name) }, isNew: true };
    }),
  );
}

/**
 * Removes a model from the store.
 * @param nameOrId name, or the first 6 or more hex digits of the id
 * @throws CodecError('usage') unless exactly one matches; 'file'
 */
export async function removeModel(nameOrId: string): Promise<StoredModel> {
  const meant = await storedModelsNamed(nameOrId);
  const [model] = meant;
  if (meant.length !== 1) {
    const choice = meant.length > 0 ? meant : await storedModels();
    const known = choice.map(({ name, id }) => `${name} (${id.slice(0, 12)})`).join(', ');
    throw invalidArgument('model', known === '' ? 'a model in the store, which is empty' : `one of ${known}`, nameOrId);
  }
  const directory = dirname(model.directory);
  await aboutStore(() =>
    // Moved first, so that nobody finds half of it.
    inTemporaryDirectory(directory, (temporary) => rename(directory, join(temporary, model.id))),
  );
  return model;
}

/** The store's model with this id, if it can be read. */
async function storedAs(id: string): Promise<ModelInfo | undefined> {
  const stored = (await storedModels()).some((model) => model.id === id);
  return stored ? loadModelInfo(id).catch(() => undefined) : undefined;
}

/** @throws CodecError where another model has the name, or files could not distinguish the two models */
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

/** Reads a complete model. @throws CodecError('model') when part of it is missing or does not fit */
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
    // Removes the temporary directory from the message.
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
