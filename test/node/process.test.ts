/** What a process undoes when it ends early, and in which order. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { temporaryDirectory } from '../helpers/fixtures.js';

const PROCESS = new URL('../../dist/node/process.js', import.meta.url).href;
const NPM = new URL('../../dist/data/npm.js', import.meta.url).href;

it('undoes the latest first', () => {
  const script = `
    const { undoAtEnd } = await import(${JSON.stringify(PROCESS)});
    for (const name of ['directory', 'what writes into it']) undoAtEnd(() => console.log(name));`;
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  expect(said).toBe('what writes into it\ndirectory\n');
});

it.skipIf(process.platform === 'win32')('a signal ends npm, too', async () => {
  const directory = await temporaryDirectory();
  const alive = join(directory, 'alive');
  execFileSync('mkfifo', [alive]);
  // Says its number, and keeps the pipe open until its end.
  await writeFile(join(directory, 'npm'), `#!/bin/sh\nexec 3> '${alive}'\necho $$ >&3\nexec sleep 100000\n`);
  await chmod(join(directory, 'npm'), 0o755);
  const script = `const { npm } = await import(${JSON.stringify(NPM)}); await npm(['view', 'x']);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, PATH: `${directory}${delimiter}${process.env.PATH}` },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const pipe = createReadStream(alive, 'utf8');
  const [pid] = await once(pipe, 'data');
  onTestFinished(() => {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It has ended.
    }
  });
  const npmEnded = once(pipe.resume(), 'end');
  child.kill('SIGTERM');
  expect(await once(child, 'close')).toEqual([null, 'SIGTERM']);
  await npmEnded;
});
