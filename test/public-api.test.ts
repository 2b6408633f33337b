/** What the package promises its users: everything is documented and typed, and nothing is loaded without need. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WEIGHTS_FILE } from '../src/node/models.js';
import { syntheticImage, toSharp } from './helpers/fixtures.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const ENTRIES = ['index', 'core', 'decode', 'browser/index'] as const;
const PACKAGE = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
/** Models installed with the package. */
const MODELS = ['cifar10', 'photo', 'photo2'];

const fileOf = (entry: string) => join(ROOT, 'src', `${entry}.ts`);
const { options: OPTIONS } = ts.parseJsonConfigFileContent(
  ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile).config,
  ts.sys,
  ROOT,
);
const program = ts.createProgram(ENTRIES.map(fileOf), { ...OPTIONS, lib: [...OPTIONS.lib!, 'lib.dom.d.ts'] });

/** The exported symbols of an entry, as the compiler sees them. */
function exportsOf(entry: string): { readonly name: string; readonly documented: boolean }[] {
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(fileOf(entry))!)!;
  return checker.getExportsOfModule(module).map((symbol) => {
    const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    return { name: symbol.name, documented: target.getDocumentationComment(checker).length > 0 };
  });
}

describe('exported symbols', () => {
  test.each(ENTRIES)('of %s are all documented', (entry) => {
    const symbols = exportsOf(entry);
    expect(symbols.length).toBeGreaterThan(10);
    expect(symbols.filter(({ documented }) => !documented).map(({ name }) => name)).toEqual([]);
  });

  test('are those that docs and examples name', async () => {
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
    const named = [...readme.matchAll(/import \{([^}]*)\} from 'ddpm-codec'/g)].flatMap(([, names]) =>
      names.split(','),
    );
    const there = Object.keys(await import(join(ROOT, 'dist/index.js')));
    expect(there).toEqual(expect.arrayContaining(named.map((name) => name.trim())));
    expect(named.length).toBeGreaterThan(3);
  });
});

test('package.json has an entry for each', () => {
  for (const [name, { types, default: file }] of Object.entries<{ types: string; default: string }>(PACKAGE.exports)) {
    if (name === './package.json') continue;
    expect([readFileSync(join(ROOT, types)).length, readFileSync(join(ROOT, file)).length]).not.toContain(0);
  }
  expect(Object.keys(PACKAGE.exports)).toEqual(['.', './decode', './core', './browser', './package.json']);
});

