/** Builds the page into `page`; it loads no files from elsewhere. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { defineConfig, type Plugin } from 'vite';

export default defineConfig({
  base: './',
  worker: { format: 'es' },
  build: { outDir: '../page', emptyOutDir: true, target: 'es2023' },
  plugins: [listEngine()],
});

/**
 * Writes `engine.json`, which lists the files that are byte for byte those of onnxruntime-web. They need not be packed
 * with the page.
 */
function listEngine(): Plugin {
  const engine = dirname(createRequire(import.meta.url).resolve('onnxruntime-web/wasm'));
  return {
    name: 'list-engine',
    async writeBundle({ dir }) {
      const { version } = JSON.parse(await readFile(join(engine, '..', 'package.json'), 'utf8'));
      const originals = (await readdir(engine)).filter((name) => name.endsWith('.wasm'));
      const files: Record<string, string> = {};
      for (const asset of (await readdir(join(dir!, 'assets'))).filter((name) => name.endsWith('.wasm'))) {
        const content = await readFile(join(dir!, 'assets', asset));
        const contents = await Promise.all(originals.map((name) => readFile(join(engine, name))));
        const original = originals[contents.findIndex((one) => one.equals(content))];
        if (original === undefined) throw new Error(`${asset}: expected a file of onnxruntime-web`);
        files[`assets/${asset}`] = original;
      }
      await writeFile(join(dir!, 'engine.json'), `${JSON.stringify({ version, files }, null, 2)}\n`);
    },
  };
}
