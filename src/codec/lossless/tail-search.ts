/**
 * Finds the end of a lossless file's chain: the step after which steps and tail together are shortest. All steps are
 * considered, because files may grow for twenty steps before they shrink. An xhat0 that knows only large shapes leaves
 * residuals as smooth as the picture, which the tail can predict from each other. An xhat0 with details that are half
 * wrong does not.
 */
import { crop, cropInto, middleOf } from '../../image/crop.js';
import type { RgbImage } from '../../image/image.js';
import type { Schedule } from '../../model/schedule.js';
import { LEAST_SNR, marginAt } from './agreement.js';
import { covariancesAt, type ResidualStatistics } from './residuals.js';
import type { TailContext } from './tail.js';
import { chooseTail, type WrittenTail, writeTail } from './tail-writer.js';

/** In larger pictures the tail's length is measured only on a square of this side in the middle. */
export const MEASURED_SIDE = 256;

interface Candidate {
  readonly steps: number;
  readonly t: number;
  readonly payloadBits: number;
  readonly bits: number;
  readonly xhat0: Float32Array;
}

export class TailSearch {
  private best: Candidate | undefined;

  constructor(
    private readonly image: RgbImage,
    private readonly seed: number,
    private readonly schedule: Schedule,
    private readonly residuals: ResidualStatistics | undefined,
  ) {}

  /**
   * Considers ending the chain here.
   * @param last whether the plan has no more steps, so that the chain ends here at the latest
   * @param xhat0 is copied if needed
   */
  consider(steps: number, t: number, payloadBits: number, xhat0: Float32Array, last: boolean): void {
    if (this.schedule.snr[t] < LEAST_SNR && !last) return;
    const part = middleOf(this.image, MEASURED_SIDE);
    const { data, ...middlePart } = crop(this.image, part);
    const middle = cropInto(xhat0, this.image.width, part, new Float32Array(data.length));
    const share = data.length / this.image.data.length;
    const bits = payloadBits + chooseTail(this.contextOf(middle, middlePart, t), data).bits / share;
    if (this.best !== undefined && bits >= this.best.bits) return;
    this.best = { steps, t, payloadBits, bits, xhat0: xhat0.slice() };
  }

  /** The best end, with its tail. */
  finish(): { readonly steps: number; readonly payloadBits: number; readonly tail: WrittenTail } | undefined {
    if (this.best === undefined) return undefined;
    const { steps, t, payloadBits, xhat0 } = this.best;
    const context = this.contextOf(xhat0, this.image, t);
    const choice = chooseTail(context, this.image.data);
    const margin = marginAt(this.schedule.snr[t]);
    return { steps, payloadBits, tail: writeTail(context, this.image.data, choice, margin) };
  }

  private contextOf(xhat0: Float32Array, picture: Omit<RgbImage, 'data'>, t: number): TailContext {
    const { width, height, alpha } = picture;
    return { width, height, alpha, seed: this.seed, xhat0, covariances: covariancesAt(this.residuals, t) };
  }
}
