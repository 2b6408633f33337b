/** The files of a training run: `<out>` is the model, `<out>/training` what belongs to the run. */
import { appendFile, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
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
  /** Adds a line to the log. @throws CodecError('file') when that fails */
  log(entry: LogEntry): Promise<void>;
  /** All whole lines of the log. */
  readLog(): Promise<LogEntry[]>;
  /** Writes a file of the run, `name` relative to the model's directory, in place of an earlier one. */
  write(name: string, data: Uint8Array | string): Promise<void>;
}

/**
 * Makes sure that the directory can be used before anything long is done.
 * @throws CodecError('usage') when there is a run and neither `resume` nor `force` is set, or none to resume; 'file' when
 *   the directory holds another model, or cannot be written to
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
  await makeDirectory(join(directory, 'training'));
  const logFile = join(directory, LOG);
  if (!resume && (await exists(logFile))) await writeAtomically(logFile, new Uint8Array(0), { force: true });
  return {
    directory,
    checkpoint,
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
