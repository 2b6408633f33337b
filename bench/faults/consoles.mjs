/** Consoles that are lost or full: messages sent there are lost, but work does not stop and the results do not change. */
import { closeSync, openSync } from 'node:fs';
import { ENCODE, each, expect, lastLine, plain } from './trial.mjs';

/** @typedef {import('./trial.mjs').Trial} Trial */

const GROUP = 'consoles';

/**
 * State of a standard stream, `whole` or broken.
 * @typedef {'whole' | 'full' | 'gone' | 'closed'} State
 */

/**
 * Runs the command with its streams in these states.
 * @param {Trial} trial
 * @param {readonly string[]} args
 * @param {{ stdout?: State, stderr?: State }} states
 */
async function withConsoles(trial, args, { stdout = 'whole', stderr = 'whole' }) {
  const isGone = { stdout: stdout === 'gone', stderr: stderr === 'gone' };
  const full = [stdout, stderr].includes('full') ? openSync('/dev/full', 'w') : undefined;
  const of = (/** @type {State} */ state) => (state === 'full' ? full : 'pipe');
  const redirections = [stdout === 'closed' ? '>&-' : '', stderr === 'closed' ? '2>&-' : ''].join(' ').trim();
  try {
    return await trial.codec(args, {
      stdio: ['ignore', of(stdout), of(stderr)],
      ...(redirections && { shell: `exec "$@" ${redirections}` }),
      started: (child) => {
        if (isGone.stdout) child.stdout?.destroy();
        if (isGone.stderr) child.stderr?.destroy();
      },
    });
  } finally {
    if (full !== undefined) closeSync(full);
  }
}

/** @type {Record<string, { stdout?: State, stderr?: State }>} */
const LOST = {
  'stderr full': { stderr: 'full' },
  'stderr gone': { stderr: 'gone' },
  'stderr closed': { stderr: 'closed' },
  'stdout full': { stdout: 'full' },
  'stdout gone': { stdout: 'gone' },
  'stdout closed': { stdout: 'closed' },
  'both full': { stdout: 'full', stderr: 'full' },
  'both gone': { stdout: 'gone', stderr: 'gone' },
};

/** @param {Trial} trial @param {import('./running.mjs').Result} result @param {string[]} names of the files that must exist */
function allThere(trial, result, names) {
  const missing = names.filter((name) => !trial.has(name));
  expect(missing.length === 0, `exit code ${result.code}, missing: ${missing.join(', ')} ${lastLine(result.stderr)}`);
}

