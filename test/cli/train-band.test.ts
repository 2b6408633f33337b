/** Training weights for a noise band with the real command, on the smallest network there is and pictures of 16x16 or slightly larger. */
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '../../src/model/safetensors.js';
import { loadModelInfo } from '../../src/node/models.js';
import { callMain, callMainJson, ddpmCodecJson, expectRefusal } from '../helpers/cli.js';
import { trainingDirectory } from '../helpers/training-directory.js';

const WEIGHTS = 'diffusion_pytorch_model.safetensors';
const BAND = 'band-4-60.safetensors';

/** Shared by the tests: a model `tiny`, its copy with a band `whole`, pictures. */
let directory: string;
let document: Record<string, unknown> & { readonly rates: Record<'before' | 'after' | 'change', number> };
beforeAll(async () => {
  const about = { trainedOn: 'few', images: 12, hours: 1, update: { steps: 3 } };
  directory = await trainingDirectory('train-band', about);
  await writeFile(join(directory, 'tiny/README.md'), '# tiny\n');
  document = await ddpmCodecJson(run('whole', '--steps', '60', '--threads', '1'), directory);
});

afterAll(() => rm(directory, { recursive: true }));

/** The arguments of a small run. */
const run = (out: string, ...more: string[]) => [
  ...['train', '--band', '4:60', '--model', 'tiny', '--data', 'pictures', '--out', out, '--crop', '16', '--batch', '4'],
  ...['--engine', 'onnx', ...more],
];
const fileOf = (...path: string[]) => readFile(join(directory, ...path));

it('makes a copy of the model that has other weights there', async () => {
  expect(document).toMatchObject({ model: 'whole', least: 4, most: 60, steps: 60, images: 240 });
  expect((await readdir(join(directory, 'whole'))).sort()).toEqual([
    ...['README.md', BAND, 'codec.json', 'config.json', WEIGHTS, 'training'],
  ]);
  expect(await fileOf('whole', WEIGHTS)).toEqual(await fileOf('tiny', WEIGHTS));
  const [tiny, whole] = await Promise.all(['tiny', 'whole'].map((name) => loadModelInfo(join(directory, name))));
  expect(whole).toMatchObject({ profile: tiny.profile, id: document.id, bands: [{ least: 4, most: 60 }] });
  expect(whole.id).not.toBe(tiny.id);
  // Notes about an update are dropped, because the new model has no update.
  expect(whole.about).toEqual({
    ...{ trainedOn: 'few', images: 12, hours: 1 },
    bands: [expect.objectContaining({ least: 4, steps: 60, rates: document.rates })],
  });
});

it('lowers the rate of the band on pictures that it has not seen, and says so', () => {
  const { before, after, change } = document.rates;
  expect(document.measuredOn).toBe('4 crops of held-out pictures');
  expect(after).toBeLessThan(before);
  expect(change).toBeCloseTo(after / before - 1, 3);
});

it('codes, with an update that is trained after it, and calibrated anew', async () => {
  const update = ['train', '--update', '--model', 'whole', '--data', 'pictures', '--out', 'updated', '--crop', '16'];
  await callMainJson([...update, '--batch', '9', '--steps', '3'], directory);
  expect(await fileOf('updated', BAND)).toEqual(await fileOf('whole', BAND));
  const before = await loadModelInfo(join(directory, 'updated'));
  expect(before).toMatchObject({ updates: true, bands: [{ least: 4, most: 60 }] });
  expect((await callMain(['calibrate', 'updated', 'pictures', '--force'], directory)).code).toBe(0);
  const after = await loadModelInfo(join(directory, 'updated'));
  expect(after.bands).toEqual(before.bands);
  expect(after.profile).not.toEqual(before.profile);
  const coded = ['encode', 'pictures/0.png', '--model', 'updated', '-o', 'a.ddc', '--max-bytes', '60'];
  expect((await callMainJson(coded, directory)).images[0].bytes).toBeLessThanOrEqual(60);
  expect((await callMain(['decode', 'a.ddc', '--model', 'updated', '-o', 'a.png'], directory)).code).toBe(0);
});

