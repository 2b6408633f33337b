/** Where results go: modes, links, devices, unwritable directories, names. */
import { chmodSync, linkSync, lstatSync, mkdirSync, readlinkSync, statSync, symlinkSync } from 'node:fs';
import { unprivileged } from './running.mjs';
import { ENCODE, each, expect, lastLine, plain } from './trial.mjs';

/** @typedef {import('./trial.mjs').Trial} Trial */

const GROUP = 'outputs';

/** Encodes into another file. @param {string} output @param {string[]} more */
const into = (output, ...more) => [...ENCODE.map((arg) => (arg === 'a.ddc' ? output : arg)), ...more];

/** @param {string} path */
const modeOf = (path) => statSync(path).mode & 0o7777;

/** Commands that write one file. Keys name the command and the file. */
const WRITERS = {
  'encode a.ddc': ENCODE,
  'decode b.png': ['decode', 'b.ddc', '-o', 'b.png', '--model', 'model'],
  'truncate c.ddc': ['truncate', 'b.ddc', '-o', 'c.ddc', '--bytes', '20'],
  'sample s.png': ['sample', '-o', 's.png', '-n', '1', '--steps', '2', '--size', '8x8', '--model', 'model'],
  'eval e.json': ['eval', 'a.png', '--crop', '8', '--timesteps', '1', '-o', 'e.json', '--model', 'model'],
  'calibrate network/codec.json': ['calibrate', 'network', 'few', '--tile', '8', '--overlap', '0'],
};

/** @param {Trial} trial */
async function begin(trial) {
  await trial.take('a.png', 'model', 'few', 'network');
  await trial.write('b.ddc', plain.bytes);
}

/**
 * Expects the command to refuse the output before the work: no message about a start, and useful advice.
 * @param {Trial} trial
 * @param {string[]} args
 */
async function refusedBefore(trial, args) {
  const said = await trial.refuses(args);
  const { stderr, cpuSeconds } = trial.results.at(-1) ?? { stderr: '', cpuSeconds: 0 };
  expect(!/ on onnx| on wasm/.test(stderr), `only after the engine was opened: ${said}`);
  expect(cpuSeconds < plain.start + 1, `only after ${cpuSeconds.toFixed(1)} s: ${said}`);
  return said;
}

