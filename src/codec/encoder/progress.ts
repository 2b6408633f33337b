/** Progress of an encoding, measured in work. Where the end depends on results, it is predicted from the model's profile. */
import { firstThat } from '../../common/search.js';
import type { Size } from '../../image/image.js';
import { expectedErrors, type PlanModel, type PlanParameters } from '../format/plan.js';
import { LEAST_SNR } from '../lossless/agreement.js';
import { MEASURED_SIDE } from '../lossless/tail-search.js';
import { ChainWork, risingShare } from '../work.js';
import type { FilePlan } from './file-plan.js';
import type { CheckedEncodeOptions } from './options.js';
import type { Points } from './points.js';
import { isNearTarget } from './rate-control.js';
import { isSharpened, type Shaping } from './target.js';

/**
 * Work of searching a bit's codewords, per state of the trellis, relative to the network's work per pixel (`photo`, ν =
 * 11, 13 and 16).
 */
const STATE_WORK = 1 / 4096;
/** Work of measuring a tail, and of writing one, relative to an evaluation of the network. */
const MEASURING_WORK = 0.5;
const WRITING_WORK = 1;

/** Grey levels per unit of the model's scale. */
const GREY_LEVELS = 127.5;

/** The image to encode, and the encoder's choices. */
export interface EncodedChain {
  readonly model: PlanModel;
  readonly image: Size;
  readonly detail: number | undefined;
  readonly parameters: PlanParameters;
  /** ν. */
  readonly stateBits: number;
  readonly shaping: Shaping;
  /** Evaluations of the network before the first step. */
  readonly networkEvaluations: number;
}

/** How far an encoding is. */
type Reached = Pick<Points, 'steps' | 'rmse' | 'heldSteps' | 'isHeld' | 'isExact'>;

export class EncodeProgress {
  private readonly errors: Float64Array;
  private plan: FilePlan | undefined;
  /** Of the plan. */
  private work: ChainWork | undefined;
  /** Work up to each point of the plan. */
  private upTo: readonly number[] = [];
  /** Work of the picture shown at each point. */
  private shown: readonly number[] = [];

  /** @param share also used for the work before this */
  constructor(
    private readonly chain: EncodedChain,
    private readonly options: CheckedEncodeOptions,
    private readonly share = risingShare(),
  ) {
    const { model, parameters } = chain;
    this.errors = expectedErrors(model.profile, parameters.first, parameters.second);
  }

  /** @returns fraction of the work done at the last point, 0..1 */
  at(plan: FilePlan, points: Reached): number {
    return this.share(...this.workAt(plan, points));
  }

  /** Work done at the last point, and work left, in evaluations of the network. */
  workAt(plan: FilePlan, points: Reached): [done: number, left: number] {
    this.workOf(plan);
    const { steps, isExact, heldSteps } = points;
    const { upTo, shown } = this;
    const { end, asked } = this.foretell(plan, points);
    const wereShown = isExact.map((isShown, point) => (isShown && !heldSteps.includes(point) ? shown[point] : 0));
    const done = this.chain.networkEvaluations + upTo[steps] + sum(wereShown);
    const hasTail = this.options.lossless || (end === plan.steps.length && this.options.targetRmse === 0);
    return [done, upTo[end] - upTo[steps] + sum(asked.map((point) => shown[point])) + (hasTail ? WRITING_WORK : 0)];
  }

  /** The work of a plan's chain; with that of another plan than before, {@link upTo} and {@link shown} are made anew. */
  private workOf(plan: FilePlan): ChainWork {
    if (this.work && plan === this.plan) return this.work;
    const { model, image, detail, stateBits, shaping } = this.chain;
    const { width, height } = image;
    const { steps } = plan;
    const work = new ChainWork(model, { width, height, detail }, steps);
    const bitWork = (STATE_WORK * 2 ** stateBits) / (width * height);
    const tailWork =
      (MEASURING_WORK * Math.min(MEASURED_SIDE, width) * Math.min(MEASURED_SIDE, height)) / (width * height);
    /** Work of the steps and points so far, beyond the chain's own. */
    let further = 0;
    this.shown = [0, ...steps].map((_, point) => work.shown(point));
    this.upTo = [0, ...steps].map((_, point) => {
      if (point > 0) {
        const { blocks, blockBits, s } = steps[point - 1];
        const sharpens = isSharpened(shaping, work.isMoved(point - 1));
        further += blocks * blockBits * bitWork + (sharpens ? work.estimate(point - 1) : 0);
        const isConsidered = work.isBest(point) && model.schedule.snr[s] >= LEAST_SNR;
        if (this.options.lossless && isConsidered) further += tailWork;
      }
      return work.through(point) + work.estimate(point) + further;
    });
    this.plan = plan;
    this.work = work;
    return work;
  }

  /** Predicts after how many steps the file will end, and after which steps the picture shown will be requested. */
  foretell(plan: FilePlan, { steps, rmse, heldSteps, isHeld }: Reached): { end: number; asked: number[] } {
    const { maxBytes, targetRmse, lossless } = this.options;
    const { schedule } = this.chain.model;
    const work = this.workOf(plan);
    const all = plan.steps.length;
    const errorAfter = (step: number) => this.errors[step === 0 ? schedule.timesteps : plan.steps[step - 1].s];
    // Before the chain has a picture of its own, only the profile is known.
    const scale = steps === 0 || isHeld ? GREY_LEVELS : rmse / Math.sqrt(errorAfter(steps));
    const longest =
      maxBytes === Number.POSITIVE_INFINITY
        ? all
        : (firstThat(steps + 1, all, (count) => plan.bytes(count, heldSteps) > maxBytes) ?? all);
    const asked: number[] = [];
    for (let point = steps; ; point++) {
      const foretold = point === steps ? rmse : scale * Math.sqrt(errorAfter(point));
      const isEnd = point === longest || (!lossless && foretold <= targetRmse);
      const state = { asked: work.asked(point), hasBestSize: work.hasBestSize(point) };
      const isNear = isEnd || (!lossless && isNearTarget(foretold, state, plan.steps[point], schedule, targetRmse));
      // For the present point it has been requested already.
      if (isNear && point > steps) asked.push(point);
      if (isEnd) return { end: point, asked };
    }
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
