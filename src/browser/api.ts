/** Options and results of a page's codec. */
import type { DecodePoint, DecodeResult, EncodeOptions, EncodeProgress, EncodeResult, Realism } from '../codec/api.js';
import type { RgbImage } from '../image/image.js';
import type { BrowserDevice } from './engine.js';
import type { DownloadProgress, ModelSource } from './models.js';

/** How a codec is opened. */
export interface CodecOptions {
  /** What files and pictures are coded with, as from `readModelIndex`. */
  readonly models: readonly ModelSource[];
  /** Threads of WebAssembly; default one per core, up to 8. */
  readonly threads?: number;
  /** Default 'auto': a GPU where there is one that is not a software one, else the CPU. Lossless work is always done on the CPU. */
  readonly device?: BrowserDevice | 'auto';
  /** Told once what computes, and again where that changes: a GPU was not there, or was lost in the middle of work. */
  readonly onEngine?: (description: string, because?: string) => void;
}

interface Listeners {
  /** Told while a model is downloaded; not where it is in the browser's cache. */
  readonly onDownload?: (progress: DownloadProgress) => void;
  readonly signal?: AbortSignal;
}

/** As in `encode`; further, which model. */
export interface BrowserEncodeOptions extends Omit<EncodeOptions, 'signal' | 'onProgress'>, Listeners {
  /** Name of one of the models; default the one for pictures of this size. */
  readonly model?: string;
  readonly onProgress?: (progress: EncodeProgress) => void;
}

/** As in `decode`. */
export interface BrowserDecodeOptions extends Listeners {
  readonly maxBytes?: number;
  readonly maxPixels?: number;
  readonly tolerant?: boolean;
  /** Default 0. */
  readonly realism?: Realism;
  readonly progressivePoints?: number | readonly number[];
  /**
   * A picture for each of `progressivePoints`, or without them for each step; of a stream, for a step when nothing more has come yet, and
   * otherwise so often that pictures take a fifth of the time.
   */
  readonly onPoint?: (point: BrowserPoint) => void;
  readonly onProgress?: (fraction: number) => void;
}

/** As `DecodePoint`, without what is not sent between threads. */
export type BrowserPoint = Omit<DecodePoint, 'unrounded'>;
/** As `DecodeResult`, and the name of the model. */
export type BrowserDecodeResult = Omit<DecodeResult, 'unrounded'> & { readonly model: string };
/** As in `encode`, and the name of the model. */
export type BrowserEncodeResult = EncodeResult & { readonly model: string };

/** Encodes and decodes, one job after another. */
export interface BrowserCodec {
  /** @throws CodecError as `encode`; the signal's reason */
  encode(image: RgbImage, options?: BrowserEncodeOptions): Promise<BrowserEncodeResult>;
  /**
   * @param source all bytes of a file, or a stream such as the body of a response; of that no more is read than decoding goes on, but for
   *   64 KiB and a chunk, and it is cancelled where decoding ends before it
   * @throws CodecError as `decode`; the signal's reason
   */
  decode(source: Uint8Array | ReadableStream<Uint8Array>, options?: BrowserDecodeOptions): Promise<BrowserDecodeResult>;
  /** Whether its worker has ended, by `close` or by a fault: then every job is refused. */
  readonly closed: boolean;
  /** Ends the worker, with all that it has. */
  close(): void;
}