test('npm knows all that it is told here, also which scripts of other packages it is not to run', () => {
  const { stderr } = spawnSync('npm', ['config', 'list'], { cwd: ROOT, encoding: 'utf8' });
  expect(stderr).not.toMatch(/unknown/i);
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'));
  const names = Object.keys(packages).filter((path) => packages[path].hasInstallScript);
  const decided = Object.fromEntries(names.map((path) => [path.replace(/^.*node_modules\//, ''), false]));
  expect(PACKAGE.allowScripts).toMatchObject(decided);
});

describe('the packed tarball', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-test-'));
    install(directory);
  });
  afterAll(() => rm(directory, { recursive: true }));

  test('works for a script in TypeScript', async () => {
    writeFileSync(
      join(directory, 'script.ts'),
      `import { type DecodeResult, decode, encode, openEngine, openModelFor, type RgbImage } from 'ddpm-codec';
  import { createModel, openDecoder } from 'ddpm-codec/core';
  import { readInfo } from 'ddpm-codec/decode';

  const data = Uint8Array.from({ length: 8 * 6 * 3 }, (_, i) => (i * 5) % 256);
  const image: RgbImage = { width: 8, height: 6, data };
  const engine = await openEngine('auto');
  const model = await openModelFor(image, engine);
  const { bytes } = await encode(image, model, { targetRmse: 40, effort: 1 });
  const result: DecodeResult = await decode(bytes, await openModelFor(bytes, engine));
  const decoder = openDecoder(model);
  let points = 0;
  for await (const chunk of new Blob([bytes]).stream()) for await (const point of decoder.push(chunk)) points += point.stepsUsed >= 0 ? 1 : 0;
  const { steps = [] } = readInfo(bytes, model);
  console.log(result.complete, points >= steps.length, typeof createModel, decoder.state.needs);
  process.exit(0);
  `,
    );
    const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
    const options = ['--module', 'nodenext', '--target', 'es2023', '--lib', 'es2023', '--strict', 'script.ts'];
    execFileSync(process.execPath, [compiler, ...options], { cwd: directory, stdio: ['ignore', 'inherit', 'inherit'] });
    const stdout = execFileSync(process.execPath, ['script.js'], { cwd: directory, encoding: 'utf8' });
    expect(stdout.trim()).toBe('true true function nothing');
    // It contains neither sources nor tests.
    expect(readdirSync(join(directory, 'node_modules/ddpm-codec')).sort()).toEqual(
      [
        'CHANGELOG.md',
        'LICENSE',
        'README.md',
        'SECURITY.md',
        'bin',
        'dist',
        'docs',
        'package.json',
        'page',
        'published',
        'report-page',
      ].sort(),
    );
    for (const name of MODELS) {
      const files = readdirSync(join(directory, `node_modules/ddpm-codec-model-${name}`));
      expect(files).toEqual(
        expect.arrayContaining(['LICENSE', 'README.md', 'codec.json', 'config.json', WEIGHTS_FILE]),
      );
    }
    // The whole page except ONNX Runtime, which is a separate package.
    const page = readdirSync(join(directory, 'node_modules/ddpm-codec/page'), { recursive: true, encoding: 'utf8' });
    expect(page).toEqual(expect.arrayContaining(['index.html', 'engine.json']));
    expect(page.filter((name) => name.endsWith('.wasm'))).toEqual([]);
  });

  test('without onnxruntime-node a command says that it is slow, why, and what to do', async () => {
    rmSync(join(directory, 'node_modules/onnxruntime-node'));
    await toSharp(syntheticImage(4, 4)).toFile(join(directory, 'a.png'));
    const run = (...args: string[]) => {
      const command = ['node_modules/ddpm-codec/bin/ddpm-codec.js', 'encode', 'a.png', '--max-bytes', '20', '--quiet'];
      return spawnSync(process.execPath, [...command, ...args], { cwd: directory, encoding: 'utf8' });
    };
    expect(run('-o', 'a.ddc')).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(
        /engine wasm takes the place of onnx and is four to nine times slower: .*Cannot find package.*run "npm install --ignore-scripts onnxruntime-node" or use --engine wasm\n$/,
      ),
    });
    expect(run('-o', 'b.ddc', '--engine', 'wasm')).toMatchObject({ status: 0, stderr: '' });
  });
});

/** Installs the packed tarballs, ours and those of the models that it depends on, in a user's directory. */
function install(directory: string): void {
  const workspaces = ['--include-workspace-root', ...MODELS.flatMap((name) => ['--workspace', `models/${name}`])];
  const packed: { name: string; filename: string }[] = JSON.parse(
    execFileSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', directory, ...workspaces], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  );
  const modules = join(directory, 'node_modules');
  for (const { name, filename } of packed) {
    mkdirSync(join(modules, name), { recursive: true });
    execFileSync('tar', ['-xzf', filename, '--strip-components', '1', '-C', join(modules, name)], { cwd: directory });
  }
  // Its other dependencies are linked from this installation. It cannot find what it does not depend on.
  const wanted = [
    ...Object.keys(PACKAGE.dependencies).filter((name) => !packed.some((one) => one.name === name)),
    ...Object.keys(PACKAGE.optionalDependencies),
    '@types/node',
    '@types',
  ];
  for (const name of wanted) link(name, modules);
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ name: 'user', type: 'module' }));
}

/** Links one of our installed packages into a directory of modules; it resolves its dependencies from its real place. */
function link(name: string, modules: string): void {
  if (name.includes('/')) mkdirSync(join(modules, name.split('/')[0]), { recursive: true });
  const target = join(ROOT, 'node_modules', name);
  try {
    symlinkSync(target, join(modules, name), 'dir');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
