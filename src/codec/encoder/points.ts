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
  /** What is shown at the last point. */
  shown: RgbImage;

  /** @param blank what is shown of the bare header @param timesteps T */
  constructor(
    private readonly image: RgbImage,
    blank: RgbImage,
    timesteps: number,
  ) {
    this.shown = blank;
    this.reports = [{ t: timesteps, bits: 0, klBits: 0, rmse: rmse(blank, image) }];
  }

  /** Steps so far. */
  get steps(): number {
    return this.reports.length - 1;
  }

  /** At the last point. */
  get rmse(): number {
    return this.reports[this.steps].rmse;
  }

  /** Steps up to the one whose picture is shown at the last point: a file needs no more. */
  get shownSteps(): number {
    let { steps } = this;
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

  /** Adds the point after a step, and shows its picture unless that is worse. @param klBits of all steps so far */
  add(t: number, klBits: number, picture: RgbImage): void {
    const distance = rmse(picture, this.image);
    const isHeld = this.isRise(distance);
    this.reports.push({ t, bits: 0, klBits, rmse: isHeld ? this.rmse : distance });
    if (isHeld) this.heldSteps.push(this.steps);
    else this.shown = picture;
  }

  /** Held steps among the first n. */
  heldUpTo(steps: number): number[] {
    return this.heldSteps.filter((step) => step <= steps);
  }

  private isRise(distance: number): boolean {
    return distance > ALLOWED_RISE * this.rmse;
  }
}
