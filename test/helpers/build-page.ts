/** Builds `page` once before the tests that open or write it, if its sources are newer. Runs after `build.ts`. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export default async function buildPage(): Promise<void> {
  const built = join(ROOT, 'page', 'index.html');
  const sources = [join(ROOT, 'web'), join(ROOT, 'dist')];
  if (existsSync(built) && statSync(built).mtimeMs > Math.max(...sources.map(newest))) return;
  const vite = join(ROOT, 'node_modules', 'vite', 'bin', 'vite.js');
  const build = promisify(execFile)(process.execPath, [vite, 'build', 'web'], { cwd: ROOT });
  await build.catch((error) => {
    throw new Error(`the page was not built:\n${error.stdout}${error.stderr}`);
  });
}

function newest(directory: string): number {
  const paths = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  return Math.max(...paths.map((path) => statSync(join(directory, path)).mtimeMs));
}
