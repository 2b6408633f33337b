/** Training an update with the real command, on the smallest network there is and pictures of 16x16 or slightly larger. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { parseConfig } from '../../src/model/config.js';
import { readMetadata, readSafetensors, writeSafetensors } from '../../src/model/safetensors.js';
import { initialize } from '../../src/model/training/initialization.js';
import { toTensors } from '../../src/model/training/state.js';
import { listParameters } from '../../src/model/unet-parameters.js';
import { readUpdateCheckpoint } from '../../src/node/checkpoint-file.js';
import { loadModelInfo } from '../../src/node/models.js';
import { callMain, callMainJson, ddpmCodecJson, EXECUTABLE, expectRefusal } from '../helpers/cli.js';
import { edit } from '../helpers/model-copy.js';
import { trainingDirectory } from '../helpers/training-directory.js';
import { waitUntil } from '../helpers/waiting.js';

const UPDATE = 'update.safetensors';
const CHECKPOINT = 'training/checkpoint.safetensors';

/** Shared by the tests: a model `tiny`, its update `whole`, pictures. */
let directory: string;
let document: Record<string, unknown> & { readonly gains: readonly Record<string, number>[] };
beforeAll(async () => {
  directory = await trainingDirectory('train-update', { trainedOn: 'few' });
  document = await ddpmCodecJson(run('whole', '--steps', '40', '--threads', '1'), directory);
});

afterAll(() => rm(directory, { recursive: true }));

/** The arguments of a small run. */
const run = (out: string, ...more: string[]) => [
  ...['train', '--update', '--model', 'tiny', '--data', 'pictures', '--out', out, '--crop', '16', '--batch', '9'],
  ...['--engine', 'onnx', ...more],
];
const fileOf = (...path: string[]) => readFile(join(directory, ...path));

it('makes a copy of the model that has an update', async () => {
  expect(document).toMatchObject({ model: 'whole', steps: 40, images: 360, trainedOn: 'pictures: 5 training images' });
  expect(document.measuredOn).toBe('4 crops of held-out pictures');
  expect(document.commands).toEqual([expect.stringMatching(/^ddpm-codec train --update --model tiny/)]);
  expect((await readdir(join(directory, 'whole'))).sort()).toEqual([
    ...['codec.json', 'config.json', 'diffusion_pytorch_model.safetensors', 'training', UPDATE],
  ]);
  expect(await fileOf('whole/diffusion_pytorch_model.safetensors')).toEqual(
    await fileOf('tiny/diffusion_pytorch_model.safetensors'),
  );
  const [tiny, whole] = await Promise.all(['tiny', 'whole'].map((name) => loadModelInfo(join(directory, name))));
  expect(whole).toMatchObject({ updates: true, profile: tiny.profile, id: document.id });
  expect(whole.id).not.toBe(tiny.id);
  expect(whole.about).toMatchObject({ trainedOn: 'few', update: { steps: 40, gains: document.gains } });

  const bytes = await fileOf('whole', UPDATE);
  expect(readMetadata(bytes)).toEqual({ format: 'pt' });
  const parameters = [...readSafetensors(bytes).values()].reduce((sum, { data }) => sum + data.length, 0);
  // In half precision.
  expect(bytes.length).toBeLessThan(2 * parameters + 2000);
});

it('says what share of the gain of the network it has', () => {
  const { gains } = document;
  expect(gains.map(({ timestep }) => timestep)).toEqual([400, 240, 110, 45, 14].flatMap((t) => [t, t, t, t]));
  expect(gains.slice(0, 4).map(({ ratio }) => ratio)).toEqual([1.2, 1.5, 2, 3]);
  for (const { before, asked, updated, share } of gains) {
    expect(share).toBeCloseTo((before ** 2 - updated ** 2) / (before ** 2 - asked ** 2), 1);
  }
  // After 40 steps it improves on doing nothing where there is little noise.
  for (const { before, updated } of gains.slice(8)) expect(updated).toBeLessThan(before);
});

it('codes', async () => {
  const coded = ['encode', 'pictures/0.png', '--model', 'whole', '-o', 'a.ddc', '--max-bytes', '60'];
  expect((await callMainJson(coded, directory)).images[0].bytes).toBeLessThanOrEqual(60);
  const decode = ['decode', 'a.ddc', '--model', 'whole', '-o', 'a.png'];
  expect((await callMain(decode, directory)).code).toBe(0);
});

it('is the same on another number of threads, and said for people in a table', async () => {
  const { code, stdout } = await callMain(run('again', '--steps', '40', '--threads', '2'), directory);
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^again: tiny with an update; .* on 4 crops of held-out pictures:\n +t +RMSE +snr x 1.2 .* %\n$/s,
  );
  expect(await fileOf('again', UPDATE)).toEqual(await fileOf('whole', UPDATE));
  expectRefusal(await callMain(run('again', '--steps', '2'), directory), 2, /again holds a run; .* --resume.* --force/);
});

it('is known to info, and not exported', async () => {
  const { update } = await callMainJson(['model', 'info', 'whole'], directory);
  expect(update).toMatchObject({ width: 64, kept: 16, bytes: (await fileOf('whole', UPDATE)).length });
  const info = await callMain(['model', 'info', 'whole'], directory);
  expect(info.stdout).toMatch(
    /update +64 channels for every 2x2 pixels, 16 kept for a pixel; [\d,]+ parameters, \d+ kB/,
  );
  const exported = await callMain(['model', 'export', 'whole', '--out', 'exported'], directory);
  expect(exported.stderr).toMatch(/update.safetensors is not part of it: diffusers has no use for it/);
  expect(await readdir(join(directory, 'exported'))).not.toContain(UPDATE);
});

