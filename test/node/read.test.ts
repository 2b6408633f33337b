/** Reading files that others may have made. */
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkReadable, readJsonFile, readRegularFile } from '../../src/node/read.js';

let directory: string;
const at = (name: string) => join(directory, name);
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-read-'));
  await writeFile(at('five'), '12345');
});
afterAll(() => rm(directory, { recursive: true, force: true }));

test('a file of the largest size is read, a larger one refused by its size', async () => {
  expect((await readRegularFile(at('five'), { largest: 5 })).toString()).toBe('12345');
  await expect(readRegularFile(at('five'), { largest: 4 })).rejects.toMatchObject({
    code: 'file',
    message: expect.stringMatching(/five: expected at most 4 bytes, but this file has 5$/),
  });
});

test.each([
  ['a directory', () => directory, 'file', /expected a file, but this is a directory$/],
  ['nothing', () => at('nothing'), 'file', /no such file or directory$/],
  ['a name with a zero byte', () => at('fi\0ve'), 'usage', /^path: expected the name of a file, got "[^\0]*"$/],
  ['no name', () => undefined as unknown as string, 'usage', /^path: expected the name of a file/],
])('%s is refused, now and before long work', async (_, path, code, message) => {
  const refusal = { code, message: expect.stringMatching(message) };
  await expect(readRegularFile(path())).rejects.toMatchObject(refusal);
  await expect(checkReadable(path())).rejects.toMatchObject(refusal);
});

test.skipIf(process.platform !== 'linux')('an endless device is refused, by its name and by a link', async () => {
  await symlink('/dev/zero', at('link'));
  for (const path of ['/dev/zero', at('link')]) {
    await expect(readRegularFile(path)).rejects.toThrow(/expected a file, but this is not a regular file$/);
  }
});

test('JSON is parsed, and what is none is told by the code that was asked for', async () => {
  await expect(readJsonFile(at('five'))).resolves.toBe(12345);
  await writeFile(at('broken'), '{');
  await expect(readJsonFile(at('broken'), 'model')).rejects.toMatchObject({ code: 'model' });
});
