/** Runs the real executable, or the function that it calls. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { main } from '../../src/cli/main.js';

/** How to start the executable; see `one-core.js`. */
export const EXECUTABLE: readonly string[] = [
  process.execPath,
  '--import',
  new URL('./one-core.js', import.meta.url).href,
  fileURLToPath(new URL('../../bin/ddpm-codec.js', import.meta.url)),
];

/** Milliseconds after which a process counts as hanging: enough for any busy machine. */
const HANGS = 1_800_000;

export interface RunResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A result that also has the signal that ended the process. */
export interface EndedResult extends RunResult {
  readonly signal: NodeJS.Signals | null;
}

/** Runs `ddpm-codec` with these arguments and additional environment variables. Kills it when it hangs. */
export async function ddpmCodec(
  args: readonly string[],
  cwd?: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<RunResult> {
  const { signal: _, ...result } = await run(args, cwd, environment);
  return result;
}

/**
 * Calls the executable's `main` with these arguments in this directory, without starting a process, which would take half a
 * second. Use it to test what a command says and does. {@link ddpmCodec} tests that the executable does the same, and what only
 * a process does.
 */
export async function callMain(
  args: readonly string[],
  cwd: string = process.cwd(),
  environment: Readonly<Record<string, string>> = {},
): Promise<RunResult> {
  const before = { cwd: process.cwd(), env: process.env, log: console.log };
  const said = { stdout: '', stderr: '' };
  const forget = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((signal) => newListenersOf(process, signal));
  const streams = (['stdout', 'stderr'] as const).map((name) => {
    const stream = process[name];
    const { write, isTTY } = stream;
    forget.push(newListenersOf(stream, 'error'));
    stream.isTTY = false;
    stream.write = (text: string | Uint8Array, ...rest: unknown[]) => {
      said[name] += typeof text === 'string' ? text : Buffer.from(text).toString();
      const done = rest.at(-1);
      if (typeof done === 'function') process.nextTick(done as () => void);
      return true;
    };
    return () => Object.assign(stream, { write, isTTY });
  });
  // yargs prints --help here.
  console.log = (text: string) => process.stdout.write(`${text}\n`);
  process.chdir(cwd);
  process.env = { ...process.env, ...environment };
  try {
    const code = await main(args);
    return { code, ...said };
  } finally {
    process.env = before.env;
    process.chdir(before.cwd);
    console.log = before.log;
    for (const restore of [...streams, ...forget]) restore();
  }
}

/** Returns a function that removes the listeners added since now. A process that ends need not do this, but this one goes on. */
function newListenersOf(emitter: NodeJS.EventEmitter, event: string): () => void {
  const before = emitter.listeners(event);
  return () => {
    for (const one of emitter.listeners(event)) if (!before.includes(one)) emitter.off(event, one as () => void);
  };
}

/**
 * Runs `ddpm-codec`, and calls a function once the command has named its model, in the first line on stderr. At that moment
 * the work has begun.
 */
export function ddpmCodecMeanwhile(
  args: readonly string[],
  cwd: string,
  meanwhile: (child: ChildProcess) => void,
): Promise<EndedResult> {
  return run(args, cwd, {}, { atFirstLine: meanwhile });
}

/** Launcher that makes a program started by root respect file permissions; undefined where that is impossible. */
function heedingPermissions(): readonly string[] | undefined {
  if (process.getuid?.() !== 0) return [];
  const command = ['setpriv', '--bounding-set=-dac_override,-dac_read_search'];
  return spawnSync(command[0], [...command.slice(1), 'true']).status === 0 ? command : undefined;
}

/** Runs `ddpm-codec` subject to file permissions, even when root runs the tests; undefined where that is impossible. */
export function ddpmCodecUnprivileged(args: readonly string[], cwd: string): Promise<RunResult> | undefined {
  const launcher = heedingPermissions();
  return launcher && run(args, cwd, {}, { launcher });
}

/** Runs `ddpm-codec` with stdout to a file or device. */
export function ddpmCodecInto(
  path: string,
  args: readonly string[],
  cwd: string,
): { readonly code: number | null; readonly stderr: string } {
  const file = openSync(path, 'w');
  const [program, ...rest] = [...EXECUTABLE, ...args];
  const { status, stderr } = spawnSync(program, rest, {
    cwd,
    stdio: ['ignore', file, 'pipe'],
    encoding: 'utf8',
    timeout: HANGS,
  });
  closeSync(file);
  return { code: status, stderr };
}

/** Runs `ddpm-codec`, and calls a function when it starts. */
export function ddpmCodecStarted(
  args: readonly string[],
  cwd: string,
  meanwhile: (child: ChildProcess) => void,
): Promise<EndedResult> {
  return run(args, cwd, {}, { atStart: meanwhile });
}

/** Runs `ddpm-codec` in a pipe. It reads the input, given at once or written by `input`. Returns the bytes that it writes. */
export async function ddpmCodecPiped(
  args: readonly string[],
  cwd: string,
  input: Uint8Array | ((stdin: Writable) => Promise<void>),
): Promise<{ readonly code: number | null; readonly stdout: Buffer; readonly stderr: string }> {
  let feeding: Promise<void> | undefined;
  const atStart = ({ stdin }: ChildProcess) => {
    // A program closes its input when it has read enough or refuses.
    stdin!.on('error', () => {});
    if (typeof input === 'function') feeding = input(stdin!);
    else stdin!.end(input);
  };
  const { code, stdout, stderr } = await runForBytes(args, cwd, {}, { atStart, stdin: 'pipe' });
  await feeding;
  return { code, stdout, stderr };
}

interface RunOptions {
  readonly stdin?: 'ignore' | 'pipe';
  readonly atStart?: (child: ChildProcess) => void;
  readonly atFirstLine?: (child: ChildProcess) => void;
  /** What starts the program. */
  readonly launcher?: readonly string[];
}

async function run(...args: Parameters<typeof runForBytes>): Promise<EndedResult> {
  const { stdout, ...result } = await runForBytes(...args);
  return { ...result, stdout: stdout.toString('utf8') };
}

function runForBytes(
  args: readonly string[],
  cwd: string | undefined,
  environment: Readonly<Record<string, string>>,
  { stdin = 'ignore', atStart, atFirstLine, launcher = [] }: RunOptions = {},
): Promise<Omit<EndedResult, 'stdout'> & { readonly stdout: Buffer }> {
  return new Promise((resolve, reject) => {
    const [program, ...rest] = [...launcher, ...EXECUTABLE, ...args];
    const child = spawn(program, rest, {
      cwd,
      env: { ...process.env, ...environment },
      stdio: [stdin, 'pipe', 'pipe'],
      timeout: HANGS,
    });
    atStart?.(child);
    const stdout: Buffer[] = [];
    let stderr = '';
    child.stdout!.on('data', (bytes) => stdout.push(bytes));
    child.stderr!.setEncoding('utf8').on('data', (text) => {
      if (stderr === '') atFirstLine?.(child);
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout: Buffer.concat(stdout), stderr }));
  });
}

// biome-ignore lint/suspicious/noExplicitAny: a document is whatever the test says it is
type Document = any;

/** Runs `ddpm-codec` and returns its `--json` document. Fails the test unless the exit code is 0. */
export async function ddpmCodecJson(args: readonly string[], cwd?: string): Promise<Document> {
  return documentOf(await ddpmCodec([...args, '--json'], cwd));
}

/** The same with {@link callMain}. */
export async function callMainJson(
  args: readonly string[],
  cwd?: string,
  environment?: Readonly<Record<string, string>>,
): Promise<Document> {
  return documentOf(await callMain([...args, '--json'], cwd, environment));
}

function documentOf({ code, stdout, stderr }: RunResult): Document {
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

/** Expects a refusal: this exit code, nothing on stdout, and one line on stderr with this message. */
export function expectRefusal(result: RunResult, code: 1 | 2, message: RegExp): void {
  expect(result.stderr).toMatch(/^ddpm-codec: [^\n]*\n$/);
  expect(result.stderr).toMatch(message);
  expect(result.stderr).not.toMatch(/internal error/);
  expect(result.stdout).toBe('');
  expect(result.code).toBe(code);
}
