/**
 * Locks directories for one process at a time: a file in the directory names the process. The file is removed however
 * that process ends, except by a kill that cannot be caught. On the same host, such a leftover is recognised because
 * its process is gone.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type InferOutput, integer, minValue, nullable, number, object, pipe, regex, safeParse, string } from 'valibot';
import { CodecError } from '../common/errors.js';
import { reasonOf } from './files.js';
import { undoAtEnd } from './process.js';
import { readRegularFile } from './read.js';
import { writeWhole } from './write.js';

/** Name of the lock file. */
export const LOCK_FILE = '.lock';

/** Maximum size of a lock file in bytes; ours have less than half of that. */
const LARGEST = 4096;

/** The process that holds a lock. */
const HOLDER = object({
  pid: pipe(number(), integer(), minValue(1)),
  host: pipe(string(), regex(/^[!-~]{1,255}$/)),
  /** Time when it was taken: ISO 8601, UTC. */
  since: pipe(string(), regex(/^[\d:.TZ-]{1,40}$/)),
  /**
   * Start of the process, to distinguish it from a later one with the same number; null where the system does not tell.
   */
  began: nullable(string()),
  /** Unique for each lock. */
  id: string(),
});

type Holder = InferOutput<typeof HOLDER>;

export interface Lock {
  release(): void;
}

/**
 * Locks a directory that exists.
 * @throws CodecError `file` when another process has locked it, or the lock cannot be written
 */
export function lockDirectory(directory: string): Promise<Lock> {
  return lockAs(join(directory, LOCK_FILE), directory);
}

/** Makes the file `path`, or takes over from a process that is gone. */
async function lockAs(path: string, directory: string): Promise<Lock> {
  const mine: Holder = {
    pid: process.pid,
    host: hostname(),
    since: new Date().toISOString(),
    began: beginningOf(process.pid) ?? null,
    id: randomBytes(8).toString('hex'),
  };
  while (!(await create(path, JSON.stringify(mine)))) {
    const text = await read(path);
    if (text === undefined) continue;
    const holder = parse(text);
    if (holder === undefined || !isGone(holder)) throw inUse(directory, path, holder);
    // Several processes may find this lock. They remove it one at a time, so that none removes the lock of a faster
    // one.
    const claim = await lockAs(claimOf(path, text), directory);
    try {
      if ((await read(path)) === text) await rm(path);
    } finally {
      claim.release();
    }
  }
  const { ino } = statSync(path);
  const remove = () => {
    // Do not remove another process's lock, where somebody has removed ours.
    if (statSync(path, { throwIfNoEntry: false })?.ino === ino) rmSync(path);
  };
  const forget = undoAtEnd(remove);
  return {
    release() {
      forget();
      remove();
    },
  };
}

/** Whether the file could be made; false where one exists. */
async function create(path: string, text: string): Promise<boolean> {
  try {
    await writeWhole(path, Buffer.from(text), { replace: false });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw new CodecError('file', `${path}: cannot write: ${reasonOf(error)}`, { cause: error });
  }
}

/**
 * Name of the lock on the right to remove a lock with this text. It is a temporary name, as recognised by
 * `isTemporary`.
 */
function claimOf(path: string, text: string): string {
  return `${path}.${createHash('sha256').update(text).digest('hex').slice(0, 12)}.tmp`;
}

function inUse(directory: string, path: string, holder: Holder | undefined): CodecError {
  if (holder === undefined) {
    return new CodecError('file', `${directory}: in use, by ${path}; if no process works there, remove that file`);
  }
  const { pid, host, since, began } = holder;
  const isElsewhere = host !== hostname();
  const doubt = isElsewhere || began === null ? `; if that is gone, remove ${path}` : '';
  return new CodecError(
    'file',
    `${directory}: in use by process ${pid} on ${isElsewhere ? `another host, ${host},` : host} since ${since}; wait for its end${doubt}`,
  );
}

function isGone({ pid, host, began }: Holder): boolean {
  if (host !== hostname()) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
  const now = beginningOf(pid);
  return began !== null && now !== undefined && now !== began;
}

/**
 * When a process began: the id of the machine's boot, and clock ticks since then (proc(5)). Undefined where that is
 * unknown, as on systems other than Linux; 'over' for a process that has ended but has not been reaped by its parent.
 */
function beginningOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The program's name, in parentheses, may contain anything; the state and 18 more fields come before the start
    // time.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    return fields[0] === 'Z' || fields[0] === 'X' ? 'over' : `${boot}/${fields[19]}`;
  } catch {
    return undefined;
  }
}

function parse(text: string): Holder | undefined {
  try {
    const { success, output } = safeParse(HOLDER, JSON.parse(text));
    return success ? output : undefined;
  } catch {
    return undefined;
  }
}

/** The text of a lock file; undefined where there is none, and empty where it is not a valid file. */
async function read(path: string): Promise<string | undefined> {
  try {
    return (await readRegularFile(path, { largest: LARGEST })).toString();
  } catch (error) {
    const { code } = ((error as CodecError).cause ?? {}) as NodeJS.ErrnoException;
    return code === 'ENOENT' ? undefined : '';
  }
}
