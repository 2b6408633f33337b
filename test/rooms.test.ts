/** The structure of `src`, as docs/ARCHITECTURE.md draws it: rooms import only from rooms below them, and there are no cycles. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../src/', import.meta.url));

/** From the bottom up. A module may import from its own room and from rooms earlier in this list. */
const ROOMS = [
  'common',
  'image',
  'engine',
  'model',
  'model/training',
  'model/import',
  'codec/bits',
  'codec/trellis',
  'codec/drawing',
  'codec/lossless',
  'codec/format',
  'codec',
  'codec/encoder',
  'codec/decoder',
  '(core)',
  'browser',
  'node',
  'data',
  'report',
  'cli',
  '(entries)',
] as const;

/** Rooms whose modules run anywhere. tsconfig.core.json checks that they use nothing from Node. */
const NEUTRAL = ['common', 'image', 'engine', 'model', 'codec'];

const modules = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => /\.(ts|js)$/.test(path) && !path.endsWith('.d.ts'));

/** A module's imports, including types and dynamic imports: our modules by path, others by name. */
function importsOf(module: string): string[] {
  const { importedFiles } = ts.preProcessFile(readFileSync(join(SRC, module), 'utf8'), true, true);
  return importedFiles.map(({ fileName }) => {
    if (!fileName.startsWith('.')) return fileName;
    const path = posix.normalize(posix.join(dirname(module).replaceAll('\\', '/'), fileName));
    return modules.includes(path) ? path : path.replace(/\.js$/, '.ts');
  });
}

const graph = new Map(modules.map((module) => [module, importsOf(module)]));

function roomOf(module: string): (typeof ROOMS)[number] {
  if (module === 'core.ts') return '(core)';
  if (!module.includes('/')) return '(entries)';
  const rooms = ROOMS.filter((room) => module.startsWith(`${room}/`));
  return rooms.sort((a, b) => b.length - a.length)[0];
}

test('every module is in a room', () => {
  expect(modules.filter((module) => roomOf(module) === undefined)).toEqual([]);
  expect(modules.length).toBeGreaterThan(100);
});

test('imports lead to modules that exist', () => {
  const missing = [...graph].flatMap(([module, imports]) =>
    imports
      .filter((path) => /\.(ts|js)$/.test(path) && path.includes('/') && !path.startsWith('@'))
      .filter((path) => !graph.has(path) && path.endsWith('.ts'))
      .map((path) => `${module} -> ${path}`),
  );
  expect(missing).toEqual([]);
});

test('imports go one way', () => {
  const upwards = [...graph].flatMap(([module, imports]) =>
    imports
      .filter((path) => graph.has(path))
      .filter((path) => ROOMS.indexOf(roomOf(path)) > ROOMS.indexOf(roomOf(module)))
      .map((path) => `${module} -> ${path}`),
  );
  expect(upwards).toEqual([]);
});

test('no circles', () => {
  const done = new Set<string>();
  const circles: string[] = [];
  function visit(module: string, path: readonly string[]): void {
    const start = path.indexOf(module);
    if (start >= 0) {
      circles.push([...path.slice(start), module].join(' -> '));
      return;
    }
    if (done.has(module)) return;
    for (const next of graph.get(module) ?? []) if (graph.has(next)) visit(next, [...path, module]);
    done.add(module);
  }
  for (const module of graph.keys()) visit(module, []);
  expect(circles).toEqual([]);
});

test('the rooms that run anywhere import nothing of Node and no package that needs it', () => {
  const packages = new Set(
    [...graph]
      .filter(([module]) => NEUTRAL.includes(module.split('/')[0]) && !/^model\/(training|import)\//.test(module))
      .flatMap(([, imports]) => imports)
      .filter((name) => !graph.has(name)),
  );
  expect([...packages].sort()).toEqual([
    '@bufbuild/protobuf/wire',
    '@tensorflow/tfjs-core',
    'msgpackr',
    // Types only.
    'onnxruntime-common',
    'seedrandom',
    'valibot',
  ]);
});

test('decoding alone loads neither encoder nor pictures, reports or command line', () => {
  const loaded = new Set<string>();
  const load = (module: string) => {
    if (loaded.has(module)) return;
    loaded.add(module);
    for (const next of graph.get(module) ?? []) load(next);
  };
  load('decode.ts');
  expect(loaded).toContain('codec/decoder/decoder.ts');
  const unwanted =
    /^(codec\/encoder|report|data|cli|node\/image|model\/training)\/|^(sharp|yargs|tar|wasm-vips|ml-matrix)$/;
  expect([...loaded].filter((module) => unwanted.test(module))).toEqual([]);
});

describe('doors', () => {
  /** Modules whose text matches this. */
  const modulesWith = (pattern: RegExp) =>
    modules.filter((module) => pattern.test(readFileSync(join(SRC, module), 'utf8'))).sort();

  test('files of others are opened by one module; the rest read what comes with the package, or the system says', () => {
    const own = ['node/lock.ts', 'node/version.ts', 'cli/streams.ts', 'report/published.ts', 'report/rd/page.ts'];
    const streams = ['data/download.ts', 'data/tarball.ts'];
    const found = modulesWith(/\b(readFile|readFileSync|createReadStream)\(/);
    expect(found).toEqual([...own, ...streams, 'node/read.ts'].sort());
  });

  test('files are written by one module; the rest adds to what it began', () => {
    const found = modulesWith(/\b(writeFile|writeFileSync|createWriteStream|appendFile)\(/);
    const begun = ['cli/train/files.ts', 'data/cifar10-import.ts', 'data/download.ts', 'data/tarball.ts'];
    expect(found).toEqual([...begun, 'node/write.ts']);
  });

  test('one module listens for signals and ends the process', () => {
    expect(modulesWith(/\bprocess\.(exit|kill)\(/)).toEqual(['node/lock.ts', 'node/process.ts']);
    expect(modulesWith(/process\.(on|once)\((name|signal|'SIG)/)).toEqual(['node/process.ts']);
  });

  test('what is printed goes through the console', () => {
    expect(modulesWith(/\bconsole\.(log|warn|info)\(/)).toEqual([]);
    expect(modulesWith(/process\.std(out|err)\.write\(/)).toEqual(['cli/streams.ts']);
  });
});
