/** The rate-distortion curve of one progressive file: encoded once, decoded along its steps and its tail. */
import type { DecodePoint, DecoderPoint, EncodeOptions } from '../codec/api.js';
import { decode } from '../codec/decoder/decode.js';
import { between } from '../codec/decoder/reconstruction.js';
import { readLayout } from '../codec/format/layout.js';
import type { CodecModel } from '../codec/model.js';
import { ChainWork } from '../codec/work.js';
import type { RgbImage } from '../image/image.js';
import { fromUnit } from '../image/pixels.js';
import { encode } from '../node/encode.js';
import { type RatePoint, ratePoint } from './rate-point.js';

/** A file truncated after one of its steps. */
export interface ProgressivePoint extends RatePoint {
  /** Timestep reached. */
  readonly t: number;
  /** Sum of KL(q||p) of the steps so far, in bits. */
  readonly klBits: number;
  /** Wall-clock time of decoding up to here, including this picture; measuring and other pictures are left out. */
  readonly decodeSeconds: number;
}

/** Size of a single step. */
export interface StepSize {
  /** Timestep reached. */
  readonly t: number;
  /** Bits in the file; steps are not padded to bytes. */
  readonly bits: number;
  /** KL(q||p): what an ideal coder would have needed. */
  readonly klBits: number;
}

export interface ProgressiveSweep {
  /** The file. */
  readonly bytes: Uint8Array;
  readonly headerBytes: number;
  /**
   * `bytes` consists of 8 headerBytes bits and the bits of the steps, rounded up to a byte, and then the bits of a
   * tail.
   */
  readonly steps: readonly StepSize[];
  /**
   * One curve for each realism: first the bare header, then points along the steps ({@link SweepOptions.points}), last
   * points in a tail.
   */
  readonly curves: readonly (readonly ProgressivePoint[])[];
  /** Wall-clock time of encoding the file. */
  readonly encodeSeconds: number;
  /** Evaluations by the encoder, on the whole picture. */
  readonly networkEvaluations: number;
}

export interface SweepOptions extends Omit<EncodeOptions, 'onProgress'> {
  /**
   * Approximate number of points besides the bare header, evenly spread in bytes. By default there is one for each step
   * after which the network runs, where a picture costs least, and eight in a tail.
   */
  readonly points?: number;
  /** Realisms with which points are decoded, each 0..1; default 0 alone. */
  readonly realisms?: readonly number[];
  /**
   * Called with the decoded picture at each point, in the order of `realisms`. Its time is not counted.
   * @param curve index of the realism
   */
  readonly onPicture?: (picture: RgbImage, point: ProgressivePoint, curve: number) => void | Promise<void>;
  /** Fraction of the work done, 0..1. */
  readonly onProgress?: (fraction: number) => void;
}

/** Points in a tail, evenly spread in bytes; the last is the whole file. */
const TAIL_POINTS = 8;

/**
 * Encodes one file and measures what a decoder makes of it along its steps. The only numbers that come from the encoder
 * are the sums of KL.
 * @param options encoder options, which decide where the file ends
 * @throws CodecError as `encode` does
 */
export async function sweepProgressive(
  image: RgbImage,
  model: CodecModel,
  { points: wanted, realisms = [0], onPicture, onProgress, ...options }: SweepOptions = {},
): Promise<ProgressiveSweep> {
  const start = performance.now();
  const { bytes, steps, tailBytes, networkEvaluations } = await encode(image, model, {
    ...options,
    onProgress: ({ fraction }) => onProgress?.(fraction / 2),
  });
  const encodeSeconds = (performance.now() - start) / 1000;
  const curves = realisms.map((): ProgressivePoint[] => []);
  const layout = readLayout(bytes, model);
  const work = new ChainWork(model, layout.header, layout.written);
  let begun = performance.now();
  /** When the decoder reached its last step or sample. */
  let walkedAt = begun;
  /** Milliseconds that decoding alone does not take. */
  let aside = 0;
  const onPoint = async (reached: DecodePoint, at: DecoderPoint) => {
    const now = performance.now();
    const { t, stepsUsed, bytesUsed, unrounded } = reached;
    const flow = realisms.some((realism) => realism > 0) ? (await at.reconstruct(1)).unrounded : unrounded;
    const walked = performance.now() - now;
    for (const [i, realism] of realisms.entries()) {
      const picture =
        realism === 0 ? reached.image : { ...reached.image, data: fromUnit(between(unrounded, flow, realism)) };
      const decodeSeconds = (now - begun - aside + (realism === 0 ? 0 : walked)) / 1000;
      const measured = ratePoint(image, picture, bytesUsed);
      const point = { ...measured, t, klBits: steps[stepsUsed].klBits, decodeSeconds };
      curves[i].push(point);
      await onPicture?.(picture, point, i);
    }
    aside += performance.now() - now + shareOfShowing(stepsUsed) * (now - walkedAt);
    walkedAt = performance.now();
  };
  /** Share of the work for a picture that is done to show it. The chain goes on with the rest, or a tail does. */
  const shareOfShowing = (step: number): number => {
    const picture = work.picture(step);
    if (picture === 0) return 0;
    const isBeforeTail = tailBytes > 0 && step === layout.written.length;
    return (isBeforeTail ? picture - work.best(step) : work.shown(step)) / picture;
  };
  const { signal } = options;
  await decode(bytes, model, { maxSteps: 0, progressivePoints: 1, onPoint, ...(signal && { signal }) });
  begun = performance.now();
  walkedAt = begun;
  aside = 0;
  if (steps.length > 1 || tailBytes > 0) {
    const { written, boundaries } = layout;
    const ends = boundaries.slice(1).filter((_, i) => written[i].asks || i === written.length - 1);
    const tail = boundaries[written.length];
    const inTail = Array.from({ length: tailBytes > 0 ? TAIL_POINTS : 0 }, (_, i) =>
      Math.round(tail + (tailBytes * (i + 1)) / TAIL_POINTS),
    );
    await decode(bytes, model, {
      progressivePoints: wanted ?? [...ends, ...inTail],
      onPoint,
      ...(signal && { signal }),
      onProgress: (fraction) => {
        walkedAt = performance.now();
        onProgress?.(0.5 + fraction / 2);
      },
    });
  }
  return {
    bytes,
    headerBytes: steps[0].bits / 8,
    steps: steps.slice(1).map(({ t, bits, klBits }, i) => ({
      t,
      bits: bits - steps[i].bits,
      klBits: klBits - steps[i].klBits,
    })),
    curves,
    encodeSeconds,
    networkEvaluations,
  };
}
