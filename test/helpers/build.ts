/** Builds `dist` once before the tests that run the real executable. */
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export default async function build(): Promise<void> {
  const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const project = fileURLToPath(new URL('../../tsconfig.build.json', import.meta.url));
  await promisify(execFile)(process.execPath, [compiler, '-p', project]).catch((error) => {
    throw new Error(`the build failed, which the command line's tests need:\n${error.stdout}`);
  });
}
