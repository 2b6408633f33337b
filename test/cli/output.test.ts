import { execFileSync, spawn } from 'node:child_process';
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkWritable, writeAtomically } from '../../src/cli/output.js';
import { makeDirectory } from '../../src/files.js';
import { temporaryDirectory } from '../helpers/fixtures.js';

const force = { force: true };
const keep = { force: false };
const bytes = Uint8Array.of(1, 2, 3);

const fileError = (message: RegExp) =>
  expect.objectContaining({ code: 'file', message: expect.stringMatching(message) });

describe('writeAtomically', () => {
  it('writes a file and leaves nothing else', async () => {
    const directory = await temporaryDirectory();
    await writeAtomically(join(directory, 'out.ddc'), bytes, keep);
    expect(await readdir(directory)).toEqual(['out.ddc']);
    expect(new Uint8Array(await readFile(join(directory, 'out.ddc')))).toEqual(bytes);
    expect((await stat(join(directory, 'out.ddc'))).nlink).toBe(1);
  });

  it('replaces a file with force only', async () => {
    const directory = await temporaryDirectory();
    const path = join(directory, 'out.ddc');
    await writeFile(path, 'old');
    await expect(writeAtomically(path, bytes, keep)).rejects.toEqual(fileError(/exists already; use --force/));
    expect(await readFile(path, 'utf8')).toBe('old');
    await writeAtomically(path, bytes, force);
    expect(await readdir(directory)).toEqual(['out.ddc']);
    expect(new Uint8Array(await readFile(path))).toEqual(bytes);
  });

  it('lets one of many writers of a name win, whole', async () => {
    const directory = await temporaryDirectory();
    const path = join(directory, 'out.ddc');
    const writers = Array.from({ length: 8 }, (_, i) => writeAtomically(path, new Uint8Array(100_000).fill(i), keep));
    const results = await Promise.allSettled(writers);
    expect(results.filter((r) => r.status === 'fulfilled')).toHaveLength(1);
    expect(new Set(await readFile(path)).size).toBe(1);
    expect(await readdir(directory)).toEqual(['out.ddc']);
  });

  it('takes long names and says what is wrong with a directory', async () => {
    const directory = await temporaryDirectory();
    await writeAtomically(join(directory, 'n'.repeat(250)), bytes, keep);
    await expect(writeAtomically(join(directory, 'n'.repeat(300)), bytes, keep)).rejects.toEqual(fileError(/too long/));
    await expect(writeAtomically(join(directory, 'none', 'x'), bytes, keep)).rejects.toEqual(fileError(/no such file/));
  });

  it('removes its temporary file when it is interrupted', async () => {
    const directory = await temporaryDirectory();
    const module = new URL('../../dist/cli/output.js', import.meta.url).href;
    // The child stops itself while the file is being written.
    const script = `
      const { writeAtomically } = await import(${JSON.stringify(module)});
      const done = writeAtomically(${JSON.stringify(join(directory, 'out'))}, new Uint8Array(300e6), { force: false });
      const { readdirSync } = await import('node:fs');
      while (readdirSync(${JSON.stringify(directory)}).length === 0) await new Promise((r) => setImmediate(r));
      process.kill(process.pid, 'SIGTERM');
      await done;`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(code).toBe(128 + 15);
    expect(await readdir(directory)).toEqual([]);
  });
});

describe('checkWritable', () => {
  it('accepts a new name, and an existing file with force', async () => {
    const directory = await temporaryDirectory();
    await checkWritable(join(directory, 'new'), keep);
    await writeFile(join(directory, 'old'), '');
    await checkWritable(join(directory, 'old'), force);
    expect(await readdir(directory)).toEqual(['old']);
  });

  it('refuses existing files, directories, devices and missing directories', async () => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'old'), '');
    execFileSync('mkfifo', [join(directory, 'pipe')]);
    await expect(checkWritable(join(directory, 'old'), keep)).rejects.toEqual(fileError(/--force/));
    await expect(checkWritable(directory, force)).rejects.toEqual(fileError(/directory/));
    await expect(checkWritable(join(directory, 'pipe'), force)).rejects.toEqual(fileError(/not a regular file/));
    await expect(checkWritable(join(directory, 'none', 'x'), keep)).rejects.toEqual(fileError(/no such file/));
    await expect(checkWritable(join(directory, 'old', 'x'), keep)).rejects.toEqual(fileError(/not a directory/));
  });
});

describe('makeDirectory', () => {
  it('makes directories above as well, and is content with what is there', async () => {
    const directory = await temporaryDirectory();
    await makeDirectory(join(directory, 'a', 'b'));
    await makeDirectory(join(directory, 'a', 'b'));
    await mkdir(join(directory, 'real'));
    await symlink(join(directory, 'real'), join(directory, 'link'));
    await makeDirectory(join(directory, 'link', 'c'));
    expect(await readdir(join(directory, 'real'))).toEqual(['c']);
  });

  it('refuses where a file is in the way, and where none can be made', async () => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'file'), '');
    await expect(makeDirectory(join(directory, 'file'))).rejects.toEqual(fileError(/a file has that name/));
    await expect(makeDirectory(join(directory, 'file', 'x'))).rejects.toEqual(fileError(/a file has that name/));
    // mkdir with `recursive` never returns here.
    if (process.platform === 'linux')
      await expect(makeDirectory('/proc/x/y')).rejects.toEqual(fileError(/cannot make/));
  });
});
