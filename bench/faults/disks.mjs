/** Disks that are full or read-only, and system limits: what did not fit is reported and removed; existing files stay. */
import { readdirSync, rmSync } from 'node:fs';
import { readCheckpoint } from '../../dist/node/checkpoint-file.js';
import { TRAIN } from './things.mjs';
import { ENCODE, each, expect, lastLine, plain, sleep, until } from './trial.mjs';

/** @typedef {import('./trial.mjs').Trial} Trial */

const GROUP = 'disks';
const FULL = /no space left on the device/;

/** Commands that write everything to `full`. */
const WRITERS = {
  encode: ENCODE.map((arg) => (arg === 'a.ddc' ? 'full/a.ddc' : arg)),
  decode: ['decode', 'b.ddc', '-o', 'full/b.png', '--model', 'model'],
  'decode --progressive': ['decode', 'b.ddc', '-o', 'b.png', '--progressive', 'full', '--model', 'model'],
  truncate: ['truncate', 'b.ddc', '-o', 'full/c.ddc', '--bytes', '20'],
  sample: ['sample', '-o', 'full/s.png', '-n', '1', '--steps', '2', '--size', '8x8', '--model', 'model'],
  interpolate: [
    ...['interpolate', 'few/0.png', 'few/1.png', '-o', 'full/i.png', '--t', '1', '--steps', '1', '--lambda', '2'],
    ...['--model', 'model'],
  ],
  eval: ['eval', 'a.png', '--crop', '8', '--timesteps', '1', '-o', 'full/e.json', '--model', 'model'],
  rd: ['rd', 'a.png', '-o', 'full/report', '--model', 'none', '--baselines', 'jpeg'],
  'rd merge': ['rd', 'merge', 'part', '-o', 'full/report'],
  train: TRAIN.map((arg) => (arg === 'run' ? 'full/run' : arg)),
  'model export': ['model', 'export', 'model', '--out', 'full/model'],
  'model import': ['model', 'import', 'network', '--out', 'full/model', '--calibrate', 'few'],
  calibrate: ['calibrate', 'full/network', 'few', '--tile', '8', '--overlap', '0'],
};

/** @param {Trial} trial */
async function begin(trial) {
  await trial.take('a.png', 'few', 'model', 'network', 'part', 'pictures', 'tiny.json');
  await trial.write('b.ddc', plain.bytes);
}

/** Files in and below the trial's directory, without directories. @param {Trial} trial */
const filesIn = (trial) =>
  readdirSync(trial.path('full'), { recursive: true }).filter((name) => /\.\w+$/.test(String(name)));