it('is taken up by calibrate where weights from elsewhere lie beside the others', async () => {
  await cp(join(directory, 'whole'), join(directory, 'assembled'), { recursive: true });
  await rm(join(directory, 'assembled', 'codec.json'));
  await cp(join(directory, 'tiny', WEIGHTS), join(directory, 'assembled', 'band-61-200.safetensors'));
  expect((await callMain(['calibrate', 'assembled', 'pictures'], directory)).code).toBe(0);
  const { bands } = await loadModelInfo(join(directory, 'assembled'));
  const [first] = (await loadModelInfo(join(directory, 'whole'))).bands!;
  expect(bands).toMatchObject([first, { least: 61, most: 200 }]);
  await writeFile(join(directory, 'assembled', 'band-200-300.safetensors'), await fileOf('tiny', WEIGHTS));
  expectRefusal(await callMain(['calibrate', 'assembled', 'pictures', '--force'], directory), 1, /codec\.json.*bands/);
  await rm(join(directory, 'assembled', 'band-200-300.safetensors'));
  // Weights that codec.json names are still those that it names.
  await writeFile(join(directory, 'assembled', BAND), await fileOf('tiny', WEIGHTS));
  const { code, stderr } = await callMain(['calibrate', 'assembled', 'pictures', '--force'], directory);
  expect([code, stderr]).toEqual([1, expect.stringMatching(/^ddpm-codec: band-4-60\.safetensors: expected SHA-256/m)]);
});

it('is the same on another number of threads, and said for people in a line', async () => {
  const { code, stdout } = await callMain(run('again', '--steps', '60', '--threads', '2'), directory);
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^again: tiny with weights for t = 4 to 60; rate of the band on 4 crops of held-out pictures [\d.]+ -> [\d.]+ bits\/dim \(-[\d.]+ %, standard error [\d.]+\)\n$/,
  );
  expect(await fileOf('again', BAND)).toEqual(await fileOf('whole', BAND));
});

it('goes on with its own run, and begins with the weights that the model has there', async () => {
  await callMainJson(run('resumed', '--steps', '2', '--cooldown', '0'), directory);
  const resume = ['train', '--band', '4:60', '--out', 'resumed', '--resume', '--engine', 'onnx'];
  expectRefusal(await callMain(resume, directory), 2, /--resume: say how far the whole run is to go/);
  expectRefusal(await callMain([...resume, '--steps', '4', '--batch', '2'], directory), 2, /has batch 4, not 2/);
  const other = resume.map((arg) => (arg === '4:60' ? '4:61' : arg));
  expectRefusal(await callMain([...other, '--steps', '4'], directory), 2, /has band "4:60", not "4:61"/);
  const model = await callMain([...resume, '--steps', '4', '--model', 'whole'], directory);
  expectRefusal(model, 1, /is for a model [0-9a-f]{8}, but whole is [0-9a-f]{8}; name it with --model/);
  const without = ['train', '--out', 'resumed', '--resume', '--steps', '4'];
  expectRefusal(await callMain(without, directory), 2, /is for a band; go on with it with --band/);
  expect(await callMainJson([...resume, '--steps', '4'], directory)).toMatchObject({ steps: 4, images: 16 });
  await callMainJson(run('straight', '--steps', '4', '--cooldown', '0'), directory);
  expect(await fileOf('resumed', BAND)).toEqual(await fileOf('straight', BAND));

  const further = run('further', '--steps', '1').map((arg) => (arg === 'tiny' ? 'whole' : arg));
  const { rates } = (await callMainJson(further, directory)) as typeof document;
  expect(rates.before).toBeCloseTo(document.rates.after, 4);
  expect((await loadModelInfo(join(directory, 'further'))).bands).toHaveLength(1);
  const beside = further.map((arg) => ({ '4:60': '61:200', further: 'beside', whole: 'further' })[arg] ?? arg);
  await callMainJson(beside, directory);
  expect((await loadModelInfo(join(directory, 'beside'))).bands).toMatchObject([{ most: 60 }, { most: 200 }]);
});

