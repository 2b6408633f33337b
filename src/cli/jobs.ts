/** The files that a command reads and writes, decided before any work begins. */
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { counted } from '../common/counted.js';
import { CodecError } from '../common/errors.js';
import { mapAhead } from '../common/side-by-side.js';
import { isDirectory, listFiles, makeDirectory } from '../node/files.js';
import { checkReadable } from '../node/read.js';
import { targetOf } from '../node/write.js';
import type { Console } from './console.js';
import { checkResult } from './output.js';
import { inputName, STANDARD_STREAM } from './streams.js';

/** One input file and its output. */
export interface Job {
  readonly input: string;
  readonly output: string;
  /** The files to write, where they differ from the one named by `output`. */
  readonly outputs?: readonly string[];
}

/** The files that a job writes. */
export function outputsOf({ output, outputs = [output] }: Job): readonly string[] {
  return outputs;
}

export interface JobPlan {
  readonly jobs: readonly Job[];
  /** Directory of the outputs, if one was named: {@link runJobs} makes it. */
  readonly directory?: string;
  /** Whether the user named several inputs, or a directory: each file then fails on its own. */
  readonly batch: boolean;
}

export interface JobOptions {
  /**
   * `-o`: a file for one input, or `-` for standard output; a directory for several inputs, or where it exists as one
   * or ends in a slash.
   */
  readonly output?: string | undefined;
  /** Extensions, in lower case, of the files to take from a directory. */
  readonly extensions: readonly string[];
  /** Name of this kind of file in messages. */
  readonly kind: string;
  /** Name of an output in its directory, from the base name of its input. */
  readonly outputName: (inputName: string) => string;
  /** The files to write instead of one output. */
  readonly variants?: ((output: string) => readonly string[]) | undefined;
}

/**
 * Pairs inputs with outputs. A directory stands for its files with one of the extensions, sorted, without
 * subdirectories; `-` stands for standard input. Without `output` each result goes beside its input.
 * @throws CodecError `usage` when two results would have the same name, when a result would have the name of an input,
 *   or when standard input or output is not alone; `file` when a directory cannot be read or has no such files
 */
export async function planJobs(paths: readonly string[], options: JobOptions): Promise<JobPlan> {
  const expanded = await Promise.all(paths.map((path) => expand(path, options)));
  const inputs = expanded.flatMap((entry) => entry.files);
  const batch = paths.length > 1 || expanded.some((entry) => entry.isDirectory);
  const { output, outputName, variants } = options;
  const toDirectory =
    output !== undefined &&
    output !== STANDARD_STREAM &&
    (batch || /[/\\]$/.test(output) || (await isDirectory(output)));
  checkStreams(paths, output, { batch, toDirectory });
  const jobs = inputs.map((input) => {
    const directory = toDirectory ? output : dirname(input);
    const named = join(directory, outputName(basename(input)));
    const job = { input, output: toDirectory || output === undefined ? named : output };
    return variants ? { ...job, outputs: variants(job.output) } : job;
  });
  await refuseCollisions(jobs);
  return toDirectory ? { jobs, batch, directory: output } : { jobs, batch };
}

/** A batch's entry for a file: its result, or its error. */
export type JobEntry<R> = R | { readonly input: string; readonly error: { code: string; message: string } };

/**
 * Makes the directory for the outputs and runs the jobs. The jobs of a batch run side by side and are reported in
 * order. An error in a batch is reported in its turn, and the next file follows.
 * @param perform makes one output, and returns the report on it
 * @param line describes a result for people
 * @param documentKey name of the list of results in the `--json` document
 * @param ahead jobs that may begin while an earlier one is unfinished
 * @throws an error of the engine; the error of a single file; for a batch, once all is done, one CodecError that counts
 *   the failures
 */
