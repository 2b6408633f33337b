/** `-`: standard input and output instead of files. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readStream } from '../../src/cli/decode/source.js';
import { planJobs } from '../../src/cli/jobs.js';
import { streamForLines } from '../../src/cli/streams.js';
import { ddpmCodec, ddpmCodecJson, ddpmCodecMeanwhile, ddpmCodecPiped, EXECUTABLE } from '../helpers/cli.js';
import { cifarTestImages, temporaryDirectory, toSharp } from '../helpers/fixtures.js';

const QUICK = ['--effort', '1', '--target-rmse', '20'];
const NOTHING = new Uint8Array();

/** Directory with a.png, and with a.ddc and a.decoded.png made from it as files. */
let shared: string;
let png: Buffer;
let ddc: Buffer;
let decoded: Buffer;

beforeAll(async () => {
  shared = await mkdtemp(join(tmpdir(), 'ddpm-codec-test-'));
  // A photograph, which takes steps.
  png = await toSharp((await cifarTestImages())[0])
    .png()
    .toBuffer();
  await writeFile(join(shared, 'a.png'), png);
  await ddpmCodecJson(['encode', 'a.png', '-o', 'a.ddc', '--effort', '1', '--target-rmse', '12', '--metadata'], shared);
  await ddpmCodecJson(['decode', 'a.ddc'], shared);
  ddc = await readFile(join(shared, 'a.ddc'));
  decoded = await readFile(join(shared, 'a.decoded.png'));
}, 180_000);

afterAll(() => rm(shared, { recursive: true, force: true }));

describe('encode', () => {
  it('reads standard input and writes standard output, with the same bytes, and its lines to stderr', async () => {
    const directory = await temporaryDirectory();
    await ddpmCodecJson(['encode', join(shared, 'a.png'), '-o', 'file.ddc', ...QUICK], directory);
    const file = await readFile(join(directory, 'file.ddc'));
    const piped = await ddpmCodecPiped(['encode', '-', '-o', '-', ...QUICK], directory, png);
    expect(piped).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^ddpm-codec: model .*\nstandard input -> standard output: 32x32, [^\n]*\n$/),
    });
    expect(piped.stdout).toEqual(file);
    expect(await readdir(directory)).toEqual(['file.ddc']);
  });

  it('says what software made the file, and of what only where that has a name', async () => {
    const directory = await temporaryDirectory();
    const args = ['encode', '-', '-o', 'a.ddc', '--metadata', '--json', ...QUICK];
    const { code, stdout } = await ddpmCodecPiped(args, directory, png);
    expect(code).toBe(0);
    const [report] = JSON.parse(stdout.toString()).images;
    expect(report).toMatchObject({ input: '-', output: 'a.ddc' });
    expect(report.options.metadata).toEqual({ software: expect.stringContaining('ddpm-codec') });
  });
});

describe('decode', () => {
  it('reads standard input and writes a PNG to standard output', async () => {
    const directory = await temporaryDirectory();
    const { code, stdout } = await ddpmCodecPiped(['decode', '-', '-o', '-', '--quiet'], directory, ddc);
    expect(code).toBe(0);
    expect(stdout).toEqual(decoded);
    expect(await readdir(directory)).toEqual([]);
  });

  it('decodes what has come before the rest has', async () => {
    const directory = await temporaryDirectory();
    const steps = join(directory, 'steps');
    // The pictures that can be decoded from the first half.
    const inTwo = async (stdin: Writable) => {
      stdin.write(ddc.subarray(0, ddc.length / 2));
      await until(
        async () => (await readdir(steps).catch(() => [])).filter((name) => name.endsWith('.png')).length >= 3,
      );
      stdin.end(ddc.subarray(ddc.length / 2));
    };
    const args = ['decode', '-', '-o', 'a.png', '--progressive', 'steps', '--json'];
    const { code, stdout } = await ddpmCodecPiped(args, directory, inTwo);
    expect(code).toBe(0);
    expect(await readFile(join(directory, 'a.png'))).toEqual(decoded);
    const [report] = JSON.parse(stdout.toString()).images;
    expect(report).toMatchObject({ input: '-', output: 'a.png', bytesTotal: ddc.length, complete: true });
    // One step at a time, starting with the bare header.
    expect(report.progressive.points[0]).toMatchObject({ stepsUsed: 0 });
    expect(report.progressive.points.at(-1)).toMatchObject({ stepsUsed: report.stepsTotal });
    expect(report.progressive.points.length).toBeGreaterThan(report.stepsTotal);
  });

  it('does not wait for more than it was told to use', async () => {
    const directory = await temporaryDirectory();
    const bytes = Math.floor(ddc.length / 2);
    const used = ['--bytes', String(bytes), '--quiet'];
    const open = async (stdin: Writable) => void stdin.write(ddc.subarray(0, bytes + 1));
    const { code } = await ddpmCodecPiped(['decode', '-', '-o', 'part.png', ...used], directory, open);
    expect(code).toBe(0);
    expect((await ddpmCodec(['decode', join(shared, 'a.ddc'), '-o', 'file.png', ...used], directory)).code).toBe(0);
    expect(await readFile(join(directory, 'part.png'))).toEqual(await readFile(join(directory, 'file.png')));
  });
});

