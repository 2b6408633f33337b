/** The points at which the steps of a file can be cut off, and the images that a decoder shows there. */
import type { RgbImage } from '../../image/image.js';
import { rmse } from '../../image/metrics.js';
import type { StepReport } from '../api.js';
import type { Chain } from '../chain.js';

/** Limit of a point's RMSE relative to the point before. */
export const ALLOWED_RISE = 1.01;

export class Points {
  /** The bare header first, then one for each step. */
  readonly reports: StepReport[];
  /** Steps after which a decoder still shows the previous point's picture; see the header's field. */
  readonly heldSteps: number[] = [];
  /** The chain's own picture at the last point, or at the earlier one that is still shown. */
  private own: RgbImage;
  /** Whether decoders show `own` at the point it was made for. */
  private ownIsShown = true;
  /** RMSE of {@link own}. */
  private ownRmse: number;
  /** For each point, whether its RMSE belongs to the picture that a decoder shows there. */
  readonly isExact: boolean[] = [true];
  /** For each point, whether its RMSE belongs to the picture shown, or to the best that one evaluation gives. */
  readonly isClose: boolean[] = [true];
  /** The image that decoders show at the last point, where it was requested. */
  private requested: RgbImage | undefined;

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
    return this.requested ?? this.own;
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
    if (!this.ownIsShown) return steps;
    while (this.heldSteps.includes(steps)) steps--;
    return steps;
  }

  /**
   * The held steps, with the next one where it would have to stay in the file if it were held: decoders show this
   * point's picture nowhere else.
   */
  get heldAfterNext(): readonly number[] {
    return this.ownIsShown ? this.heldSteps : [...this.heldSteps, this.steps + 1];
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
   * @param chain whether decoders show the picture, and whether it is the best that one evaluation gives
   */
  add(t: number, klBits: number, picture: RgbImage, chain: Pick<Chain, 'isShown' | 'isBest'>): void {
    const distance = rmse(picture, this.image);
    const isHeld = this.isRise(distance);
    this.requested = undefined;
    if (!isHeld) {
      this.own = picture;
      this.ownIsShown = chain.isShown;
      this.ownRmse = distance;
    }
    this.isExact.push(chain.isShown || isHeld);
    this.isClose.push(chain.isBest || isHeld);
    this.reports.push({ t, bits: 0, klBits, rmse: this.ownRmse });
    if (isHeld) this.heldSteps.push(this.steps);
  }

  /** Takes the picture that decoders show at the last point; the point must not be held. */
  improve(picture: RgbImage): void {
    this.requested = picture;
    this.isExact[this.steps] = true;
    this.isClose[this.steps] = true;
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
