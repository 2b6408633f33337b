/** Runs the built command as a process and measures its time, processor time and memory. */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The built command. */
export const COMMAND = fileURLToPath(new URL('../../bin/ddpm-codec.js', import.meta.url));

/** Milliseconds between two samples of a process. */
const LOOK = 20;
/** A process hangs after this many seconds of processor time, this many without any, or this many in all. */
const PATIENCE = 60;
const MOST_IDLE = 30;
const MOST_SECONDS = 240;
/** MiB above which a process is ended to protect the machine. */
const MOST_MEMORY = 1500;
/** Characters of a process's output to keep. */
const MOST_TEXT = 2 ** 22;

/**
 * @typedef {object} RunOptions
 * @property {string} cwd
 * @property {import('node:child_process').StdioOptions} [stdio] default: no input, output and errors to pipes
 * @property {Uint8Array} [input]
 * @property {Record<string, string>} [env] added to this process's
 * @property {readonly string[]} [launcher] program that starts the command and is replaced by it, such as `setpriv`
 * @property {string} [shell] bash script, with `"$@"` for the command; `exec "$@"` makes it the same process
 * @property {boolean} [group] own process group, so that a signal reaches a whole pipeline
 * @property {(child: import('node:child_process').ChildProcess) => void} [started]
 * @property {number} [patience] seconds of the processor
 */

/**
 * @typedef {object} Result
 * @property {readonly string[]} args
 * @property {number | null} code
 * @property {NodeJS.Signals | null} signal
 * @property {Buffer} bytes of stdout
 * @property {string} stdout
 * @property {string} stderr
 * @property {number} seconds
 * @property {number} cpuSeconds
 * @property {number} peakMiB 0 where it is not known
 * @property {'time' | 'memory' | undefined} ended why it had to be killed
 */

/**
 * Runs `ddpm-codec` until it ends.
 * @param {readonly string[]} args
 * @param {RunOptions} options
 * @returns {Promise<Result>}
 */
export function runCommand(args, options) {
  return runProcess([process.execPath, COMMAND, ...args], args, options);
}

/**
 * Runs a separate module.
 * @param {string} path
 * @param {RunOptions} options
 */
export function runModule(path, options) {
  return runProcess([process.execPath, path], ['module'], options);
}

/**
 * @param {readonly string[]} command
 * @param {readonly string[]} args
 * @param {RunOptions} options
 * @returns {Promise<Result>}
 */
function runProcess(command, args, { cwd, stdio, input, env, launcher = [], shell, group, started, patience }) {
  const [program, ...rest] = shell ? ['bash', '-c', shell, 'bash', ...command] : [...launcher, ...command];
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(program, rest, {
      cwd,
      env: { ...process.env, ...env },
      stdio: stdio ?? [input ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      detached: group ?? false,
    });
    /** @type {Buffer[]} */
    const stdout = [];
    let stderr = '';
    let peakMiB = 0;
    let cpuSeconds = 0;
    let busy = start;
    /** @type {Result['ended']} */
    let ended;
    const kill = () => {
      if (child.pid === undefined) return;
      try {
        process.kill(group ? -child.pid : child.pid, 'SIGKILL');
      } catch {
        // The process is gone.
      }
    };
    const timer = setInterval(() => {
      const used = usageOf(child.pid);
      const now = performance.now();
      // The usage of a process that waits for its children says nothing about them.
      if (used === undefined || used.cpuSeconds > cpuSeconds || childrenOf(child.pid ?? 0).length > 0) busy = now;
      peakMiB = Math.max(peakMiB, used?.peakMiB ?? 0);
      cpuSeconds = Math.max(cpuSeconds, used?.cpuSeconds ?? 0);
      const isHanging = now - busy > MOST_IDLE * 1000 || now - start > MOST_SECONDS * 1000;
      if (isHanging || cpuSeconds > (patience ?? PATIENCE)) ended ??= 'time';
      else if (peakMiB > MOST_MEMORY) ended ??= 'memory';
      if (ended) kill();
    }, LOOK);
    let length = 0;
    child.stdout?.on('data', (/** @type {Buffer} */ bytes) => {
      length += bytes.length;
      if (length < MOST_TEXT) stdout.push(bytes);
    });
    child.stdout?.on('error', () => {});
    child.stderr?.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
      if (stderr.length < MOST_TEXT) stderr += text;
    });
    child.stderr?.on('error', () => {});
    child.stdin?.on('error', () => {});
    if (input) child.stdin?.end(input);
    child.on('error', (error) => {
      clearInterval(timer);
      reject(error);
    });
    child.on('close', (code, signal) => {
      clearInterval(timer);
      const bytes = Buffer.concat(stdout);
      const seconds = (performance.now() - start) / 1000;
      const text = bytes.toString('utf8');
      resolve({ args, code, signal, bytes, stdout: text, stderr, seconds, cpuSeconds, peakMiB, ended });
    });
    started?.(child);
  });
}

/** Clock ticks per second, as Linux reports them to programs. */
const TICKS = 100;

/**
 * Resources that a process has used so far, on Linux.
 * @param {number | undefined} pid
 */
export function usageOf(pid) {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    const [, peak = '0'] = /^VmHWM:\s+(\d+)/m.exec(status) ?? [];
    return { peakMiB: Number(peak) / 1024, cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS };
  } catch {
    return undefined;
  }
}

/** Launcher that makes a program started by root respect file permissions; undefined where that is impossible. */
export function unprivileged() {
  if (process.getuid?.() !== 0) return [];
  const launcher = ['setpriv', '--bounding-set=-dac_override,-dac_read_search'];
  return spawnSync(launcher[0], [...launcher.slice(1), 'true']).status === 0 ? launcher : undefined;
}

/**
 * Running child processes of a process.
 * @param {number} pid
 */
export function childrenOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').map(Number).filter(Boolean);
  } catch {
    return [];
  }
}

/**
 * Whether a process is running, and is not just a zombie.
 * @param {number} pid
 */
export function isRunning(pid) {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
