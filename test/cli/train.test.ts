/** Training runs of the real command, with a network and pictures small enough to take only seconds. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { watch } from 'node:fs';
import {
  appendFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { readSafetensors } from '../../src/model/safetensors.js';
import { readCheckpoint } from '../../src/node/checkpoint-file.js';
import { callMain, callMainJson, ddpmCodec, ddpmCodecJson, EXECUTABLE, expectRefusal } from '../helpers/cli.js';
import { syntheticImage, toSharp } from '../helpers/fixtures.js';
import { TINY_CONFIG } from '../helpers/training-directory.js';
import { waitUntil } from '../helpers/waiting.js';

const CHECKPOINT = 'training/checkpoint.safetensors';

/** Whether script(1) can provide a terminal. */
const hasScript = process.platform === 'linux' && spawnSync('script', ['--version']).status === 0;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-train-'));
  await mkdir(join(directory, 'pictures'));
  for (let i = 0; i < 12; i++) {
    // Only two sizes, because the network is prepared anew for each size.
    const picture = await toSharp(syntheticImage(i % 2 === 0 ? 16 : 20, 20))
      .png()
      .toBuffer();
    await writeFile(join(directory, 'pictures', `${i}.png`), picture);
  }
  await writeFile(join(directory, 'tiny.json'), JSON.stringify(TINY_CONFIG));
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

interface Run {
  readonly child: ChildProcess;
  /** Its stderr so far, and its stdout. */
  stderr(): string;
  stdout(): string;
  readonly ended: Promise<{ code: number | null; stderr: string }>;
  /** Polls until this is true; fails when the run ends first. */
  until(what: string, isSo: () => Promise<boolean> | boolean): Promise<void>;
}

