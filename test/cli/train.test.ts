/** Training runs of the real command, with a network and pictures small enough for seconds. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '../../src/model/safetensors.js';
import { presets } from '../../src/model/training/presets.js';
import { readCheckpoint } from '../../src/node/checkpoint-file.js';
import { ddpmCodec, ddpmCodecJson, expectRefusal } from '../helpers/cli.js';
import { syntheticImage, toSharp } from '../helpers/fixtures.js';

const EXECUTABLE = fileURLToPath(new URL('../../bin/ddpm-codec.js', import.meta.url));
const CONFIG = {
  ...presets.small.config,
  block_out_channels: [8, 8],
  down_block_types: ['DownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'UpBlock2D'],
  norm_num_groups: 4,
};
const CHECKPOINT = 'training/checkpoint.safetensors';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-train-'));
  await mkdir(join(directory, 'pictures'));
  for (let i = 0; i < 12; i++) {
    const picture = await toSharp(syntheticImage(16 + i, 20))
      .png()
      .toBuffer();
    await writeFile(join(directory, 'pictures', `${i}.png`), picture);
  }
  await writeFile(join(directory, 'tiny.json'), JSON.stringify(CONFIG));
});

afterAll(() => rm(directory, { recursive: true }));

/** The arguments of a small run. */
const run = (out: string, ...more: string[]) => [
  ...['train', '--data', 'pictures', '--out', out, '--config', 'tiny.json', '--crop', '8', '--batch', '4'],
  ...['--engine', 'onnx', ...more],
];

