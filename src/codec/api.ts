/** Options and results of encoding and decoding. */
import type { RgbImage } from '../image/image.js';
import type { Metadata } from './format/metadata.js';
import type { Selection } from './trellis/block-coder.js';

/**
 * Selects one of the pictures that fit the bits of a prefix, 0..1. 0 is the mean, with the lowest squared error. 1 is the
 * end of the probability-flow ODE from x_t, which looks most natural. Values between them lie on the straight line,
 * which has the least squared error for its distance from the distribution of pictures (Freirich, Michaeli & Meir 2021,
 * for the Wasserstein-2 distance). `sample` is a draw from the reverse process that starts at x_t.
 */
export type Realism = number | 'sample';

/** The progress of an encoder. */
export interface EncodeProgress {
  /**
   * Fraction of the work done, 0..1. It never falls and is 1 at the end. Work is measured in network evaluations, so
   * the fraction roughly follows time. Where the end depends on results, as with `targetRmse`, it is predicted from the
   * model's profile.
   */
  readonly fraction: number;
  /** Timestep reached, from T = 1000 down. */
  readonly t: number;
  /** File size so far. */
  readonly bytes: number;
  /**
   * RMSE of the image that a decoder would make of the file so far, 0..255 scale; see {@link EncodeResult.rmse}. Far from
   * the target this is the RMSE of the chain's own xhat0. A decoder asks the network for the picture that it shows, and
   * is slightly better: by about half a percent, and by a few percent where xhat0 was moved or made at a smaller size.
   */
  readonly rmse: number;
}

