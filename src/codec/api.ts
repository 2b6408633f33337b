/** Options and results of encoding and decoding. */
import type { RgbImage } from '../image/image.js';
import type { Metadata } from './format/metadata.js';
import type { Selection } from './trellis/block-coder.js';

/**
 * Which of the pictures that the same bits allow a prefix is turned into, 0..1: 0 is xhat0, of the lowest squared error; 1 the end of the
 * probability-flow ODE from x_t, which looks most like a picture; between them the straight line, which has the least squared error for its
 * distance from the distribution of pictures (Freirich, Michaeli & Meir 2021, for the Wasserstein-2 distance). `sample` is a draw by the reverse process from x_t.
 */
export type Realism = number | 'sample';

/** How far an encoder is. */
export interface EncodeProgress {
  /**
   * Part of the work done, 0..1, never less than before, and 1 at the end. Work is counted by what the network is asked for, so that the part
   * follows time about. Where the end depends on what comes of it, as with `targetRmse`, it is foretold from the model's profile.
   */
  readonly fraction: number;
  /** Timestep reached, from T = 1000 down. */
  readonly t: number;
  /** File size so far. */
  readonly bytes: number;
  /**
   * RMSE of what a decoder would make of the file so far, 0..255 scale; see {@link EncodeResult.rmse}. Where the encoder did not ask the
   * network, but moved what it said last, it is the RMSE of that: a decoder asks, and is a little better.
   */
  readonly rmse: number;
}

