/** The npm program, which comes with Node: only npm knows the user's registries, proxies and credentials. */
import { type ChildProcess, execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { undoAtEnd } from '../node/process.js';

/** npm is not on this machine. */
export class NpmMissing extends Error {}

export interface NpmOptions {
  /** Additions to the user's npm configuration, by npm's documented names. */
  readonly config?: Readonly<Record<string, string>>;
  /** Ends npm at once. */
  readonly signal?: AbortSignal;
}

const run = promisify(execFile);

/**
 * Runs npm.
 * @param args without characters that are special to a shell: on Windows npm is a script and needs a shell
 * @returns its parsed output
 * @throws NpmMissing, or an Error with npm's reason
 */
export async function npm(args: readonly string[], { config = {}, signal }: NpmOptions = {}): Promise<unknown> {
  const settings = { json: 'true', ignore_scripts: 'true', update_notifier: 'false', logs_max: '0', ...config };
  // When this process is stopped, npm would go on and write into a directory that is being removed. Said before npm is
  // started, since a signal may come at any time.
  let child: ChildProcess | undefined;
  const forget = undoAtEnd(() => void child?.kill('SIGKILL'));
  try {
    const running = run('npm', args, {
      env: {
        ...process.env,
        ...Object.fromEntries(Object.entries(settings).map(([name, value]) => [`npm_config_${name}`, value])),
      },
      shell: process.platform === 'win32',
      killSignal: 'SIGKILL',
      ...(signal && { signal }),
    });
    child = running.child;
    child.stdin?.end();
    return JSON.parse((await running).stdout || 'null');
  } catch (error) {
    signal?.throwIfAborted();
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new NpmMissing('npm is not there');
    throw new Error(reasonIn(error as { stdout?: string; stderr?: string; message: string }), { cause: error });
  } finally {
    forget();
  }
}

/** npm's reason for an error, on one line. */
function reasonIn({
  stdout = '',
  stderr = '',
  message,
}: {
  stdout?: string;
  stderr?: string;
  message: string;
}): string {
  try {
    const { summary } = (JSON.parse(stdout) as { error: { summary: string } }).error;
    return summary.split('\n')[0];
  } catch {
    const lines = stderr.split('\n').filter((line) => /^npm (error|ERR!)/.test(line));
    return lines.at(0) ?? message.split('\n')[0];
  }
}