/** @type {import('./trial.mjs').Case[]} */
export const cases = [
  ...each(GROUP, WRITERS, async (trial, args) => {
    await begin(trial);
    await trial.mount('full', 'size=1m');
    if (args[1] === 'full/network')
      await trial.take('network').then(() => trial.codec(['--version'], { shell: 'cp -r network full/' }));
    const before = filesIn(trial);
    trial.fill('full');
    const { code, stderr } = await trial.codec([...args, '--quiet']);
    expect(code === 1 && FULL.test(stderr), `exit code ${code}: ${lastLine(stderr)}`);
    const left = filesIn(trial).filter((name) => !before.includes(name));
    expect(left.length === 0, `leaves ${left.join(', ')}`);
    return lastLine(stderr);
  }).map((one) => ({ ...one, name: `full: ${one.name}` })),
  {
    group: GROUP,
    name: 'full: an earlier file stays, --force',
    run: async (trial) => {
      await begin(trial);
      await trial.mount('full', 'size=1m');
      await trial.write('full/a.ddc', 'earlier');
      trial.fill('full');
      const { code, stderr } = await trial.codec([...WRITERS.encode, '--force', '--quiet']);
      expect(code === 1 && FULL.test(stderr), `exit code ${code}: ${lastLine(stderr)}`);
      expect((await trial.read('full/a.ddc'))?.toString() === 'earlier', 'the earlier one is gone');
    },
  },
  {
    group: GROUP,
    name: 'full for a while in training: it goes on, and the checkpoint of before stays whole',
    run: async (trial) => {
      await begin(trial);
      await trial.mount('full', 'size=4m');
      const args = [...WRITERS.train, '--steps', '1000000', '--checkpoint-every', '0.005'];
      const checkpoint = trial.path('full/run/training/checkpoint.safetensors');
      let acting = Promise.resolve(0);
      const { code, stderr } = await trial.codec(args, {
        started: (child) => {
          acting = (async () => {
            await until(() => trial.has('full/run/training/log.jsonl'));
            await sleep(1500);
            trial.fill('full');
            await sleep(2500);
            const { state } = await readCheckpoint(checkpoint);
            rmSync(trial.path('full/filling'));
            await sleep(1500);
            child.kill('SIGINT');
            return state.step;
          })();
          acting.catch(() => child.kill('SIGKILL'));
        },
      });
      const meanwhile = await acting;
      const { state } = await readCheckpoint(checkpoint);
      expect(code === 0, `exit code ${code}: ${lastLine(stderr)}`);
      expect(FULL.test(stderr), `says nothing of it: ${lastLine(stderr)}`);
      expect(state.step > meanwhile, `step ${state.step} after ${meanwhile}`);
      return `step ${meanwhile}, then ${state.step}`;
    },
  },
  {
    group: GROUP,
    name: 'full: a batch goes on with files that go elsewhere',
    run: async (trial) => {
      await begin(trial);
      await trial.mount('full', 'size=1m');
      await trial.copy('a.png', 'full/a.png');
      trial.fill('full');
      const args = ['encode', 'full/a.png', 'few/0.png', ...ENCODE.slice(4), '--quiet'];
      const { code, stderr } = await trial.codec(args);
      expect(code === 1 && FULL.test(stderr), `exit code ${code}: ${lastLine(stderr)}`);
      expect(trial.has('few/0.png.ddc') && !trial.has('full/a.png.ddc'), 'the other file is missing');
    },
  },
  ...each(GROUP, { encode: WRITERS.encode, train: WRITERS.train, rd: WRITERS.rd }, async (trial, args) => {
    await begin(trial);
    await trial.mount('full', 'size=1m,ro');
    return trial.refuses(args, /read-only|permission/i);
  }).map((one) => ({ ...one, name: `a read-only file system: ${one.name}` })),
  ...each(
    GROUP,
    { encode: ENCODE, 'model export': ['model', 'export', 'model', '--out', 'out'], train: TRAIN },
    async (trial, args) => {
      await trial.take('a.png', 'model', 'pictures', 'tiny.json');
      // Files may have one block of 1024 bytes. A coded file is smaller than that, so encoding gets no block at all.
      const blocks = args === ENCODE ? 0 : 1;
      const shell = `ulimit -f ${blocks}; exec "$@" 2>&1 | cat`;
      const { code, stdout, stderr } = await trial.codec(args, { shell: `set -o pipefail; ${shell}` });
      const said = lastLine(stdout + stderr);
      expect(
        code === 1 && /^ddpm-codec: .*(large|limit|EFBIG|size)/im.test(stdout + stderr),
        `exit code ${code}: ${said}`,
      );
      const left = readdirSync(trial.directory, { recursive: true }).filter((name) => /tmp$|a\.ddc/.test(String(name)));
      expect(left.length === 0, `leaves ${left.join(', ')}`);
      return said;
    },
  ).map((one) => ({ ...one, name: `a limit on the size of files (ulimit -f): ${one.name}` })),
  {
    group: GROUP,
    name: 'no HOME, no TMPDIR, no cache',
    run: async (trial) => {
      await trial.take('a.png', 'model');
      const env = {
        HOME: '/nonexistent',
        TMPDIR: '/nonexistent',
        XDG_CACHE_HOME: '/nonexistent',
        DDPM_CODEC_CACHE: '',
      };
      await trial.does(ENCODE, { env });
      expect((await trial.read('a.ddc'))?.equals(plain.bytes), 'the file is another one');
    },
  },
];