/** @type {import('./trial.mjs').Case[]} */
export const cases = [
  ...each(GROUP, LOST, async (trial, states) => {
    await trial.take('a.png', 'model');
    const { code, stderr } = await withConsoles(trial, ENCODE, states);
    const bytes = await trial.read('a.ddc');
    expect(bytes !== undefined, `no output, exit code ${code}: ${lastLine(stderr)}`);
    expect(plain.bytes.equals(bytes), 'the file is another one');
    // Nothing went wrong when only lines for people are lost. The command may report that the disk behind stdout is full.
    expect(code === 0 || states.stdout === 'full', `exit code ${code}, though the file is there`);
  }).map((one) => ({ ...one, name: `encode, ${one.name}` })),
  ...each(
    GROUP,
    {
      'stdout gone': { stdout: 'gone' },
      'both gone': { stdout: 'gone', stderr: 'gone' },
      'both full': LOST['both full'],
    },
    async (trial, states) => {
      await trial.take('pictures', 'model');
      const names = trial.names('pictures').slice(0, 5);
      const inputs = names.map((name) => `pictures/${name}`);
      const rest = ['-o', 'out/', ...ENCODE.slice(4)];
      const result = await withConsoles(
        trial,
        ['encode', ...inputs, ...rest],
        /** @type {{ stdout?: State, stderr?: State }} */ (states),
      );
      allThere(
        trial,
        result,
        names.map((name) => `out/${name}.ddc`),
      );
      expect(result.code === 0 || states.stdout === 'full', `exit code ${result.code}, though all files are there`);
    },
  ).map((one) => ({ ...one, name: `encode of several, ${one.name}` })),
  ...[1, 2, 3].map((round) => ({
    group: GROUP,
    name: `encode of eight into "| true", round ${round}`,
    run: async (/** @type {Trial} */ trial) => {
      await trial.take('pictures', 'model');
      const shell = '"$@" | true; exit "$PIPESTATUS"';
      const result = await trial.codec(['encode', 'pictures', '-o', 'out/', ...ENCODE.slice(4)], { shell });
      expect(result.code !== 134, 'SIGABRT');
      if (result.code === 0)
        allThere(
          trial,
          result,
          trial.names('pictures').map((name) => `out/${name}.ddc`),
        );
      expect(!trial.names('out').some((name) => name.endsWith('.tmp')), 'leaves temporary files');
      return `exit code ${result.code}, ${trial.names('out').length} of 8`;
    },
  })),
  {
    group: GROUP,
    name: 'decode of several, stdout gone',
    run: async (trial) => {
      await trial.take('model');
      for (const name of ['b', 'c', 'd']) await trial.write(`in/${name}.ddc`, plain.bytes);
      const result = await withConsoles(trial, ['decode', 'in', '-o', 'out/', '--model', 'model'], { stdout: 'gone' });
      allThere(trial, result, ['out/b.decoded.png', 'out/c.decoded.png', 'out/d.decoded.png']);
      expect(result.code === 0, `exit code ${result.code}`);
    },
  },
  ...each(
    GROUP,
    {
      'sample, stderr full': [
        'sample',
        '-o',
        'out.png',
        '-n',
        '1',
        '--steps',
        '2',
        '--size',
        '8x8',
        '--model',
        'model',
      ],
      'eval, stderr full': ['eval', 'a.png', '--crop', '8', '--timesteps', '1', '-o', 'out.json', '--model', 'model'],
      'rd, stderr full': ['rd', 'few', '--model', 'none', '--baselines', 'jpeg', '-o', 'out'],
      'rd with two processes, stderr full': [
        ...['rd', 'few', '--model', 'none', '--baselines', 'jpeg', '-o', 'out', '--jobs', '2'],
      ],
    },
    async (trial, args) => {
      await trial.take('a.png', 'few', 'model');
      const result = await withConsoles(trial, args, { stderr: 'full' });
      const output = args[args.indexOf('-o') + 1];
      allThere(trial, result, output === 'out' ? ['out/report.html', 'out/results.json'] : [output]);
      expect(result.code === 0, `exit code ${result.code}, though all is there`);
    },
  ),
  {
    group: GROUP,
    name: 'rd with two processes, both gone',
    run: async (trial) => {
      await trial.take('few');
      const args = ['rd', 'few', '--model', 'none', '--baselines', 'jpeg', '-o', 'out', '--jobs', '2'];
      const result = await withConsoles(trial, args, { stdout: 'gone', stderr: 'gone' });
      allThere(trial, result, ['out/report.html', 'out/results.json']);
      expect(result.code === 0, `exit code ${result.code}, though all is there`);
    },
  },
  {
    group: GROUP,
    name: 'train, stderr full',
    run: async (trial) => {
      await trial.take('pictures', 'tiny.json', 'run');
      const args = ['train', '--resume', '--out', 'run', '--steps', '6'];
      const result = await withConsoles(trial, args, { stderr: 'full' });
      expect(result.code === 0, `exit code ${result.code}: ${lastLine(result.stderr)}`);
    },
  },
  {
    group: GROUP,
    name: 'the result itself to a full disk (-o - > /dev/full)',
    run: async (trial) => {
      await trial.take('a.png', 'model');
      const full = openSync('/dev/full', 'w');
      const args = ENCODE.map((arg) => (arg === 'a.ddc' ? '-' : arg));
      const { code, stderr } = await trial.codec([...args, '--quiet'], { stdio: ['ignore', full, 'pipe'] });
      closeSync(full);
      expect(code === 1 && /no space left/.test(stderr), `exit code ${code}: ${lastLine(stderr)}`);
      return lastLine(stderr);
    },
  },
  {
    group: GROUP,
    name: 'a document to a full disk (--json > /dev/full)',
    run: async (trial) => {
      await trial.take('a.png', 'model');
      const { code, stderr } = await withConsoles(trial, [...ENCODE, '--json'], { stdout: 'full' });
      const bytes = await trial.read('a.ddc');
      expect(bytes !== undefined && plain.bytes.equals(bytes), `the file is not there: ${lastLine(stderr)}`);
      // The document is the result, so its loss must be reported.
      expect(code === 1, `exit code ${code}, though the document is lost`);
      return lastLine(stderr);
    },
  },
  {
    group: GROUP,
    name: 'the reader of the result goes (-o - | true)',
    run: async (trial) => {
      await trial.take('a.png', 'model');
      const args = ENCODE.map((arg) => (arg === 'a.ddc' ? '-' : arg));
      const { code, stderr } = await withConsoles(trial, [...args, '--quiet'], { stdout: 'gone' });
      expect(code === 1, `exit code ${code}: ${lastLine(stderr)}`);
      return lastLine(stderr);
    },
  },
  {
    group: GROUP,
    name: 'a slow reader gets every byte',
    run: async (trial) => {
      await trial.take('model');
      await trial.write('b.ddc', plain.bytes);
      await trial.does(['decode', 'b.ddc', '-o', 'b.png', '--model', 'model']);
      const shell = '"$@" | (sleep 3; cat > slow.png); exit "$PIPESTATUS"';
      await trial.does(['decode', 'b.ddc', '-o', '-', '--model', 'model', '--quiet'], { shell });
      const [whole, slow] = [await trial.read('b.png'), await trial.read('slow.png')];
      expect(whole !== undefined && slow !== undefined && whole.equals(slow), 'other bytes');
    },
  },
  {
    group: GROUP,
    name: 'standard input is closed',
    run: (trial) => trial.refuses(['decode', '-', '-o', 'b.png'], /./, { shell: 'exec "$@" <&-' }),
  },
  {
    group: GROUP,
    name: 'standard input is a directory',
    run: (trial) => trial.refuses(['decode', '-', '-o', 'b.png'], /./, { shell: 'exec "$@" < .' }),
  },
  {
    group: GROUP,
    name: 'standard input ends in the middle of a header',
    run: (trial) => trial.refuses(['decode', '-', '-o', 'b.png'], /./, { input: plain.bytes.subarray(0, 5) }),
  },
];
