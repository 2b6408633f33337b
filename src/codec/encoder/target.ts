/**
 * The target of a step's codewords: delta, the error x_0 - xhat0 in the scale of z, shaped for how the next xhat0 will
 * use it. Only its direction matters to the greedy choice, and the decoder works with any target.
 */

import type { RgbImage } from '../../image/image.js';
import { UNIT_LEVELS } from '../../image/pixels.js';
import { type Chain, squaredNorm } from '../chain.js';
import { emphasiseUncertain } from './emphasis.js';

/** How targets are shaped. */
export interface Shaping {
  /** Towards the part that the denoiser can use; doubles the encoder's network evaluations and updates. */
  readonly sharpens: boolean;
  /** Towards the parts that are worth bits now. */
  readonly emphasises: boolean;
}

/** Share of J e in a sharpened target. */
const SHARPEN_SHARE = 0.35;

/**
 * The error x_0 - xhat0; 0 in invisible pixels.
 * @param image x_0 in 8 bits
 * @param into where the error is written
 * @returns its squared norm
 */
export function errorOf({ data, alpha }: RgbImage, xhat0: Float32Array, into: Float32Array): number {
  for (let i = 0; i < into.length; i++) into[i] = UNIT_LEVELS[data[i]] - xhat0[i];
  if (alpha) for (let i = 0; i < into.length; i++) if (alpha[Math.floor(i / 3)] === 0) into[i] = 0;
  return squaredNorm(into);
}

/**
 * Turns the error into the target of a step to s, in place.
 * @param error of the chain's present xhat0
 */
export async function shapeTarget(
  error: Float32Array,
  chain: Chain,
  s: number,
  { sharpens, emphasises }: Shaping,
  signal?: AbortSignal,
): Promise<void> {
  if (sharpens && chain.isInformed) await sharpen(error, chain, signal);
  if (emphasises && chain.isInformed) emphasiseUncertain(error, chain.size, chain.snr);
  const scale = chain.deltaScale(s);
  for (let i = 0; i < error.length; i++) error[i] *= scale;
}

/**
 * Turns the error e towards the part that the denoiser can use. The Jacobian J of the denoiser is the posterior
 * covariance of x_0 up to scale. So J e keeps the part of e that is still uncertain and can be learnt, and drops the
 * part that the next xhat0 would hardly follow. A mixture of e and J e saves 2 to 3 % of the bits. J e alone leaves too
 * much unsent, which later steps take as known.
 */
async function sharpen(error: Float32Array, chain: Chain, signal: AbortSignal | undefined): Promise<void> {
  const derivative = await chain.derivative(error, signal);
  if (derivative === undefined) return;
  const { moved, factor } = derivative;
  const xhat0 = await chain.estimate(signal);
  for (let i = 0; i < error.length; i++) {
    error[i] = (1 - SHARPEN_SHARE) * error[i] + SHARPEN_SHARE * factor * (moved[i] - xhat0[i]);
  }
}
