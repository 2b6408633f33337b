/**
 * Measures the images of a run, in this process or in several others. Each finished image is written at once; only its
 * outcome is reported here.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { CodecError } from '../../common/errors.js';
import { openImageSet } from '../../data/image-set.js';
import { undoAtEnd } from '../../node/process.js';
import type { NetworkFiles } from '../../report/rd/metrics.js';
import type { ImageFailure, RdOptions } from '../../report/rd/results.js';
import { type EngineArgs, threadsOf } from '../args.js';
import { describeError, openConsole } from '../console.js';
import { withContext } from '../context.js';
import { aboutFile } from '../jobs.js';
import { saveImage } from './directory.js';

/** Everything that a process needs to measure images. */
export interface Work {
  readonly directory: string;
  readonly options: RdOptions;
  readonly engineArgs: EngineArgs;
  readonly networks: NetworkFiles;
}

/** From a measuring process: the progress of its image, and its outcome. */
export type WorkMessage =
  | { readonly index: number; readonly fraction: number }
  | { readonly index: number; readonly done: true; readonly error?: ImageFailure['error'] };

type Report = (message: WorkMessage) => void;

/**
 * Measures images one after the other in this process.
 * @throws CodecError `engine`, since no image can succeed without it
 */
export async function measureHere(work: Work, indexes: AsyncIterable<number> | Iterable<number>, report: Report) {
  const { directory, options, engineArgs, networks } = work;
  const { measureImage } = await import('../../report/rd/measure.js');
  const { openMeasures } = await import('../../report/rd/metrics.js');
  const images = await openImageSet(options.images, { background: options.background ?? undefined });
  const silent = openConsole({ json: false, quiet: true });
  const measures = await openMeasures(options.metrics, networks, threadsOf(engineArgs));
  const measureAll = withContext(engineArgs, silent, async (context) => {
    const withModel = options.model !== 'none';
    for await (const index of indexes) {
      const name = images.names[index];
      try {
        const { image } = await images.load(index);
        const { result, features } = await aboutFile(name, () =>
          measureImage({ index, name, image }, options, {
            model: async () => (withModel ? (await context.model(options.model, image)).model : null),
            engine: async () => (withModel ? (await context.engine()).description : null),
            measures,
            onProgress: (fraction) => report({ index, fraction }),
          }),
        );
        await saveImage(directory, result, options, features);
        report({ index, done: true });
      } catch (error) {
        if (error instanceof CodecError && error.code === 'engine') throw error;
        report({ index, done: true, error: failure(error) });
      }
    }
  });
  await measureAll.finally(() => measures.dispose());
}

/** Measures images in `jobs` other processes, each of which takes the next one when it is free. */
export async function measureElsewhere(work: Work, indexes: readonly number[], jobs: number, report: Report) {
  const threads = work.engineArgs.threads ?? Math.max(1, Math.floor(availableParallelism() / jobs));
  const waiting = [...indexes];
  const worker = fileURLToPath(new URL('./worker.js', import.meta.url));
  const children = new Set<ChildProcess>();
  let fatal: Error | undefined;

  /**
   * Runs one process until it ends: when nothing is left to do, or by a crash, which counts as a failure of its image.
   */
  function runProcess(): Promise<void> {
    return new Promise((resolve) => {
      const child = fork(worker, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
      children.add(child);
      let current: number | undefined;
      const next = () => {
        current = fatal === undefined ? waiting.shift() : undefined;
        if (current === undefined) child.disconnect();
        else child.send({ index: current });
      };
      child.on('message', (message: WorkMessage | { readonly fatal: string }) => {
        if ('fatal' in message) {
          fatal ??= new CodecError('engine', message.fatal);
          return;
        }
        report(message);
        if ('done' in message) next();
      });
      child.on('exit', (code, signal) => {
        children.delete(child);
        if (current !== undefined && fatal === undefined) {
          const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
          const message = `the process that measured it ended with ${how}; if memory ran out, take fewer --jobs`;
          report({ index: current, done: true, error: { code: 'internal', message } });
        }
        resolve();
      });
      child.send({ work: { ...work, engineArgs: { ...work.engineArgs, threads } } });
      next();
    });
  }

  const stop = () => {
    for (const child of children) child.kill();
  };
  const forget = undoAtEnd(stop);
  try {
    const lane = async () => {
      while (waiting.length > 0 && fatal === undefined) await runProcess();
    };
    await Promise.all(Array.from({ length: Math.min(jobs, indexes.length) }, lane));
  } finally {
    forget();
  }
  if (fatal !== undefined) throw fatal;
}

export function failure(error: unknown): ImageFailure['error'] {
  return { code: error instanceof CodecError ? error.code : 'internal', message: describeError(error) };
}