it('Ctrl-C writes a checkpoint, from which it goes on', async () => {
  const [program, ...rest] = [...EXECUTABLE, ...run('stopped', '--steps', '1000000', '--checkpoint-every', '0.005')];
  const child = spawn(program, rest, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let stderr = '';
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  const checkpoint = () => readUpdateCheckpoint(join(directory, 'stopped', CHECKPOINT));
  await waitUntil(async () => ((await checkpoint().catch(() => undefined))?.state.step ?? 0) >= 3);
  child.kill('SIGINT');
  expect(await once(child, 'close')).toEqual([0, null]);
  const { step } = (await checkpoint()).state;
  expect(stderr).toContain(`stopped at step ${step}, checkpoint written; go on with --update --resume`);
  expect(await readdir(join(directory, 'stopped'))).toEqual(['training']);

  const resume = ['train', '--update', '--out', 'stopped', '--resume', '--engine', 'onnx'];
  expectRefusal(await callMain(resume, directory), 2, /--resume: say how far the whole run is to go/);
  const other = [...resume, '--steps', '9', '--batch', '2'];
  expectRefusal(await callMain(other, directory), 2, /has batch 9, not 2/);
  const pilot = [...resume, '--steps', '9', '--model', 'pilot'];
  expectRefusal(await callMain(pilot, directory), 1, /is for a model [0-9a-f]{8}, but pilot is [0-9a-f]{8}; name it/);
  const resumed = await callMainJson([...resume, '--steps', `${step + 2}`], directory);
  expect(resumed).toMatchObject({ steps: step + 2, images: 9 * (step + 2) });
  expect(resumed.commands).toHaveLength(2);
  expect(await readdir(join(directory, 'stopped'))).toContain(UPDATE);
});

describe('refuses', () => {
  it.each([
    [['--lr', '1e-3'], 2, /--lr: not with --update, which has settings of its own; leave it out/],
    [['--from', 'cifar10'], 2, /--from: not with --update/],
    [['--validate-every', '1'], 2, /--validate-every: not with --update/],
    [['--crop', '17'], 2, /--crop: expected a multiple of 2 for this network, got 17/],
    [['--model', 'nowhere'], 2, /--model: expected .* or a directory/],
    [['--data', 'nothing'], 1, /nothing/],
  ] as const)('%j', async (more, code, message) => {
    const [option] = more;
    const args = run('refused');
    const at = args.indexOf(option);
    if (at >= 0) args.splice(at, 2);
    expectRefusal(await callMain([...args, ...more], directory), code, message);
    expect(await readdir(directory)).not.toContain('refused');
  });

  it('a network whose patches are not single pixels', async () => {
    await cp(join(directory, 'tiny'), join(directory, 'patches'), { recursive: true });
    await edit(join(directory, 'patches'), 'config.json', (config) => Object.assign(config, { patch_size: 2 }));
    const weights = join(directory, 'patches/diffusion_pytorch_model.safetensors');
    const parameters = listParameters(parseConfig(JSON.parse((await fileOf('patches/config.json')).toString())));
    await writeFile(weights, writeSafetensors(toTensors(initialize(parameters, 'test'), parameters)));
    const args = ['train', '--update', '--model', 'patches', '--data', 'pictures', '--out', 'refused'];
    expectRefusal(await callMain(args, directory), 1, /patches are single pixels, got 2x2/);
  });

  it('no model, a model without --update, and the model itself as --out', async () => {
    const none = ['train', '--update', '--data', 'pictures', '--out', 'refused'];
    expectRefusal(await callMain(none, directory), 2, /--update: say of which model, with --model/);
    const alone = ['train', '--model', 'tiny', '--data', 'pictures', '--out', 'refused'];
    expectRefusal(await callMain(alone, directory), 2, /--model: only with --update and --band; .* --from/);
    expectRefusal(await callMain(run('tiny', '--force'), directory), 2, /is an input as well/);
    const network = ['train', '--out', 'whole', '--resume', '--steps', '50'];
    expectRefusal(await callMain(network, directory), 1, /expected a network's training, got an update's; .*--update/);
  });
});

it('an update does not outlive the network that it is of', async () => {
  await cp(join(directory, 'whole'), join(directory, 'renewed'), { recursive: true });
  const args = ['train', '--data', 'pictures', '--config', 'tiny/config.json', '--crop', '8', '--batch', '2'];
  const { code, stderr } = await callMain([...args, '--steps', '1', '--out', 'renewed', '--force'], directory);
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: expect.stringMatching(/was of the weights before, and is removed/),
  });
  expect(await readdir(join(directory, 'renewed'))).not.toContain(UPDATE);

  const network = fileURLToPath(new URL('../../fixtures/reference/unet-tiny', import.meta.url));
  await cp(join(directory, 'whole', UPDATE), join(directory, 'imported', UPDATE), { recursive: true });
  const imported = ['model', 'import', network, '--out', 'imported', '--calibrate', 'pictures'];
  expectRefusal(await callMain(imported, directory), 1, /update.safetensors: exists already; use --force/);
  expect((await callMain([...imported, '--force'], directory)).code).toBe(0);
  expect(await readdir(join(directory, 'imported'))).not.toContain(UPDATE);
});
