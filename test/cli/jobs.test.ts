import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Console, describeError } from '../../src/cli/console.js';
import { type JobPlan, planJobs, runJobs } from '../../src/cli/jobs.js';
import { CodecError } from '../../src/common/errors.js';
import { temporaryDirectory } from '../helpers/fixtures.js';

const options = { extensions: ['.png', '.jpg'], kind: 'pictures', outputName: (name: string) => `${name}.ddc` };

async function directoryWith(...names: string[]): Promise<string> {
  const directory = await temporaryDirectory();
  for (const name of names) {
    await mkdir(join(directory, name, '..'), { recursive: true });
    await writeFile(join(directory, name), '');
  }
  return directory;
}

describe('planJobs', () => {
  it('puts a result beside its input', async () => {
    const { jobs, batch } = await planJobs(['in/a.png'], options);
    expect({ jobs, batch }).toEqual({ jobs: [{ input: 'in/a.png', output: 'in/a.png.ddc' }], batch: false });
  });

  it('takes -o as a file for one input, as a directory where it is one or ends in a slash', async () => {
    const d = await directoryWith('a.png', 'out/x');
    const outputOf = async (output: string) =>
      (await planJobs([join(d, 'a.png')], { ...options, output })).jobs[0].output;
    expect(await outputOf(join(d, 'b.ddc'))).toBe(join(d, 'b.ddc'));
    expect(await outputOf(join(d, 'out'))).toBe(join(d, 'out/a.png.ddc'));
    expect(await outputOf(`${d}/new/`)).toBe(join(d, 'new/a.png.ddc'));
  });

  it('takes the files of a directory, sorted, by extension, not those below', async () => {
    const d = await directoryWith('in/b.png', 'in/a.JPG', 'in/notes.txt', 'in/below/c.png');
    const { jobs, batch } = await planJobs([join(d, 'in')], { ...options, output: join(d, 'out') });
    expect(batch).toBe(true);
    expect(jobs).toEqual([
      { input: join(d, 'in/a.JPG'), output: join(d, 'out/a.JPG.ddc') },
      { input: join(d, 'in/b.png'), output: join(d, 'out/b.png.ddc') },
    ]);
  });

  it('keeps pictures of the same name and another extension apart', async () => {
    const d = await directoryWith('a.png', 'a.jpg');
    const { jobs } = await planJobs([d], { ...options, output: join(d, 'out') });
    expect(new Set(jobs.map((job) => job.output)).size).toBe(2);
  });

  it('refuses two results of one name, also through a link', async () => {
    const d = await directoryWith('x/a.png', 'y/a.png');
    const inputs = [join(d, 'x/a.png'), join(d, 'y/a.png')];
    const collision = expect.objectContaining({ code: 'usage', message: expect.stringMatching(/both/) });
    await expect(planJobs(inputs, { ...options, output: join(d, 'out') })).rejects.toEqual(collision);
    await symlink(join(d, 'x'), join(d, 'z'));
    await expect(planJobs([inputs[0], join(d, 'z/a.png')], options)).rejects.toEqual(collision);
    await expect(planJobs([inputs[0], inputs[0]], options)).rejects.toEqual(collision);
  });

  it('refuses to write over an input, also through a link', async () => {
    const d = await directoryWith('a.png');
    const over = expect.objectContaining({
      code: 'usage',
      message: expect.stringMatching(/inputs are never overwritten/),
    });
    const input = join(d, 'a.png');
    await expect(planJobs([input], { ...options, output: input })).rejects.toEqual(over);
    await symlink(input, join(d, 'link.png'));
    await expect(planJobs([join(d, 'link.png')], { ...options, output: input })).rejects.toEqual(over);
    // If the output is a link, the file that it points to would be replaced.
    await expect(planJobs([input], { ...options, output: join(d, 'link.png') })).rejects.toEqual(over);
    await symlink(d, join(d, 'self'));
    await expect(planJobs([input], { ...options, output: join(d, 'self/a.png') })).rejects.toEqual(over);
  });

  it('refuses two results in one place, also through a link', async () => {
    const d = await directoryWith('a.png', 'b.png');
    await mkdir(join(d, 'out'));
    await symlink('b.png.ddc', join(d, 'out', 'a.png.ddc'));
    await writeFile(join(d, 'out', 'b.png.ddc'), '');
    await expect(
      planJobs([join(d, 'a.png'), join(d, 'b.png')], { ...options, output: join(d, 'out') }),
    ).rejects.toEqual(
      expect.objectContaining({ code: 'usage', message: expect.stringMatching(/would be made from both/) }),
    );
  });

  it('refuses a directory without such files', async () => {
    const d = await directoryWith('notes.txt');
    await expect(planJobs([d], options)).rejects.toMatchObject({
      code: 'file',
      message: expect.stringMatching(/no pictures/),
    });
  });
});

