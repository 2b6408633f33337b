import { execFileSync, spawn } from 'node:child_process';
import fs, {
  chmod,
  chown,
  link,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { checkResult, checkWritable, writeAtomically } from '../../src/cli/output.js';
import { makeDirectory } from '../../src/node/files.js';
import { createTemporaryFile, isTemporary } from '../../src/node/write.js';
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

  it('keeps who may read a file that it replaces, at every moment', async () => {
    const directory = await temporaryDirectory();
    const path = join(directory, 'private');
    for (const mode of [0o600, 0o640, 0o400, 0o666]) {
      await writeFile(path, 'old');
      await chmod(path, mode);
      const temporary = await createTemporaryFile(path);
      expect((await temporary.handle.stat()).mode & 0o777).toBe(mode);
      await temporary.keep({ replace: true });
      await temporary.discard();
      expect((await stat(path)).mode & 0o777).toBe(mode);
      await rm(path);
    }
  });

  it.runIf(process.getuid?.() === 0)('keeps whose a file is that root replaces', async () => {
    const path = join(await temporaryDirectory(), 'theirs');
    await writeFile(path, 'old');
    await chown(path, 1234, 2345);
    await writeAtomically(path, bytes, force);
    expect(await stat(path)).toMatchObject({ uid: 1234, gid: 2345 });
  });

  it('replaces what a link leads to, and keeps the link; other names of a file keep what was there', async () => {
    const directory = await temporaryDirectory();
    await mkdir(join(directory, 'below'));
    await writeFile(join(directory, 'below', 'real'), 'old');
    await chmod(join(directory, 'below', 'real'), 0o600);
    await link(join(directory, 'below', 'real'), join(directory, 'other-name'));
    await symlink(join('below', 'real'), join(directory, 'link'));
    await symlink('link', join(directory, 'link-to-link'));
    const path = join(directory, 'link-to-link');
    await expect(writeAtomically(path, bytes, keep)).rejects.toEqual(fileError(/exists already/));
    await checkWritable(path, force);
    await writeAtomically(path, bytes, force);
    expect(await readlink(path)).toBe('link');
    expect(await readlink(join(directory, 'link'))).toBe(join('below', 'real'));
    expect(new Uint8Array(await readFile(join(directory, 'below', 'real')))).toEqual(bytes);
    expect((await stat(join(directory, 'below', 'real'))).mode & 0o777).toBe(0o600);
    expect(await readFile(join(directory, 'other-name'), 'utf8')).toBe('old');
    expect(await readdir(join(directory, 'below'))).toEqual(['real']);
    expect((await readdir(directory)).sort()).toEqual(['below', 'link', 'link-to-link', 'other-name']);
  });

  it('takes long names and says what is wrong with a directory', async () => {
    const directory = await temporaryDirectory();
    await writeAtomically(join(directory, 'n'.repeat(250)), bytes, keep);
    await expect(writeAtomically(join(directory, 'n'.repeat(300)), bytes, keep)).rejects.toEqual(fileError(/too long/));
    await expect(writeAtomically(join(directory, 'none', 'x'), bytes, keep)).rejects.toEqual(fileError(/no such file/));
  });

  it('takes names of 255 bytes, however few characters that is', async () => {
    const directory = await temporaryDirectory();
    for (const name of ['猫'.repeat(85), '🐈'.repeat(63)]) {
      await writeAtomically(join(directory, name), bytes, keep);
      expect(new Uint8Array(await readFile(join(directory, name)))).toEqual(bytes);
    }
    expect(await readdir(directory)).toHaveLength(2);
  });

  it('needs no links: an exclusive claim of the name does as well', async () => {
    const directory = await temporaryDirectory();
    // FAT and some network file systems behave like this.
    const noLinks = vi.spyOn(fs, 'link').mockRejectedValue(Object.assign(new Error('no links'), { code: 'EPERM' }));
    syncBuiltinESMExports();
    onTestFinished(() => {
      noLinks.mockRestore();
      syncBuiltinESMExports();
    });
    const path = join(directory, 'out.ddc');
    const writers = Array.from({ length: 8 }, (_, i) => writeAtomically(path, new Uint8Array(100_000).fill(i), keep));
    const results = await Promise.allSettled(writers);
    expect(noLinks).toHaveBeenCalledTimes(8);
    const won = results.findIndex((r) => r.status === 'fulfilled');
    expect(results.filter((r) => r.status === 'fulfilled')).toHaveLength(1);
    expect(await readFile(path)).toEqual(Buffer.alloc(100_000, won));
    await expect(writeAtomically(path, bytes, keep)).rejects.toEqual(fileError(/exists already/));
    expect(await readdir(directory)).toEqual(['out.ddc']);
  });

  describe.each([
    ['SIGTERM', "process.kill(process.pid, 'SIGTERM')", 'SIGTERM', 0],
    ['the end of the process', 'process.exit(3)', 3, 0],
    ['an error that nobody catches', "setImmediate(() => { throw new Error('x'); })", 1, 0],
    ['SIGKILL', "process.kill(process.pid, 'SIGKILL')", 'SIGKILL', 1],
  ] as const)('stopped while it writes, by %s', (_, stop, expected, left) => {
    it(`leaves ${left === 0 ? 'nothing' : 'what is known by its name'}`, async () => {
      const directory = await temporaryDirectory();
      const module = new URL('../../dist/cli/output.js', import.meta.url).href;
      const script = `
        const { writeAtomically } = await import(${JSON.stringify(module)});
        const done = writeAtomically(${JSON.stringify(join(directory, 'out'))}, new Uint8Array(300e6), { force: false });
        const { readdirSync } = await import('node:fs');
        while (readdirSync(${JSON.stringify(directory)}).length === 0) await new Promise((r) => setImmediate(r));
        ${stop};
        await done;`;
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' });
      const end = await new Promise((resolve) => child.on('close', (code, signal) => resolve(signal ?? code)));
      expect(end).toBe(expected);
      const names = await readdir(directory);
      expect(names).toHaveLength(left);
      expect(names.every(isTemporary)).toBe(true);
      await writeAtomically(join(directory, 'out'), bytes, keep);
    });
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
    await expect(checkWritable(join(directory, 'pipe'), force)).rejects.toEqual(fileError(/this is a pipe/));
    await expect(checkWritable(join(directory, 'none', 'x'), keep)).rejects.toEqual(fileError(/no such file/));
    await expect(checkWritable(join(directory, 'old', 'x'), keep)).rejects.toEqual(fileError(/not a directory/));
  });
});

