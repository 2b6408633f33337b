/** One fault at a time: its directory, the command runs in it, and what they must do. */
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { copyFile, cp, link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runCommand, runModule } from './running.mjs';

/** @typedef {import('./running.mjs').Result} Result */
/** @typedef {Partial<import('./running.mjs').RunOptions>} Options */

/**
 * @typedef {object} Case
 * @property {string} group
 * @property {string} name
 * @property {(trial: Trial) => Promise<string | void>} run throws what fell short; returns the outcome where it is of interest
 */

/** Cost of plain work, for comparison with the cost of a fault. */
export const plain = {
  /** Processor time in seconds of a command that only inspects something, and of one that encodes. */
  start: 0,
  encode: 0,
  /** Peak memory of the same two, in MiB. */
  startMiB: 0,
  encodeMiB: 0,
  /** The file that `a.png` becomes with the options {@link ENCODE}. */
  bytes: /** @type {Buffer} */ (Buffer.alloc(0)),
};

/** Encodes `a.png` into `a.ddc` in a moment. */
export const ENCODE = ['encode', 'a.png', '-o', 'a.ddc', '--model', 'model', '--target-rmse', '20', '--effort', '1'];

/** Seconds of processor time that a refusal may take beyond what the command needs to get that far. */
const REFUSAL_SECONDS = 1.5;
/** MiB that a refusal may use where the command needs less. */
const REFUSAL_MIB = 300;
/** Longest allowed line of a message; it may contain a path. */
const MOST_CHARACTERS = 12_000;

/** Why a case cannot be tried on this machine. */
export class Skipped extends Error {}
/** What fell short. */
export class Short extends Error {}

/**
 * @param {unknown} claim
 * @param {string} what came instead
 * @returns {asserts claim}
 */
export function expect(claim, what) {
  if (!claim) throw new Short(what);
}

export class Trial {
  /** @param {string} directory for this trial alone @param {string} things starting material of all cases */
  constructor(directory, things) {
    this.directory = directory;
    this.things = things;
    /** @type {Result[]} */
    this.results = [];
    /** @type {(() => void)[]} */
    this.undo = [];
  }

  /** @param {string} note @returns {never} */
  skip(note) {
    throw new Skipped(note);
  }

  /** @param {string[]} parts */
  path(...parts) {
    return join(this.directory, ...parts);
  }

  /** @param {string} name @param {string | Uint8Array} content */
  async write(name, content) {
    await mkdir(dirname(this.path(name)), { recursive: true });
    await writeFile(this.path(name), content);
  }

  /** @param {string} name */
  read(name) {
    return readFile(this.path(name)).catch(() => undefined);
  }

  /** @param {string} name */
  has(name) {
    return existsSync(this.path(name));
  }

  /**
   * Names in a directory, including hidden ones.
   * @param {string} [name]
   */
  names(name = '.') {
    return existsSync(this.path(name)) ? readdirSync(this.path(name)).sort() : [];
  }

  /** @param {string} name */
  isDirectory(name) {
    return lstatSync(this.path(name)).isDirectory();
  }

  /** @param {string} name */
  sizeOf(name) {
    return lstatSync(this.path(name)).size;
  }

  /**
   * Copies shared material here: `a.png`, `model`, `network`, `part`, `pictures`, `run`, `tiny.json`.
   * @param {string[]} names
   */
  async take(...names) {
    for (const name of names) await cp(join(this.things, name), this.path(name), { recursive: true });
  }

  /**
   * A copy of the model with a changed JSON file.
   * @param {string} file
   * @param {(json: any) => unknown} change returns a replacement, or changes the document in place
   */
  async modelWith(file, change) {
    await this.take('model');
    await this.edit(`model/${file}`, change);
  }

  /** @param {string} name @param {(json: any) => unknown} change */
  async edit(name, change) {
    const json = JSON.parse(await readFile(this.path(name), 'utf8'));
    const changed = change(json);
    await writeFile(this.path(name), typeof changed === 'string' ? changed : JSON.stringify(changed ?? json));
  }