describe('runJobs', () => {
  const recorder = () => {
    const said: { results: string[]; errors: unknown[]; documents: unknown[] } = {
      results: [],
      errors: [],
      documents: [],
    };
    const console: Console = {
      result: (text) => said.results.push(...[text].flat()),
      answer: (text) => said.results.push(...[text].flat()),
      note() {},
      error: (error) => said.errors.push(error),
      wordsFor: describeError,
      document: (value) => said.documents.push(value),
      progress: () => ({ update() {}, stop() {} }),
    };
    return { console, said };
  };

  const plan = (d: string, names: string[], batch: boolean): JobPlan => ({
    batch,
    jobs: names.map((name) => ({ input: join(d, name), output: join(d, `${name}.ddc`) })),
  });

  it('goes on after a failure, checks outputs before any work, and counts failures at the end', async () => {
    const d = await directoryWith('a', 'b', 'c', 'c.ddc');
    const { console, said } = recorder();
    const worked: string[] = [];
    const perform = async ({ input }: { input: string }) => {
      expect(said.errors).toHaveLength(input.endsWith('a') ? 1 : 2);
      worked.push(input);
      if (input.endsWith('a')) throw new CodecError('image', 'broken');
      return { input };
    };
    const run = runJobs(plan(d, ['a', 'b', 'c'], true), false, console, perform, (r) => r.input, 'images');
    await expect(run).rejects.toMatchObject({ message: '2 of 3 files failed, see above' });
    expect(worked).toEqual([join(d, 'a'), join(d, 'b')]);
    expect(said.results).toEqual([join(d, 'b')]);
    expect(said.documents).toEqual([
      {
        images: [
          { input: join(d, 'a'), error: { code: 'image', message: `${join(d, 'a')}: broken` } },
          { input: join(d, 'b') },
          { input: join(d, 'c'), error: { code: 'file', message: expect.stringMatching(/exists/) } },
        ],
      },
    ]);
  });

  it('tells of inputs that cannot be read before any work', async () => {
    const d = await directoryWith('a');
    const { console, said } = recorder();
    const perform = async ({ input }: { input: string }) => {
      expect(said.errors).toHaveLength(1);
      return { input };
    };
    const run = runJobs(plan(d, ['a', 'none'], true), false, console, perform, (r) => r.input, 'images');
    await expect(run).rejects.toMatchObject({ message: '1 of 2 files failed, see above' });
    expect(said.errors).toEqual([
      expect.objectContaining({ code: 'file', message: expect.stringMatching(/no such file/) }),
    ]);
    expect(said.results).toEqual([join(d, 'a')]);
  });

  it('throws what is wrong with a single file, naming it', async () => {
    const d = await directoryWith('a');
    const { console, said } = recorder();
    const broken = async () => {
      throw new CodecError('format', 'damaged; see `tolerant`');
    };
    const run = runJobs(plan(d, ['a'], false), false, console, broken, String, 'images');
    await expect(run).rejects.toMatchObject({ code: 'format', message: `${join(d, 'a')}: damaged; see \`tolerant\`` });
    expect(said.errors).toEqual([]);
    // As on the console: the message uses the words of the command line.
    const error = { code: 'format', message: `${join(d, 'a')}: damaged; see --tolerant` };
    expect(said.documents).toEqual([{ images: [{ input: join(d, 'a'), error }] }]);
  });

  it('gives up when there is no engine', async () => {
    const d = await directoryWith('a', 'b');
    const { console, said } = recorder();
    const noEngine = async () => {
      throw new CodecError('engine', 'not installed');
    };
    const run = runJobs(plan(d, ['a', 'b'], true), false, console, noEngine, String, 'images');
    await expect(run).rejects.toMatchObject({ code: 'engine', message: 'not installed' });
    expect(said.documents).toEqual([]);
  });
});
