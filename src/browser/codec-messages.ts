/** What a page and its codec's worker say to each other. */
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

/** Options that are told as events, or by a message of their own. */
type Told = 'signal' | 'onProgress' | 'onPoint' | 'onDownload' | 'onEngine';

export type SentCodecOptions = Omit<CodecOptions, Told>;
export type SentEncodeOptions = Omit<BrowserEncodeOptions, Told>;
export type SentDecodeOptions = Omit<BrowserDecodeOptions, Told>;

/** To the worker. */
export type Request =
  | { readonly open: SentCodecOptions }
  | { readonly job: number; readonly encode: RgbImage; readonly options: SentEncodeOptions }
  /** Without bytes these come in chunks, as far as they are asked for; the last one is `end`. */
  | {
      readonly job: number;
      readonly decode: Uint8Array | 'stream';
      readonly options: SentDecodeOptions;
      readonly wantsPoints: boolean;
    }
  | { readonly job: number; readonly chunk: Uint8Array | 'end' }
  | { readonly job: number; readonly abort: true };

/** What a job says before its end. */
export interface JobEvents {
  /** Asks for so many bytes more of the stream, or its end. */
  readonly wants?: number;
  readonly download?: DownloadProgress;
  /** Of encoding, an `EncodeProgress`; of decoding, a fraction. */
  readonly progress?: unknown;
  readonly point?: BrowserPoint;
}

export interface SentError {
  readonly message: string;
  /** Of a `CodecError`. */
  readonly code?: ErrorCode;
}

/** From the worker. */
export type Reply =
  | { readonly engine: string; readonly because?: string }
  | ({ readonly job: number } & JobEvents)
  | { readonly job: number; readonly result: BrowserEncodeResult | BrowserDecodeResult }
  | { readonly job: number; readonly error: SentError };