export async function runJobs<R>(
  { jobs, batch, directory }: JobPlan,
  force: boolean,
  console: Console,
  perform: (job: Job) => Promise<R>,
  line: (result: R) => string,
  documentKey: string,
  ahead = 0,
): Promise<void> {
  if (directory !== undefined) await makeDirectory(directory);
  const entries: JobEntry<R>[] = [];
  const failures: unknown[] = [];
  const fail = (at: number, error: unknown) => {
    if (batch) console.error(error);
    failures.push(error);
    entries[at] = { input: jobs[at].input, error: { code: codeOf(error), message: console.wordsFor(error) } };
  };
  // Check all files first: nobody should wait for nine results to learn that the tenth is impossible.
  for (const [at, job] of jobs.entries()) {
    try {
      for (const output of outputsOf(job)) await checkResult(output, { force });
      if (job.input !== STANDARD_STREAM) await checkReadable(job.input);
    } catch (error) {
      fail(at, error);
    }
  }
  const left = [...jobs.keys()].filter((at) => entries[at] === undefined);
  const outcomes = mapAhead(left, ahead, async (at) => {
    try {
      return { at, result: await aboutFile(inputName(jobs[at].input), () => perform(jobs[at])) };
    } catch (error) {
      return { at, error };
    }
  });
  for await (const outcome of outcomes) {
    const { at } = outcome;
    if ('result' in outcome) {
      entries[at] = outcome.result;
      console.result(line(outcome.result));
    } else {
      // Without an engine no file can succeed.
      if (outcome.error instanceof CodecError && outcome.error.code === 'engine') throw outcome.error;
      fail(at, outcome.error);
    }
  }
  console.document({ [documentKey]: entries });
  if (failures.length === 0) return;
  if (!batch) throw failures[0];
  throw new CodecError('file', `${failures.length} of ${counted(jobs.length, 'file')} failed, see above`);
}

/** Works on a file or model, and puts its name into expected errors. */
export async function aboutFile<R>(name: string, work: () => R | Promise<R>): Promise<R> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CodecError) || error.code === 'engine' || error.message.includes(name)) throw error;
    throw new CodecError(error.code, `${name}: ${error.message}`, { cause: error });
  }
}

function codeOf(error: unknown): string {
  return error instanceof CodecError ? error.code : 'internal';
}

async function expand(path: string, options: JobOptions): Promise<{ files: string[]; isDirectory: boolean }> {
  if (path === STANDARD_STREAM || !(await isDirectory(path))) return { files: [path], isDirectory: false };
  return { files: await listFiles(path, options.extensions, options.kind), isDirectory: true };
}

/** Standard input or output counts as one file without a name. */
function checkStreams(
  paths: readonly string[],
  output: string | undefined,
  { batch, toDirectory }: { readonly batch: boolean; readonly toDirectory: boolean },
): void {
  if (output === STANDARD_STREAM && batch) {
    throw new CodecError('usage', '-o -: expected one input with it; the results of several go to a directory');
  }
  if (!paths.includes(STANDARD_STREAM)) return;
  if (paths.length > 1) {
    throw new CodecError('usage', 'standard input: expected it as the only input; a file named "-" is ./-');
  }
  if (output === undefined || toDirectory) {
    throw new CodecError(
      'usage',
      'standard input: has no name to make one of for the result; name a file with -o, or -o - for standard output',
    );
  }
}

async function refuseCollisions(all: readonly Job[]): Promise<void> {
  const jobs = all.filter(({ input, output }) => input !== STANDARD_STREAM && output !== STANDARD_STREAM);
  await refuseInputs(
    jobs.flatMap(outputsOf),
    jobs.map(({ input }) => input),
  );
  const makers = new Map<string, string>();
  for (const job of jobs) {
    for (const output of outputsOf(job)) {
      const place = await targetPlace(output);
      const other = makers.get(place);
      if (other !== undefined) {
        throw new CodecError(
          'usage',
          `${output}: would be made from both ${other} and ${job.input}; run them one by one`,
        );
      }
      makers.set(place, job.input);
    }
  }
}

/**
 * Refuses outputs that are also inputs, even by way of a link, so that sources are never overwritten.
 * @throws CodecError `usage` when an output is one of the inputs
 */
export async function refuseInputs(outputs: readonly string[], inputs: readonly string[]): Promise<void> {
  const places = new Set<string>();
  for (const input of inputs) {
    places.add(await placeOf(input));
    places.add(asPlace(await realpath(input).catch(() => resolve(input))));
  }
  for (const output of outputs) {
    if (!places.has(await targetPlace(output))) continue;
    throw new CodecError('usage', `${output}: is an input as well; inputs are never overwritten, name another output`);
  }
}

/** {@link placeOf} the file that an output creates or replaces, following links. */
async function targetPlace(output: string): Promise<string> {
  return placeOf(await targetOf(output).catch(() => output));
}

/** A path with links in its directory resolved, so that each place has a single name. */
export async function placeOf(path: string): Promise<string> {
  const full = resolve(path);
  const directory = await realpath(dirname(full)).catch(() => dirname(full));
  return asPlace(join(directory, basename(full)));
}

/** Windows and macOS do not distinguish capital letters from small ones in names. */
function asPlace(path: string): string {
  return process.platform === 'win32' || process.platform === 'darwin' ? path.toLowerCase() : path;
}