it('is known to info, and exported by itself', async () => {
  const { bands } = await callMainJson(['model', 'info', 'whole'], directory);
  expect(bands).toEqual([{ least: 4, most: 60, bytes: (await fileOf('whole', BAND)).length }]);
  const info = await callMain(['model', 'info', 'whole'], directory);
  expect(info.stdout).toMatch(/bands +weights of their own for t = 4 to 60, [\d.]+ MB/);
  const outside = await callMain(['model', 'export', 'whole', '--out', 'exported', '--half'], directory);
  expect(outside.stderr).toMatch(/weights for t = 4:60 are not part of it.*--band exports them/);
  const inside = ['model', 'export', 'whole', '--band', '4:60', '--out', 'exported-band', '--half'];
  expect((await callMain(inside, directory)).code).toBe(0);
  const tensors = async (...path: string[]) => readSafetensors(await fileOf(...path));
  expect(await tensors('exported-band', WEIGHTS)).toEqual(await tensors('whole', BAND));
  expect(await tensors('exported', WEIGHTS)).not.toEqual(await tensors('whole', BAND));
  const unknown = inside.map((arg) => (arg === '4:60' ? '4:61' : arg));
  expectRefusal(await callMain([...unknown, '--force'], directory), 2, /--band: whole has bands 4:60, not 4:61/);
});

it('says that a run is shorter than its warm-up, and what of the directory it removes', async () => {
  await cp(join(directory, 'whole'), join(directory, 'replaced'), { recursive: true });
  await writeFile(join(directory, 'replaced/update.safetensors'), 'of another');
  const args = run('replaced', '--steps', '1', '--force').map((arg) => (arg === '4:60' ? '70:90' : arg));
  const { code, stderr } = await callMain(args, directory);
  expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringMatching(/a short run: .* over 50 steps/) });
  for (const name of [BAND, 'update.safetensors']) {
    expect(stderr).toContain(`${name} was of the weights before, and is removed`);
  }
  expect(await readdir(join(directory, 'replaced'))).toContain('band-70-90.safetensors');
  expect((await loadModelInfo(join(directory, 'replaced'))).updates).toBeUndefined();
});

it('of a model that has learnt its variances learns those, too', async () => {
  const config = { ...JSON.parse((await fileOf('tiny/config.json')).toString()), out_channels: 6 };
  await writeFile(join(directory, 'learned.json'), JSON.stringify(config));
  const network = [
    'train',
    '--data',
    'pictures',
    '--config',
    'learned.json',
    '--variance',
    'learned',
    '--loss',
    'hybrid',
  ];
  const small = ['--crop', '16', '--batch', '4', '--engine', 'onnx', '--steps', '1'];
  await callMainJson([...network, '--out', 'learned', ...small], directory);
  const band = [
    'train',
    '--band',
    '4:60',
    '--model',
    'learned',
    '--data',
    'pictures',
    '--out',
    'learned-band',
    ...small,
  ];
  expect(await callMainJson(band, directory)).toMatchObject({ steps: 1 });
  const { config: opened, bands } = await loadModelInfo(join(directory, 'learned-band'));
  expect([opened.outChannels, bands]).toMatchObject([6, [{ least: 4, most: 60 }]]);
});

describe('a model whose weights for a band are not there', () => {
  beforeAll(async () => {
    await cp(join(directory, 'whole'), join(directory, 'lacking'), { recursive: true });
    await rm(join(directory, 'lacking', BAND));
  });

  it('is known to info and list', async () => {
    const { bands } = await callMainJson(['model', 'info', 'lacking'], directory);
    expect(bands).toEqual([{ least: 4, most: 60, bytes: null }]);
    const info = await callMain(['model', 'info', 'lacking'], directory);
    expect(info.stdout).toMatch(/bands +weights of their own for t = 4 to 60, not at hand/);
    const { models } = await callMainJson(['model', 'list', '.'], directory);
    expect(models.map(({ name }: { name: string }) => name)).toEqual(expect.arrayContaining(['lacking', 'whole']));
  });

  it('is not trained further, and no band is exported of it', async () => {
    const other = run('refused').map((arg) => ({ '4:60': '70:90', tiny: 'lacking' })[arg] ?? arg);
    expectRefusal(await callMain(other, directory), 1, /band-4-60\.safetensors/);
    expect(await readdir(directory)).not.toContain('refused');
    const exported = ['model', 'export', 'lacking', '--band', '4:60', '--out', 'refused'];
    expectRefusal(await callMain(exported, directory), 1, /cannot read band-4-60\.safetensors/);
  });
});

