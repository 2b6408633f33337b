/** Signals during work, and two runs in one place. */
import { readdirSync, readFileSync } from 'node:fs';
import { readCheckpoint } from '../../dist/node/checkpoint-file.js';
import { COMMAND, childrenOf, isRunning } from './running.mjs';
import { TRAIN } from './things.mjs';
import { ENCODE, each, expect, lastLine, plain, sleep, until } from './trial.mjs';

/** @typedef {import('./trial.mjs').Trial} Trial */

const SIGNALS = 'signals';
const LOCKS = 'locks';
/** A run that only a signal ends. It writes only its first checkpoint before that. */
const ENDLESS = [...TRAIN, '--steps', '1000000', '--checkpoint-every', '600', '--validate-every', '600'];
/** Coding that takes long enough to be interrupted. */
const LONG = [
  'encode',
  'a.png',
  '-o',
  'out/a.ddc',
  '--model',
  'model',
  '--effort',
  '9',
  '--lossless',
  '--selection',
  'sample',
];

/** The step of a run's checkpoint. @param {Trial} trial */
async function stepOf(trial) {
  const { state } = await readCheckpoint(trial.path('run/training/checkpoint.safetensors'));
  return state.step;
}

/** Whether a run in `run` is training. @param {Trial} trial */
const isTraining = (trial) => {
  try {
    return /"start"/.test(readFileSync(trial.path('run/training/log.jsonl'), 'utf8'));
  } catch {
    return false;
  }
};

/**
 * Starts an endless training run, and calls `then` once it trains.
 * @param {Trial} trial
 * @param {(pid: number) => Promise<void>} then
 * @param {import('./trial.mjs').Options} [options]
 * @param {readonly string[]} [args]
 */
async function trainUntil(trial, then, options = {}, args = ENDLESS) {
  await trial.take('pictures', 'tiny.json');
  /** @type {Promise<unknown>} */
  let acting = Promise.resolve();
  const result = await trial.codec(args, {
    ...options,
    started: ({ pid }) => {
      acting = until(() => isTraining(trial))
        .then(() => sleep(500))
        .then(() => then(pid ?? 0));
      acting.catch(() => pid && process.kill(options.group ? -pid : pid, 'SIGKILL'));
    },
  });
  await acting;
  return result;
}

/** Expects no temporary file below. @param {Trial} trial @param {string} directory */
function nothingTemporary(trial, directory) {
  const left = readdirSync(trial.path(directory), { recursive: true }).filter((name) => String(name).endsWith('.tmp'));
  expect(left.length === 0, `leaves ${left.join(', ')}`);
}

/** Starts coding and ends it in the middle. @param {Trial} trial @param {NodeJS.Signals} signal */
async function encodeUntil(trial, signal) {
  await trial.take('a.png', 'model');
  await trial.write('out/keep', '');
  const before = await trial.read('a.png');
  let heard = false;
  const result = await trial.codec(LONG, {
    started: (child) =>
      child.stderr?.on('data', () => {
        if (!heard) child.kill(signal);
        heard = true;
      }),
  });
  expect(trial.names('out').join() === 'keep', `leaves ${trial.names('out').join(', ')} (exit code ${result.code})`);
  expect(before !== undefined && (await trial.read('a.png'))?.equals(before), 'the source is another one');
  return result;
}

