/**
 * Sources of models for the store: a directory, a tarball, an address of one, a package of the npm registry, the
 * Hugging Face Hub.
 */
import { copyFile, readdir, stat } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import { CodecError, invalidArgument } from '../common/errors.js';
import { MODEL_PACKAGE } from '../node/model-places.js';
import { isModelFile } from '../node/model-store.js';
import { CODEC_FILE } from '../node/models.js';
import { checkReadable, readRegularFile } from '../node/read.js';
import { inTemporaryDirectory, writeWhole } from '../node/write.js';
import { npmPack } from './fetch-package.js';
import { fetchFile, isRepositoryId, listRepository } from './hugging-face.js';
import { NpmMissing } from './npm.js';
import { fetchTarball, unpackBeside } from './tarball.js';

/** A model that can be fetched. */
export interface ModelSource {
  /** Its name at the source. */
  readonly name: string;
  /**
   * Writes the model's files into a directory, and no others.
   * @param onProgress called with the fraction that has arrived, 0..1, where it is known
   * @throws CodecError('file') where it cannot be fetched; 'model' where there is no model
   */
  readonly fill: (directory: string, onProgress?: (fraction: number) => void) => Promise<void>;
}

/** Maximum size of a model in bytes, packed or not. */
const MOST_BYTES = 2 ** 32;
/** A package of the registry, with a version or a tag. */
const PACKAGE = /^(@[a-z0-9][\w.-]*\/)?[a-z0-9][\w.-]*(@[\w.~-]+)?$/;

/**
 * Determines what a text names: a directory or a tarball (.tgz, .tar.gz) where one exists, an address (https:// or
 * http://), `npm:` and a package, a package whose name begins with `ddpm-codec-model-` or a scope, or `owner/name` of
 * the Hugging Face Hub. It fetches nothing yet.
 * @throws CodecError('usage') for none of these
 */
export async function findModelSource(text: string): Promise<ModelSource> {
  const status = await stat(text).catch(() => undefined);
  if (status?.isDirectory()) return { name: modelName(basename(resolve(text))), fill: (to) => copyFrom(text, to) };
  if (status) {
    await checkReadable(text);
    return { name: nameOfTarball(text), fill: (to) => unpackModel(text, to) };
  }
  if (/^https?:\/\//.test(text)) return fromAddress(text);
  const spec = text.replace(/^npm:/, '');
  if (PACKAGE.test(spec) && (spec !== text || spec.startsWith('@') || spec.startsWith(MODEL_PACKAGE))) {
    return fromRegistry(spec);
  }
  if (isRepositoryId(text))
    return { name: basename(text), fill: (to, onProgress) => fetchFromHub(text, to, onProgress) };
  throw invalidArgument(
    'source',
    `a directory, a .tgz, an address (https://), npm:PACKAGE, or owner/name of a repository`,
    text,
  );
}

async function copyFrom(directory: string, to: string): Promise<void> {
  const names = (await readdir(directory)).filter(isModelFile);
  checkThere(names, directory);
  for (const name of names) {
    await writeWhole(join(to, name), await readRegularFile(join(directory, name)), { replace: false });
  }
}

function fromAddress(address: string): ModelSource {
  if (!URL.canParse(address)) throw invalidArgument('source', 'an address', address);
  const { pathname } = new URL(address);
  const fill: ModelSource['fill'] = (to, onProgress) =>
    inTemporaryDirectory(to, async (directory) => {
      const tarball = join(directory, 'model.tgz');
      await fetchTarball(address, tarball, MOST_BYTES, onProgress);
      await unpackModel(tarball, to, address);
    });
  return { name: nameOfTarball(pathname), fill };
}

function fromRegistry(spec: string): ModelSource {
  const name = modelName(basename(spec.replace(/(?<=.)@.*$/, '')));
  const fill: ModelSource['fill'] = (to) =>
    inTemporaryDirectory(to, async (directory) => {
      const tarball = await npmPack(spec, directory, { most: MOST_BYTES }).catch((cause: unknown) => {
        if (!(cause instanceof NpmMissing)) throw cause;
        throw new CodecError('file', `cannot fetch ${spec}: npm is not on this machine; give the package's tarball`, {
          cause,
        });
      });
      await unpackModel(tarball, to, spec);
    });
  return { name, fill };
}

async function fetchFromHub(
  id: string,
  to: string,
  onProgress: ((fraction: number) => void) | undefined,
): Promise<void> {
  const repository = await listRepository(id);
  const files = repository.files.filter(({ path }) => isModelFile(path));
  checkThere(
    files.map(({ path }) => path),
    id,
    `; "ddpm-codec model import ${id}" makes one of a network`,
  );
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  if (bytes > MOST_BYTES) throw new CodecError('file', `${id}: expected a model of at most ${MOST_BYTES} bytes`);
  let before = 0;
  for (const file of files) {
    const tell = (fraction: number) => onProgress?.((before + fraction * file.bytes) / bytes);
    await copyFile(await fetchFile(repository, file, tell), join(to, file.path));
    before += file.bytes;
  }
}

/** Unpacks a model's files from the directory that contains `codec.json`. @param label of the tarball, for messages */
async function unpackModel(tarball: string, to: string, label = tarball): Promise<void> {
  const isThere = await unpackBeside(CODEC_FILE, tarball, to, { wanted: isModelFile, most: MOST_BYTES, label });
  checkThere(isThere ? [CODEC_FILE] : [], label);
}

function checkThere(names: readonly string[], where: string, instead = ''): void {
  if (names.includes(CODEC_FILE)) return;
  throw new CodecError('model', `${where}: expected a model, but there is no ${CODEC_FILE}${instead}`);
}

function nameOfTarball(path: string): string {
  const file = basename(path).replace(/\.tar(?=\.gz$)/, '');
  return modelName(basename(file, extname(file)).replace(/-\d+\.\d+\.\d+.*$/, ''));
}

/** A model's name, from the name of its package. */
function modelName(name: string): string {
  return name.startsWith(MODEL_PACKAGE) ? name.slice(MODEL_PACKAGE.length) : name;
}