it('is removed, as an update is, by a network that is trained or imported in its place', async () => {
  await cp(join(directory, 'whole'), join(directory, 'renewed'), { recursive: true });
  const network = ['train', '--data', 'pictures', '--config', 'tiny/config.json', '--crop', '8', '--batch', '2'];
  const { code, stderr } = await callMain([...network, '--steps', '1', '--out', 'renewed', '--force'], directory);
  expect([code, stderr]).toEqual([0, expect.stringContaining(`${BAND} was of the weights before, and is removed`)]);
  expect(await readdir(join(directory, 'renewed'))).not.toContain(BAND);
  expect((await loadModelInfo(join(directory, 'renewed'))).bands).toBeUndefined();

  await cp(join(directory, 'whole', BAND), join(directory, 'imported', BAND), { recursive: true });
  const imported = ['model', 'import', 'exported-again', '--out', 'imported', '--calibrate', 'pictures'];
  await callMain(['model', 'export', 'tiny', '--out', 'exported-again'], directory);
  expectRefusal(await callMain(imported, directory), 1, /band-4-60.safetensors: exists already; use --force/);
  expect((await callMain([...imported, '--force'], directory)).code).toBe(0);
  expect(await readdir(join(directory, 'imported'))).not.toContain(BAND);
});

it('is left out of what begins with the model, which says so', async () => {
  const args = ['train', '--data', 'pictures', '--config', 'tiny/config.json', '--crop', '8', '--batch', '2'];
  const { stderr } = await callMain([...args, '--steps', '1', '--from', 'whole', '--out', 'begun'], directory);
  expect(stderr).toContain('the weights of whole for t = 4:60 are left out');
});

describe('refuses', () => {
  it.each([
    [['--from', 'cifar10'], 2, /--from: not with --band, for which it is that of --model; leave it out/],
    [['--timesteps-sampling', 'uniform'], 2, /--timesteps-sampling: not with --band/],
    [['--crop', '17'], 2, /--crop: expected a multiple of 2 for this network, got 17/],
    [['--band', '60:4'], 2, /--band: expected timesteps LEAST:MOST, such as 4:60, got 60:4/],
    [['--band', '4-60'], 2, /--band: expected timesteps LEAST:MOST/],
    [['--band', '4:2000'], 2, /--band: expected timesteps LEAST:MOST from 1 to 1000, got 4:2000/],
    [['--model', 'nowhere'], 2, /--model: expected .* or a directory/],
    [['--data', 'nothing'], 1, /nothing/],
    [['--update', '--steps', '2'], 2, /--band: not with --update/],
    [['--grow'], 2, /--grow: only for a new network, with --from and --config/],
  ] as const)('%j', async (more, code, message) => {
    const [option] = more;
    const args = run('refused');
    const at = args.indexOf(option);
    if (at >= 0) args.splice(at, 2);
    expectRefusal(await callMain([...args, ...more], directory), code, message);
    expect(await readdir(directory)).not.toContain('refused');
  });

  it('a band that overlaps another, and the model itself as --out', async () => {
    const overlapping = run('refused').map((arg) => ({ '4:60': '60:90', tiny: 'whole' })[arg] ?? arg);
    expectRefusal(await callMain(overlapping, directory), 2, /--band: whole has weights for 4:60; go on with those/);
    expectRefusal(await callMain(run('tiny', '--force'), directory), 2, /is an input as well/);
    const none = ['train', '--band', '4:60', '--data', 'pictures', '--out', 'refused'];
    expectRefusal(await callMain(none, directory), 2, /--band: say of which model, with --model/);
  });
});