/** @type {import('./trial.mjs').Case[]} */
export const cases = [
  ...each(SIGNALS, { SIGINT: 130, SIGTERM: 143, SIGHUP: 129, SIGKILL: 137 }, async (trial, code) => {
    const signal = /** @type {NodeJS.Signals} */ (
      Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129, SIGKILL: 137 }).find(([, one]) => one === code)?.[0]
    );
    const result = await encodeUntil(trial, signal);
    expect(result.code === code || result.signal === signal, `exit code ${result.code}: ${lastLine(result.stderr)}`);
    // Leftovers of a kill get in nobody's way.
    await trial.does(ENCODE);
    expect((await trial.read('a.ddc'))?.equals(plain.bytes), 'another file afterwards');
  }).map((one) => ({ ...one, name: `encode, ${one.name}` })),
  ...each(SIGNALS, { SIGINT: 'SIGINT', SIGTERM: 'SIGTERM', SIGHUP: 'SIGHUP' }, async (trial, signal) => {
    const { code, stderr } = await trainUntil(trial, async (pid) => void process.kill(pid, signal));
    const step = await stepOf(trial);
    expect(step > 0, `nothing saved since step 0 (exit code ${code}): ${lastLine(stderr)}`);
    nothingTemporary(trial, 'run');
    return `step ${step}, exit code ${code}`;
  }).map((one) => ({ ...one, name: `train, ${one.name}` })),
  ...each(
    SIGNALS,
    {
      'train 2>&1 | tee log, Ctrl-C ends tee, too': ['SIGINT', 'trap : INT; "$@" 2>&1 | tee log; exit "$PIPESTATUS"'],
      'train, its terminal closes (SIGHUP, both consoles gone)': [
        'SIGHUP',
        'trap : HUP; "$@" 2>&1 | cat > log; exit "$PIPESTATUS"',
      ],
    },
    async (trial, [signal, shell]) => {
      const { code } = await trainUntil(trial, async (pid) => void process.kill(-pid, signal), { shell, group: true });
      const step = await stepOf(trial);
      expect(step > 0, `nothing saved since step 0, exit code ${code}`);
      return `step ${step}, exit code ${code}`;
    },
  ),
  {
    group: SIGNALS,
    name: 'train, a second Ctrl-C ends at once and the first says what it costs',
    run: async (trial) => {
      // Steps that take seconds each.
      const slow = ENDLESS.map((arg, i) => (ENDLESS[i - 1] === '--batch' ? '4096' : arg));
      let seconds = 0;
      const act = async (/** @type {number} */ pid) => {
        process.kill(pid, 'SIGINT');
        await sleep(300);
        process.kill(pid, 'SIGINT');
        const start = performance.now();
        while (isRunning(pid) && performance.now() - start < 60_000) await sleep(20);
        seconds = (performance.now() - start) / 1000;
      };
      const { code, signal, stderr } = await trainUntil(trial, act, {}, slow);
      expect(signal === 'SIGINT' || code === 130, `exit code ${code}: ${lastLine(stderr)}`);
      expect(seconds < 10, `ends after ${seconds.toFixed(1)} s`);
      const said = stderr.split('\n').find((line) => /again/.test(line)) ?? lastLine(stderr);
      expect(/los[et]|since|without/.test(stderr), `does not say what it costs: ${said}`);
      await readCheckpoint(trial.path('run/training/checkpoint.safetensors'));
      return said;
    },
  },
  {
    group: SIGNALS,
    name: 'train, SIGKILL, then --resume',
    run: async (trial) => {
      await trainUntil(trial, async (pid) => void process.kill(pid, 'SIGKILL'));
      const step = await stepOf(trial);
      await trial.does(['train', '--resume', '--out', 'run', '--steps', String(step + 3)]);
      expect(trial.has('run/codec.json'), 'no model in the end');
    },
  },
  ...each(SIGNALS, { SIGINT: 'SIGINT', SIGHUP: 'SIGHUP', SIGKILL: 'SIGKILL' }, async (trial, signal) => {
    await trial.take('pictures');
    const args = ['rd', 'pictures', '--model', 'none', '--baselines', 'avif', '-o', 'out'];
    await trial.codec(args, {
      started: (child) =>
        void until(() => trial.names('out/images').some((name) => name.startsWith('0000'))).then(
          () => child.kill(/** @type {NodeJS.Signals} */ (signal)),
          () => {},
        ),
    });
    await trial.does([...args, '--quiet']);
    expect(trial.names('out/images').filter((name) => name.endsWith('.json')).length === 8, 'images are missing');
  }).map((one) => ({ ...one, name: `rd, ${one.name}, then the same again` })),
  ...each(SIGNALS, { SIGTERM: 'SIGTERM', SIGKILL: 'SIGKILL' }, async (trial, signal) => {
    await trial.take('pictures', 'model');
    const args = ['rd', 'pictures', '--model', 'model', '--effort', '9', '-o', 'out', '--jobs', '2'];
    /** @type {number[]} */
    let children = [];
    await trial.codec(args, {
      started: (child) =>
        void until(() => {
          children = childrenOf(child.pid ?? 0);
          return children.length >= 2;
        })
          .then(() => sleep(1500))
          .then(
            () => child.kill(/** @type {NodeJS.Signals} */ (signal)),
            () => {},
          ),
    });
    for (let i = 0; i < 150 && children.some(isRunning); i++) await sleep(100);
    const left = children.filter(isRunning);
    for (const pid of left) process.kill(pid, 'SIGKILL');
    expect(left.length === 0, `${left.length} of ${children.length} processes go on without it`);
  }).map((one) => ({ ...one, name: `rd with two processes, ${one.name} to the first` })),
  ...each(SIGNALS, { SIGTERM: 'SIGTERM', SIGKILL: 'SIGKILL' }, async (trial, signal) => {
    await trial.take('model');
    const args = ['model', 'export', 'model', '--out', 'out', '--force'];
    let sent = 0;
    for (let round = 0; round < 3; round++) {
      const { code } = await trial.codec(args, {
        started: (child) =>
          void until(
            () => trial.names('out').some((name) => /safetensors.*tmp$/.test(name)) || child.exitCode !== null,
          ).then(
            () => child.kill(/** @type {NodeJS.Signals} */ (signal)) && sent++,
            () => {},
          ),
      });
      if (signal === 'SIGTERM' && code !== 0) nothingTemporary(trial, 'out');
    }
    await trial.does(args);
    const [made, whole] = [
      await trial.read('out/config.json'),
      trial.names('out').filter((name) => !name.startsWith('.')),
    ];
    expect(made !== undefined && whole.length === 4, `has ${whole.join(', ')}`);
  }).map((one) => ({ ...one, name: `model export, ${one.name} while it writes` })),
  {
    group: LOCKS,
    name: 'two train into one directory',
    run: async (trial) => {
      await trial.take('pictures', 'tiny.json');
      const args = [...TRAIN, '--steps', '40', '--quiet'];
      const [first, second] = await Promise.all([trial.codec(args), trial.codec(args)]);
      const done = [first, second].filter(({ code }) => code === 0);
      const refused = [first, second].filter(({ code }) => code !== 0);
      expect(done.length === 1, `${done.length} of two end with exit code 0`);
      expect(/\d+/.test(refused[0].stderr), `does not say who is there: ${lastLine(refused[0].stderr)}`);
      return lastLine(refused[0].stderr);
    },
  },
  {
    group: LOCKS,
    name: 'train into the directory of a run that goes on, --force and --resume',
    run: async (trial) => {
      let said = '';
      const act = async (/** @type {number} */ pid) => {
        const others = [
          [...TRAIN, '--steps', '2', '--force', '--quiet'],
          ['train', '--resume', '--out', 'run', '--steps', '2', '--quiet'],
        ];
        for (const args of others) {
          const { code, stderr } = await trial.codec(args);
          if (code === 0) said = `${args.includes('--force') ? '--force' : '--resume'} is done beside it`;
          else
            said ||= /already|holds no run/.test(stderr) && !/process|pid|\d{2,}/.test(stderr) ? lastLine(stderr) : '';
        }
        process.kill(pid, 'SIGINT');
      };
      const { code } = await trainUntil(trial, act);
      expect(said === '', said);
      expect((await stepOf(trial)) > 0, `the first run lost its steps, exit code ${code}`);
    },
  },
  {
    group: LOCKS,
    name: 'two rd into one directory',
    run: async (trial) => {
      await trial.take('pictures');
      const args = ['rd', 'pictures', '--model', 'none', '--baselines', 'avif', '-o', 'out', '--quiet'];
      const both = await Promise.all([trial.codec(args), trial.codec(args)]);
      const done = both.filter(({ code }) => code === 0);
      const refused = both.find(({ code }) => code !== 0);
      expect(done.length === 1, `${done.length} of two end with exit code 0`);
      return lastLine(refused?.stderr ?? '');
    },
  },
  {
    group: LOCKS,
    name: 'a lock whose process is gone is no lock (train)',
    run: async (trial) => {
      await trainUntil(trial, async (pid) => void process.kill(pid, 'SIGKILL'));
      await trial.does([...TRAIN, '--steps', '2', '--force', '--quiet']);
    },
  },
  ...each(
    LOCKS,
    {
      empty: '',
      garbage: '\0\xff{',
      'wrong types': '{"pid":"x","host":null,"process":[]}',
      null: 'null',
      'a FIFO': undefined,
    },
    async (trial, content) => {
      // The lock may have any name: it is what the killed run's directory holds besides its other files.
      await trainUntil(trial, async (pid) => void process.kill(pid, 'SIGKILL'));
      const known = /^(training|checkpoint\.safetensors|log\.jsonl|.*\.tmp)$/;
      const locks = ['run', 'run/training'].flatMap((directory) =>
        trial.names(directory).flatMap((name) => (known.test(name) ? [] : [`${directory}/${name}`])),
      );
      expect(locks.length === 1, `no lock is seen: ${trial.names('run/training').join(', ')}`);
      if (content === undefined) await trial.replace(locks[0], 'fifo');
      else await trial.write(locks[0], content);
      const { code, stderr } = await trial.codec(['train', '--resume', '--out', 'run', '--steps', '2', '--quiet']);
      return `exit code ${code}: ${lastLine(stderr)}`;
    },
  ).map((one) => ({ ...one, name: `a lock that is ${one.name}` })),
  {
    group: LOCKS,
    name: 'two encodes with one output: one wins, whole',
    run: async (trial) => {
      await trial.take('a.png', 'model');
      const both = await Promise.all([trial.codec(ENCODE), trial.codec(ENCODE)]);
      expect(both.filter(({ code }) => code === 0).length === 1, `exit codes ${both.map(({ code }) => code)}`);
      expect((await trial.read('a.ddc'))?.equals(plain.bytes), 'the file is another one');
      expect(COMMAND !== '' && trial.names().join() === 'a.ddc,a.png,model', trial.names().join());
    },
  },
];