/** A run in the background. */
function start(args: string[]): Run {
  const [program, ...rest] = [...EXECUTABLE, ...args];
  const child = spawn(program, rest, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  let stdout = '';
  let over = false;
  child.stderr!.on('data', (text) => {
    stderr += text;
  });
  child.stdout!.on('data', (text) => {
    stdout += text;
  });
  const ended = new Promise<{ code: number | null; stderr: string }>((resolve) => {
    child.on('close', (code) => {
      over = true;
      resolve({ code, stderr });
    });
  });
  const until: Run['until'] = async (what, isSo) => {
    while (!(await isSo())) {
      if (over) throw new Error(`the run ended before ${what}: ${stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  onTestFinished(() => void child.kill('SIGKILL'));
  return { child, stderr: () => stderr, stdout: () => stdout, ended, until };
}

const checkpointOf = (out: string) => readCheckpoint(join(directory, out, CHECKPOINT));

/** Waits until the run's checkpoint has reached this step. */
const checkpointAt = (run: Run, out: string, step: number) =>
  run.until(`step ${step}`, async () => ((await checkpointOf(out).catch(() => undefined))?.state.step ?? -1) >= step);

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
  expect((await callMainJson(encode, directory)).images[0].bytes).toBeLessThanOrEqual(60);
});

it('what follows training is in proportion to it, and says what it does', async () => {
  const { code, stderr } = await callMain(run('short', '--steps', '6'), directory);
  expect({ code, stderr }).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(
      /a short run: its learning rate rises over 500 steps, and it has 6; lower --warmup.*trained for 6 steps; now validation .*samples \(1\).*step 6: bound .* bits\/dim on 4 crops of 1 held-out picture\n.*calibrating/s,
    ),
  });
  const { bound } = (await logOf('short')).find(({ type }) => type === 'validation');
  expect(bound).toMatchObject({ images: 4, evaluations: 44 });
  const { about } = JSON.parse(await readFile(join(directory, 'short/codec.json'), 'utf8'));
  expect(about.calibration).toBe('8 crops of training images');
  const { stdout } = await callMain(['model', 'info', 'short'], directory);
  expect(stdout).toMatch(/^bound, held out .* on 4 crops of 1 held-out picture$/m);
  expect(await readFile(join(directory, 'short/README.md'), 'utf8')).toContain('| crops of 1 held-out picture | 4 |');

  const again = await callMain(['train', '--out', 'short', '--resume', '--hours', '1e-9'], directory);
  expect(again.stderr).toMatch(/the run has had its 0 s: nothing is trained now; --hours is of the whole run/);
});

it('data that cannot be used is refused by what it is', async () => {
  const of = (data: string) => callMain(['train', '--data', data, '--out', 'none', '--crop', '64'], directory);
  expectRefusal(
    await of('pictures/0.png'),
    1,
    /0\.png: expected cifar10 or a directory of pictures, but this is a file/,
  );
  expectRefusal(await of('pictures'), 1, /smaller than a crop \(64x64\); a lower --crop takes it in/);
});

it.each([1, 2, 8])('%d pictures are enough', async (count) => {
  const [pictures, out] = [`few-${count}`, `of-${count}`];
  await mkdir(join(directory, pictures));
  for (let i = 0; i < count; i++) {
    await cp(join(directory, 'pictures/0.png'), join(directory, pictures, `${i}.png`));
  }
  // Crops are as large as the pictures, so each has only one.
  const args = ['train', '--data', pictures, '--out', out, '--config', 'tiny.json', '--crop', '16', '--batch', '1'];
  const { code, stderr } = await callMain([...args, '--steps', '1', '--engine', 'onnx'], directory);
  expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining('so few pictures') });
  if (count === 1) expect(stderr).toContain('no picture can be held out');
  const encode = ['encode', 'pictures/0.png', '--model', out, '-o', `${out}.ddc`, '--max-bytes', '60'];
  expect((await callMainJson(encode, directory)).images[0].bytes).toBeLessThanOrEqual(60);
});

it('another parameterisation codes, too; pictures that are left out are counted and named', async () => {
  await cp(join(directory, 'pictures'), join(directory, 'mixed'), { recursive: true });
  await writeFile(join(directory, 'mixed/broken.jpg'), 'no picture');
  const options = ['--prediction', 'mu', '--variance', 'learned', '--loss', 'hybrid'];
  const args = run(join(directory, 'learned'), '--steps', '5', ...options);
  const result = await ddpmCodec(
    args.map((arg) => (arg === 'pictures' ? 'mixed' : arg)),
    directory,
  );
  expect(result).toMatchObject({ code: 0, stderr: expect.stringMatching(/skipped mixed\/broken\.jpg: /) });
  const text = await readFile(join(directory, 'learned/codec.json'), 'utf8');
  const codec = JSON.parse(text);
  expect(codec.parameterization).toEqual({ prediction: 'mu', variance: 'learned' });
  // The output's place on this machine is private.
  expect(codec.about.commands).toEqual([expect.stringContaining('--out learned ')]);
  expect(text + (await readFile(join(directory, 'learned/README.md'), 'utf8'))).not.toContain(directory);
  const encode = ['encode', 'pictures/0.png', '--model', 'learned', '-o', 'b.ddc', '--max-bytes', '60'];
  await callMainJson(encode, directory);
  const decode = ['decode', 'b.ddc', '--model', 'learned', '-o', 'b.png'];
  expect((await callMainJson(decode, directory)).images[0].bytesUsed).toBeGreaterThan(12);
});

it('killed at any moment and taken up again, it is the run that it would have been', async () => {
  const endless = start(run('killed', '--steps', '1000000', '--checkpoint-every', '0.005'));
  await checkpointAt(endless, 'killed', 20);
  endless.child.kill('SIGKILL');
  await endless.ended;
  const left = (await checkpointOf('killed')).state.step;
  // The learning rate falls over the last fifth of a run. The killed run had not reached that part.
  const limits = ['--steps', String(Math.ceil(1.5 * left))];
  await callMainJson(['train', '--out', 'killed', '--resume', ...limits, '--engine', 'onnx'], directory);
  await callMainJson(run('straight', ...limits), directory);
  const [killed, straight] = await Promise.all(['killed', 'straight'].map(checkpointOf));
  expect(killed.state.step).toBeGreaterThan(left);
  expect(killed.state).toEqual(straight.state);
  const weights = 'diffusion_pytorch_model.safetensors';
  expect(await readFile(join(directory, 'killed', weights))).toEqual(
    await readFile(join(directory, 'straight', weights)),
  );
});

it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s writes a checkpoint and ends with 0', async (signal) => {
  const endless = start(run(signal, '--steps', '1000000', '--checkpoint-every', '0.005'));
  await checkpointAt(endless, signal, 5);
  endless.child.kill(signal);
  const { code, stderr } = await endless.ended;
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: expect.stringMatching(/stopped at step \d+, checkpoint written.*--resume/),
  });
  const { state, record } = await checkpointOf(signal);
  expect(record.seconds).toBeGreaterThan(0);
  const stop = (await logOf(signal)).at(-1);
  expect(stop).toMatchObject({ type: 'stop', reason: 'signal', step: state.step });
});

it('a program learns from the document where a signal stopped it', async () => {
  const endless = start(run('told', '--steps', '1000000', '--checkpoint-every', '0.005', '--json'));
  await checkpointAt(endless, 'told', 1);
  endless.child.kill('SIGTERM');
  expect(await endless.ended).toEqual({ code: 0, stderr: '' });
  const { state, record } = await checkpointOf('told');
  const expected = { model: 'told', stopped: true, steps: state.step, seconds: record.seconds };
  expect(JSON.parse(endless.stdout())).toEqual(expected);
});

it('a reader of what it says that ends with the signal, as tee does, costs nothing', async () => {
  const endless = start(run('unread', '--steps', '1000000', '--checkpoint-every', '1000'));
  await endless.until('a step', async () => endless.stderr().includes('parameters'));
  endless.child.stderr!.destroy();
  endless.child.kill('SIGINT');
  expect(await endless.ended).toMatchObject({ code: 0 });
  const { state } = await checkpointOf('unread');
  expect((await logOf('unread')).at(-1)).toMatchObject({ type: 'stop', reason: 'signal', step: state.step });
});

it.runIf(hasScript)('a terminal that is closed costs nothing', async () => {
  const args = run('closed', '--steps', '1000000', '--checkpoint-every', '1000');
  const command = `${[...EXECUTABLE, ...args].join(' ')}; echo $? > code`;
  // A terminal that dies with the process that made it. Its shell survives to report how the run ended; the shell's signal is passed on
  // below.
  const terminal = spawn('script', ['-qec', `trap : HUP; ${command}`, '/dev/null'], {
    cwd: directory,
    stdio: 'ignore',
    detached: true,
  });
  await waitUntil(async () => (await logOf('closed').catch(() => [])).length > 0);
  const { pid } = JSON.parse(await readFile(join(directory, 'closed/training/.lock'), 'utf8'));
  terminal.kill('SIGKILL');
  await once(terminal, 'close');
  process.kill(pid, 'SIGHUP');
  await waitUntil(async () => (await readFile(join(directory, 'code'), 'utf8').catch(() => '')).endsWith('\n'));
  expect(await readFile(join(directory, 'code'), 'utf8')).toBe('0\n');
  expect((await logOf('closed')).at(-1)).toMatchObject({ type: 'stop', reason: 'signal' });
});

it('a second signal ends it at once, and says what that costs', async () => {
  const endless = start(run('twice', '--steps', '1000000', '--checkpoint-every', '0.005'));
  await checkpointAt(endless, 'twice', 5);
  const ended = once(endless.child, 'close');
  // Both signals arrive before the run can react to the first.
  for (const signal of ['SIGSTOP', 'SIGINT', 'SIGTERM', 'SIGCONT'] as const) endless.child.kill(signal);
  const [code, signal] = await ended;
  expect(code).toBeNull();
  expect(['SIGINT', 'SIGTERM']).toContain(signal);
  const { step } = (await checkpointOf('twice')).state;
  expect(endless.stderr()).toMatch(
    new RegExp(
      `stopping after this step; again to stop at once, .*\n.*stopped at once; .* lost: the checkpoint is of step ${step}, go on from there with --resume\n$`,
    ),
  );
  expect((await readdir(join(directory, 'twice/training'))).sort()).toEqual(['checkpoint.safetensors', 'log.jsonl']);
});

it("two runs are not in one directory, and what a killed one left is in nobody's way", async () => {
  const endless = start(run('alone', '--steps', '1000000', '--checkpoint-every', '0.005'));
  await checkpointAt(endless, 'alone', 1);
  const held = new RegExp(`alone/training: in use by process ${endless.child.pid} on .* since 20.*; wait for its end`);
  expectRefusal(await callMain(run('alone', '--steps', '2', '--force'), directory), 1, held);
  expectRefusal(await callMain(['train', '--out', 'alone', '--resume', '--steps', '2'], directory), 1, held);
  endless.child.kill('SIGKILL');
  await endless.ended;
  const before = await logOf('alone');
  // An unfinished line and an unfinished file.
  await appendFile(join(directory, 'alone/training/log.jsonl'), '{"time":"2026-');
  await writeFile(join(directory, 'alone/training/.checkpoint.safetensors.0123456789ab.tmp'), 'x');
  const { step } = (await checkpointOf('alone')).state;
  await callMainJson(['train', '--out', 'alone', '--resume', '--steps', String(step + 1)], directory);
  const after = await logOf('alone');
  expect(after.slice(0, before.length)).toEqual(before);
  expect(after[before.length]).toMatchObject({ type: 'start', step });
  const files = await readdir(join(directory, 'alone/training'));
  expect(files.filter((name) => name.startsWith('.'))).toEqual([]);
});

it('killed again and again, while it begins, saves and makes its model, it is the run that it would have been', async () => {
  const endlessly = ['--steps', '1000000', '--cooldown', '0', '--checkpoint-every', '0.002'];
  const resume = ['train', '--out', 'hunted', '--resume', '--engine', 'onnx'];
  const training = join(directory, 'hunted/training');
  const kill = async ({ child, ended }: Run) => {
    child.kill('SIGKILL');
    await ended;
  };
  const beginning = start(run('hunted', ...endlessly));
  await beginning.until('its beginning', async () => (await logOf('hunted').catch(() => [])).length > 0);
  await kill(beginning);

  const saving = start([...resume, ...endlessly]);
  await checkpointAt(saving, 'hunted', 3);
  const isSaving = new Promise<void>((resolve) => {
    const watcher = watch(training, (_, name) => {
      if (!name?.startsWith('.checkpoint.')) return;
      watcher.close();
      resolve();
    });
  });
  await isSaving;
  await kill(saving);

  const total = String((await checkpointOf('hunted')).state.step + 5);
  const finishing = start([...resume, '--steps', total]);
  await finishing.until('its last step', async () => (await logOf('hunted')).some(({ type }) => type === 'stop'));
  await kill(finishing);
  expect(await readdir(training)).toContain('.lock');

  await callMainJson([...resume, '--steps', total], directory);
  await callMainJson(run('unhunted', '--steps', total, '--cooldown', '0'), directory);
  const [hunted, unhunted] = await Promise.all(['hunted', 'unhunted'].map(checkpointOf));
  expect(hunted.state).toEqual(unhunted.state);
  const weights = 'diffusion_pytorch_model.safetensors';
  expect(await readFile(join(directory, 'hunted', weights))).toEqual(
    await readFile(join(directory, 'unhunted', weights)),
  );
  expect((await logOf('hunted')).filter(({ type }) => type === 'start')).toHaveLength(4);
  expect((await readdir(training)).filter((name) => name.startsWith('.'))).toEqual([]);
});

it('a signal after the last step ends it at once, and the checkpoint makes the model', async () => {
  const { child, ended, until } = start(run('finishing', '--steps', '5'));
  // Validation and calibration follow, and take a hundred times as long as the polling interval.
  await until('its last step', async () =>
    (await logOf('finishing').catch(() => [])).some(({ type }) => type === 'stop'),
  );
  child.kill('SIGTERM');
  const { code, stderr } = await ended;
  expect(code).not.toBe(0);
  expect(stderr).not.toContain('stopping after this step');
  const made = ['train', '--out', 'finishing', '--resume', '--steps', '5', '--engine', 'onnx'];
  expect(await callMainJson(made, directory)).toMatchObject({ model: 'finishing', steps: 5, images: 20 });
});

it('goes on when a checkpoint cannot be written, and keeps the one before', async () => {
  const endless = start(run('obstructed', '--steps', '1000000', '--checkpoint-every', '0.005'));
  await checkpointAt(endless, 'obstructed', 5);
  // CHECKPOINT is in its own directory, which is moved away for a while.
  const place = dirname(join(directory, 'obstructed', CHECKPOINT));
  await rename(place, `${place}-away`);
  await endless.until('it missed it', () => endless.stderr().includes('the run goes on without that checkpoint'));
  await rename(`${place}-away`, place);
  const kept = (await checkpointOf('obstructed')).state.step;
  expect(kept).toBeGreaterThanOrEqual(5);
  await checkpointAt(endless, 'obstructed', kept + 1);
  endless.child.kill('SIGINT');
  expect(await endless.ended).toEqual({
    code: 0,
    stderr: expect.stringMatching(/cannot write the checkpoint: no such/),
  });
});

it('grows from the weights of a smaller network', async () => {
  await writeFile(join(directory, 'deeper.json'), JSON.stringify({ ...TINY_CONFIG, layers_per_block: 2 }));
  const args = run('grown', '--steps', '1').map((arg) => (arg === 'tiny.json' ? 'deeper.json' : arg));
  const grown = await callMain([...args, '--from', 'whole', '--grow', '--warmup', '0', '--lr', '1e-9'], directory);
  expect(grown).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/[\d,]+ of [\d,]+ parameters are those of whole/),
  });
  const tensors = async (out: string) =>
    readSafetensors(await readFile(join(directory, out, 'diffusion_pytorch_model.safetensors')));
  const [whole, deeper] = [await tensors('whole'), await tensors('grown')];
  const [place, before] = ['up_blocks.0.resnets.2.conv1.weight', 'up_blocks.0.resnets.1.conv1.weight'];
  const differences = deeper.get(place)!.data.map((value, i) => Math.abs(value - whole.get(before)!.data[i]));
  expect(Math.max(...differences)).toBeLessThan(1e-3);
  expectRefusal(await callMain([...args, '--grow'], directory), 2, /--grow: say which model .* with --from/);
});

it('windows are a multiple of the stride, where 64 is none', async () => {
  const config = {
    ...TINY_CONFIG,
    patch_size: 3,
    block_out_channels: [8, 8, 8],
    down_block_types: Array(3).fill('DownBlock2D'),
    up_block_types: Array(3).fill('UpBlock2D'),
  };
  await writeFile(join(directory, 'patches.json'), JSON.stringify(config));
  const args = run('patches', '--steps', '2').map((arg) => ({ 'tiny.json': 'patches.json', 8: '12' })[arg] ?? arg);
  const { code, stderr } = await callMain(args, directory);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const codec = JSON.parse(await readFile(join(directory, 'patches/codec.json'), 'utf8'));
  expect(codec.tiling).toEqual({ tile: 72, overlap: 8 });
});

it('begins with the weights of a model', async () => {
  await callMainJson(
    [...run('further', '--steps', '1'), '--from', 'whole', '--warmup', '0', '--lr', '1e-9'],
    directory,
  );
  const card = await readFile(join(directory, 'further/README.md'), 'utf8');
  expect(card).toContain('started from: whole');
  expect(card).toContain('images seen: 124');
  const [base, further] = await Promise.all(
    ['whole', 'further'].map(async (out) =>
      readSafetensors(await readFile(join(directory, out, 'diffusion_pytorch_model.safetensors'))),
    ),
  );
  expect(further.size).toBe(base.size);
  // A step of 1e-9 changes nothing in half precision except the sign of a zero.
  for (const [name, { data }] of base)
    expect(
      further.get(name)!.data.map((x) => x || 0),
      name,
    ).toEqual(data.map((x) => x || 0));
});

it('a run that diverges says so and keeps the last good checkpoint', async () => {
  const result = await callMain(run('diverged', '--steps', '500', '--lr', '1e15', '--warmup', '0'), directory);
  expect(result.code).toBe(1);
  expect(result.stderr).toMatch(/training diverged at step \d+.*lower --lr/);
  const { state } = await checkpointOf('diverged');
  expect(state.parameters.every(Number.isFinite)).toBe(true);
});

describe('refusals', () => {
  /** Also checks that a run that does not begin leaves nothing. */
  const refused = async (args: string[], code: 1 | 2, message: RegExp) => {
    const before = await readdir(directory);
    expectRefusal(await callMain(args, directory), code, message);
    expect(await readdir(directory)).toEqual(before);
  };

  it('nothing to train on', () => refused(['train', '--out', 'x'], 2, /expected --data cifar10 or --data with/));
  it('no directory for the model', () => refused(['train', '--data', 'pictures'], 2, /expected --out/));
  it('an empty directory', async () => {
    await mkdir(join(directory, 'empty'));
    const args = run('x1', '--steps', '1').map((arg) => (arg === 'pictures' ? 'empty' : arg));
    await refused(args, 1, /empty: expected pictures of at least 8x8 pixels, found no pictures/);
  });
  it('nothing but transparent pictures', async () => {
    await mkdir(join(directory, 'transparent'));
    for (const name of ['a.png', 'b.png']) {
      const background = { r: 1, g: 2, b: 3, alpha: 0.5 };
      await sharp({ create: { width: 20, height: 20, channels: 4, background } }).toFile(
        join(directory, 'transparent', name),
      );
    }
    const args = run('deep/x2', '--steps', '1').map((arg) => (arg === 'pictures' ? 'transparent' : arg));
    await refused(
      args,
      1,
      /transparent: none .* can be used; transparent\/.\.png: has transparent pixels; give them a colour /,
    );
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
    const large = run('x4').map((arg) => (arg === '8' ? '2049' : arg));
    await refused(large, 2, /--crop: expected an integer from 1 to 2048, got 2049/);
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
      /--from pilot: its config\.json is of another architecture; give it as --config, too: .*; or .* --grow/,
    ));

  describe('with a run in the directory', () => {
    beforeAll(() => cp(join(directory, 'whole'), join(directory, 'there'), { recursive: true }));

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
