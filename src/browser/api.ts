/** Options and results of a page's codec. */
import type { DecodePoint, DecodeResult, EncodeOptions, EncodeProgress, EncodeResult, Realism } from '../codec/api.js';
import type { RgbImage } from '../image/image.js';
import type { BrowserDevice } from './engine.js';
import type { DownloadProgress, ModelSource } from './models.js';

/** Options for opening a codec. */
export interface CodecOptions {
  /** Models for files and pictures, as from `readModelIndex`. */
  readonly models: readonly ModelSource[];
  /** Number of WebAssembly threads; default one per core, up to 8. */
  readonly threads?: number;
  /**
   * Default 'auto': a GPU, if there is one and it is not emulated in software, otherwise the CPU. Lossless work always
   * runs on the CPU.
   */
  readonly device?: BrowserDevice | 'auto';
  /** Called once with what computes, and again where that changes because a GPU was missing or was lost during work. */
  readonly onEngine?: (description: string, because?: string) => void;
}

interface Listeners {
  /** Called while a model is downloaded; not where it is in the browser's cache. */
  readonly onDownload?: (progress: DownloadProgress) => void;
  readonly signal?: AbortSignal;
}

/** As in `encode`, plus the choice of a model. */
export interface BrowserEncodeOptions extends Omit<EncodeOptions, 'signal' | 'onProgress'>, Listeners {
  /** Name of one of the models; by default the one for pictures of this size, or the first one where that is not among them. */
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
   * Called with a picture for each of `progressivePoints`, or without them for each step. For a stream, it is called
   * for a step when no more bytes have arrived yet, and otherwise so often that pictures take a fifth of the time.
   */
  readonly onPoint?: (point: BrowserPoint) => void;
  readonly onProgress?: (fraction: number) => void;
}

/** Like `DecodePoint`, without fields that are not sent between threads. */
export type BrowserPoint = Omit<DecodePoint, 'unrounded'>;
/** Like `DecodeResult`, plus the name of the model. */
export type BrowserDecodeResult = Omit<DecodeResult, 'unrounded'> & { readonly model: string };
/** As in `encode`, plus the name of the model. */
export type BrowserEncodeResult = EncodeResult & { readonly model: string };

/** Encodes and decodes, one job after another. */
export interface BrowserCodec {
  /** @throws CodecError as `encode`; the signal's reason */
  encode(image: RgbImage, options?: BrowserEncodeOptions): Promise<BrowserEncodeResult>;
  /**
   * @param source all bytes of a file, or a stream such as the body of a response. Reading a stream stays at most 64
   *   KiB and a chunk ahead of decoding, and the stream is cancelled where decoding ends first
   * @throws CodecError as `decode`; the signal's reason
   */
  decode(source: Uint8Array | ReadableStream<Uint8Array>, options?: BrowserDecodeOptions): Promise<BrowserDecodeResult>;
  /** Whether its worker has ended, by `close` or by a fault: every job is then refused. */
  readonly closed: boolean;
  /** Ends the worker and everything in it. */
  close(): void;
}
