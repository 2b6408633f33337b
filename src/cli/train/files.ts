/** The files of a training run: `<out>` is the model, `<out>/training` belongs to the run. */
import { rmSync } from 'node:fs';
import { appendFile, readdir, rm, stat, truncate } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CodecError } from '../../common/errors.js';
import { exists, makeDirectory, reasonOf } from '../../node/files.js';
import { type Lock, lockDirectory } from '../../node/lock.js';
import { undoAtEnd } from '../../node/process.js';
import { readRegularFile } from '../../node/read.js';
import { isTemporary } from '../../node/write.js';
import { writeAtomically } from '../output.js';

/** Path relative to the model's directory. */
export const CHECKPOINT = join('training', 'checkpoint.safetensors');
const LOG = join('training', 'log.jsonl');

/** A line of the log; `type` decides its other fields. */
export type LogEntry = { readonly type: string; readonly time?: string } & Readonly<Record<string, unknown>>;

function isLogEntry(value: unknown): value is LogEntry {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

export interface RunFiles {
  readonly directory: string;
  readonly checkpoint: string;
  /**
   * Starts a new log. A resumed run keeps its log, without a truncated last line, and other leftovers of a killed
   * process are removed.
   * @param first writes what must exist before any long work
   * @throws CodecError('file') when the log cannot be written, and what `first` throws
   */
  begin(first: () => Promise<void>): Promise<void>;
  /** Appends a line to the log, in full or not at all. @throws CodecError('file') when that fails */
  log(entry: LogEntry): Promise<void>;
  /** All complete lines of the log. */
  readLog(): Promise<LogEntry[]>;
  /** Writes a file of the run, replacing an earlier one; `name` is relative to the model's directory. */
  write(name: string, data: Uint8Array | string): Promise<void>;
  /** Removes a file of the run; `name` is as for `write`. @returns whether there was one */
  remove(name: string): Promise<boolean>;
  /** Releases the directory. If it was made for a run that has not begun, it is removed. */
  close(): void;
}

/**
 * Makes the directory if necessary, and locks it for this process.
 * @throws CodecError('usage') when there is a run and neither `resume` nor `force` is set, or none to resume; 'file'
 *   when the directory holds another model, cannot be made, or another process works there
 */
export async function openRunDirectory(
  directory: string,
  options: { readonly resume: boolean; readonly force: boolean },
): Promise<RunFiles> {
  await checkUnused(directory, options);
  const checkpoint = join(directory, CHECKPOINT);
  const training = dirname(checkpoint);
  // Making it is the only way to know that it can be made.
  const made = await makeUndoably(training);
  let lock: Lock | undefined;
  const close = () => {
    lock?.release();
    made.undo();
  };
  try {
    lock = await lockDirectory(training);
    // Another run may have ended here in the meantime.
    await checkUnused(directory, options);
  } catch (error) {
    close();
    throw error;
  }
  const logFile = join(directory, LOG);
  /** The contents of the log; empty where there is none. */
  const readLogFile = async () => ((await exists(logFile)) ? readRegularFile(logFile) : Buffer.alloc(0));
  return {
    directory,
    checkpoint,
    close,
    async begin(first) {
      await first();
      if (!options.resume && (await exists(logFile)))
        await writeAtomically(logFile, new Uint8Array(0), { force: true });
      const end = (await readLogFile()).lastIndexOf('\n') + 1;
      if (end < (await sizeOf(logFile))) await truncate(logFile, end);
      for (const name of await readdir(training)) if (isTemporary(name)) await rm(join(training, name));
      made.keep();
    },
    async log(entry) {
      const size = await sizeOf(logFile);
      await appendFile(logFile, `${JSON.stringify({ time: new Date().toISOString(), ...entry })}\n`).catch(
        async (cause: unknown) => {
          // A partial line would corrupt the next one.
          await truncate(logFile, size).catch(() => {});
          throw new CodecError('file', `${logFile}: cannot write: ${reasonOf(cause)}`, { cause });
        },
      );
    },
    async readLog() {
      return (await readLogFile())
        .toString()
        .split('\n')
        .flatMap((line) => {
          try {
            const entry: unknown = JSON.parse(line);
            return isLogEntry(entry) ? [entry] : [];
          } catch {
            // A line that a crash truncated.
            return [];
          }
        });
    },
    async remove(name) {
      const path = join(directory, name);
      const isThere = await exists(path);
      if (isThere) {
        await rm(path).catch((cause: unknown) => {
          throw new CodecError('file', `${path}: cannot remove: ${reasonOf(cause)}`, { cause });
        });
      }
      return isThere;
    },
    write: (name, data) => writeAtomically(join(directory, name), Buffer.from(data), { force: true }),
  };
}

/** @throws as {@link openRunDirectory}, without changing anything */
async function checkUnused(
  directory: string,
  { resume, force }: { readonly resume: boolean; readonly force: boolean },
): Promise<void> {
  const hasRun = await exists(join(directory, CHECKPOINT));
  if (resume && !hasRun) {
    throw new CodecError('usage', `--resume: ${directory} holds no run (no ${CHECKPOINT}); begin one without --resume`);
  }
  if (resume || force) return;
  if (hasRun) {
    throw new CodecError('usage', `${directory} holds a run; go on with it with --resume, or begin anew with --force`);
  }
  const names = await readdir(directory).catch(() => [] as string[]);
  if (names.includes('diffusion_pytorch_model.safetensors')) {
    throw new CodecError('file', `${directory} holds a model; name another --out, or replace it with --force`);
  }
}

/** Makes a directory and its parents. Unless kept, those that were made are removed again, with everything in them. */
async function makeUndoably(directory: string): Promise<{ keep(): void; undo(): void }> {
  const made = await outermostMissing(directory);
  await makeDirectory(directory);
  let remove = () => {
    if (made !== undefined) rmSync(made, { recursive: true, force: true });
  };
  const forget = undoAtEnd(() => remove());
  const keep = () => {
    remove = () => {};
    forget();
  };
  return {
    keep,
    undo() {
      remove();
      keep();
    },
  };
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

/** The outermost directory that has to be made for this one; undefined when it exists. */
async function outermostMissing(directory: string): Promise<string | undefined> {
  if (await exists(directory)) return undefined;
  return (await outermostMissing(dirname(directory))) ?? directory;
}
