/** The page that encodes and decodes in a browser: the files that a web server has to serve, by path. */
import { readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { object, record, string } from 'valibot';
import { bandFile } from '../codec/bands.js';
import { hexSha256 } from '../common/bytes.js';
import { CodecError, invalidArgument } from '../common/errors.js';
import { checked } from '../common/foreign.js';
import { exists } from './files.js';
import { CODEC_FILE, CONFIG_FILE, loadModelInfo, type ModelInfo, UPDATE_FILE, WEIGHTS_FILE } from './models.js';
import { readJsonFile, readRegularFile } from './read.js';

/** Output directory of `npm run build:page`. */
const BUILT = fileURLToPath(new URL('../../page', import.meta.url));
/** Lists the page's files that belong to onnxruntime-web, which is not packed with it. */
const ENGINE_FILE = 'engine.json';
const ENGINE = object({ version: string(), files: record(string(), string()) });
const ENGINE_PACKAGE = 'onnxruntime-web';

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
};

/** A file of the page. */
export interface PageFile {
  /** Media type. */
  readonly type: string;
  read(): Promise<Uint8Array>;
}

/**
 * All files of the page, by their path: `index.html`, `assets/...`, `models/index.json`, `models/photo/config.json`.
 * @param models names or directories of the models to include
 * @throws CodecError('file') where the page is not built; 'engine' where onnxruntime-web is missing or has another
 *   version
 */
export async function pageFiles(models: readonly string[]): Promise<Map<string, PageFile>> {
  const paths = [...(await builtFiles()), ...(await engineFiles())];
  return new Map([...paths.map(([path, file]) => [path, fileOnDisk(file)] as const), ...(await modelFiles(models))]);
}

/** Models and their index, in the form for `readModelIndex`: `models/index.json`, `models/photo/config.json`, ... */
export async function modelFiles(models: readonly string[]): Promise<Map<string, PageFile>> {
  const files = new Map<string, PageFile>();
  const index: unknown[] = [];
  for (const model of models) {
    const info = await loadModelInfo(model);
    const { name, id, directory } = info;
    if (files.has(`models/${name}/${CONFIG_FILE}`))
      throw invalidArgument('`models`', 'models of different names', models.join());
    const listed = await listFiles(info);
    index.push({ name, id, url: `${encodeURIComponent(name)}/`, files: listed });
    for (const file of listed) files.set(`models/${name}/${file.name}`, fileOnDisk(join(directory, file.name)));
  }
  const json = new TextEncoder().encode(JSON.stringify(index));
  return files.set('models/index.json', { type: TYPES['.json'], read: async () => json });
}

/** The files of a directory and its subdirectories, by their path in it. */
export async function directoryFiles(directory: string): Promise<Map<string, PageFile>> {
  return new Map([...(await pathsIn(directory))].map(([path, file]) => [path, fileOnDisk(file)]));
}

function fileOnDisk(path: string): PageFile {
  return { type: TYPES[extname(path)] ?? 'application/octet-stream', read: () => readRegularFile(path) };
}

async function pathsIn(directory: string): Promise<Map<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  return new Map(files.map((file) => [relative(directory, file).replaceAll('\\', '/'), file]));
}

async function builtFiles(): Promise<Map<string, string>> {
  if (!(await exists(join(BUILT, 'index.html')))) {
    throw new CodecError('file', `${BUILT}: the page is not built here; run "npm run build:page"`);
  }
  return pathsIn(BUILT);
}

/** ONNX Runtime for the page. A clone has it beside the page; an installed package has it as a separate package. */
async function engineFiles(): Promise<Map<string, string>> {
  const json = await readJsonFile(join(BUILT, ENGINE_FILE), 'file');
  const { version, files } = checked(ENGINE, json, ENGINE_FILE, 'file');
  const paths = Object.keys(files);
  const there = await Promise.all(paths.map((path) => exists(join(BUILT, path))));
  if (!there.includes(false)) return new Map();
  const directory = engineDirectory(version);
  return new Map(paths.map((path) => [path, join(directory, files[path])]));
}

function engineDirectory(version: string): string {
  const install = `the page needs the package ${ENGINE_PACKAGE} ${version}; run "npm install ${ENGINE_PACKAGE}@${version}"`;
  const require = createRequire(import.meta.url);
  let directory: string;
  try {
    directory = dirname(require.resolve(`${ENGINE_PACKAGE}/wasm`));
  } catch (cause) {
    throw new CodecError('engine', install, { cause });
  }
  const found = (require(join(directory, '../package.json')) as { version: string }).version;
  if (found !== version) throw new CodecError('engine', `${install}; ${found} is installed`);
  return directory;
}

async function listFiles({ directory, updates, bands = [] }: ModelInfo) {
  const names = [CONFIG_FILE, CODEC_FILE, WEIGHTS_FILE, ...(updates ? [UPDATE_FILE] : []), ...bands.map(bandFile)];
  return Promise.all(
    names.map(async (name) => {
      const bytes = await readRegularFile(join(directory, name));
      return { name, bytes: bytes.length, sha256: await hexSha256(bytes) };
    }),
  );
}