/** How an image is encoded, and where the file ends; without a size or a quality at an RMSE of 3. */
export interface EncodeOptions {
  /**
   * 1..9, default 5: time for fewer bits. Of small pictures each level takes twice the search for codewords of the one before; larger ones
   * get more states or more steps.
   */
  readonly effort?: number;
  /** Default 'greedy'. */
  readonly selection?: Selection;
  /** 0..2^32-1; default 0. */
  readonly seed?: number;
  /** Stop before the file would exceed this many bytes. */
  readonly maxBytes?: number;
  /** Above 0: stop at the first step whose RMSE (8-bit, mean reconstruction) is at or below this. */
  readonly targetRmse?: number;
  /** Send the exact picture after the steps, of which there are then as many as make the file smallest. Default false. */
  readonly lossless?: boolean;
  /** Add 16 bits after every 32 bytes or more of steps, from which damage is noticed. Default false. */
  readonly checksums?: boolean;
  /** Written at the end of the file, which also records that the network ran in half precision, if it did. */
  readonly metadata?: Metadata;
  readonly onProgress?: (progress: EncodeProgress) => void;
  /** Ends the work: no window of the network is begun after it is aborted, and the promise rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** One step boundary of a file: everything up to here can be decoded. The first entry is that before any step. */
export interface StepReport {
  /** Timestep reached. */
  readonly t: number;
  /** File size up to here, in bits, header and alpha plane included. */
  readonly bits: number;
  /** Sum of KL(q||p) up to here, in bits: what an ideal coder would have needed. */
  readonly klBits: number;
  /** RMSE of the 8-bit mean reconstruction at this point, 0..255 scale; but see {@link EncodeProgress.rmse}. The last is exact. */
  readonly rmse: number;
}

/** An encoded image and how it came about. */
export interface EncodeResult {
  /** The whole `.ddc` file. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
  /** 8 * bytes.length / (width * height * 3). */
  readonly bitsPerDim: number;
  /**
   * Of the whole file: the 8-bit mean reconstruction, or the samples of its tail. Of a picture that is transparent in parts it is of the
   * colours that are seen: pixels of any opacity above 0 count, each as much as any other.
   */
  readonly rmse: number;
  readonly psnr: number;
  readonly klBits: number;
  readonly steps: readonly StepReport[];
  /** Bytes of the alpha plane, 0 without one. */
  readonly alphaBytes: number;
  /** Bytes of the tail, 0 without one. */
  readonly tailBytes: number;
  /** Of the whole picture: evaluations of parts of it, or of it at a smaller size, count by their share of the work. */
  readonly networkEvaluations: number;
  /**
   * What ended the file: the target RMSE is met, the next step would have gone past `maxBytes`, or every sample is sent exactly.
   */
  readonly stoppedBy: 'target' | 'maxBytes' | 'exact';
  /** Whether the target RMSE is met; absent where none was asked for. It always is, where `maxBytes` leaves the room. */
  readonly targetMet?: boolean;
  /** What a decoder makes of the whole file. */
  readonly reconstruction: RgbImage;
}

/** Which picture a state of the chain is turned into: see {@link DecoderPoint.reconstruct}. */
export interface DecodedPicture {
  readonly image: RgbImage;
  /** The same before rounding to 8 bits: values in [-1, 1], in the order of `image.data`. Good until the decoder goes on. */
  readonly unrounded: Float32Array;
  /** True when the picture is the encoder's, to the bit, by its checksum. */
  readonly lossless: boolean;
  /** True when a checksum shows that the file is damaged; only with `tolerant`. */
  readonly damaged: boolean;
}

/** A place in a file at which what came before decodes. */
export interface DecoderPoint {
  /** Steps decoded; 0 for the bare header. */
  readonly stepsUsed: number;
  /** Timestep reached, from T down. */
  readonly t: number;
  /** Bytes up to here. */
  readonly bytesUsed: number;
  /** Samples, of width * height * 3, that a tail has sent. */
  readonly knownSamples: number;
  /** bytesUsed in bits / (width * height * 3). */
  readonly bitsPerDim: number;
  /**
   * Of the alpha plane, which comes before the steps: `missing` up to where it is whole, the picture is opaque there; `none` in a file
   * without.
   */
  readonly alpha: 'none' | 'missing' | 'whole';
  /**
   * Whether the steps up to here are those that were written: `pending` where their checksum is still to come, `none` in a file
   * without; `failed`, only with `tolerant`, where some are not.
   */
  readonly checksum: 'none' | 'pending' | 'passed' | 'failed';
  /**
   * The picture, which is made when it is asked for: that of realism 0 takes the evaluation of the network that the next step needs anyway, any
   * other one for every step that is left. Where samples are exact already it makes no difference.
   * @param realism default 0
   * @throws CodecError('usage') when the decoder has gone on
   */
  reconstruct(realism?: Realism): Promise<DecodedPicture>;
}

/** What a decoder waits for. */
export type DecoderState =
  /** The header is not whole. */
  | { readonly needs: 'header' }
  /** The alpha plane goes on; for so many bytes, once it has said how many. */
  | { readonly needs: 'alpha'; readonly bytes?: number }
  /** So many bytes more, and `step` of `steps` is whole. */
  | { readonly needs: 'step'; readonly step: number; readonly steps: number; readonly bytes: number }
  /** The tail goes on; for so many bytes, once its own header has said how many. */
  | { readonly needs: 'tail'; readonly bytes?: number }
  | { readonly needs: 'metadata' }
  /**
   * The file is whole; or it is damaged after a step and nothing more is made of it, only with `tolerant`; or decoding has ended with an
   * error.
   */
  | { readonly needs: 'nothing'; readonly damagedAfterStep?: number; readonly failure?: unknown };

/** How a decoder deals with what it is given. */
export interface DecoderOptions {
  /** Refuse images with more pixels than this, before allocating. Default 2^26; more than 2^28 are refused in any case. */
  readonly maxPixels?: number;
  /**
   * Of a file whose checksums show damage make the best: a single bit that was flipped in a section of the steps is turned back, where
   * more are wrong they are decoded as they are, and so is a lossless picture; otherwise that is an error. A tail after steps that are
   * wrong is left out, and steps after an alpha plane that is. A flipped bit of the header is turned back where `decode` is given bytes,
   * not a stream. Default false.
   */
  readonly tolerant?: boolean;
  /**
   * Ends the work: no window of the network is begun after it is aborted, and points are refused with its reason. The decoder cannot go
   * on after that.
   */
  readonly signal?: AbortSignal;
}

/** A picture of a file on the way, or at its end. */
export interface DecodePoint {
  readonly image: RgbImage;
  /** The same before rounding to 8 bits: values in [-1, 1], in the order of `image.data`. */
  readonly unrounded: Float32Array;
  readonly stepsUsed: number;
  readonly t: number;
  /** Bytes up to the last complete step that was used, or as much of a tail as there is. */
  readonly bytesUsed: number;
  /** Samples, of width * height * 3, that a tail has sent. */
  readonly knownSamples: number;
  /** bytesUsed in bits / (width * height * 3). */
  readonly bitsPerDim: number;
  /**
   * Of the alpha plane, which comes before the steps: `missing` up to where it is whole, the picture is opaque there; `none` in a file
   * without.
   */
  readonly alpha: 'none' | 'missing' | 'whole';
}

/** How a file is decoded, and how far. */
export interface DecodeOptions extends DecoderOptions {
  /** Use at most this many bytes of the file. */
  readonly maxBytes?: number;
  /** Use at most this many steps. */
  readonly maxSteps?: number;
  /** Default 0. */
  readonly realism?: Realism;
  /**
   * Give `onPoint` a reconstruction at about this many points, evenly spread in bytes, the last one included; or those of the file cut
   * off at each of these sizes in bytes, and the last one. Not for a stream, whose length is not known before its end: there `onPoint`
   * gets every step.
   */
  readonly progressivePoints?: number | readonly number[];
  /** @param at the same place, of which pictures of another realism can be made while it is awaited */
  readonly onPoint?: (point: DecodePoint, at: DecoderPoint) => void | Promise<void>;
  /** Of a stream: whether `onPoint` is to get a picture of this step, which may cost an evaluation of the network. Default every step. */
  readonly wantsPoint?: (point: DecoderPoint) => boolean;
  /** Part of the work done, 0..1, as in {@link EncodeProgress}. Of a stream pictures on the way are counted when they have been made. */
  readonly onProgress?: (fraction: number) => void;
}

/** A decoded file. */
export interface DecodeResult extends DecodePoint {
  /** Length of the file that was given; of a stream as much as was read. */
  readonly bytesTotal: number;
  readonly stepsTotal: number;
  /** True when the file holds everything its encoder wrote; of a stream when it was read and decoded up to there. */
  readonly complete: boolean;
  /** True when the picture is the encoder's, to the bit, by its checksum. */
  readonly lossless: boolean;
  /** True when a checksum shows that the file is damaged; only with `tolerant`. */
  readonly damaged: boolean;
  /** Bytes after the end of the file, which nothing reads; of a stream those that were. */
  readonly trailingBytes: number;
  /** The metadata at the end of the file are not what was written; the picture is no worse for it. */
  readonly metadataDamaged: boolean;
  /** Where the file has them whole; of a stream when it was read up to there. */
  readonly metadata?: Metadata;
}
