/** Foreign networks become models that can code files, and are exported again. */
import { copyFile, cp, mkdir, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { middlesOfOneSize } from '../../src/cli/model/import.js';
import { readSafetensors } from '../../src/model/safetensors.js';
import { callMain, callMainJson, ddpmCodec, ddpmCodecJson, expectRefusal } from '../helpers/cli.js';
import { syntheticImage, temporaryDirectory, toSharp } from '../helpers/fixtures.js';
import { HUB_COMMIT, openHub } from '../helpers/hub.js';

const FIXTURES = 'fixtures/import';
const WEIGHTS = 'diffusion_pytorch_model.safetensors';
const SCHEDULER = {
  _class_name: 'DDPMScheduler',
  beta_schedule: 'squaredcos_cap_v2',
  num_train_timesteps: 100,
  prediction_type: 'sample',
};

/** A directory with `source`, a copy of the fixtures, and `pictures` to calibrate on. */
async function workplace(): Promise<string> {
  const directory = await temporaryDirectory();
  await cp(FIXTURES, join(directory, 'source'), { recursive: true });
  await mkdir(join(directory, 'pictures'));
  for (let i = 0; i < 8; i++) {
    const { data } = syntheticImage(8, 8);
    const picture = toSharp({ width: 8, height: 8, data: data.map((value) => (value + 16 * i) % 256) });
    await writeFile(join(directory, 'pictures', `${i}.png`), await picture.png().toBuffer());
  }
  return directory;
}

const CALIBRATE = ['--calibrate', 'pictures', '--threads', '1'];

it('imports the same model from safetensors and from PyTorch’s files, and codes with it', async () => {
  const directory = await workplace();
  const imported = async (source: string, out: string) =>
    ddpmCodecJson(['model', 'import', source, '--out', out, ...CALIBRATE], directory);
  const first = await imported('source', 'models/a');
  expect(first).toMatchObject({
    source: 'source',
    name: 'a',
    id: expect.stringMatching(/^[0-9a-f]{64}$/),
    parameters: 3035,
    schedule: { betaSchedule: 'linear', timesteps: 1000, betaStart: 1e-4, betaEnd: 0.02 },
    parameterization: { prediction: 'eps', variance: 'beta' },
    about: { importedFrom: 'source', calibration: '8 pictures', bound: { images: 8 } },
  });
  expect(first.about.bound.total.value).toBeGreaterThan(1);
  expect((await imported('source/checkpoint.pth', 'models/b')).id).toBe(first.id);
  const encode = ['encode', 'pictures/0.png', '--model', 'models/a', '-o', 'a.ddc', '--max-bytes', '60'];
  const [encoded] = (await callMainJson(encode, directory)).images;
  const decode = ['decode', 'a.ddc', '--model', 'models/b', '-o', 'a.png'];
  const [decoded] = (await callMainJson(decode, directory)).images;
  expect(decoded.bytesUsed).toBe(encoded.bytes);

  const { models } = await callMainJson(['model', 'list'], directory);
  expect(models.map(({ name }: { name: string }) => name)).toEqual(expect.arrayContaining(['pilot', 'a', 'b']));
  const { stdout } = await callMain(['model', 'info', 'models/a'], directory);
  expect(stdout).toMatch(new RegExp(`^model +a \\(id ${first.id.slice(0, 8)}\\)$`, 'm'));
  expect(stdout).toMatch(/^network +4 channels, 1 block a level, attention at 1\/1, the middle$/m);
  expect(stdout).toMatch(/^bound +\d+\.\d{3} ± \d+\.\d{3} bits\/dim \(.*\) on 8 images$/m);
});

it('takes the schedule of scheduler_config.json, and exports what it imported', async () => {
  const directory = await workplace();
  await writeFile(join(directory, 'source/scheduler_config.json'), JSON.stringify(SCHEDULER));
  const first = await ddpmCodecJson(['model', 'import', 'source', '--out', 'a', ...CALIBRATE], directory);
  expect(first).toMatchObject({
    schedule: { betaSchedule: 'squaredcos_cap_v2', timesteps: 100 },
    parameterization: { prediction: 'x0', variance: 'beta-tilde' },
  });
  await ddpmCodecJson(['model', 'export', 'a', '--out', 'out'], directory);
  expect((await readdir(join(directory, 'out'))).sort()).toEqual(
    ['config.json', WEIGHTS, 'model_index.json', 'scheduler_config.json'].sort(),
  );
  const read = async (path: string) => readFile(join(directory, path));
  expect(JSON.parse((await read('out/config.json')).toString())).toEqual(
    JSON.parse((await read('source/config.json')).toString()),
  );
  expect(JSON.parse((await read('out/scheduler_config.json')).toString())).toMatchObject(SCHEDULER);
  expect(readSafetensors(await read(`out/${WEIGHTS}`))).toEqual(readSafetensors(await read(`source/${WEIGHTS}`)));
  // The default is single precision. The exported model can be imported again unchanged.
  expect((await stat(join(directory, 'out', WEIGHTS))).size).toBeGreaterThan(4 * 3035);
  const again = await callMainJson(['model', 'import', 'out', '--out', 'b', ...CALIBRATE], directory);
  expect(again.id).toBe(first.id);
  expectRefusal(await callMain(['model', 'export', 'a', '--out', 'out'], directory), 1, /exists already; use --force/);
  await ddpmCodecJson(['model', 'export', 'a', '--out', 'out', '--half', '--force'], directory);
  expect(await read(`out/${WEIGHTS}`)).toHaveLength((await read(`a/${WEIGHTS}`)).length);
});

it('fetches a repository of the Hugging Face Hub, or says what to get where there is no connection', async () => {
  const directory = await workplace();
  const files = new Map<string, Buffer>();
  for (const file of ['config.json', 'state-dict.bin', WEIGHTS]) {
    files.set(`unet/${file}`, await readFile(join(directory, 'source', file)));
  }
  files.set('scheduler/scheduler_config.json', Buffer.from(JSON.stringify(SCHEDULER)));
  const hub = await openHub('some/network', files, [`unet/${WEIGHTS}`], { cutAfter: 10_000 });
  const cache = join(directory, 'cache');
  const run = (args: readonly string[], endpoint = hub.endpoint) =>
    ddpmCodec(['model', 'import', ...args, ...CALIBRATE], directory, {
      HF_ENDPOINT: endpoint,
      DDPM_CODEC_CACHE: cache,
    });
  const { code, stdout, stderr } = await run(['some/network', '--out', 'models/fetched']);
  expect(code).toBe(0);
  expect(stderr).toMatch(/some\/network at c0ffee00: 3 files, \d+ kB/);
  expect(stdout).toMatch(new RegExp(`^imported from +some/network@${HUB_COMMIT}$`, 'm'));
  expect(hub.requests.filter((request) => request.includes('state-dict.bin'))).toEqual([]);
  expect(hub.requests).toContain(`/storage/unet/${WEIGHTS} bytes=10000-`);
  const unreachable = await run(['some/network', '--out', 'models/other'], 'http://127.0.0.1:1');
  expectRefusal(
    unreachable,
    1,
    /cannot reach http:\/\/127\.0\.0\.1:1.*put config\.json, scheduler_config\.json and diff/,
  );
  expectRefusal(await run(['some/other', '--out', 'models/other']), 1, /has no public model some\/other/);
  await expect(stat(join(directory, 'models/other'))).rejects.toThrow(/ENOENT/);
});

it('refuses what is damaged, malicious or not supported, by name, and leaves nothing behind', async () => {
  const directory = await workplace();
  const run = (...args: string[]) => callMain(['model', 'import', ...args, '--out', 'model', ...CALIBRATE], directory);
  const source = (file: string) => join(directory, 'source', file);

  // What pickle.dumps writes, in the old form, for an object whose __reduce__ returns (os.system, ('touch attacked',)).
  const magic = Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex');
  const rest = `\x80\x02M\xe9\x03.\x80\x02}.\x80\x02cposix\nsystem\nX\x0e\0\0\0touch attacked\x85R.`;
  await writeFile(source('malicious.pt'), Buffer.concat([magic, Buffer.from(rest, 'latin1')]));
  expectRefusal(
    await run('source/malicious.pt'),
    1,
    /malicious\.pt: PyTorch file: refused, for it names "posix\.system"/,
  );
  expect(await readdir(directory)).not.toContain('attacked');

  expectRefusal(await run('source/nothing.pt'), 1, /expected a directory, a file of weights, or owner\/name/);
  expectRefusal(await run(join(process.cwd(), 'models/pilot')), 2, /pilot is a model already \(it has codec\.json\)/);
  expectRefusal(await run('source', '--config', 'x.json'), 2, /--config: source has its own/);
  const config = JSON.parse(await readFile(source('config.json'), 'utf8'));
  const edited = async (change: object) => writeFile(source('config.json'), JSON.stringify({ ...config, ...change }));
  await edited({ time_embedding_type: 'fourier' });
  expectRefusal(await run('source'), 1, /config\.json: time_embedding_type: expected positional, got "fourier"/);
  await edited({ in_channels: 1 });
  expectRefusal(await run('source'), 1, /conv_in\.weight: expected shape \[4,1,3,3\], got \[4,3,3,3\]/);
  await edited({});
  await writeFile(
    source('scheduler_config.json'),
    JSON.stringify({ ...SCHEDULER, prediction_type: 'flow_prediction' }),
  );
  expectRefusal(
    await run('source'),
    1,
    /scheduler_config\.json: prediction_type: expected epsilon, sample, v_prediction, got "flow/,
  );
  await writeFile(source('scheduler_config.json'), JSON.stringify({ ...SCHEDULER, variance_type: 'learned_range' }));
  expectRefusal(await run('source'), 1, /for variance learned, 6 out, got 3 and 3/);
  await truncate(source(WEIGHTS), 9000);
  expectRefusal(
    await run('source'),
    1,
    /diffusion_pytorch_model\.safetensors: .*: \w[\w.]+ of shape \[.*\] needs \d+ bytes/,
  );
  await expect(stat(join(directory, 'model'))).rejects.toThrow(/ENOENT/);
});

it('wants pictures: CIFAR-10, or those that are named', async () => {
  const directory = await workplace();
  const environment = { DDPM_CODEC_CACHE: join(directory, 'empty') };
  const run = (...args: string[]) =>
    callMain(['model', 'import', 'source', '--out', 'a', ...args], directory, environment);
  expectRefusal(
    await run(),
    1,
    /CIFAR-10 is not at hand .*, or name a directory of training pictures with --calibrate/,
  );
  await mkdir(join(directory, 'a'));
  await writeFile(join(directory, 'a/codec.json'), '{}');
  expectRefusal(await run('--calibrate', 'pictures'), 1, /codec\.json: exists already; use --force/);
});

it('a network of larger pictures than windows may be gets those of the default', async () => {
  const directory = await workplace();
  const path = join(directory, 'source/config.json');
  const config = JSON.parse(await readFile(path, 'utf8'));
  await writeFile(path, JSON.stringify({ ...config, sample_size: 4096 }));
  const { code, stderr } = await callMain(['model', 'import', 'source', '--out', 'a', ...CALIBRATE], directory);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  expect(JSON.parse(await readFile(join(directory, 'a/codec.json'), 'utf8')).tiling.tile).toBe(64);
});

it('the bound of an import is of pictures of one size, no larger than a window', () => {
  const pictures = [syntheticImage(100, 90), syntheticImage(70, 200)];
  const sides = (images: typeof pictures, tile: number) =>
    middlesOfOneSize(images, tile, 4).map(({ width, height }) => [width, height]);
  expect(sides(pictures, 64)).toEqual([
    [64, 64],
    [64, 64],
  ]);
  expect(sides(pictures, 128)).toEqual([
    [68, 68],
    [68, 68],
  ]);
  expect(sides([syntheticImage(3, 100)], 64)).toEqual([]);
});

it('calibrates an import on one picture, whose bound has no standard error, and says that it is few', async () => {
  const directory = await workplace();
  await mkdir(join(directory, 'few'));
  await copyFile(join(directory, 'pictures/0.png'), join(directory, 'few/0.png'));
  const line = ['model', 'import', 'source', '--out', 'a', '--calibrate', 'few', '--threads', '1'];
  const { code, stdout, stderr } = await callMain(line, directory);
  expect({ code, stdout, stderr }).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/\d bits\/dim \(.*\) on 1 image\n/),
    stderr: expect.stringContaining('calibrating on 1 picture: too few'),
  });
  expect((await callMain(['model', 'info', 'a'], directory)).stdout).toMatch(/on 1 image\n/);
});

it.each([
  ['model', /expected an action: add, remove, import, export, list or info/],
  ['model import a', /expected --out/],
  ['model import --out a', /see --help/],
  ['model export pilot', /expected --out/],
  ['model info', /see --help/],
])('%s is told what is missing', async (line, message) => {
  expectRefusal(await callMain(line.split(' ')), 2, message);
});

it('a directory to list has to be there, unless it is the one by custom', async () => {
  const empty = await temporaryDirectory();
  expect((await callMain(['model', 'list'], empty)).code).toBe(0);
  expectRefusal(await callMain(['model', 'list', 'none'], empty), 1, /none: cannot list this directory: no such file/);
  await writeFile(join(empty, 'file'), '');
  expectRefusal(await callMain(['model', 'list', 'file'], empty), 1, /file: cannot list this directory: /);
});

it.each(['import', 'export', 'list', 'info'])('explains %s, with examples', async (action) => {
  const { code, stdout, stderr } = await callMain(['model', action, '--help']);
  expect([code, stderr]).toEqual([0, '']);
  for (const text of [`Usage: ddpm-codec model ${action}`, '--json', 'Examples:']) expect(stdout).toContain(text);
});
