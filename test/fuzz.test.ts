/** The fuzzer of `npm run fuzz`, for a few seconds; docs/FORMAT.md has the figures of long runs. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const FUZZER = fileURLToPath(new URL('../bench/fuzz.mjs', import.meta.url));

async function fuzz(...args: string[]) {
  const { stdout } = await promisify(execFile)(process.execPath, [FUZZER, ...args]);
  return JSON.parse(stdout);
}

test('broken files are refused or claimed to be what they are', async () => {
  const result = await fuzz('--cases', '3000', '--seed', 'ci');
  expect(result).toMatchObject({ cases: 3000, failures: 0 });
  // Every kind of outcome is met, so nothing is refused too early to be tested.
  expect(Object.keys(result.outcomes).sort()).toEqual(['complete', 'cut off', 'refused: format', 'refused: model']);
});

test('what passes decodes', async () => {
  const result = await fuzz('--target', 'decode', '--cases', '40', '--seed', 'ci');
  expect(result).toMatchObject({ cases: 40, failures: 0 });
});
