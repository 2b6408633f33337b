/** Encodes and decodes on a separate thread, one job after another. */
import type { DecodePoint } from '../codec/api.js';
import { decode } from '../codec/decoder/decode.js';
import { encode } from '../codec/encoder/encoder.js';
import { beginHeader, readHeader, repairHeader } from '../codec/format/header.js';
import { modelInWords, nameAndId } from '../codec/format/released-models.js';
import type { Model } from '../codec/model.js';
import { modelForSize } from '../codec/model-choice.js';
import { concat } from '../common/bytes.js';
import { CodecError, invalidArgument } from '../common/errors.js';
import { once } from '../common/once.js';
import type { Engine } from '../engine/engine.js';
import type { Size } from '../image/image.js';
import type { BrowserDecodeResult, BrowserEncodeResult } from './api.js';
import type { JobEvents, Reply, Request, SentCodecOptions, SentEncodeOptions } from './codec-messages.js';
import { openEngine } from './engine.js';
import { loadModel, type ModelSource } from './models.js';
import { searchOn } from './search.js';

const scope = self as unknown as {
  onmessage: (event: MessageEvent<Request>) => void;
  postMessage(message: Reply): void;
};

interface Job {
  readonly number: number;
  readonly abort: AbortController;
  /** Chunks of a stream that have arrived; `wake` resumes a job that waits for more. */
  readonly chunks: (Uint8Array | 'end')[];
  wake(): void;
}

type DecodeRequest = Extract<Request, { readonly wantsPoints: boolean }>;

/** Maximum bytes of a stream that wait here, apart from the rest of a chunk: a file may be larger than memory. */
const BYTES_AHEAD = 65_536;

const jobs = new Map<number, Job>();
let options: SentCodecOptions;
let queue: Promise<unknown> = Promise.resolve();

/** Opened on demand; lossless work runs on the CPU. */
let engines = createEngines();
/** All opened engines, to be closed. */
const opened: Engine[] = [];
/** The description of what computes, as last sent. */
let told: string | undefined;
/** The model in use. */
let present: { readonly source: ModelSource; readonly engine: Engine; readonly model: Model } | undefined;

scope.onmessage = ({ data }) => {
  if ('open' in data) {
    options = data.open;
  } else if ('chunk' in data) {
    jobs.get(data.job)?.chunks.push(data.chunk);
    jobs.get(data.job)?.wake();
  } else if ('abort' in data) {
    jobs.get(data.job)?.abort.abort();
    jobs.get(data.job)?.wake();
  } else {
    const job: Job = { number: data.job, abort: new AbortController(), chunks: [], wake() {} };
    jobs.set(data.job, job);
    if ('decode' in data && data.decode === 'stream') tell(job, { wants: BYTES_AHEAD });
    const work = 'encode' in data ? () => encodeJob(job, data.encode, data.options) : () => decodeJob(job, data);
    queue = queue.then(() => finish(job, work));
  }
};

async function finish(
  { number, abort }: Job,
  work: () => Promise<BrowserEncodeResult | BrowserDecodeResult>,
): Promise<void> {
  try {
    abort.signal.throwIfAborted();
    scope.postMessage({ job: number, result: await work() });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    scope.postMessage({ job: number, error: { message, ...(error instanceof CodecError && { code: error.code }) } });
    if (error instanceof CodecError && error.code === 'engine') await renew();
  } finally {
    jobs.delete(number);
  }
}

/** Discards engines that have failed: the next job opens new ones. */
async function renew(): Promise<void> {
  present = undefined;
  engines = createEngines();
  for (const engine of opened.splice(0)) await engine.dispose().catch(() => {});
}

async function encodeJob(
  job: Job,
  image: Parameters<typeof encode>[0],
  sent: SentEncodeOptions,
): Promise<BrowserEncodeResult> {
  const { model: name, ...rest } = sent;
  const source = name === undefined ? defaultFor(image) : named(name);
  if (!source) throw invalidArgument('model', options.models.map(({ name }) => name).join(', '), name);
  const model = await modelOf(job, source, rest.lossless === true);
  const onProgress = (progress: unknown) => tell(job, { progress });
  const { signal } = job.abort;
  const threads = searchOn(navigator.hardwareConcurrency || 1);
  return { ...(await encode(image, model, { ...rest, onProgress, signal }, threads)), model: source.name };
}

function named(name: string): ModelSource | undefined {
  return options.models.find((source) => source.name === name);
}

/** The model for pictures of this size, or the first one where that is not at hand. */
function defaultFor(size: Size): ModelSource | undefined {
  return named(modelForSize(size)) ?? options.models[0];
}

