/** The points at which the steps of a file can be cut off, and the images that a decoder shows there. */
import type { RgbImage } from '../../image/image.js';
import { rmse } from '../../image/metrics.js';
import type { StepReport } from '../api.js';

/** Limit of a point's RMSE relative to the point before. */
export const ALLOWED_RISE = 1.01;

export class Points {
  /** The bare header first, then one for each step. */
  readonly reports: StepReport[];
  /** Steps after which a decoder still shows the previous point's picture; see the header's field. */
  readonly heldSteps: number[] = [];
  /** The chain's own picture at the last point, or at the earlier one that is still shown. */
  private own: RgbImage;
  /** Whether `own` is the best image of its state. */
  private ownIsBest = true;
  /** RMSE of {@link own}. */
  private ownRmse: number;
  /** For each point, whether its RMSE belongs to the picture that a decoder shows there. */
  readonly isExact: boolean[] = [true];
  /** The best image of the last point, where it was requested. */
  private best: RgbImage | undefined;

  /** @param blank the image shown for the bare header @param timesteps T */
  constructor(
    private readonly image: RgbImage,
    blank: RgbImage,
    timesteps: number,
  ) {
    this.own = blank;
    this.ownRmse = rmse(blank, image);
    this.reports = [{ t: timesteps, bits: 0, klBits: 0, rmse: this.ownRmse }];
  }

  /** The image shown at the last point. */
  get shown(): RgbImage {
    return this.best ?? this.own;
  }

  /** Number of steps so far. */
  get steps(): number {
    return this.reports.length - 1;
  }

  /** RMSE at the last point. */
  get rmse(): number {
    return this.reports[this.steps].rmse;
  }

  /**
   * Number of steps up to the one whose picture is shown at the last point. A file needs no more steps if a decoder
   * shows the same picture there.
   */
  get shownSteps(): number {
    let { steps } = this;
    if (!this.ownIsBest) return steps;
    while (this.heldSteps.includes(steps)) steps--;
    return steps;
  }

  /**
   * The held steps, with the next one where it would have to stay in the file if it were held: decoders show this
   * point's picture nowhere else.
   */
  get heldAfterNext(): readonly number[] {
    return this.ownIsBest ? this.heldSteps : [...this.heldSteps, this.steps + 1];
  }

  get isHeld(): boolean {
    return this.heldSteps.at(-1) === this.steps;
  }

  /** Whether a picture would be worse than the one shown. */
  isWorse(picture: RgbImage): boolean {
    return this.isRise(rmse(picture, this.image));
  }

  /**
   * Adds the point after a step, and shows the chain's own picture there unless it is worse.
   * @param klBits of all steps so far
   * @param isBest whether decoders show it at this point
   */
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

  /** Shows the best picture of the last point; the point must not be held. */
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
