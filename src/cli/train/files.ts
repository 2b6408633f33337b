/** The files of a training run: `<out>` is the model, `<out>/training` what belongs to the run. */
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

/** Relative to the model's directory. */
export const CHECKPOINT = join('training', 'checkpoint.safetensors');
const LOG = join('training', 'log.jsonl');

/** A line of the log; `type` says what else is in it. */
export type LogEntry = { readonly type: string; readonly time?: string } & Readonly<Record<string, unknown>>;

function isLogEntry(value: unknown): value is LogEntry {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

export interface RunFiles {
  readonly directory: string;
  readonly checkpoint: string;
  /**
   * Begins the log anew, or where a run is taken up again removes a line that was cut off, and what else a killed process left.
   * @param first what has to be written before anything long is done
   * @throws CodecError('file') when the log cannot be written, and what `first` throws
   */
  begin(first: () => Promise<void>): Promise<void>;
  /** Adds a line to the log, or nothing. @throws CodecError('file') when that fails */
  log(entry: LogEntry): Promise<void>;
  /** All whole lines of the log. */
  readLog(): Promise<LogEntry[]>;
  /** Writes a file of the run, `name` relative to the model's directory, in place of an earlier one. */
  write(name: string, data: Uint8Array | string): Promise<void>;
  /** Removes a file of the run, named likewise. @returns whether there was one */
  remove(name: string): Promise<boolean>;
  /** Leaves the directory to others. Of one that was made for a run which has not begun nothing is left. */
  close(): void;
}

/**
 * Makes the directory, unless it is there, and has it for this process alone.
 * @throws CodecError('usage') when there is a run and neither `resume` nor `force` is set, or none to resume; 'file' when
 *   the directory holds another model, cannot be made, or another process works there
 */
export async function openRunDirectory(
  directory: string,
  options: { readonly resume: boolean; readonly force: boolean },
): Promise<RunFiles> {
  await checkUnused(directory, options);
  const checkpoint = join(directory, CHECKPOINT);
  const training = dirname(checkpoint);
  // Whether it can be made is known by making it.
  const made = await makeUndoably(training);
  let lock: Lock | undefined;
  const close = () => {
    lock?.release();
    made.undo();
  };
  try {
    lock = await lockDirectory(training);
    // Another run may have ended here just now.
    await checkUnused(directory, options);
  } catch (error) {
    close();
    throw error;
  }
  const logFile = join(directory, LOG);
  /** Nothing where there is none. */
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
          // The beginning of a line would be in the way of the next one.
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
            // A line that a crash cut off.
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

/** @throws as {@link openRunDirectory}, without touching anything */
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

/** Makes a directory, and those above it; what was made is removed again, with all that is in it, unless it is kept. */
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

/** The directory above all others that have to be made for this one; undefined when it is there. */
async function outermostMissing(directory: string): Promise<string | undefined> {
  if (await exists(directory)) return undefined;
  return (await outermostMissing(dirname(directory))) ?? directory;
}