async function decodeJob(
  job: Job,
  { decode: file, options: sent, wantsPoints }: DecodeRequest,
): Promise<BrowserDecodeResult> {
  const chunks = file === 'stream' ? streamOf(job) : undefined;
  const head = chunks ? await throughHeader(chunks) : (file as Uint8Array);
  const { header } = readHeader(chunks || !sent.tolerant ? head : repairHeader(head));
  const source = options.models.find(({ id }) => id.startsWith(header.modelId));
  if (!source) {
    const known = options.models.map(({ name, id }) => nameAndId(name, id)).join(', ');
    throw new CodecError('model', `the file needs model ${modelInWords(header.modelId)}, at hand: ${known}`);
  }
  const model = await modelOf(job, source, header.tail === true);
  const pace = createPace();
  const { signal } = job.abort;
  const points = {
    // Make pictures while no bytes arrive; where all bytes are there, pictures take a fifth of the time.
    wantsPoint: () => pace.begin(job.chunks.length === 0),
    onPoint: ({ unrounded: _, ...point }: DecodePoint) => {
      pace.end();
      tell(job, { point });
    },
  };
  const onProgress = (progress: number) => tell(job, { progress });
  const bytes = chunks ? continued(head, chunks) : head;
  const { unrounded: _, ...result } = await decode(bytes, model, {
    ...sent,
    onProgress,
    signal,
    ...(wantsPoints && points),
  });
  return { ...result, model: source.name };
}

function tell({ number }: Job, events: JobEvents): void {
  scope.postMessage({ job: number, ...events });
}

function createEngines() {
  return { lossy: once(() => open(options.device)), lossless: once(() => open('cpu')) };
}

function tellEngine(engine: string, because?: string): void {
  if (engine === told) return;
  told = engine;
  scope.postMessage({ engine, ...(because !== undefined && { because }) });
}

async function open(device: SentCodecOptions['device'] = 'auto'): Promise<Engine> {
  const { threads } = options;
  const engine = await openEngine({
    device,
    onFallback: tellEngine,
    ...(threads !== undefined && { threads }),
  });
  opened.push(engine);
  return engine;
}

async function engineFor(isLossless: boolean): Promise<Engine> {
  const engine = await engines.lossy();
  return isLossless && engine.approximate ? engines.lossless() : engine;
}

/** The model on the engine for this work; closes the previous model, if it was a different one. */
async function modelOf(job: Job, source: ModelSource, isLossless: boolean): Promise<Model> {
  const opening = engineFor(isLossless);
  if (present?.source === source && present.engine === (await opening)) {
    tellEngine(present.engine.description);
    return present.model;
  }
  const before = present?.model;
  present = undefined;
  await before?.dispose();
  const onDownload = (download: JobEvents['download']) => tell(job, { download: download! });
  const loading = loadModel(source, { onDownload, signal: job.abort.signal });
  const [engine, loaded] = await Promise.all([opening, loading]);
  tellEngine(engine.description);
  present = { source, engine, model: await loaded.open(engine) };
  return present.model;
}

/** Decides when to make the next picture: after four times what the last one took. */
function createPace() {
  let began = 0;
  let ended = 0;
  let took = 0;
  return {
    /** @param isIdle whether to make one in any case @returns whether one begins */
    begin(isIdle: boolean): boolean {
      const now = performance.now();
      const isTime = isIdle || now - ended >= 4 * took;
      if (isTime) began = now;
      return isTime;
    },
    end() {
      ended = performance.now();
      took = ended - began;
    },
  };
}

/** The chunks of a job's stream. */
async function* streamOf(job: Job): AsyncGenerator<Uint8Array> {
  for (;;) {
    const chunk = job.chunks.shift();
    if (chunk === 'end') return;
    if (chunk) {
      tell(job, { wants: chunk.length });
      yield chunk;
    } else
      await new Promise<void>((resolve) => {
        job.wake = resolve;
        if (job.chunks.length > 0 || job.abort.signal.aborted) resolve();
      });
    job.abort.signal.throwIfAborted();
  }
}

/** The bytes up to the chunk that completes the header, or all bytes if none does. */
async function throughHeader(chunks: AsyncGenerator<Uint8Array>): Promise<Uint8Array> {
  let bytes: Uint8Array = new Uint8Array(0);
  for (let { done, value } = await chunks.next(); !done; { done, value } = await chunks.next()) {
    bytes = concat(bytes, value!);
    if (beginHeader(bytes)) break;
  }
  return bytes;
}

async function* continued(first: Uint8Array, rest: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* rest;
}
