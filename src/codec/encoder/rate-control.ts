/** Where a file ends: at the RMSE that is aimed at, or with the bytes that there are. */
import type { Schedule } from '../../model/schedule.js';
import type { PlannedStep } from '../format/plan.js';
import type { FilePlan } from './file-plan.js';
import type { Points } from './points.js';

/** What ends a file. */
export interface Limits {
  /** See {@link FilePlan.bytes}. */
  readonly heldSteps: readonly number[];
  /** Infinity where there is none. */
  readonly maxBytes: number;
  /** 0 where there is none. */
  readonly targetRmse: number;
}

/** RMSE falls about as a power of snr: what the steps before say of the next is within half a percent four times out of five. */
const PREDICTION_MARGIN = 0.003;
/** The power is told from points that are exact, between which snr grew by so much. */
const SLOPE_RATIO = 1.5;
/** How steep it mostly is at most, and what the best picture of a state gains over the chain's own, as a share of RMSE. */
const STEEPEST = -0.4;
const IMPROVEMENT = 0.05;

/** A step of fewer bits saves nothing by an early end: to say where takes two or three bytes. */
const LEAST_BITS = 64;

/**
 * Ends the next step early if it is the last one and longer than it has to be, which saves a tenth of a photograph's file or more.
 * @param points of the steps so far, the last of the present state, which is above the target
 * @returns `plan` if all of the step is needed, or nothing of it fits
 */
export function stopInTime(
  plan: FilePlan,
  { reports, isExact }: Points,
  { snr, timesteps }: Schedule,
  { maxBytes, targetRmse, heldSteps }: Limits,
): FilePlan {
  const count = reports.length;
  const { t, s, blocks, blockBits } = plan.steps[count - 1];
  if (plan.stop !== undefined) return plan;
  const last = reports[count - 1];
  const informed = reports.filter((report, i) => isExact[i] && report.t < timesteps && report.t > t);
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

/** Whether the next step may come to the target, or this state has, so that its best picture is worth knowing. @param rmse of the chain's own */
export function isNearTarget(rmse: number, { t, s }: PlannedStep, { snr }: Schedule, targetRmse: number): boolean {
  return rmse * (1 - IMPROVEMENT) * (snr[s] / snr[t]) ** STEEPEST <= targetRmse;
}