  /**
   * Replaces a file with something else.
   * @param {string} name
   * @param {'fifo' | 'zero' | 'directory' | 'dangling' | 'huge' | 'loop' | 'socket'} kind
   */
  async replace(name, kind) {
    const path = this.path(name);
    await rm(path, { recursive: true, force: true });
    await mkdir(dirname(path), { recursive: true });
    const shell = {
      fifo: 'mkfifo "$0"',
      zero: 'ln -s /dev/zero "$0"',
      directory: 'mkdir "$0"',
      dangling: 'ln -s nowhere "$0"',
      // A sparse file: it takes no room on the disk.
      huge: 'truncate -s 20G "$0"',
      loop: 'ln -s "$0" "$0"',
      socket: `"${process.execPath}" -e 'require("net").createServer().listen(process.argv[1],()=>process.exit(0))' "$0"`,
    };
    const { status } = spawnSync('bash', ['-c', shell[kind], path]);
    if (status !== 0) this.skip(`no ${kind} can be made here`);
  }

  /**
   * Mounts a new file system.
   * @param {string} name of its directory
   * @param {string} options as `mount -o` takes them
   */
  async mount(name, options) {
    await mkdir(this.path(name), { recursive: true });
    const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', this.path(name)]);
    if (status !== 0) this.skip('no file system can be mounted here');
    this.undo.push(() => spawnSync('umount', ['-l', this.path(name)]));
  }

  /**
   * Fills a file system completely.
   * @param {string} name of a directory on it
   */
  fill(name) {
    spawnSync('dd', ['if=/dev/zero', `of=${this.path(name, 'filling')}`, 'bs=4096']);
  }

  /**
   * Runs the command here and checks what holds for every run: it ends, stays within memory, has no native crash or internal error, and
   * prints nothing that moves a cursor.
   * @param {readonly string[] | string} args a text is split at spaces
   * @param {Options} [options]
   */
  async codec(args, options = {}) {
    const list = typeof args === 'string' ? args.split(' ') : args;
    return this.#checked(await runCommand(list, { cwd: this.directory, ...options }));
  }

  /**
   * Runs a module that has the built library as `codec`.
   * @param {string} source
   */
  async script(source) {
    const library = new URL('../../dist/index.js', import.meta.url);
    const head = `import * as codec from ${JSON.stringify(library.href)};\n`;
    await this.write('module.mjs', head + source);
    return this.#checked(await runModule(this.path('module.mjs'), { cwd: this.directory }));
  }

