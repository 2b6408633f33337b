/** Builds the page into `page`, with nothing but files of its own. */
import { defineConfig } from 'vite';

export default defineConfig({
  base: './',
  worker: { format: 'es' },
  build: { outDir: '../page', emptyOutDir: true, target: 'es2023' },
});
