/** Command lines that are refused before an engine opens, and what the command says about itself. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeHeader } from '../../src/codec/format/header.js';
import { callMain, ddpmCodec, expectRefusal } from '../helpers/cli.js';
import { syntheticImage, temporaryDirectory, toSharp } from '../helpers/fixtures.js';

let png: Buffer;
beforeAll(async () => {
  png = await toSharp(syntheticImage(8, 8)).png().toBuffer();
});

describe('help', () => {
  it('lists the commands, with examples', async () => {
    const { code, stdout, stderr } = await ddpmCodec(['--help']);
    expect([code, stderr]).toEqual([0, '']);
    for (const text of ['encode', 'decode', 'info', 'truncate', 'Examples:']) expect(stdout).toContain(text);
  });

  it.each(['encode', 'decode', 'info', 'truncate', 'eval'])('explains %s, with examples', async (command) => {
    const { code, stdout, stderr } = await callMain([command, '--help']);
    expect([code, stderr]).toEqual([0, '']);
    for (const text of [`Usage: ddpm-codec ${command}`, '--json', 'Examples:']) expect(stdout).toContain(text);
  });

  it('is what "help" gives, too', async () => {
    const { code, stdout } = await callMain(['help', 'encode']);
    expect([code, stdout]).toEqual([0, (await callMain(['encode', '--help'])).stdout]);
  });

  it("prints the package's version", async () => {
    const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
    expect((await ddpmCodec(['--version'])).stdout).toBe(`${version}\n`);
  });

  it('comes with exit code 2 where arguments are refused', async () => {
    expectRefusal(await ddpmCodec(['squash', 'x']), 2, /see --help/);
  });
});

describe('arguments', () => {
  it.each([
    ['', /expected a command/],
    ['enode x', /unknown command: enode; expected one of encode, decode, /],
    ['squash x', /unknown command: squash; expected one of encode, .*see --help/],
    ['-v', /unknown option: -v;/],
    ['encode', /expected <inputs\.\.> \(Pictures, or directories of pictures; - for standard input\);/],
    ['encode a.png --realism 1', /unknown option: --realism; it belongs to decode/],
    ['encode a.png --rate 1', /unknown option: --rate; it belongs to decode, truncate;/],
    ['encode a.png --max-rat 1', /unknown option: --max-rat;/],
    ['encode a.png --max-rate', /--max-rate: expected a value/],
    ['encode a.png --max-rate abc', /--max-rate: expected a number of bits per dimension above 0, got "abc"/],
    ['encode a.png --max-rate 0', /--max-rate: .* got 0/],
    ['encode a.png --max-rate -1', /--max-rate: .* got -1/],
    ['encode a.png --max-rate NaN', /--max-rate: .* got "NaN"/],
    ['encode a.png --max-rate 1e-9', /--max-rate: expected at least the header \(.*11 bytes.*\), got 1e-9/],
    ['encode a.png --max-bytes 3', /--max-bytes: expected at least the header \(.*\), got 3/],
    ['encode a.png --comment x --max-rate 0.5', /--max-rate: expected at least the header and the metadata \(/],
    ['encode a.png --max-bytes 1.5', /--max-bytes: expected an integer of 1 or more, got 1.5/],
    ['encode a.png --target-rmse -3', /--target-rmse: expected a number of grey levels above 0, got -3/],
    ['encode a.png --effort 10', /--effort: expected an integer from 1 to 9, got 10/],
    ['encode a.png --effort 0', /--effort/],
    ['encode a.png --seed 4294967296', /--seed: expected an integer from 0 to 4294967295/],
    ['encode a.png --seed 1 --seed 2', /--seed: given more than once/],
    ['encode a.png --effort 1 --effort 1', /--effort: given more than once/],
    ['encode a.png --effort 5 --effort=1', /--effort: given more than once/],
    ['encode a.png -o a.ddc -o b.ddc', /--output: given more than once/],
    ['encode a.png --lossless --no-lossless', /--lossless: is switched on and off; give only one/],
    ['encode a.png --force=false --force', /--force: is switched on and off/],
    ['encode a.png -q=1', /-q: expected true, false or no value, got "1"/],
    ['encode a.png -qq0', /-q: expected true, false or no value, got "0"/],
    ['encode a.png --lossless=', /--lossless: expected true, false or no value, got ""/],
    ['encode a.png --output=', /--output: expected a value, got ""/],
    ['encode a.png --comment=', /--comment: expected a value, got ""/],
    ['encode a.png -o b.png', /--output: expected a .ddc name, not a picture's, got "b.png"/],
    ['encode a.png -o b.JPG --force', /--output: expected a .ddc name/],
    ['encode a.png --lossless --max-rate 1', /--max-rate: cannot be combined with --lossless/],
    ['truncate a.ddc -o b.webp --bytes 100', /--output: expected a .ddc name/],
    ['encode a.png -o -- b.png', /-o: expected a value after it/],
    ['encode a.png --engine.x onnx', /unknown option: --engine.x/],
    ['info a.ddc --file a.ddc', /--file: is given without a flag/],
    ['model lisst x', /unknown command: lisst; expected one of add, remove, import, export, list, info;/],
    ['model foo', /unknown command: foo; expected/],
    ['model import', /expected <source> \(Directory, file, or owner\/name\);/],
    ['calibrate', /expected <model> \(Model directory\) and <inputs\.\.> \(Training pictures/],
    ['calibrate some', /expected <model> \(Model directory\) and <inputs\.\.>/],
    ['data', /expected <set> \(The set to fetch: cifar10\);/],
    ['data mnist', /^ddpm-codec: set: expected one of "cifar10", got "mnist"/],
    ['encode a.png --selection best', /--selection: expected one of "greedy", "sample", got "best"/],
    ['encode a.png --engine cuda', /--engine: expected one of "auto", "onnx", "wasm", "tensorflow"/],
    ['encode a.png --device gpu', /--device: expected one of "auto", "cpu", "cuda", "webgpu"/],
    ['encode a.png --engine wasm --device webgpu', /--device webgpu: expected --engine onnx with it, got wasm/],
    ['encode a.png --precision fp8', /--precision: expected one of "fp32", "fp16"/],
    ['encode a.png --precision fp16', /--precision fp16: expected --device auto, cuda or webgpu with it/],
    ['train --data cifar10 -o x --precision fp16', /precision/],
    ['encode a.png --threads 0', /--threads: expected an integer from 1/],
    ['encode a.png --model none', /--model: expected .*cifar10.* or a directory, got "none"/],
    ['model info none', /^ddpm-codec: model: expected .* or a directory, got "none"/],
    ['train --data cifar10 -o x --from none', /--from: expected .* got "none"/],
    ['rd a.png -o b --baselines jpg', /--baselines: expected .* got "jpg"/],
    ['encode a.png --background glass', /--background: expected an opaque colour/],
    ['encode a.png -o a.png', /inputs are never overwritten/],
    ['encode a.png -o a.png --force', /inputs are never overwritten/],
    ['encode a.png a.png', /would be made from both/],
    ['decode a.ddc --rate 1 --bytes 5', /--rate and --bytes: give only one/],
    ['decode a.ddc --steps -1', /--steps: expected an integer of 0 or more/],
    ['decode a.ddc --realism median', /--realism: expected a number from 0 to 1, or "sample"/],
    ['decode a.ddc --max-pixels lots', /--max-pixels: .* got "lots"/],
    ['decode a.ddc -o a.jpg', /pictures are written as \.png, \.webp/],
    ['decode a.ddc -o a.ddc', /inputs are never overwritten/],
    ['decode a.ddc --rate 0.1,0.2,1e-9', /--rate: expected at least the header .* got 1e-9/],
    ['decode a.ddc --rate 1,x', /--rate: expected a number of bits per dimension above 0, got "x"/],
    ['decode a.ddc --rate 1,', /--rate: expected a number of bits per dimension above 0, got ""/],
    ['decode a.ddc --rate 1,1.0', /--rate: expected each rate once/],
    ['decode a.ddc --rate 1,2 -o -', /-o -: expected one rate with it/],
    ['decode a.ddc --rate 1,2 --progressive steps', /give only one/],
    ['decode a.ddc --progressive a.png -o a.png', /--progressive: a.png and the output a.png are in each other's way/],
    ['decode a.ddc --progressive d -o d/contact-sheet.png', /in each other's way/],
    ['decode a.ddc a.ddc.ddc --progressive d -o d', /in each other's way/],
    ['decode a.ddc below/a.ddc --progressive d', /d\/a.decoded.png would be of two of these files/],
    ['decode a.ddc --progressive -', /--progressive: "-" is standard input or output/],
    ['decode a.ddc --rate 1e-9', /--rate: expected at least the header/],
    ['decode a.ddc --bytes 3', /--bytes: expected at least the header .* got 3/],
    ['info', /expected <file> \(A \.ddc file; - for standard input\);/],
    ['info a.ddc b.ddc', /unknown argument: b.ddc/],
    ['eval -', /data: "-" is standard input or output/],
    ['rd - -o report', /images: "-" is standard input or output/],
    ['rd a.png -o - --model none --baselines png', /-o -: expected the name of a directory/],
    ['truncate a.ddc --bytes 100', /expected --output/],
    ['truncate a.ddc -o b.ddc', /--rate or --bytes/],
    ['truncate a.ddc -o b.ddc --rate 1 --bytes 100', /give only one/],
    ['truncate a.ddc -o b.ddc --bytes 3', /--bytes: expected at least the header/],
    ['truncate a.ddc -o a.ddc --bytes 100', /inputs are never overwritten/],
  ])('%s', async (line, message) => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'a.png'), png);
    await writeFile(join(directory, 'a.ddc'), header({}));
    expectRefusal(await callMain(line.split(' ').filter(Boolean), directory), 2, message);
  });
});

describe('switches', () => {
  const commands = [
    ...[
      'encode',
      'decode',
      'info',
      'truncate',
      'verify',
      'sample',
      'interpolate',
      'train',
      'data',
      'calibrate',
      'eval',
      'rd',
    ],
    ...['rd merge', 'model import', 'model export', 'model list', 'model info'],
  ];

  it.each(commands)('of %s are true, false or refused', async (command) => {
    const { stdout } = await callMain([...command.split(' '), '--help']);
    const options = stdout.split(/\n(?= +-)/).filter((text) => text.includes('[boolean]'));
    const switches = options.map((text) => /--([\w-]+)/.exec(text)![1]);
    expect(switches).toContain('json');
    for (const name of switches.filter((one) => one !== 'help' && one !== 'version')) {
      const refused = await callMain([...command.split(' '), 'x', 'y', `--${name}=yes`]);
      expectRefusal(refused, 2, new RegExp(`--${name}: expected true, false or no value, got "yes"`));
    }
  });

  it('with a value are what it says', async () => {
    const directory = await temporaryDirectory();
    const json = (...args: string[]) => callMain(['encode', 'none.png', ...args], directory);
    expect(JSON.parse((await json('--json=true')).stdout)).toMatchObject({ images: [{ input: 'none.png' }] });
    expect((await json('--json', 'false')).stdout).toBe('');
    expect((await json('--no-json')).stdout).toBe('');
  });
});

describe('--', () => {
  it('ends the options: all that follows are files', async () => {
    const directory = await temporaryDirectory();
    for (const name of ['a.png', '-b.png', '--quiet']) await writeFile(join(directory, name), png);
    const quick = ['--effort', '1', '--target-rmse', '40', '--json'];
    const { stdout } = await callMain(['encode', ...quick, 'a.png', '--', '-b.png', '--quiet', '-'], directory);
    // Even there, `-` means standard input.
    expect(stdout).toBe('');
    const run = await callMain(['encode', ...quick, 'a.png', '--', '-b.png', '--quiet'], directory);
    expect(run.code, run.stderr).toBe(0);
    const outputs = JSON.parse(run.stdout).images.map(({ output }: { output: string }) => output);
    expect(outputs).toEqual(['a.png.ddc', '-b.png.ddc', '--quiet.ddc']);
  });
});

describe('files', () => {
  it.each([
    ['encode none.png', /none.png: no such file/],
    // It must not be read as 1000.
    ['encode 1e3', /1e3: no such file/],
    ['encode -- -dash.png', /-dash.png: no such file/],
    // Image sets whose names resemble that of a command.
    ['rd image -o report', /image: no such file/],
    ['rd me -o report', /me: no such file/],
    ['encode text.png', /text.png: not a picture; expected PNG/],
    ['encode half.png', /half.png: truncated or corrupt/],
    ['encode empty', /empty: this directory has no pictures/],
    ['encode a.png -o old.ddc', /old.ddc: exists already; use --force/],
    ['encode a.png -o none/a.ddc', /none\/a.ddc: cannot write in none: no such file or directory/],
    ['encode a.png b.png -o old.ddc', /old.ddc: cannot make this directory: a file has that name/],
    ['encode a.png -o /proc/none/', /\/proc\/none\/?: cannot make this directory/],
    ['decode none.ddc', /none.ddc: no such file/],
    ['decode thin.ddc -o thin.webp', /thin.ddc: WebP holds at most 16383 pixels a side, got 16384x1/],
    [
      'decode old.ddc nobody.ddc -o new --progressive steps',
      /steps\/nobody.decoded.png: has pictures of an earlier run/,
    ],
    ['decode old.ddc --rate 1,2 -o old.png', /old-2.png: exists already; use --force/],
    ['decode empty', /no coded pictures/],
    ['decode text.png', /text.png: not a .ddc file: expected it to start with dd c7/],
    ['decode version.ddc', /version.ddc: .ddc version: expected 7, got 8; install a newer ddpm-codec/],
    ['decode damaged.ddc', /damaged.ddc: .ddc header is damaged: expected checksum/],
    ['decode cut.ddc', /cut.ddc: .ddc file ends inside its header/],
    ['decode nobody.ddc', /nobody.ddc: .*ffffff/],
    ['decode old.ddc -o old.png', /old.png: exists already; use --force/],
    ['decode old.ddc --progressive old.png', /old.png: cannot make this directory: a file has that name/],
    ['info text.png', /text.png: not a .ddc file/],
    ['info empty', /empty: expected a file, but this is a directory/],
    ['truncate cut.ddc -o new.ddc --bytes 100', /cut.ddc: .ddc file ends inside its header/],
    ['truncate version.ddc -o old.ddc --bytes 100', /old.ddc: exists already/],
    ['calibrate nosuch a.png', /nosuch: expected a model directory, there is none/],
  ])('%s', async (line, message) => {
    const directory = await temporaryDirectory();
    const put = (name: string, bytes: Uint8Array | string) => writeFile(join(directory, name), bytes);
    await mkdir(join(directory, 'empty'));
    await put('a.png', png);
    await put('b.png', png);
    await put('text.png', 'hello');
    await put('half.png', png.subarray(0, png.length / 2));
    await put('glass.png', await toSharp(syntheticImage(8, 8)).ensureAlpha(0.5).png().toBuffer());
    await put('old.png', 'old');
    await put('old.ddc', header({}));
    await put('version.ddc', header({ version: 8 }));
    await put('damaged.ddc', header({}).fill(0x55, 6, 7));
    await put('thin.ddc', header({ width: 16384, height: 1 }));
    await put('old-2.png', 'old');
    await mkdir(join(directory, 'steps', 'nobody.decoded.png'), { recursive: true });
    await put('steps/nobody.decoded.png/03-0.1234.png', 'old');
    await put('cut.ddc', header({}).subarray(0, 7));
    await put('nobody.ddc', header({ modelId: 'ffffff' }));
    expectRefusal(await callMain(line.split(' '), directory), 1, message);
    expect(await readFile(join(directory, 'old.png'), 'utf8')).toBe('old');
  });

  it('tells about a single failure in the JSON document as well', async () => {
    const directory = await temporaryDirectory();
    const { code, stdout, stderr } = await ddpmCodec(['encode', 'none.png', '--json'], directory);
    expect(JSON.parse(stdout)).toEqual({
      images: [{ input: 'none.png', error: { code: 'file', message: 'none.png: no such file or directory' } }],
    });
    expect([code, stderr]).toEqual([1, 'ddpm-codec: none.png: no such file or directory\n']);
  });
});

function header(changes: Partial<Parameters<typeof writeHeader>[0]>): Uint8Array {
  const plan = { first: 0, second: 0, load: 0, pace: 0 };
  return writeHeader({
    version: 7,
    stateBits: 8,
    modelId: '123456',
    width: 32,
    height: 32,
    plan,
    seed: 0,
    ...changes,
  });
}
