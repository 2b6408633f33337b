/**
 * Measures the work of a chain. Encoder and decoder report their progress in it. It roughly follows time: early steps
 * ask the network for a smaller picture, and after most steps the network is not asked at all. The unit is an
 * evaluation of the network on the whole picture.
 */
import { isBest, placeAsked, workAt } from '../model/pyramid.js';
import { estimatesShown } from '../model/symmetry.js';
import type { PlanModel, PlannedPicture, PlannedStep } from './format/plan.js';

/**
 * Work of a step besides the network and the search for codewords: from 1/60 in decoders to 1/30 in encoders, at
 * 192x128 on two threads.
 */
export const STEP_WORK = 1 / 45;
/** Work of an update, relative to the evaluation that it replaces. */
const UPDATE_WORK = 1 / 10;

export class ChainWork {
  private readonly before: readonly number[];

  /** @param steps of the plan, from the first one on */
  constructor(
    private readonly model: PlanModel,
    private readonly planned: PlannedPicture,
    private readonly steps: readonly PlannedStep[],
  ) {
    const before = [0];
    for (let i = 0; i < steps.length; i++) before.push(before[i] + this.estimate(i) + STEP_WORK);
    this.before = before;
  }

  /** Work of the first n steps, n = 0 .. steps, without xhat0 of the state that they lead to. */
  through(steps: number): number {
    return this.before[steps];
  }

  /** Whether the xhat0 after this many steps is moved from the network's last output. */
  isMoved(step: number): boolean {
    return step > 0 && !this.steps[step - 1].asks;
  }

  /** Work of the xhat0 after this many steps, for coding the next one. */
  estimate(step: number): number {
    const place = this.placeAfter(step);
    if (place === undefined) return 0;
    const { schedule, pyramid } = this.model;
    if (this.isMoved(step)) return UPDATE_WORK * placeAsked(pyramid, schedule, place).work;
    return workAt(pyramid, schedule, place);
  }

  /** Whether the xhat0 after this many steps has the size of the best one. */
  hasBestSize(step: number): boolean {
    const place = this.placeAfter(step);
    return place === undefined || isBest(this.model.pyramid, this.model.schedule, place);
  }

  /** Whether the xhat0 after this many steps is the best that one evaluation gives. */
  isBest(step: number): boolean {
    return !this.isMoved(step) && this.hasBestSize(step);
  }

  /** Timestep of the last state, up to that after this many steps, at which the network is asked; see `Chain`. */
  asked(step: number): number {
    let asked = step;
    while (this.isMoved(asked)) asked--;
    return this.placeAfter(asked)?.t ?? this.model.schedule.timesteps;
  }

  /** Work of the best xhat0 after this many steps: {@link estimate} where that is the best. */
  best(step: number): number {
    const place = this.placeAfter(step);
    return place === undefined ? 0 : workAt(this.model.pyramid, this.model.schedule, place, true);
  }

  /** Work of the picture shown after this many steps, with {@link best}. */
  picture(step: number): number {
    return this.best(step) * estimatesShown(this.model.symmetry);
  }

  /** The part of {@link picture} that the chain does in any case: {@link estimate} where that is the best. */
  ofChain(step: number): number {
    return this.isBest(step) ? this.estimate(step) : 0;
  }

  /** Work of the picture shown after this many steps, beyond {@link estimate}: 0 where it is the same. */
  shown(step: number): number {
    return this.picture(step) - this.ofChain(step);
  }

  /** Work of the best xhat0 after each of the remaining steps at which the network is asked. */
  onward(step: number): number {
    const { schedule, pyramid } = this.model;
    const rest = this.steps.slice(step).filter(({ asks }) => asks);
    return rest.reduce((sum, { s }) => sum + workAt(pyramid, schedule, { ...this.planned, t: s }, true), 0);
  }

  /** @returns undefined before the first step, because the network is never asked at x_T */
  private placeAfter(step: number) {
    return step === 0 ? undefined : { ...this.planned, t: this.steps[step - 1].s };
  }
}

/** Makes a progress fraction in 0..1 that never falls, although the remaining work is predicted anew at each step. */
export function risingShare(): (done: number, left: number) => number {
  let last = 0;
  return (done, left) => {
    const share = done + left > 0 ? done / (done + left) : 0;
    last = Math.max(last, Math.min(1, share));
    return last;
  };
}
