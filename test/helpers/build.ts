/** Builds `dist` once before the tests that run the real executable. Builds only what has changed since the last time. */
import { execFile } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export default async function build(): Promise<void> {
  const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const project = fileURLToPath(new URL('../../tsconfig.build.json', import.meta.url));
  const state = fileURLToPath(new URL('../../node_modules/.cache/ddpm-codec/build.tsbuildinfo', import.meta.url));
  if (!existsSync(new URL('../../dist/index.js', import.meta.url))) rmSync(state, { force: true });
  const incremental = ['--incremental', '--tsBuildInfoFile', state];
  await promisify(execFile)(process.execPath, [compiler, '-p', project, ...incremental]).catch((error) => {
    throw new Error(`the build failed, which the command line's tests need:\n${error.stdout}`);
  });
}
