/**
 * The target of a step's codewords: delta, the error x_0 - xhat0 in the scale of z, shaped for how the next xhat0 will
 * use it. Only its direction matters to the greedy choice, and the decoder works with any target.
 */

import { isSmall, type RgbImage, type Size } from '../../image/image.js';
import { UNIT_LEVELS } from '../../image/pixels.js';
import { type Chain, squaredNorm } from '../chain.js';
import type { Selection } from '../trellis/block-coder.js';
import { emphasiseUncertain } from './emphasis.js';

/** How targets are shaped. */
export interface Shaping {
  /** Towards the part that the denoiser can use: in every step, where xhat0 is moved, or never. */
  readonly sharpens: 'always' | 'moved' | 'never';
  /** Towards the parts that are worth bits now. */
  readonly emphasises: boolean;
}

/** The plain error as the target. */
export const PLAIN: Shaping = { sharpens: 'never', emphasises: false };

/**
 * How a picture's targets are shaped.
 * @param sharpens whether every step is worth another evaluation of the network
 */
export function shapingFor(size: Size, selection: Selection, sharpens: boolean): Shaping {
  if (selection !== 'greedy') return PLAIN;
  const emphasises = !isSmall(size);
  return { sharpens: sharpens ? 'always' : emphasises ? 'moved' : 'never', emphasises };
}

/**
 * Whether a step's target is sharpened, which takes the work of another xhat0.
 * @param isMoved whether xhat0 is moved from the network's last output
 */
export function isSharpened({ sharpens }: Shaping, isMoved: boolean): boolean {
  return sharpens === 'always' || (sharpens === 'moved' && isMoved);
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
  shaping: Shaping,
  signal?: AbortSignal,
): Promise<void> {
  if (isSharpened(shaping, chain.isMoved) && chain.isInformed) await sharpen(error, chain, signal);
  if (shaping.emphasises && chain.isInformed) emphasiseUncertain(error, chain.size, chain.snr);
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
