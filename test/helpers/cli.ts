/** Runs the real executable. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

const EXECUTABLE = fileURLToPath(new URL('../../bin/ddpm-codec.js', import.meta.url));

export interface RunResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Also the signal that ended it. */
export interface EndedResult extends RunResult {
  readonly signal: NodeJS.Signals | null;
}

/** Runs `ddpm-codec` with these arguments, and more in its environment; killed after a minute. */
export async function ddpmCodec(
  args: readonly string[],
  cwd?: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<RunResult> {
  const { signal: _, ...result } = await run(args, cwd, environment);
  return result;
}

/**
 * Runs `ddpm-codec`, and something else when it has said which model it works with, the first line on stderr: at that moment
 * the work has begun.
 */
export function ddpmCodecMeanwhile(
  args: readonly string[],
  cwd: string,
  meanwhile: (child: ChildProcess) => void,
): Promise<EndedResult> {
  return run(args, cwd, {}, { atFirstLine: meanwhile });
}

/** What makes a program that root starts heed the permissions of files; undefined where it cannot be done. */
function heedingPermissions(): readonly string[] | undefined {
  if (process.getuid?.() !== 0) return [];
  const command = ['setpriv', '--bounding-set=-dac_override,-dac_read_search'];
  return spawnSync(command[0], [...command.slice(1), 'true']).status === 0 ? command : undefined;
}

/** Runs `ddpm-codec` as one whom permissions bind, also where the tests are run by root; undefined where that cannot be done. */
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
  const { status, stderr } = spawnSync(process.execPath, [EXECUTABLE, ...args], {
    cwd,
    stdio: ['ignore', file, 'pipe'],
    encoding: 'utf8',
    timeout: 60_000,
  });
  closeSync(file);
  return { code: status, stderr };
}

/** Runs `ddpm-codec`, and something else from its start on. */
export function ddpmCodecStarted(
  args: readonly string[],
  cwd: string,
  meanwhile: (child: ChildProcess) => void,
): Promise<EndedResult> {
  return run(args, cwd, {}, { atStart: meanwhile });
}

/** Runs `ddpm-codec` in a pipe: what it reads, all at once or as `input` writes it, and the bytes that it writes. */
export async function ddpmCodecPiped(
  args: readonly string[],
  cwd: string,
  input: Uint8Array | ((stdin: Writable) => Promise<void>),
): Promise<{ readonly code: number | null; readonly stdout: Buffer; readonly stderr: string }> {
  let feeding: Promise<void> | undefined;
  const atStart = ({ stdin }: ChildProcess) => {
    // A program that has read enough, or refuses, hangs up.
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
    const [program, ...rest] = [...launcher, process.execPath, EXECUTABLE, ...args];
    const child = spawn(program, rest, {
      cwd,
      env: { ...process.env, ...environment },
      stdio: [stdin, 'pipe', 'pipe'],
      timeout: 60_000,
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

/** Runs `ddpm-codec` and gives its `--json` document; fails the test when it does not end with exit code 0. */
// biome-ignore lint/suspicious/noExplicitAny: a document is whatever the test says it is
export async function ddpmCodecJson(args: readonly string[], cwd?: string): Promise<any> {
  const { code, stdout, stderr } = await ddpmCodec([...args, '--json'], cwd);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

/** Expects a refusal: this exit code, nothing on stdout, one line on stderr that says this. */
export function expectRefusal(result: RunResult, code: 1 | 2, message: RegExp): void {
  expect(result.stderr).toMatch(/^ddpm-codec: [^\n]*\n$/);
  expect(result.stderr).toMatch(message);
  expect(result.stderr).not.toMatch(/internal error/);
  expect(result.stdout).toBe('');
  expect(result.code).toBe(code);
}
