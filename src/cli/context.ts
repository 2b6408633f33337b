/**
 * The engine and the models of one run, opened when they are first needed and closed at its end.
 *
 * Engine, network and codec are imported on demand: `--help` and every refusal of bad arguments come before the time
 * it takes to load them.
 */
import { availableParallelism } from 'node:os';
import { CodecError } from '../common/errors.js';
import { createRoom, type Room } from '../common/side-by-side.js';
import { checkDevice, type Engine } from '../engine/engine.js';
import { type Timed, timeWork } from '../model/network-time.js';
import type { Model, ModelInfo } from '../node/models.js';
import { type EngineArgs, threadsOf } from './args.js';
import type { Console, Progress } from './console.js';
import { aboutFile } from './jobs.js';

/** Pictures up to this size are one window of the shipped models. */
const SMALL_PIXELS = 64 * 64;

/** Jobs of a batch that are begun ahead; how many of their pictures are coded at a time is for {@link Context.code}. */
export function jobsAhead(args: EngineArgs): number {
  return threadsOf(args) ?? availableParallelism();
}

export interface Context {
  /**
   * Reads a model's description, before an engine is opened or pictures are read.
   * @throws CodecError `model` when there is none or it is not usable
   */
  checkModel(nameOrDirectory: string): Promise<void>;
  /** The model of that name or directory; `auto` is the shipped one for pictures of this size. */
  model(nameOrDirectory: string, size: { readonly width: number; readonly height: number }): Promise<Model>;
  /**
   * The model a file was made with.
   * @param modelId hexadecimal prefix from the file's header
   * @param name a model directory or name to look at as well
   */
  modelOfFile(modelId: string, name?: string): Promise<Model>;
  /**
   * Says, once for each model, what it is and runs on. Called when work begins, so that most refusals stay one line.
   */
  announce(model: ModelInfo, engine: Engine): void;
  /** The engine; opened by the first model. */
  engine(): Promise<Engine>;
  /**
   * Codes a picture: small ones side by side, as many as keep the engine busy, since a window alone leaves threads without
   * work. A larger one has windows enough, and memory of its own for each of its pixels: it waits until it is alone.
   * @param progress of its own; shown from the beginning of the work to its end
   * @param work with the model given, as it is but that its network is timed
   * @returns also how long the work took, without waiting, and how much of that for the network
   */
  code<R>(
    size: { readonly width: number; readonly height: number },
    model: Model,
    progress: Progress,
    work: (model: Model) => Promise<R>,
  ): Promise<Timed<R>>;
}

/** Runs `work` with a context, and disposes what it opened whatever happens. */
export async function withContext<R>(
  args: EngineArgs,
  console: Console,
  work: (context: Context) => Promise<R>,
): Promise<R> {
  const threads = threadsOf(args);
  checkDevice(args.engine, args);
  const models = new Map<string, Promise<Model>>();
  const announced = new Set<string>();
  let opened: Promise<Engine> | undefined;
  let room: Room | undefined;

  const context: Context = {
    engine() {
      opened ??= import('../node/engine/index.js').then(({ openEngine }) =>
        openEngine(args.engine, {
          threads,
          device: args.device,
          precision: args.precision,
          onFallback: (message) => console.error(new CodecError('engine', message)),
        }),
      );
      return opened;
    },
    async code({ width, height }, model, progress, work) {
      const { parallelism } = await context.engine();
      // One more than there are threads, so that none waits while a codeword is looked for.
      const capacity = parallelism === 1 ? 1 : parallelism + 1;
      room ??= createRoom(capacity);
      const coding = room(width * height <= SMALL_PIXELS ? 1 : capacity, async () => {
        progress.update(0);
        return timeWork(model, work);
      });
      return coding.finally(() => progress.stop());
    },
    announce({ name, id }, engine) {
      if (announced.has(id)) return;
      announced.add(id);
      console.note(`model ${name} (${id.slice(0, 8)}) on ${engine.name}: ${engine.description}`);
    },
    async checkModel(nameOrDirectory) {
      await infoOf(nameOrDirectory);
    },
    async model(nameOrDirectory, size) {
      const { modelForSize } = await import('../node/models.js');
      return openOnce(await infoOf(nameOrDirectory === 'auto' ? modelForSize(size) : nameOrDirectory));
    },
    async modelOfFile(modelId, name) {
      const { findModel } = await import('../node/models.js');
      return openOnce(await findModel(modelId, name));
    },
  };

  async function infoOf(nameOrDirectory: string): Promise<ModelInfo> {
    const { loadModelInfo } = await import('../node/models.js');
    return loadModelInfo(nameOrDirectory);
  }

  function openOnce({ id, directory }: { id: string; directory: string }): Promise<Model> {
    const known = models.get(id);
    if (known !== undefined) return known;
    const model = open(directory);
    models.set(id, model);
    return model;
  }

  async function open(directory: string): Promise<Model> {
    const { openModel } = await import('../node/models.js');
    const engine = await context.engine();
    return aboutFile(`model ${directory}`, () => openModel(directory, engine));
  }

  try {
    return await work(context);
  } finally {
    for (const model of models.values()) await model.then((open) => open.dispose()).catch(() => {});
    await opened?.then((engine) => engine.dispose()).catch(() => {});
  }
}