describe('info, truncate and verify', () => {
  it('read standard input', async () => {
    const info = await ddpmCodecPiped(['info', '-'], shared, ddc);
    expect(info).toMatchObject({ code: 0, stderr: '' });
    expect(info.stdout.toString()).toMatch(/^file +standard input\n.*source +a\.png\n/s);
    const truncated = await ddpmCodecPiped(['truncate', '-', '-o', '-', '--bytes', '40'], shared, ddc);
    expect(truncated).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^standard input -> standard output: 40 of/),
    });
    expect(truncated.stdout).toEqual(ddc.subarray(0, 40));
    const verified = await ddpmCodecPiped(['verify', '-', '--quiet'], shared, truncated.stdout);
    expect(verified).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^ddpm-codec: standard input: cut off: 40 of/),
    });
  });
});

describe('what makes no sense is refused', () => {
  it.each([
    ['encode -', 2, /^ddpm-codec: standard input: has no name .* -o - for standard output\n$/],
    ['encode - -o new/', 2, /standard input: has no name/],
    ['encode - a.png -o new/', 2, /standard input: expected it as the only input; a file named "-" is \.\/-/],
    ['encode a.png b.png -o -', 2, /-o -: expected one input/],
    ['encode a.png -o - --json', 2, /--json: expected an output file with it/],
    ['encode - -o a.ddc', 1, /standard input: not a picture/],
    ['decode - -o -', 1, /standard input: not a .ddc file/],
    ['encode a.png --engine -', 2, /--engine: expected one of .* got "-"/],
    ['decode ./- -o c.png', 1, /\.\/-: no such file/],
    ['info -', 1, /standard input: not a .ddc file/],
  ] as const)('%s', async (line, code, message) => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'a.png'), png);
    await writeFile(join(directory, 'b.png'), png);
    const result = await ddpmCodecPiped(line.split(' '), directory, NOTHING);
    expect(result).toEqual({ code, stdout: Buffer.alloc(0), stderr: expect.stringMatching(message) });
    expect(await readdir(directory)).toEqual(['a.png', 'b.png']);
  });

  it('a terminal is not where a picture goes', () => {
    const terminal = { stdout: { isTTY: true }, stderr: {} } as Pick<NodeJS.Process, 'stdout' | 'stderr'>;
    expect(() => streamForLines({ output: '-', json: false }, terminal)).toThrow(/standard output is a terminal/);
    expect(streamForLines({ output: './-', json: true }, terminal)).toBe(terminal.stdout);
  });

  it('a file of that name is another one', async () => {
    const options = { extensions: ['.ddc'], kind: 'coded pictures', outputName: (name: string) => `${name}.png` };
    const { jobs } = await planJobs(['./-'], { ...options, output: './-.png' });
    expect(jobs).toEqual([{ input: './-', output: './-.png' }]);
  });
});

describe('a reader that goes away', () => {
  it('does not end the work on files', async () => {
    const directory = await temporaryDirectory();
    const names = ['b.png', 'c.png', 'd.png'];
    for (const name of names) await writeFile(join(directory, name), png);
    // Like `| head -1` and `2>&1 | head -1`, but closed before anything is printed.
    for (const streams of [['stdout'], ['stdout', 'stderr']] as const) {
      const args = ['encode', ...names, '-o', `coded-${streams.length}`, ...QUICK];
      const run = await ddpmCodecMeanwhile(args, directory, (child) => {
        for (const stream of streams) child[stream]!.destroy();
      });
      expect(run).toMatchObject({ code: 0, stdout: '' });
      expect(await readdir(join(directory, args[5]))).toEqual(names.map((name) => `${name}.ddc`));
    }
  });

  it('is told where what it was to read is all there is', async () => {
    const run = await ddpmCodecMeanwhile(['decode', 'a.ddc', '-o', '-'], shared, ({ stdout }) => stdout!.destroy());
    expect(run).toMatchObject({ code: 1, stderr: expect.stringMatching(/standard output: its reader closed it/) });
  });

  it
    .runIf(process.platform === 'linux')
    .each(['decode a.ddc', 'decode -', 'truncate a.ddc --bytes 40', 'encode a.png'])(
    'or was never there: %s -o - >&-',
    (line) => {
      const command = ['-c', '"$@" >&-', 'sh', ...EXECUTABLE, ...line.split(' '), '-o', '-'];
      const { status, stderr } = spawnSync('sh', command, { cwd: shared, input: ddc, encoding: 'utf8' });
      expect([status, stderr]).toEqual([
        2,
        expect.stringMatching(/^ddpm-codec: -o -: standard output is closed; [^\n]*\n$/),
      ]);
    },
  );
});

describe('a header that comes in pieces', () => {
  it('is waited for, and what came with it is decoded', async () => {
    const { header, source } = await readStream(bytewise(ddc));
    expect(header).toMatchObject({ width: 32, height: 32 });
    const chunks: Uint8Array[] = [];
    for await (const chunk of source as AsyncIterable<Uint8Array>) chunks.push(chunk);
    expect(chunks[0]).toHaveLength(header.headerBytes);
    expect(Buffer.concat(chunks)).toEqual(ddc);
    await expect(readStream(bytewise(ddc.subarray(0, 5)))).rejects.toThrow(/ends inside its header, after 5 bytes/);
    await expect(readStream(bytewise(png))).rejects.toThrow(/not a \.ddc file/);
  });
});

async function* bytewise(bytes: Uint8Array) {
  for (let i = 0; i < bytes.length; i++) yield bytes.subarray(i, i + 1);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}