  /** @param {Result} result @returns {Result} */
  #checked(result) {
    this.results.push(result);
    const { code, signal, stdout, stderr, ended, peakMiB } = result;
    const said = lastLine(stderr);
    expect(ended !== 'time', `does not end (${result.seconds.toFixed(0)} s): ${said}`);
    expect(ended !== 'memory', `ended at ${peakMiB.toFixed(0)} MiB: ${said}`);
    expect(signal === null || !CRASHES.includes(signal), `crashed by ${signal}: ${said}`);
    expect(code === null || code < 128 || code === 130 || code === 143 || code === 129, `exit code ${code}: ${said}`);
    expect(!/internal error/.test(stdout + stderr), said);
    expect(!/^\s+at .*:\d+:\d+/m.test(stderr), `a stack: ${said}`);
    // What `-o -` writes is not text.
    const found = UNPRINTABLE.exec(result.args.includes('-') ? stderr : stdout + stderr);
    expect(found === null, `prints ${escaped(found?.[0] ?? '')}`);
    return result;
  }

  /**
   * Expects a refusal: exit code 1 or 2, one line matching `pattern`, soon, in little memory, and nothing left behind.
   * @param {readonly string[] | string} args
   * @param {RegExp} [pattern]
   * @param {Options & { seconds?: number, mib?: number }} [options] seconds and MiB on top of what a refusal may take
   */
  async refuses(args, pattern = /./, { seconds = 0, mib = 0, ...options } = {}) {
    const before = this.#listing();
    const result = await this.codec(args, options);
    const said = lastLine(result.stderr);
    const most = limitsOf(result.args);
    expect(result.code !== 0, `done, as if nothing were wrong${said && `: ${said}`}`);
    expect(result.code === 1 || result.code === 2, `exit code ${result.code} (${result.signal}): ${said}`);
    expect(pattern.test(result.stderr), `says: ${said}`);
    const lines = result.stderr
      .trimEnd()
      .split('\n')
      .filter((line) => !NOTES.test(line));
    expect(lines.length === 1, `${lines.length} lines: ${lines.slice(0, 3).join(' | ')}`);
    expect(said.length < MOST_CHARACTERS, `a line of ${said.length} characters`);
    const { cpuSeconds, peakMiB } = result;
    expect(cpuSeconds <= most.seconds + seconds, `takes ${cpuSeconds.toFixed(1)} s of processor time: ${said}`);
    expect(peakMiB <= most.mib + mib, `takes ${peakMiB.toFixed(0)} MiB: ${said}`);
    const left = this.#listing().filter((name) => !before.includes(name));
    expect(left.length === 0, `leaves ${left.slice(0, 4).join(', ')}`);
    return said;
  }

  /**
   * Expects success.
   * @param {readonly string[] | string} args
   * @param {Options} [options]
   */
  async does(args, options) {
    const result = await this.codec(args, options);
    expect(result.code === 0, `exit code ${result.code ?? result.signal}: ${lastLine(result.stderr)}`);
    return result;
  }

  /** All files and directories here. Mounted ones are left to their case. */
  #listing() {
    /** @type {string[]} */
    const all = [];
    const walk = (/** @type {string} */ below) => {
      for (const name of readdirSync(this.path(below))) {
        const path = join(below, name);
        all.push(path);
        if (lstatSync(this.path(path)).isDirectory()) walk(path);
      }
    };
    walk('.');
    return all;
  }

  /** @param {string} from @param {string} to */
  async copy(from, to) {
    await copyFile(this.path(from), this.path(to));
  }

  /** @param {string} from @param {string} to */
  async link(from, to) {
    await link(this.path(from), this.path(to));
  }

  close() {
    for (const undo of this.undo.splice(0)) undo();
  }
}

/** Signals by which native code ends. */
const CRASHES = ['SIGABRT', 'SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP'];
/** What must not reach a terminal: control characters, and what reorders or breaks lines of text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const UNPRINTABLE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]/;
/** Lines about a run in progress. */
const NOTES =
  /^ddpm-codec: (model .* on |.*: \d+ training images|calibrating |so few pictures|no picture can|[\w./-]+ at [0-9a-f]{8}: )/;

/** @param {string} text */
const escaped = (text) => `U+${text.codePointAt(0)?.toString(16).padStart(4, '0')}`;

/** @param {string} text */
export function lastLine(text) {
  return text.trimEnd().split('\n').at(-1) ?? '';
}

/** @param {readonly string[]} args */
function limitsOf([command]) {
  const needsNetwork = ['encode', 'decode', 'sample', 'interpolate', 'eval', 'train', 'calibrate', 'rd'].includes(
    command,
  );
  return {
    seconds: REFUSAL_SECONDS + (needsNetwork ? Math.max(plain.encode, plain.start) : plain.start),
    mib: Math.max(REFUSAL_MIB, needsNetwork ? plain.encodeMiB + 60 : plain.startMiB + 60),
  };
}

/** @param {number} milliseconds */
export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * Waits until `isSo` is true, for a minute at most.
 * @param {() => boolean} isSo
 */
export async function until(isSo) {
  for (let i = 0; i < 6000 && !isSo(); i++) await sleep(10);
  expect(isSo(), 'what was waited for did not come');
}

/**
 * Makes one case for each entry of the table.
 * @template T
 * @param {string} group
 * @param {Record<string, T>} table by name
 * @param {(trial: Trial, value: T) => Promise<string | void>} run
 * @returns {Case[]}
 */
export function each(group, table, run) {
  return Object.entries(table).map(([name, value]) => ({ group, name, run: (trial) => run(trial, value) }));
}
