/** Directory locks, held by this process and by others that end in every possible way. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { LOCK_FILE, lockDirectory } from '../../src/node/lock.js';
import { temporaryDirectory } from '../helpers/fixtures.js';

const MODULE = new URL('../../dist/node/lock.js', import.meta.url).href;
const SINCE = '2026-01-02T03:04:05.678Z';

const refusal = (message: RegExp) => expect.objectContaining({ code: 'file', message: expect.stringMatching(message) });

/** Another process that has locked the directory and does nothing else. */
async function otherHolder(directory: string) {
  const script = `
    const { lockDirectory } = await import(${JSON.stringify(MODULE)});
    await lockDirectory(${JSON.stringify(directory)});
    console.log('locked');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

/** A directory with this lock. */
async function lockedBy(holder: unknown): Promise<string> {
  const directory = await temporaryDirectory();
  await writeFile(join(directory, LOCK_FILE), typeof holder === 'string' ? holder : JSON.stringify(holder));
  return directory;
}

it('one has a directory at a time, and leaves nothing there', async () => {
  const directory = await temporaryDirectory();
  const lock = await lockDirectory(directory);
  await expect(lockDirectory(directory)).rejects.toEqual(
    refusal(new RegExp(`in use by process ${process.pid} on ${hostname()} since 20.*Z; wait for its end`)),
  );
  lock.release();
  expect(await readdir(directory)).toEqual([]);
  (await lockDirectory(directory)).release();
});

it('who has it is said, until that process is gone', async () => {
  const directory = await temporaryDirectory();
  const child = await otherHolder(directory);
  await expect(lockDirectory(directory)).rejects.toEqual(refusal(new RegExp(`in use by process ${child.pid} on `)));
  child.kill('SIGKILL');
  await once(child, 'close');
  expect(await readdir(directory)).toEqual([LOCK_FILE]);
  (await lockDirectory(directory)).release();
  expect(await readdir(directory)).toEqual([]);
});

it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s removes it, and ends the process by itself', async (signal) => {
  const directory = await temporaryDirectory();
  const child = await otherHolder(directory);
  child.kill(signal);
  expect(await once(child, 'close')).toEqual([null, signal]);
  expect(await readdir(directory)).toEqual([]);
});

it('of many that find what a killed process left one takes it', async () => {
  const directory = await temporaryDirectory();
  const child = await otherHolder(directory);
  child.kill('SIGKILL');
  await once(child, 'close');
  const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockDirectory(directory)));
  const won = results.filter((result) => result.status === 'fulfilled');
  expect(won).toHaveLength(1);
  expect(JSON.parse(await readFile(join(directory, LOCK_FILE), 'utf8'))).toMatchObject({ pid: process.pid });
  won[0].value.release();
  expect(await readdir(directory)).toEqual([]);
});

it.runIf(process.platform === 'linux')('a later process with the same number is not taken for it', async () => {
  const holder = { pid: process.pid, host: hostname(), since: SINCE, began: 'another start/12345', id: '' };
  const directory = await lockedBy(holder);
  (await lockDirectory(directory)).release();
  expect(await readdir(directory)).toEqual([]);
});

it('what cannot be known is not decided: it is said what to remove', async () => {
  const unknownBeginning = await lockedBy({ pid: process.pid, host: hostname(), since: SINCE, began: null, id: '' });
  await expect(lockDirectory(unknownBeginning)).rejects.toEqual(
    refusal(/in use by process \d+ on .* since 2026-01-02T03:04:05\.678Z; .*if that is gone, remove .*\.lock$/),
  );
  const elsewhere = await lockedBy({ pid: 1, host: 'elsewhere.example', since: SINCE, began: 'x/1', id: '' });
  await expect(lockDirectory(elsewhere)).rejects.toEqual(
    refusal(/in use by process 1 on another host, elsewhere\.example, since .*if that is gone, remove .*\.lock$/),
  );
  for (const text of ['', '{}', '{"pid": -1}', 'x'.repeat(100_000), JSON.stringify({ pid: 1, host: '\x1b[2J' })]) {
    await expect(lockDirectory(await lockedBy(text))).rejects.toEqual(
      refusal(/in use, by .*\.lock; if no process works there, remove that file$/),
    );
  }
});

it.skipIf(process.platform === 'win32')('a pipe in its place makes nobody wait', async () => {
  const directory = await temporaryDirectory();
  execFileSync('mkfifo', [join(directory, LOCK_FILE)]);
  await expect(lockDirectory(directory)).rejects.toEqual(refusal(/in use, by .*\.lock/));
});

it('a lock that was taken from its holder is not removed with it', async () => {
  const directory = await temporaryDirectory();
  const lock = await lockDirectory(directory);
  const others = JSON.stringify({ pid: 1, host: 'elsewhere', since: SINCE, began: null, id: '' });
  await writeFile(join(directory, 'new'), others);
  execFileSync('mv', [join(directory, 'new'), join(directory, LOCK_FILE)]);
  lock.release();
  expect(await readFile(join(directory, LOCK_FILE), 'utf8')).toBe(others);
});
