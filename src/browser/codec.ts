/** A codec that works in a Web Worker, so that the page stays free. */
import type { EncodeProgress } from '../codec/api.js';
import { checkObject } from '../common/arguments.js';
import { CodecError, invalidArgument } from '../common/errors.js';
import { checkImage } from '../image/image.js';
import type { BrowserCodec, BrowserDecodeResult, BrowserEncodeResult, CodecOptions } from './api.js';
import type { JobEvents, Reply, Request, SentError } from './codec-messages.js';

interface Job {
  tell(events: JobEvents): void;
  resolve(result: BrowserEncodeResult | BrowserDecodeResult): void;
  reject(error: unknown): void;
}

/**
 * Opens a codec. It opens its engine and its models on first use.
 * @throws CodecError('usage') for invalid arguments
 */
export function openCodec(options: CodecOptions): BrowserCodec {
  checkObject('options', options);
  const { onEngine, ...sent } = options;
  const worker = new Worker(new URL('./codec-worker.js', import.meta.url), { type: 'module', name: 'ddpm-codec' });
  const jobs = new Map<number, Job>();
  let count = 0;
  let broken: CodecError | undefined;
  const post = (request: Request) => worker.postMessage(request);
  post({ open: sent });

  worker.addEventListener('message', ({ data }: MessageEvent<Reply>) => {
    if ('engine' in data) {
      onEngine?.(data.engine, data.because);
      return;
    }
    const job = jobs.get(data.job);
    if (!job) return;
    if ('result' in data) job.resolve(data.result);
    else if ('error' in data) job.reject(errorOf(data.error));
    else job.tell(data);
  });
  const breakDown = (why: string) => {
    broken ??= new CodecError('engine', `the codec's worker stopped: ${why}; open another codec`);
    // Also ends the workers that it has started.
    worker.terminate();
    for (const job of jobs.values()) job.reject(broken);
  };
  worker.addEventListener('error', ({ message }) => breakDown(message || 'its script does not load'));
  worker.addEventListener('messageerror', () => breakDown('its answer cannot be read'));

  /** @param begin sends the job */
  async function run<Result>(
    begin: (number: number) => void,
    tell: Job['tell'],
    signal: AbortSignal | undefined,
  ): Promise<Result> {
    signal?.throwIfAborted();
    if (broken) throw broken;
    const number = count++;
    const abort = () => {
      post({ job: number, abort: true });
      jobs.get(number)?.reject(signal!.reason);
    };
    try {
      return await new Promise<Result>((resolve, reject) => {
        jobs.set(number, { tell, resolve: resolve as Job['resolve'], reject });
        signal?.addEventListener('abort', abort, { once: true });
        begin(number);
      });
    } finally {
      jobs.delete(number);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Sends the requested bytes of a stream, as long as the job runs. @returns a function that requests more */
  function forward(job: number, reader: ReadableStreamDefaultReader<Uint8Array>): (bytes: number) => void {
    let wanted = 0;
    let isReading = false;
    async function send(): Promise<void> {
      isReading = true;
      while (wanted > 0 && jobs.has(job)) {
        const { done, value } = await reader.read();
        if (!done && !(value instanceof Uint8Array)) {
          throw invalidArgument('stream', 'chunks that are Uint8Arrays', value);
        }
        wanted -= done ? wanted : value.length;
        post({ job, chunk: done ? 'end' : value });
      }
      isReading = false;
    }
    return (bytes) => {
      wanted += bytes;
      if (isReading) return;
      send().catch((error) => {
        jobs.get(job)?.reject(error);
        post({ job, abort: true });
      });
    };
  }

  return {
    async encode(image, { signal, onProgress, onDownload, ...rest } = {}) {
      checkImage(image);
      const tell = ({ download, progress }: JobEvents) => {
        if (download) onDownload?.(download);
        if (progress !== undefined) onProgress?.(progress as EncodeProgress);
      };
      return run((job) => post({ job, encode: image, options: rest }), tell, signal);
    },
    async decode(source, { signal, onProgress, onPoint, onDownload, ...rest } = {}) {
      const isBytes = source instanceof Uint8Array;
      if (!isBytes && !(source instanceof ReadableStream)) {
        throw invalidArgument('source', 'a Uint8Array or a ReadableStream', source);
      }
      if (!isBytes && source.locked)
        throw invalidArgument('source', 'a stream that nobody reads', 'one that is locked');
      const reader = isBytes ? undefined : source.getReader();
      let send: ((bytes: number) => void) | undefined;
      const tell = ({ wants, download, progress, point }: JobEvents) => {
        if (wants !== undefined) send?.(wants);
        if (download) onDownload?.(download);
        if (progress !== undefined) onProgress?.(progress as number);
        if (point) onPoint?.(point);
      };
      const begin = (job: number) => {
        if (reader) send = forward(job, reader);
        post({ job, decode: isBytes ? source : 'stream', options: rest, wantsPoints: onPoint !== undefined });
      };
      try {
        return await run<BrowserDecodeResult>(begin, tell, signal);
      } finally {
        // Ends a read that is still waiting.
        void reader?.cancel().catch(() => {});
      }
    },
    get closed() {
      return broken !== undefined;
    },
    close() {
      worker.terminate();
      broken ??= new CodecError('usage', 'the codec is closed');
      for (const job of jobs.values()) job.reject(broken);
    },
  };
}

function errorOf({ message, code }: SentError): Error {
  return code ? new CodecError(code, message) : new Error(message);
}
