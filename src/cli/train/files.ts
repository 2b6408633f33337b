/** The files of a training run: `<out>` is the model, `<out>/training` what belongs to the run. */
import { appendFile, readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CodecError } from '../../common/errors.js';
import { exists, makeDirectory, reasonOf } from '../../node/files.js';
import { writeAtomically } from '../output.js';

/** Relative to the model's directory. */
export const CHECKPOINT = join('training', 'checkpoint.safetensors');
const LOG = join('training', 'log.jsonl');

/** A line of the log; `type` says what else is in it. */
export type LogEntry = { readonly type: string; readonly time?: string } & Readonly<Record<string, unknown>>;

export interface RunFiles {
  readonly directory: string;
  readonly checkpoint: string;
  /**
   * Makes the directory, and begins the log anew unless a run is taken up again.
   * @param first what has to be written before anything long is done; where that fails, nothing is left of the directory
   * @throws CodecError('file') when the directory cannot be made, and what `first` throws
   */
  begin(first: () => Promise<void>): Promise<void>;
  /** Adds a line to the log. @throws CodecError('file') when that fails */
  log(entry: LogEntry): Promise<void>;
  /** All whole lines of the log. */
  readLog(): Promise<LogEntry[]>;
  /** Writes a file of the run, `name` relative to the model's directory, in place of an earlier one. */
  write(name: string, data: Uint8Array | string): Promise<void>;
}

/**
 * Looks whether the directory can be used; leaves nothing there yet.
 * @throws CodecError('usage') when there is a run and neither `resume` nor `force` is set, or none to resume; 'file' when
 *   the directory holds another model, or cannot be made
 */
export async function openRunDirectory(
  directory: string,
  { resume, force }: { readonly resume: boolean; readonly force: boolean },
): Promise<RunFiles> {
  const checkpoint = join(directory, CHECKPOINT);
  const hasRun = await exists(checkpoint);
  if (resume && !hasRun) {
    throw new CodecError('usage', `--resume: ${directory} holds no run (no ${CHECKPOINT}); begin one without --resume`);
  }
  if (!resume && !force) {
    if (hasRun) {
      throw new CodecError(
        'usage',
        `${directory} holds a run; go on with it with --resume, or begin anew with --force`,
      );
    }
    const names = await readdir(directory).catch(() => [] as string[]);
    if (names.includes('diffusion_pytorch_model.safetensors')) {
      throw new CodecError('file', `${directory} holds a model; name another --out, or replace it with --force`);
    }
  }
  const training = dirname(checkpoint);
  // Whether it can be made is known by making it.
  await (await makeUndoably(training))();
  const logFile = join(directory, LOG);
  return {
    directory,
    checkpoint,
    async begin(first) {
      const undo = await makeUndoably(training);
      try {
        await first();
        if (!resume && (await exists(logFile))) await writeAtomically(logFile, new Uint8Array(0), { force: true });
      } catch (error) {
        await undo();
        throw error;
      }
    },
    async log(entry) {
      await appendFile(logFile, `${JSON.stringify({ time: new Date().toISOString(), ...entry })}\n`).catch(
        (cause: unknown) => {
          throw new CodecError('file', `${logFile}: cannot write: ${reasonOf(cause)}`, { cause });
        },
      );
    },
    async readLog() {
      const text = await readFile(logFile, 'utf8').catch(() => '');
      return text.split('\n').flatMap((line) => {
        try {
          return [JSON.parse(line) as LogEntry];
        } catch {
          // A line that a crash cut off.
          return [];
        }
      });
    },
    write: (name, data) => writeAtomically(join(directory, name), Buffer.from(data), { force: true }),
  };
}

/** Makes a directory, and those above it. @returns removes what was made, with all that is in it */
async function makeUndoably(directory: string): Promise<() => Promise<void>> {
  const made = await outermostMissing(directory);
  await makeDirectory(directory);
  return async () => {
    if (made !== undefined) await rm(made, { recursive: true });
  };
}

/** The directory above all others that have to be made for this one; undefined when it is there. */
async function outermostMissing(directory: string): Promise<string | undefined> {
  if (await exists(directory)) return undefined;
  return (await outermostMissing(dirname(directory))) ?? directory;
}