async function logOf(out: string) {
  const text = await readFile(join(directory, out, 'training/log.jsonl'), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/** A run in the background. */
function start(args: string[]): { child: ChildProcess; ended: Promise<{ code: number | null; stderr: string }> } {
  const child = spawn(process.execPath, [EXECUTABLE, ...args], { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr!.on('data', (text) => {
    stderr += text;
  });
  const ended = new Promise<{ code: number | null; stderr: string }>((resolve) => {
    child.on('close', (code) => resolve({ code, stderr }));
  });
  return { child, ended };
}

/** Waits until a run's checkpoint is of this step or later. */
async function checkpointAt(out: string, step: number): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    const found = await readCheckpoint(join(directory, out, CHECKPOINT)).catch(() => undefined);
    if (found && found.state.step >= step) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`no checkpoint of step ${step} in a minute`);
}

it('makes a model that codes, with log, plot, samples and model card', async () => {
  const document = await ddpmCodecJson(run('whole', '--steps', '30', '--validate-every', '0.02'), directory);
  expect(document).toMatchObject({ model: 'whole', steps: 30, images: 120, trainedOn: 'pictures: 11 training images' });
  expect(document.commands).toEqual([expect.stringMatching(/^ddpm-codec train --data pictures --out whole/)]);
  expect((await readdir(join(directory, 'whole'))).sort()).toEqual([
    ...['README.md', 'codec.json', 'config.json', 'diffusion_pytorch_model.safetensors', 'training'],
  ]);
  const files = await readdir(join(directory, 'whole/training'));
  expect(files).toEqual(
    expect.arrayContaining(['checkpoint.safetensors', 'log.jsonl', 'log.svg', 'samples-0000030.png']),
  );
  expect(await readFile(join(directory, 'whole/training/log.svg'), 'utf8')).toMatch(/^<svg.*bound on held-out images/s);
  expect(await readFile(join(directory, 'whole/README.md'), 'utf8')).toMatch(/# whole\n.*images seen: 120.*L_1:T-1/s);

  const log = await logOf('whole');
  expect(log.map(({ type }) => type)).toEqual(expect.arrayContaining(['start', 'stop', 'validation']));
  const { bound } = log.find(({ type }) => type === 'validation');
  expect(bound.total.value).toBeGreaterThan(0);
  expect(bound.total.value).toBeCloseTo(bound.prior.value + bound.diffusion.value + bound.decoder.value, 9);

  const encode = ['encode', 'pictures/0.png', '--model', 'whole', '-o', 'a.ddc', '--max-bytes', '60'];
  expect((await ddpmCodecJson(encode, directory)).images[0].bytes).toBeLessThanOrEqual(60);
}, 120_000);

it('another parameterisation codes, too', async () => {
  const options = ['--prediction', 'mu', '--variance', 'learned', '--loss', 'hybrid'];
  await ddpmCodecJson(run(join(directory, 'learned'), '--steps', '5', ...options), directory);
  const text = await readFile(join(directory, 'learned/codec.json'), 'utf8');
  const codec = JSON.parse(text);
  expect(codec.parameterization).toEqual({ prediction: 'mu', variance: 'learned' });
  // Where it lies on this machine is nobody's business.
  expect(codec.about.commands).toEqual([expect.stringContaining('--out learned ')]);
  expect(text + (await readFile(join(directory, 'learned/README.md'), 'utf8'))).not.toContain(directory);
  const encode = ['encode', 'pictures/0.png', '--model', 'learned', '-o', 'b.ddc', '--max-bytes', '60'];
  await ddpmCodecJson(encode, directory);
  const decode = ['decode', 'b.ddc', '--model', 'learned', '-o', 'b.png'];
  expect((await ddpmCodecJson(decode, directory)).images[0].bytesUsed).toBeGreaterThan(12);
}, 120_000);

it('killed at any moment and taken up again, it is the run that it would have been', async () => {
  const STEPS = 400;
  const limits = ['--steps', String(STEPS), '--validate-every', '60'];
  const { child, ended } = start(run('killed', ...limits, '--checkpoint-every', '0.005'));
  await checkpointAt('killed', 20);
  child.kill('SIGKILL');
  await ended;
  const left = (await readCheckpoint(join(directory, 'killed', CHECKPOINT))).state.step;
  expect(left).toBeLessThan(STEPS);
  await ddpmCodecJson(['train', '--out', 'killed', '--resume', ...limits, '--engine', 'onnx'], directory);
  await ddpmCodecJson(run('straight', ...limits), directory);
  const [killed, straight] = await Promise.all(
    ['killed', 'straight'].map((out) => readCheckpoint(join(directory, out, CHECKPOINT))),
  );
  expect(killed.state).toEqual(straight.state);
  const weights = 'diffusion_pytorch_model.safetensors';
  expect(await readFile(join(directory, 'killed', weights))).toEqual(
    await readFile(join(directory, 'straight', weights)),
  );
}, 180_000);

it.each(['SIGINT', 'SIGTERM'] as const)(
  '%s writes a checkpoint and ends with 0',
  async (signal) => {
    const { child, ended } = start(run(signal, '--steps', '1000000', '--checkpoint-every', '0.005'));
    await checkpointAt(signal, 5);
    child.kill(signal);
    const { code, stderr } = await ended;
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringMatching(/stopped at step \d+, checkpoint written.*--resume/),
    });
    const { state, record } = await readCheckpoint(join(directory, signal, CHECKPOINT));
    expect(record.seconds).toBeGreaterThan(0);
    const stop = (await logOf(signal)).at(-1);
    expect(stop).toMatchObject({ type: 'stop', reason: 'signal', step: state.step });
  },
  120_000,
);

it('a signal after the last step ends it at once, and the checkpoint makes the model', async () => {
  const { child, ended } = start(run('finishing', '--steps', '5'));
  const stopped = async () => (await logOf('finishing').catch(() => [])).some(({ type }) => type === 'stop');
  while (!(await stopped())) await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill('SIGTERM');
  const { code, stderr } = await ended;
  expect(code).not.toBe(0);
  expect(stderr).not.toContain('stopping after this step');
  const made = ['train', '--out', 'finishing', '--resume', '--steps', '5', '--engine', 'onnx'];
  expect(await ddpmCodecJson(made, directory)).toMatchObject({ model: 'finishing', steps: 5, images: 20 });
}, 120_000);

it('goes on when a checkpoint cannot be written, and keeps the one before', async () => {
  const { child, ended } = start(run('obstructed', '--steps', '1000000', '--checkpoint-every', '0.005'));
  await checkpointAt('obstructed', 5);
  let stderr = '';
  child.stderr!.on('data', (text) => {
    stderr += text;
  });
  // CHECKPOINT is in a directory of its own, which is out of the way for a while.
  const place = dirname(join(directory, 'obstructed', CHECKPOINT));
  await rename(place, `${place}-away`);
  while (!stderr.includes('the run goes on without that checkpoint')) await new Promise((r) => setTimeout(r, 50));
  await rename(`${place}-away`, place);
  const kept = (await readCheckpoint(join(directory, 'obstructed', CHECKPOINT))).state.step;
  expect(kept).toBeGreaterThanOrEqual(5);
  await checkpointAt('obstructed', kept + 1);
  child.kill('SIGINT');
  expect(await ended).toEqual({
    code: 0,
    stderr: expect.stringMatching(/cannot write the checkpoint: no such/),
  });
}, 120_000);

it('begins with the weights of a model', async () => {
  await ddpmCodecJson(run('base', '--steps', '3'), directory);
  await ddpmCodecJson(
    [...run('further', '--steps', '1'), '--from', 'base', '--warmup', '0', '--lr', '1e-9'],
    directory,
  );
  const card = await readFile(join(directory, 'further/README.md'), 'utf8');
  expect(card).toContain('started from: base');
  expect(card).toContain('images seen: 16');
  const [base, further] = await Promise.all(
    ['base', 'further'].map(async (out) =>
      readSafetensors(await readFile(join(directory, out, 'diffusion_pytorch_model.safetensors'))),
    ),
  );
  expect(further.size).toBe(base.size);
  // One step of 1e-9 is nothing in half precision but for the sign of a zero.
  for (const [name, { data }] of base)
    expect(
      further.get(name)!.data.map((x) => x || 0),
      name,
    ).toEqual(data.map((x) => x || 0));
}, 120_000);

it('a run that diverges says so and keeps the last good checkpoint', async () => {
  const result = await ddpmCodec(run('diverged', '--steps', '500', '--lr', '1e15', '--warmup', '0'), directory);
  expect(result.code).toBe(1);
  expect(result.stderr).toMatch(/training diverged at step \d+.*lower --lr/);
  const { state } = await readCheckpoint(join(directory, 'diverged', CHECKPOINT));
  expect(state.parameters.every(Number.isFinite)).toBe(true);
}, 60_000);

it('pictures that are left out are counted and named', async () => {
  await mkdir(join(directory, 'mixed'));
  for (const name of ['0.png', '1.png', '2.png', '3.png', '4.png', '5.png', '6.png', '7.png', '8.png', '9.png']) {
    await writeFile(join(directory, 'mixed', name), await readFile(join(directory, 'pictures', name)));
  }
  await writeFile(join(directory, 'mixed/broken.jpg'), 'no picture');
  const args = run('mixed-model', '--steps', '2').map((arg) => (arg === 'pictures' ? 'mixed' : arg));
  const result = await ddpmCodec(args, directory);
  expect(result.stderr).toMatch(/skipped mixed\/broken\.jpg: /);
  expect(result.code).toBe(0);
}, 60_000);

describe('refusals', () => {
  const refused = async (args: string[], code: 1 | 2, message: RegExp) =>
    expectRefusal(await ddpmCodec(args, directory), code, message);

  it('nothing to train on', () => refused(['train', '--out', 'x'], 2, /expected --data cifar10 or --data with/));
  it('no directory for the model', () => refused(['train', '--data', 'pictures'], 2, /expected --out/));
  it('an empty directory', async () => {
    await mkdir(join(directory, 'empty'));
    const args = run('x1', '--steps', '1').map((arg) => (arg === 'pictures' ? 'empty' : arg));
    await refused(args, 1, /empty: expected pictures of at least 8x8 pixels, found no pictures/);
  });
  it('crops larger than all pictures', () =>
    refused(
      [...run('x2', '--steps', '1').filter((arg) => !['--crop', '8'].includes(arg)), '--crop', '32'],
      1,
      /none usable.*smaller than a crop \(32x32\)/,
    ));
  it('crops that the network does not take', () =>
    refused(
      [...run('x3', '--steps', '1').filter((arg) => !['--crop', '8'].includes(arg)), '--crop', '9'],
      2,
      /--crop: expected a multiple of 2 for this network, got 9/,
    ));
  it('numbers out of range', async () => {
    await refused(run('x4', '--lr', '0'), 2, /--lr: expected a number .* above 0, got 0/);
    await refused(run('x4', '--ema', '2'), 2, /--ema: expected a number from 0 to 1, got 2/);
    await refused(run('x4', '--hours', 'x'), 2, /--hours: .*got "?x/);
  });
  it('a variance that the loss does not train', () =>
    refused(run('x5', '--variance', 'learned', '--steps', '1'), 2, /learn it with --loss hybrid or vlb/));
  it('an architecture file that is none', async () => {
    await writeFile(join(directory, 'bad.json'), '{"block_out_channels": [7]}');
    const args = run('x6', '--steps', '1').map((arg) => (arg === 'tiny.json' ? 'bad.json' : arg));
    await refused(args, 1, /block_out_channels/);
    await refused(
      args.map((arg) => (arg === 'bad.json' ? 'nowhere.json' : arg)),
      1,
      /--config: expected small, paper or a file/,
    );
  });
  it('a model of another architecture to begin with', () =>
    refused(
      run('x7', '--steps', '1', '--from', 'pilot'),
      1,
      /--from pilot: its config\.json is of another architecture/,
    ));

  describe('with a run in the directory', () => {
    beforeAll(async () => {
      expect((await ddpmCodec(run('there', '--steps', '2'), directory)).code).toBe(0);
    }, 60_000);

    it('it is not begun anew unasked', () =>
      refused(run('there', '--steps', '2'), 2, /there holds a run; go on with it with --resume/));
    it('what is learnt cannot change', async () => {
      const resume = ['train', '--out', 'there', '--resume', '--steps', '4'];
      await refused([...resume, '--batch', '8'], 2, /the run in there has batch 4, not 8/);
      await refused([...resume, '--prediction', 'x0'], 2, /has prediction "eps", not "x0"/);
      await refused([...resume, '--config', 'paper'], 2, /has block_out_channels \[8,8\], not \[128,256,256,256\]/);
      await refused([...resume, '--data', 'mixed'], 2, /has data "pictures", not "mixed"/);
    });
    it('it needs to know how far to go', () =>
      refused(['train', '--out', 'there', '--resume'], 2, /with --steps or --hours/));
    it('a checkpoint that is cut off is refused and left alone', async () => {
      const path = join(directory, 'there', CHECKPOINT);
      await truncate(path, 5000);
      await refused(['train', '--out', 'there', '--resume', '--steps', '4'], 1, /checkpoint\.safetensors/);
      expect((await stat(path)).size).toBe(5000);
    });
  });

  it('a directory without a run to resume', () =>
    refused(['train', '--out', 'pictures', '--resume', '--steps', '4'], 2, /pictures holds no run/));
  it('a model that is not a run of ours is not replaced', async () => {
    await mkdir(join(directory, 'foreign'));
    await writeFile(join(directory, 'foreign/diffusion_pytorch_model.safetensors'), 'x');
    await refused(run('foreign', '--steps', '1'), 1, /foreign holds a model; name another --out/);
    await rm(join(directory, 'foreign'), { recursive: true });
  });
});
