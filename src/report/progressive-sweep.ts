/** The rate-distortion curve of one progressive file: encoded once, decoded at the end of every step. */
import type { DecodePoint, EncodeOptions } from '../codec/api.js';
import { decode } from '../codec/decoder.js';
import { type CodecModel, encode } from '../codec/encoder.js';
import type { RgbImage } from '../image/image.js';
import { type RatePoint, ratePoint } from './rate-point.js';

/** A file cut off after one of its steps. */
export interface ProgressivePoint extends RatePoint {
  /** Timestep reached. */
  readonly t: number;
  /** Sum of KL(q||p) of the steps so far, in bits. */
  readonly klBits: number;
  /** Wall clock of decoding up to here, measuring left out. */
  readonly decodeSeconds: number;
}

export interface ProgressiveSweep {
  /** From the first step on, one for every step of the file. */
  readonly points: ProgressivePoint[];
  /** Wall clock of making the file. */
  readonly encodeSeconds: number;
  /** Of the encoder, on the whole picture. */
  readonly networkEvaluations: number;
}

/**
 * Makes one file and measures what a decoder makes of it after each of its steps. Nothing is taken from the encoder but
 * the sums of KL.
 * @param options of the encoder; they say where the file ends
 * @param onProgress fraction of the work done, 0..1
 * @throws CodecError as `encode` does
 */
export async function sweepProgressive(
  image: RgbImage,
  model: CodecModel,
  options: Omit<EncodeOptions, 'onProgress'>,
  onProgress: (fraction: number) => void = () => {},
): Promise<ProgressiveSweep> {
  const start = performance.now();
  const { bytes, steps, networkEvaluations } = await encode(image, model, {
    ...options,
    onProgress: ({ fraction }) => onProgress(fraction / 2),
  });
  const encoded = performance.now();
  const points: ProgressivePoint[] = [];
  let measuring = 0;
  const onPoint = (point: DecodePoint) => {
    const reached = performance.now();
    const measured = ratePoint(image, point.image, point.bytesUsed);
    const decodeSeconds = (reached - encoded - measuring) / 1000;
    points.push({ ...measured, t: point.t, klBits: steps[point.stepsUsed].klBits, decodeSeconds });
    measuring += performance.now() - reached;
  };
  await decode(bytes, model, {
    // Points are spread evenly over the bytes, so that one for each byte meets the end of every step.
    progressivePoints: bytes.length,
    onPoint,
    onProgress: (fraction) => onProgress(0.5 + fraction / 2),
  });
  return { points, encodeSeconds: (encoded - start) / 1000, networkEvaluations };
}
