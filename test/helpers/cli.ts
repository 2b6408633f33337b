/** Runs the real executable. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

const EXECUTABLE = fileURLToPath(new URL('../../bin/ddpm-codec.js', import.meta.url));

export interface RunResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
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
 * @returns also the signal that ended it
 */
export function ddpmCodecMeanwhile(
  args: readonly string[],
  cwd: string,
  meanwhile: (child: ChildProcess) => void,
): Promise<RunResult & { readonly signal: NodeJS.Signals | null }> {
  return run(args, cwd, {}, meanwhile);
}

function run(
  args: readonly string[],
  cwd: string | undefined,
  environment: Readonly<Record<string, string>>,
  atFirstLine: (child: ChildProcess) => void = () => {},
): Promise<RunResult & { readonly signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [EXECUTABLE, ...args], {
      cwd,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      if (stderr === '') atFirstLine(child);
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
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