/** How an image is encoded, and where the file ends: at an RMSE of 3 unless a size or a quality is set. */
export interface EncodeOptions {
  /**
   * 1..9, default 5. More effort takes more time and gives smaller files. For small pictures the search for
   * codewords is longer, up to 5; larger pictures get more states or more steps.
   */
  readonly effort?: number;
  /** Default 'greedy'. */
  readonly selection?: Selection;
  /** 0..2^32-1; default 0. */
  readonly seed?: number;
  /** Stop before the file would exceed this many bytes. */
  readonly maxBytes?: number;
  /** Above 0: stop at the first step whose RMSE (8-bit, mean reconstruction) is at or below this value. */
  readonly targetRmse?: number;
  /** Send the exact picture after the steps. The number of steps is then the one with the smallest file. Default false. */
  readonly lossless?: boolean;
  /** Add a 16-bit checksum after every 32 bytes or more of steps, to detect damage. Default false. */
  readonly checksums?: boolean;
  /** Written at the end of the file, together with a note if the network ran in half precision. */
  readonly metadata?: Metadata;
  readonly onProgress?: (progress: EncodeProgress) => void;
  /** Cancels the work: after the abort no window of the network starts, and the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** One step boundary of a file: everything up to it can be decoded. The first entry is the state before any step. */
export interface StepReport {
  /** Timestep reached. */
  readonly t: number;
  /** File size up to here, in bits, header and alpha plane included. */
  readonly bits: number;
  /** Sum of KL(q||p) up to here, in bits: what an ideal coder would have needed. */
  readonly klBits: number;
  /**
   * RMSE of the 8-bit mean reconstruction at this point, 0..255 scale; see {@link EncodeProgress.rmse} for when it is
   * approximate. The last one is exact, unless a tail follows.
   */
  readonly rmse: number;
}

/** An encoded image with its statistics. */
export interface EncodeResult {
  /** The whole `.ddc` file. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
  /** 8 * bytes.length / (width * height * 3). */
  readonly bitsPerDim: number;
  /**
   * RMSE of the whole file: of the 8-bit mean reconstruction, or of the samples of its tail. For pictures with
   * transparency only visible colours count: all pixels with an opacity above 0, with equal weight.
   */
  readonly rmse: number;
  readonly psnr: number;
  readonly klBits: number;
  readonly steps: readonly StepReport[];
  /** Bytes of the alpha plane, 0 without one. */
  readonly alphaBytes: number;
  /** Bytes of the tail, 0 without one. */
  readonly tailBytes: number;
  /**
   * In evaluations of the network on the whole picture. Evaluations of parts, or at a smaller size, count by their
   * share of the work.
   */
  readonly networkEvaluations: number;
  /** What ended the file: the target RMSE is met, the next step would have exceeded `maxBytes`, or every sample is sent exactly. */
  readonly stoppedBy: 'target' | 'maxBytes' | 'exact';
  /** Whether the target RMSE is met; absent without a target. Always true unless `maxBytes` is too small for it. */
  readonly targetMet?: boolean;
  /** The image that a decoder makes of the whole file. */
  readonly reconstruction: RgbImage;
}

/** A picture reconstructed from a state of the chain: see {@link DecoderPoint.reconstruct}. */
export interface DecodedPicture {
  readonly image: RgbImage;
  /** The same before rounding to 8 bits: values in [-1, 1], in the order of `image.data`. Valid until the decoder goes on. */
  readonly unrounded: Float32Array;
  /** True when the picture is identical to the encoder's, as its checksum shows. */
  readonly lossless: boolean;
  /** True when a checksum shows that the file is damaged; only with `tolerant`. */
  readonly damaged: boolean;
}

/** A place in a file up to which the bytes can be decoded. */
export interface DecoderPoint {
  /** Steps decoded; 0 for the bare header. */
  readonly stepsUsed: number;
  /** Timestep reached, from T down. */
  readonly t: number;
  /** Bytes up to here. */
  readonly bytesUsed: number;
  /** Samples, of width * height * 3, that a tail has sent so far. */
  readonly knownSamples: number;
  /** bytesUsed in bits / (width * height * 3). */
  readonly bitsPerDim: number;
  /**
   * State of the alpha plane, which comes before the steps. `missing` until it is complete; the picture is opaque until
   * then. `none` in a file without one.
   */
  readonly alpha: 'none' | 'missing' | 'whole';
  /**
   * Whether the steps up to here are undamaged. `pending` where their checksum is still to come; `none` in a file
   * without checksums; `failed`, only with `tolerant`, where some steps are damaged.
   */
  readonly checksum: 'none' | 'pending' | 'passed' | 'failed';
  /**
   * Makes the picture. Realism 0 takes up to two evaluations of the network, one of which the next step may need anyway;
   * any other realism takes one more for every remaining evaluation of the plan. Realism makes no difference where samples are already exact.
   * @param realism default 0
   * @throws CodecError('usage') when the decoder has gone on
   */
  reconstruct(realism?: Realism): Promise<DecodedPicture>;
}

/** What a decoder is waiting for. */
export type DecoderState =
  /** The header is incomplete. */
  | { readonly needs: 'header' }
  /** The alpha plane is incomplete; `bytes` are still missing, once its length is known. */
  | { readonly needs: 'alpha'; readonly bytes?: number }
  /** After this many more bytes, `step` of `steps` is complete. */
  | { readonly needs: 'step'; readonly step: number; readonly steps: number; readonly bytes: number }
  /** The tail is incomplete; `bytes` are still missing, once its header gives its length. */
  | { readonly needs: 'tail'; readonly bytes?: number }
  /** The metadata are incomplete, or their length is damaged. */
  | { readonly needs: 'metadata' }
  /**
   * The file is complete. Or it is damaged after a step and the rest is not decoded, only with `tolerant`. Or decoding
   * has ended with an error.
   */
  | { readonly needs: 'nothing'; readonly damagedAfterStep?: number; readonly failure?: unknown };

/** How a decoder treats its input. */
export interface DecoderOptions {
  /** Refuse images with more pixels than this before allocating memory. Default 2^26; more than 2^28 are always refused. */
  readonly maxPixels?: number;
  /**
   * Decode as much as possible of a file whose checksums show damage, instead of throwing an error. A single flipped
   * bit in a section of the steps is corrected. With more errors a section is decoded as it is, and so is a lossless
   * picture. A tail after damaged steps is left out, and so are steps after a damaged alpha plane. A flipped bit of the
   * header is corrected where `decode` is given bytes, not a stream. Default false.
   */
  readonly tolerant?: boolean;
  /**
   * Cancels the work: after the abort no window of the network starts, and points reject with the signal's reason. The
   * decoder cannot continue after that.
   */
  readonly signal?: AbortSignal;
}

/** A picture of a file, intermediate or final. */
export interface DecodePoint {
  readonly image: RgbImage;
  /** The same before rounding to 8 bits: values in [-1, 1], in the order of `image.data`. */
  readonly unrounded: Float32Array;
  readonly stepsUsed: number;
  readonly t: number;
  /** Bytes up to the last complete step that was used, or up to the last byte of the tail that is there. */
  readonly bytesUsed: number;
  /** Samples, of width * height * 3, that a tail has sent. */
  readonly knownSamples: number;
  /** bytesUsed in bits / (width * height * 3). */
  readonly bitsPerDim: number;
  /**
   * State of the alpha plane, which comes before the steps. `missing` until it is complete; the picture is opaque until
   * then. `none` in a file without one.
   */
  readonly alpha: 'none' | 'missing' | 'whole';
}

/** How a file is decoded, and how much of it. */
export interface DecodeOptions extends DecoderOptions {
  /** Use at most this many bytes of the file. */
  readonly maxBytes?: number;
  /** Use at most this many steps. */
  readonly maxSteps?: number;
  /** Default 0. */
  readonly realism?: Realism;
  /**
   * A number: give `onPoint` a reconstruction at about this many points, evenly spaced in bytes, the last one included.
   * A list: give it one for the file truncated at each of these sizes in bytes, and the last one. Not for a stream,
   * whose length is unknown until its end: there `onPoint` gets every step.
   */
  readonly progressivePoints?: number | readonly number[];
  /** @param at the decoder's point; while the callback is awaited it can make pictures of another realism */
  readonly onPoint?: (point: DecodePoint, at: DecoderPoint) => void | Promise<void>;
  /** For a stream: whether `onPoint` gets a picture of this step, which may cost two network evaluations. Default: every step. */
  readonly wantsPoint?: (point: DecoderPoint) => boolean;
  /**
   * Fraction of the work done, 0..1, as in {@link EncodeProgress}. For a stream, intermediate pictures count once they
   * have been made.
   */
  readonly onProgress?: (fraction: number) => void;
}

/** A decoded file. */
export interface DecodeResult extends DecodePoint {
  /** Length of the given file; for a stream, the number of bytes read. */
  readonly bytesTotal: number;
  readonly stepsTotal: number;
  /** True when the file holds everything its encoder wrote; for a stream, when it was read and decoded to that point. */
  readonly complete: boolean;
  /** True when the picture is identical to the encoder's, as its checksum shows. */
  readonly lossless: boolean;
  /** True when a checksum shows that the file is damaged; only with `tolerant`. */
  readonly damaged: boolean;
  /** Unused bytes after the end of the file; for a stream, those that were read. */
  readonly trailingBytes: number;
  /** The metadata at the end of the file are damaged; this does not affect the picture. */
  readonly metadataDamaged: boolean;
  /** Present where the file holds complete metadata; for a stream, where it was read to that point. */
  readonly metadata?: Metadata;
}