describe('what is no file, as an output', () => {
  it('is refused before the work, with advice, also with force', async () => {
    const directory = await temporaryDirectory();
    const at = (name: string) => join(directory, name);
    execFileSync('mkfifo', [at('pipe')]);
    await symlink('nowhere', at('dangling'));
    await symlink('loop', at('loop'));
    await symlink('pipe', at('to-pipe'));
    await mkdir(at('directory'));
    await symlink('directory', at('to-directory'));
    for (const options of [keep, force]) {
      const refused = (path: string, message: RegExp) =>
        expect(checkResult(path, options)).rejects.toEqual(fileError(message));
      await refused(at('pipe'), /this is a pipe; name another one, or write into it with -o - > .*pipe$/);
      await refused(at('to-pipe'), /this is a pipe; name/);
      await refused('/dev/full', /this is a device; name another one, or write into it with -o - > \/dev\/full$/);
      await refused(at('dangling'), /this symbolic link leads nowhere .*; remove it, or make the file that it names$/);
      await refused(at('loop'), /leads nowhere \(too many symbolic links\)/);
      await refused(at('to-directory'), /this is a directory/);
    }
    // Also without an earlier check of the output.
    for (const options of [keep, force]) {
      await expect(writeAtomically(at('dangling'), bytes, options)).rejects.toEqual(fileError(/no such file/));
    }
    expect(await readlink(at('dangling'))).toBe('nowhere');
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
    // mkdir with `recursive` would never return here.
    if (process.platform === 'linux')
      await expect(makeDirectory('/proc/x/y')).rejects.toEqual(fileError(/cannot make/));
  });
});
