/** Messages between a page and its codec's worker. */
import type { ErrorCode } from '../common/errors.js';
import type { RgbImage } from '../image/image.js';
import type {
  BrowserDecodeOptions,
  BrowserDecodeResult,
  BrowserEncodeOptions,
  BrowserEncodeResult,
  BrowserPoint,
  CodecOptions,
} from './api.js';
import type { DownloadProgress } from './models.js';

/** Options that are sent as events, or in a separate message. */
type Told = 'signal' | 'onProgress' | 'onPoint' | 'onDownload' | 'onEngine';

export type SentCodecOptions = Omit<CodecOptions, Told>;
export type SentEncodeOptions = Omit<BrowserEncodeOptions, Told>;
export type SentDecodeOptions = Omit<BrowserDecodeOptions, Told>;

/** To the worker. */
export type Request =
  | { readonly open: SentCodecOptions }
  | { readonly job: number; readonly encode: RgbImage; readonly options: SentEncodeOptions }
  /** A stream's bytes come in chunks, as many as the worker requests; the last one is `end`. */
  | {
      readonly job: number;
      readonly decode: Uint8Array | 'stream';
      readonly options: SentDecodeOptions;
      readonly wantsPoints: boolean;
    }
  | { readonly job: number; readonly chunk: Uint8Array | 'end' }
  | { readonly job: number; readonly abort: true };

/** A job's messages before its result. */
export interface JobEvents {
  /** Requests this many more bytes of the stream, or its end. */
  readonly wants?: number;
  readonly download?: DownloadProgress;
  /** For encoding an `EncodeProgress`, for decoding a fraction. */
  readonly progress?: unknown;
  readonly point?: BrowserPoint;
}

export interface SentError {
  readonly message: string;
  /** Code of a `CodecError`. */
  readonly code?: ErrorCode;
}

/** From the worker. */
export type Reply =
  | { readonly engine: string; readonly because?: string }
  | ({ readonly job: number } & JobEvents)
  | { readonly job: number; readonly result: BrowserEncodeResult | BrowserDecodeResult }
  | { readonly job: number; readonly error: SentError };
