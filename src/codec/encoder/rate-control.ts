/** Decides where a file ends: at the target RMSE, or at the byte limit. */
import type { Schedule } from '../../model/schedule.js';
import type { StepReport } from '../api.js';
import type { Chain } from '../chain.js';
import type { PlannedStep } from '../format/plan.js';
import type { FilePlan } from './file-plan.js';
import type { Points } from './points.js';

/** The limits of a file. */
export interface Limits {
  /** See {@link FilePlan.bytes}; see {@link Points.heldAfterNext}. */
  readonly heldSteps: readonly number[];
  /** Infinity without a limit. */
  readonly maxBytes: number;
  /** 0 without a target. */
  readonly targetRmse: number;
}

/**
 * RMSE falls roughly as a power of snr. Extrapolating the earlier steps to the next one is within half a percent four
 * times out of five.
 */
const PREDICTION_MARGIN = 0.003;
/** The power is estimated from points of the network's own xhat0 or of pictures shown, between which snr grew by this factor. */
const SLOPE_RATIO = 1.5;
/**
 * By how much the picture shown usually improves on the chain's own, as a share of the RMSE: after an evaluation of the
 * network, or of a smaller picture, and what is added for each power of e by which snr has grown since then.
 */
const IMPROVEMENT = 0.006;
const IMPROVEMENT_OF_SIZE = 0.05;
const IMPROVEMENT_SINCE = 0.07;

/** Steepest usual value of the power. */
const STEEPEST = -0.4;

/** For a step of fewer bits an early end saves nothing, because signalling it takes two or three bytes. */
const LEAST_BITS = 64;

/**
 * Ends the next step early if it is the last one and longer than necessary. This saves a tenth of a photograph's file
 * or more.
 * @param points of the steps so far; the last one is the present state, which is above the target
 * @returns `plan` if the whole step is needed, or no part of it fits
 */
export function stopInTime(
  plan: FilePlan,
  { reports, isExact, isClose }: Points,
  { snr, timesteps }: Schedule,
  { maxBytes, targetRmse, heldSteps }: Limits,
): FilePlan {
  const count = reports.length;
  const { t, s, blocks, blockBits } = plan.steps[count - 1];
  if (plan.stop !== undefined) return plan;
  const last = reports[count - 1];
  const likeShown = ({ t, rmse }: StepReport, i: number) => ({ t, rmse: isExact[i] ? rmse : rmse * (1 - IMPROVEMENT) });
  const informed = reports.map(likeShown).filter((report, i) => isClose[i] && report.t < timesteps && report.t > t);
  const before = informed.findLast((report) => snr[t] >= SLOPE_RATIO * snr[report.t]) ?? informed[0];
  let stop = s;
  if (before && isExact[count - 1] && blocks * blockBits >= LEAST_BITS) {
    const slope = Math.log(last.rmse / before.rmse) / Math.log(snr[t] / snr[before.t]);
    const isEnough = (at: number) => last.rmse * (snr[at] / snr[t]) ** slope <= targetRmse * (1 - PREDICTION_MARGIN);
    if (isEnough(s)) while (isEnough(stop + 1)) stop++;
  }
  if (stop === s && plan.bytes(count, heldSteps) <= maxBytes) return plan;
  for (stop = Math.max(stop, s + 1); stop < t; stop++) {
    const shorter = plan.stoppedAt(stop);
    if (shorter.steps[count - 1]?.s === stop && shorter.bytes(count, heldSteps) <= maxBytes) return shorter;
  }
  return plan;
}

/**
 * Whether the next step may reach the target, or this state may have reached it, so that the picture shown is
 * worth computing.
 * @param rmse of the chain's own picture
 * @param chain at this state
 */
export function isNearTarget(
  rmse: number,
  { asked, hasBestSize }: Pick<Chain, 'asked' | 'hasBestSize'>,
  { t, s }: PlannedStep,
  { snr }: Schedule,
  targetRmse: number,
): boolean {
  const improvement = hasBestSize ? IMPROVEMENT : IMPROVEMENT_OF_SIZE;
  const shown = rmse * (1 - improvement - IMPROVEMENT_SINCE * Math.log(snr[t] / snr[asked]));
  return shown * (snr[s] / snr[t]) ** STEEPEST <= targetRmse;
}
