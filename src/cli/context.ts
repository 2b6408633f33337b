/**
 * The engine and the models of one run, opened when they are first needed and closed at its end.
 *
 * Engine, network and codec are imported on demand: `--help` and every refusal of bad arguments come before the time
 * it takes to load them.
 */
import { availableParallelism } from 'node:os';
import type { Header } from '../codec/format/header.js';
import { CodecError } from '../common/errors.js';
import { createRoom, type Room } from '../common/side-by-side.js';
import { checkDevice, type Engine } from '../engine/engine.js';
import { isSmall, type Size } from '../image/image.js';
import { type Timed, timeWork } from '../model/network-time.js';
import type { LoadedModel, Model, ModelInfo } from '../node/models.js';
import { type EngineArgs, threadsOf } from './args.js';
import type { Console, Progress } from './console.js';
import { aboutFile } from './jobs.js';

/** Jobs of a batch that are begun ahead; how many of their pictures are coded at a time is for {@link Context.code}. */
export function jobsAhead(args: EngineArgs): number {
  return threadsOf(args) ?? availableParallelism();
}

/** What a file says of its model and its picture's size. */
export type FileHeader = Pick<Header, 'modelId' | 'width' | 'height'>;

export interface Context {
  /**
   * Reads a model's description, before an engine is opened.
   * @param size of the pictures, where it is known; of those that `auto` may mean it is any without it
   * @throws CodecError `model` when there is none or it is not usable
   */
  modelInfo(nameOrDirectory: string, size?: Size): Promise<ModelInfo>;
  /** The model of that name or directory; `auto` is the default for pictures of this size. */
  model(nameOrDirectory: string, size: Size): Promise<Model>;
  /**
   * The model a file was made with.
   * @param header of the file
   * @param nameOrDirectory the only one to look at
   */
  modelOfFile(header: FileHeader, nameOrDirectory?: string): Promise<Model>;
  /**
   * Says, once for each model, what it is and runs on. Called when work begins, so that most refusals stay one line.
   */
  announce(model: Pick<Model, 'name' | 'id'>, engine: Engine): void;
  /** The engine; opened by the first model. */
  engine(): Promise<Engine>;
  /**
   * Codes a picture: small ones side by side, as many as keep the engine busy, since a window alone leaves threads without
   * work. A larger one has windows enough, and memory of its own for each of its pixels: it waits until it is alone.
   * @param progress of its own; shown from the beginning of the work to its end
   * @param work with the model given, as it is but that its network is timed
   * @returns also how long the work took, without waiting, and how much of that for the network
   */
  code<R>(size: Size, model: Model, progress: Progress, work: (model: Model) => Promise<R>): Promise<Timed<R>>;
}

/** Runs `work` with a context, and disposes what it opened whatever happens. */
export async function withContext<R>(
  args: EngineArgs,
  console: Console,
  work: (context: Context) => Promise<R>,
): Promise<R> {
  const threads = threadsOf(args);
  checkDevice(args.engine, args);
  /** By name, directory or the id in a file: what is on disk is read once, and a model is opened once whatever it is called. */
  const loaded = new Map<string, Promise<LoadedModel>>();
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
    async code(size, model, progress, work) {
      const { parallelism } = await context.engine();
      // One more than there are threads, so that none waits while a codeword is looked for.
      const capacity = parallelism === 1 ? 1 : parallelism + 1;
      room ??= createRoom(capacity);
      const coding = room(isSmall(size) ? 1 : capacity, async () => {
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
    async modelInfo(nameOrDirectory, size) {
      return (await named(nameOrDirectory, size)).info;
    },
    async model(nameOrDirectory, size) {
      return openOnce(await named(nameOrDirectory, size));
    },
    async modelOfFile(header, nameOrDirectory) {
      return openOnce(await readOnce(header.modelId, ({ findModel }) => findModel(header, nameOrDirectory)));
    },
  };

  function readOnce(key: string, read: (models: typeof import('../node/models.js')) => Promise<LoadedModel>) {
    const model = loaded.get(key) ?? import('../node/models.js').then(read);
    loaded.set(key, model);
    return model;
  }

  async function named(nameOrDirectory: string, size: Size | undefined): Promise<LoadedModel> {
    const { modelForSize, PHOTO_MODEL } = await import('../node/models.js');
    const shipped = size === undefined ? PHOTO_MODEL : modelForSize(size);
    const name = nameOrDirectory === 'auto' ? shipped : nameOrDirectory;
    return readOnce(name, ({ loadModel }) => loadModel(name));
  }

  function openOnce(model: LoadedModel): Promise<Model> {
    const { id, directory } = model.info;
    const known = models.get(id);
    if (known !== undefined) return known;
    const opening = context.engine().then((engine) => aboutFile(`model ${directory}`, () => model.open(engine)));
    models.set(id, opening);
    return opening;
  }

  try {
    return await work(context);
  } finally {
    for (const model of models.values()) await model.then((open) => open.dispose()).catch(() => {});
    await opened?.then((engine) => engine.dispose()).catch(() => {});
  }
}
