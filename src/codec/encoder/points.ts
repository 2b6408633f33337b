/** The points of a file at which its steps can be cut off, and what a decoder shows there. */
import type { RgbImage } from '../../image/image.js';
import { rmse } from '../../image/metrics.js';
import type { StepReport } from '../api.js';

/** No point's RMSE is more than this times that of the point before. */
export const ALLOWED_RISE = 1.01;

export class Points {
  /** The bare header first, then one for each step. */
  readonly reports: StepReport[];
  /** Steps after which the picture of the point before is still shown; see the header's field. */
  readonly heldSteps: number[] = [];
  /** The chain's own picture of the last point, or of the one before that is still shown. */
  private own: RgbImage;
  /** Whether it is the best one. */
  private ownIsBest = true;
  /** RMSE of {@link own}. */
  private ownRmse: number;
  /** For each point, whether its RMSE is that of the picture that a decoder shows there. */
  readonly isExact: boolean[] = [true];
  /** The best one of the last point, where it was asked for. */
  private best: RgbImage | undefined;

  /** @param blank what is shown of the bare header @param timesteps T */
  constructor(
    private readonly image: RgbImage,
    blank: RgbImage,
    timesteps: number,
  ) {
    this.own = blank;
    this.ownRmse = rmse(blank, image);
    this.reports = [{ t: timesteps, bits: 0, klBits: 0, rmse: this.ownRmse }];
  }

  /** What is shown at the last point. */
  get shown(): RgbImage {
    return this.best ?? this.own;
  }

  /** Steps so far. */
  get steps(): number {
    return this.reports.length - 1;
  }

  /** At the last point. */
  get rmse(): number {
    return this.reports[this.steps].rmse;
  }

  /** Steps up to the one whose picture is shown at the last point: a file needs no more, if a decoder shows the same there. */
  get shownSteps(): number {
    let { steps } = this;
    if (!this.ownIsBest) return steps;
    while (this.heldSteps.includes(steps)) steps--;
    return steps;
  }

  get isHeld(): boolean {
    return this.heldSteps.at(-1) === this.steps;
  }

  /** Whether a picture would be worse than the one that is shown. */
  isWorse(picture: RgbImage): boolean {
    return this.isRise(rmse(picture, this.image));
  }

  /** Adds the point after a step, and shows the chain's own picture of it unless that is worse. @param klBits of all steps so far @param isBest whether decoders show it at this point */
  add(t: number, klBits: number, picture: RgbImage, isBest: boolean): void {
    const distance = rmse(picture, this.image);
    const isHeld = this.isRise(distance);
    this.best = undefined;
    if (!isHeld) {
      this.own = picture;
      this.ownIsBest = isBest;
      this.ownRmse = distance;
    }
    this.isExact.push(isBest || isHeld);
    this.reports.push({ t, bits: 0, klBits, rmse: this.ownRmse });
    if (isHeld) this.heldSteps.push(this.steps);
  }

  /** Shows the best picture of the last point, which is not held. */
  improve(picture: RgbImage): void {
    this.best = picture;
    this.isExact[this.steps] = true;
    this.reports[this.steps] = { ...this.reports[this.steps], rmse: rmse(picture, this.image) };
  }

  /** Held steps among the first n. */
  heldUpTo(steps: number): number[] {
    return this.heldSteps.filter((step) => step <= steps);
  }

  private isRise(distance: number): boolean {
    return distance > ALLOWED_RISE * this.ownRmse;
  }
}
