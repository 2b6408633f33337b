/** The fuzzer of `npm run fuzz`, for a few seconds per format. docs/FORMAT.md has the figures of long runs. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const FUZZER = fileURLToPath(new URL('../bench/fuzz.mjs', import.meta.url));

async function fuzz(...args: string[]) {
  // When cases fail, the document says so as well, and stderr has details.
  const { stdout } = await promisify(execFile)(process.execPath, [FUZZER, ...args]).catch((error) => error);
  return JSON.parse(stdout);
}

test('broken files are refused or claimed to be what they are', async () => {
  const result = await fuzz('--target', 'parse', '--cases', '3000', '--seed', 'ci');
  expect(result).toMatchObject({ cases: 3000, failures: 0, failed: [] });
  // Every kind of outcome occurs, so nothing is refused too early to be tested.
  expect(Object.keys(result.outcomes).sort()).toEqual(['complete', 'cut off', 'refused: format', 'refused: model']);
});

test('what passes decodes', async () => {
  const result = await fuzz('--target', 'decode', '--cases', '40', '--seed', 'ci');
  expect(result).toMatchObject({ cases: 40, failures: 0, failed: [] });
});

test.each([
  ...(['safetensors', 'pickle', 'npz', 'checkpoint', 'update-checkpoint'] as const),
  ...(['config', 'codec', 'scheduler', 'shards', 'run', 'image', 'hub'] as const),
])('%s: broken ones are refused, others read', async (target) => {
  const result = await fuzz('--target', target, '--cases', '300', '--seed', 'ci');
  expect(result).toMatchObject({ target, cases: 300, failures: 0, failed: [] });
  // Some are refused and some are read, so both paths are tested.
  const outcomes = Object.keys(result.outcomes);
  expect(outcomes).toContain('read');
  expect(outcomes.some((outcome) => outcome.startsWith('refused: '))).toBe(true);
});