/** @type {import('./trial.mjs').Case[]} */
export const cases = [
  ...each(GROUP, WRITERS, async (trial, args) => {
    await begin(trial);
    const [output] = Object.entries(WRITERS)
      .find(([, one]) => one === args)?.[0]
      .split(' ')
      .slice(1) ?? [''];
    const earlier = output.endsWith('codec.json') ? await trial.read('model/codec.json') : undefined;
    await trial.write(output, earlier ?? 'earlier');
    chmodSync(trial.path(output), 0o600);
    await trial.does([...args, '--force']);
    const mode = modeOf(trial.path(output));
    expect(
      Buffer.compare((await trial.read(output)) ?? Buffer.alloc(0), earlier ?? Buffer.from('earlier')) !== 0,
      'nothing was written',
    );
    expect(mode === 0o600, `mode 600 becomes ${mode.toString(8)}`);
  }).map((one) => ({ ...one, name: `${one.name} --force keeps mode 600` })),
  {
    group: GROUP,
    name: 'a new file has the mode that the umask leaves',
    run: async (trial) => {
      await begin(trial);
      await trial.does(ENCODE, { shell: 'umask 027; exec "$@"' });
      const mode = modeOf(trial.path('a.ddc'));
      expect(mode === 0o640, `mode ${mode.toString(8)}`);
    },
  },
  {
    group: GROUP,
    name: 'a file that is there is not touched without --force',
    run: async (trial) => {
      await begin(trial);
      await trial.write('a.ddc', 'earlier');
      const said = await refusedBefore(trial, ENCODE);
      expect((await trial.read('a.ddc'))?.toString() === 'earlier', 'it was');
      return said;
    },
  },
  {
    group: GROUP,
    name: 'a symbolic link as output, --force: it stays a link, or nothing happens',
    run: async (trial) => {
      await begin(trial);
      await trial.write('real/target.ddc', 'earlier');
      symlinkSync('real/target.ddc', trial.path('a.ddc'));
      const { code, stderr } = await trial.codec([...ENCODE, '--force']);
      const target = await trial.read('real/target.ddc');
      expect(lstatSync(trial.path('a.ddc')).isSymbolicLink(), `the link is gone, exit code ${code}`);
      expect(readlinkSync(trial.path('a.ddc')) === 'real/target.ddc', 'it leads elsewhere');
      if (code === 0) expect(target?.equals(plain.bytes), 'its target is not the file');
      else expect(target?.toString() === 'earlier', `its target was changed: ${lastLine(stderr)}`);
      expect(trial.names('real').join() === 'target.ddc', trial.names('real').join());
      return code === 0 ? 'written through' : lastLine(stderr);
    },
  },
  {
    group: GROUP,
    name: 'a symbolic link as output, no --force',
    run: async (trial) => {
      await begin(trial);
      await trial.write('target.ddc', 'earlier');
      symlinkSync('target.ddc', trial.path('a.ddc'));
      const said = await refusedBefore(trial, ENCODE);
      expect((await trial.read('target.ddc'))?.toString() === 'earlier', 'its target was changed');
      return said;
    },
  },
  ...each(GROUP, { 'no --force': [], '--force': ['--force'] }, async (trial, more) => {
    await begin(trial);
    symlinkSync('nowhere/b.ddc', trial.path('a.ddc'));
    const said = await refusedBefore(trial, [...ENCODE, ...more]);
    expect(!/use --force/.test(said), `advises what does not help: ${said}`);
    expect(lstatSync(trial.path('a.ddc')).isSymbolicLink(), 'the link is gone');
    return said;
  }).map((one) => ({ ...one, name: `a dangling link as output, ${one.name}` })),
  ...each(
    GROUP,
    { '/dev/full': ['/dev/full'], '/dev/null': ['/dev/null'], '/dev/full, --force': ['/dev/full', '--force'] },
    async (trial, [output, ...more]) => {
      await begin(trial);
      const said = await refusedBefore(trial, into(output, ...more));
      expect(!/use --force/.test(said), `advises what does not help: ${said}`);
      expect(statSync(output).isCharacterDevice(), 'the device is gone');
      return said;
    },
  ).map((one) => ({ ...one, name: `${one.name} as output` })),
  ...each(
    GROUP,
    /** @type {Record<string, 'fifo' | 'directory' | 'socket' | 'loop'>} */ ({
      'a FIFO': 'fifo',
      'a directory': 'directory',
      'a socket': 'socket',
      'a link to itself': 'loop',
    }),
    async (trial, kind) => {
      await begin(trial);
      await trial.replace('b.json', kind);
      const args = ['eval', 'a.png', '--crop', '8', '--timesteps', '1', '-o', 'b.json', '--model', 'model', '--force'];
      const said = await refusedBefore(trial, args);
      expect(!/use --force/.test(said), `advises what does not help: ${said}`);
      return said;
    },
  ).map((one) => ({ ...one, name: `${one.name} as output, --force` })),
  ...each(
    GROUP,
    {
      'a directory that is not there': 'nowhere/a.ddc',
      'below a file': 'a.png/a.ddc',
      'no name': '',
      'a name of 300 characters': `${'a'.repeat(296)}.ddc`,
      'a path of 5000 characters': `${'./'.repeat(2500)}a.ddc`,
      'below a name of 300 characters': `${'a'.repeat(300)}/a.ddc`,
    },
    async (trial, output) => {
      await begin(trial);
      return refusedBefore(trial, into(output));
    },
  ).map((one) => ({ ...one, name: `output: ${one.name}` })),
  ...each(
    GROUP,
    { 'letters of one byte': `${'a'.repeat(251)}.ddc`, 'letters of three bytes': `${'あ'.repeat(83)}.ddc` },
    async (trial, output) => {
      await begin(trial);
      await trial.does(into(output));
      expect((await trial.read(output))?.equals(plain.bytes), 'the file is another one');
    },
  ).map((one) => ({ ...one, name: `the longest name there can be, ${one.name}` })),
  {
    group: GROUP,
    name: 'a name that begins with a hyphen, behind --',
    run: async (trial) => {
      await begin(trial);
      await trial.copy('a.png', '-a.png');
      await trial.does(['encode', ...into('./-a.ddc').slice(2), '--', '-a.png']);
      expect((await trial.read('-a.ddc'))?.equals(plain.bytes), 'the file is another one');
    },
  },
  ...each(
    GROUP,
    {
      encode: into('readonly/a.ddc'),
      decode: ['decode', 'b.ddc', '-o', 'readonly/b.png'],
      sample: ['sample', '-o', 'readonly/a.png', '-n', '1'],
      rd: ['rd', 'a.png', '-o', 'readonly/report', '--model', 'none', '--baselines', 'jpeg'],
      train: ['train', '--data', 'few', '--out', 'readonly/run', '--crop', '8'],
      'model export': ['model', 'export', 'model', '--out', 'readonly'],
      'model import': ['model', 'import', 'network', '--out', 'readonly/model', '--calibrate', 'few'],
    },
    async (trial, args) => {
      const launcher = unprivileged();
      if (launcher === undefined) return trial.skip('root cannot give up its privileges here');
      await begin(trial);
      mkdirSync(trial.path('readonly'));
      chmodSync(trial.path('readonly'), 0o555);
      return trial.refuses(args, /permission denied/, { launcher });
    },
  ).map((one) => ({ ...one, name: `a read-only directory: ${one.name}` })),
  {
    group: GROUP,
    name: 'the working directory is read-only, and nothing has to be written there',
    run: async (trial) => {
      const launcher = unprivileged();
      if (launcher === undefined) return trial.skip('root cannot give up its privileges here');
      await begin(trial);
      mkdirSync(trial.path('readonly'));
      mkdirSync(trial.path('out'));
      chmodSync(trial.path('readonly'), 0o555);
      const args = ['encode', '../a.png', ...into('../out/a.ddc').slice(2)];
      await trial.does(
        args.map((arg) => (arg === 'model' ? '../model' : arg)),
        { launcher, cwd: trial.path('readonly') },
      );
    },
  },
  {
    group: GROUP,
    name: 'a source of which the output is a hard link stays as it was',
    run: async (trial) => {
      await begin(trial);
      const before = await trial.read('a.png');
      linkSync(trial.path('a.png'), trial.path('a.ddc'));
      await trial.codec([...ENCODE, '--force']);
      expect(before !== undefined && (await trial.read('a.png'))?.equals(before), 'the source is another one');
    },
  },
  {
    group: GROUP,
    name: 'the output is the source, by a link, --force',
    run: async (trial) => {
      await begin(trial);
      const before = await trial.read('a.png');
      symlinkSync('a.png', trial.path('b.png'));
      const said = await trial.refuses(into('b.png', '--force'));
      expect(before !== undefined && (await trial.read('a.png'))?.equals(before), 'the source is another one');
      return said;
    },
  },
  ...each(
    GROUP,
    {
      encode: ENCODE,
      info: ['info', 'b.ddc'],
      rd: ['rd', 'a.png', '-o', 'out', '--model', 'none', '--baselines', 'jpeg'],
      'model list': ['model', 'list'],
      'model list --json': ['model', 'list', '--json'],
      train: ['train', '--data', 'few', '--out', 'run'],
    },
    async (trial, args) => {
      await trial.write('gone/b.ddc', plain.bytes);
      // The command is given by its full path. Its directory is removed before it starts.
      const options = { cwd: trial.path('gone'), shell: 'rm -r "$PWD"; exec "$@"' };
      const { code, stdout, stderr } = await trial.codec(args, options);
      const isDone = code === 0 && args[0] === 'model';
      expect(isDone || code === 1 || code === 2, `exit code ${code}: ${stdout}${lastLine(stderr)}`);
      if (!isDone) expect(/^ddpm-codec: /.test(stderr), `says: ${stderr.slice(0, 300)}`);
      expect(!trial.has('gone'), 'the directory is made anew');
      return lastLine(stderr);
    },
  ).map((one) => ({ ...one, name: `the working directory is gone: ${one.name}` })),
];
