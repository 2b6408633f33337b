/**
 * The engine and the models of one run, opened on first use and closed at the end.
 *
 * Engine, network and codec are imported on demand: `--help` and errors about arguments do not wait for them to load.
 */
import { availableParallelism } from 'node:os';
import type { Header } from '../codec/format/header.js';
import { CodecError } from '../common/errors.js';
import { createRoom } from '../common/side-by-side.js';
import { checkDevice, type Engine } from '../engine/engine.js';
import { isSmall, type Size } from '../image/image.js';
import { type Timed, timeWork } from '../model/network-time.js';
import type { LoadedModel, Model, ModelInfo } from '../node/models.js';
import { type EngineArgs, threadsOf } from './args.js';
import type { Console, Progress } from './console.js';
import { aboutFile } from './jobs.js';

/** Number of jobs of a batch to begin ahead; {@link Context.code} limits how many pictures are coded at a time. */
export function jobsAhead(args: EngineArgs): number {
  return threadsOf(args) ?? availableParallelism();
}

/** What a file's header says about its model and its picture. */
export type FileHeader = Pick<Header, 'modelId' | 'width' | 'height' | 'tail'>;

/** A model, and the engine that runs it. */
export interface OpenModel {
  readonly model: Model;
  readonly engine: Engine;
}

/** What results are for. */
export interface Purpose {
  /** Other machines must compute the same, to decode the result, so with the device `auto` the CPU does it. */
  readonly exact?: boolean | undefined;
}

export interface Context {
  /**
   * Reads a model's description, before an engine is opened.
   * @param size of the pictures, where it is known; without it, `auto` stands for any of its models
   * @throws CodecError `model` when there is none or it is not usable
   */
  modelInfo(nameOrDirectory: string, size?: Size): Promise<ModelInfo>;
  /** The model of that name or directory; `auto` is the default model for pictures of this size. */
  model(nameOrDirectory: string, size: Size, purpose?: Purpose): Promise<OpenModel>;
  /**
   * The model that a file was made with.
   * @param header of the file
   * @param nameOrDirectory the only model to consider
   */
  modelOfFile(header: FileHeader, nameOrDirectory?: string): Promise<OpenModel>;
  /**
   * Prints a model's name and its engine, once for each pair. It is called when work begins, so that most errors stay one
   * line.
   */
  announce(model: Pick<Model, 'name' | 'id'>, engine: Engine): void;
  /** The engine; opened on first use. */
  engine(purpose?: Purpose): Promise<Engine>;
  /**
   * Codes a picture. Small pictures are coded side by side, as many as keep the engine busy, since a single window
   * leaves threads idle. A larger picture has enough windows, and needs memory for each of its pixels: it waits until
   * it is alone.
   * @param progress of this picture; shown from the beginning of the work to its end
   * @param work gets the model, with its network timed
   * @returns also how long the work took, without waiting, and the network's share of that
   */
  code<R>(size: Size, model: Model, progress: Progress, work: (model: Model) => Promise<R>): Promise<Timed<R>>;
}

/** Runs `work` with a context, and disposes of what it opened, also after an error. */
export async function withContext<R>(
  args: EngineArgs,
  console: Console,
  work: (context: Context) => Promise<R>,
): Promise<R> {
  const threads = threadsOf(args);
  checkDevice(args.engine, args);
  /** Files, by the model's name, directory or id in a file. */
  const loaded = new Map<string, Promise<LoadedModel>>();
  /** Open models, by id, and apart for an engine that is approximate. */
  const models = new Map<string, Promise<Model>>();
  /** By device. */
  const engines = new Map<EngineArgs['device'], Promise<Engine>>();
  const announced = new Set<string>();
  // One more than threads, so that the engine stays busy while one picture searches for a codeword.
  const room = createRoom(jobsAhead(args) + 1);

  const context: Context = {
    engine(purpose) {
      const device = deviceFor(purpose);
      const opened = engines.get(device) ?? (device === 'auto' ? openAuto() : openOn(device));
      engines.set(device, opened);
      return opened;
    },
    async code(size, model, progress, work) {
      const isAlone = !isSmall(size) || model.denoiser.parallelism === 1;
      const coding = room(isAlone ? Number.POSITIVE_INFINITY : 1, async () => {
        progress.update(0);
        return timeWork(model, work);
      });
      return coding.finally(() => progress.stop());
    },
    announce({ name, id }, engine) {
      const both = `model ${name} (${id.slice(0, 8)}) on ${engine.name}: ${engine.description}`;
      if (announced.has(both)) return;
      announced.add(both);
      console.note(both);
    },
    async modelInfo(nameOrDirectory, size) {
      return (await named(nameOrDirectory, size)).info;
    },
    async model(nameOrDirectory, size, purpose) {
      return openOnce(await named(nameOrDirectory, size), purpose);
    },
    async modelOfFile(header, nameOrDirectory) {
      const model = await readOnce(header.modelId, ({ findModel }) => findModel(header, nameOrDirectory));
      return openOnce(model, { exact: header.tail });
    },
  };

  const deviceFor = ({ exact }: Purpose = {}) => (exact && args.device === 'auto' ? 'cpu' : args.device);

  async function openOn(device: EngineArgs['device']): Promise<Engine> {
    const { openEngine } = await import('../node/engine/index.js');
    return openEngine(args.engine, {
      threads,
      device,
      // The CPU has no other; checked above where it was asked for.
      precision: device === 'cpu' ? undefined : args.precision,
      onFallback: (message) => console.error(new CodecError('engine', message)),
    });
  }

  /** Where the device `auto` is the CPU, one engine does everything. */
  async function openAuto(): Promise<Engine> {
    const engine = await openOn('auto');
    if (engine.approximate) return engine;
    const other = engines.get('cpu');
    if (other === undefined) engines.set('cpu', Promise.resolve(engine));
    else await engine.dispose();
    return other ?? engine;
  }

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

  async function openOnce({ info: { id, directory }, open }: LoadedModel, purpose?: Purpose): Promise<OpenModel> {
    const engine = await context.engine(purpose);
    const key = `${id}${engine.approximate ? ' approximate' : ''}`;
    const opening = models.get(key) ?? aboutFile(`model ${directory}`, () => open(engine));
    models.set(key, opening);
    return { engine, model: await opening };
  }

  try {
    return await work(context);
  } finally {
    for (const model of models.values()) await model.then((open) => open.dispose()).catch(() => {});
    const opened = await Promise.allSettled(engines.values());
    const all = new Set(opened.flatMap((engine) => (engine.status === 'fulfilled' ? [engine.value] : [])));
    for (const engine of all) await engine.dispose().catch(() => {});
  }
}
