/**
 * Finds models by name or id: in npm packages called `ddpm-codec-model-NAME`, including those that this package depends
 * on, and in the user's store.
 */
import { readdir, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MODEL_ID_DIGITS } from '../codec/format/header.js';
import { isObject } from '../common/foreign.js';
import { platformDirectory } from './platform-directory.js';
import { readJsonFile } from './read.js';

/** A directory with a model's files. */
export interface ModelPlace {
  readonly name: string;
  readonly directory: string;
  /** Hex, where it is known before the files are read; a package states it as `ddpmCodec.id` in its `package.json`. */
  readonly id?: string;
}

/** A model in the store. */
export interface StoredModel extends ModelPlace {
  /** Hex. */
  readonly id: string;
}

/** Prefix of the names of packages with a model. */
export const MODEL_PACKAGE = 'ddpm-codec-model-';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const ID = /^[0-9a-f]{64}$/;

/** Whether a text can be the beginning of a model's id: at least as many digits as files store of it. */
export function isIdPrefix(text: string): boolean {
  return text.length >= MODEL_ID_DIGITS && /^[0-9a-f]{1,64}$/.test(text);
}

/**
 * Models of packages that Node would find from this package, then from the working directory; of several with the same
 * name the nearest. None of their code is run.
 */
export async function packagedModels(): Promise<ModelPlace[]> {
  const found = new Map<string, ModelPlace>();
  for (const modules of new Set([...modulesAbove(ROOT), ...modulesAbove(workingDirectory())])) {
    const packages = await readdir(modules).catch(() => []);
    for (const name of packages.filter((name) => name.startsWith(MODEL_PACKAGE)).sort()) {
      const model = name.slice(MODEL_PACKAGE.length);
      // Undefined for a broken link.
      const directory = await realpath(join(modules, name)).catch(() => undefined);
      if (directory === undefined || found.has(model)) continue;
      const id = await statedId(directory);
      found.set(model, { name: model, directory, ...(id !== undefined && { id }) });
    }
  }
  return [...found.values()];
}

/** The id that a package states of its model, so that others need not be read and hashed to find the model of a file. */
async function statedId(directory: string): Promise<string | undefined> {
  const manifest = await readJsonFile(join(directory, 'package.json')).catch(() => undefined);
  const stated = isObject(manifest) && isObject(manifest.ddpmCodec) ? manifest.ddpmCodec.id : undefined;
  return typeof stated === 'string' && ID.test(stated) ? stated : undefined;
}

/** DDPM_CODEC_MODELS if it is set, otherwise `models` in the platform's directory for lasting data. */
export function storeDirectory(): string {
  const { DDPM_CODEC_MODELS } = process.env;
  return DDPM_CODEC_MODELS ? resolve(DDPM_CODEC_MODELS) : join(platformDirectory('data'), 'models');
}

/** Models in the store, each in `ID/NAME`, sorted by name. */
export async function storedModels(): Promise<StoredModel[]> {
  const store = storeDirectory();
  const ids = (await readdir(store).catch(() => [])).filter((name) => ID.test(name));
  const models = await Promise.all(
    ids.map(async (id) => {
      const entries = await readdir(join(store, id), { withFileTypes: true }).catch(() => []);
      // The system may put files of its own beside it.
      const names = entries.filter((entry) => entry.isDirectory() && isModelName(entry.name)).map(({ name }) => name);
      return names.map((name) => ({ id, name, directory: join(store, id, name) }));
    }),
  );
  const key = ({ name, id }: StoredModel) => `${name} ${id}`;
  return models.flat().sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** The models in the store that a text may mean: a name, or the beginning of an id. */
export async function storedModelsNamed(text: string): Promise<StoredModel[]> {
  const stored = await storedModels();
  return stored.filter(({ name, id }) => name === text || (isIdPrefix(text) && id.startsWith(text)));
}

/**
 * Whether a text can be a model's name in the store: it is valid as a directory name on any system, and has no special
 * meaning for `--model`.
 */
export function isModelName(text: string): boolean {
  return /^[a-z0-9][\w.-]{0,63}$/i.test(text) && !/\.$|^(auto|none|con|prn|aux|nul|(com|lpt)\d)(\.|$)/i.test(text);
}

/** The `node_modules` directories that Node searches from a directory. */
function modulesAbove(directory: string): string[] {
  const modules = basename(directory) === 'node_modules' ? directory : join(directory, 'node_modules');
  const parent = dirname(directory);
  return parent === directory ? [modules] : [modules, ...modulesAbove(parent)];
}

function workingDirectory(): string {
  try {
    return process.cwd();
  } catch {
    // The working directory was deleted.
    return ROOT;
  }
}
