/** Chooses how a file ends: with its steps, with a tail after them, or with a drawing instead of steps. */
import type { RgbImage } from '../../image/image.js';
import { marginAt } from '../lossless/agreement.js';
import { covariancesAt } from '../lossless/residuals.js';
import type { TailSearch } from '../lossless/tail-search.js';
import type { WrittenTail } from '../lossless/tail-writer.js';
import type { CodecModel } from '../model.js';
import type { Drawing, DrawingChoice } from './drawing-choice.js';
import type { FilePlan } from './file-plan.js';
import { nearTail } from './near-tail.js';
import type { CheckedEncodeOptions } from './options.js';
import type { Walk } from './walk.js';

/** The end of a file. */
export interface Ending {
  /** Number of steps before it. */
  readonly steps: number;
  readonly tail?: WrittenTail;
  /** Of the whole file. */
  readonly bytes: number;
  readonly rmse: number;
}

/**
 * A drawing of at most this many bytes, or of at most this share of what a photograph takes, is accepted without asking
 * the network.
 */
const TRIVIAL_BYTES = 12;
const TRIVIAL_SHARE = 0.25;
/**
 * Bits per dimension of photographs at an RMSE of 3, and the power with which they fall as the RMSE grows. An RMSE
 * below LEAST_RMSE counts as equal to it.
 */
const PHOTO_BITS = 0.4;
const PHOTO_SLOPE = 1.45;
const LEAST_RMSE = 1;

/**
 * The end of a picture that is cheap to send without the network.
 * @returns undefined where the chain has to be walked
 */
export function easyEnding(
  { data }: RgbImage,
  plan: FilePlan,
  drawing: DrawingChoice,
  { maxBytes, targetRmse }: CheckedEncodeOptions,
): Ending | undefined {
  const photo = PHOTO_BITS * (3 / Math.max(LEAST_RMSE, targetRmse)) ** PHOTO_SLOPE * (data.length / 8);
  const most = Math.max(TRIVIAL_BYTES, TRIVIAL_SHARE * photo);
  const found = drawing.shortest(Math.min(most, maxBytes - plan.bytes(0)));
  return found && drawingEnding(found, plan);
}

/** The best end after a walk: the shortest file that meets the target, or else the best of those within the size limit. */
export async function chooseEnding(
  image: RgbImage,
  model: CodecModel,
  walk: Walk,
  drawing: DrawingChoice,
  tails: TailSearch | undefined,
  options: CheckedEncodeOptions,
): Promise<Ending> {
  const { plan, points } = walk;
  const { maxBytes, targetRmse } = options;
  if (tails) return shorter(losslessEnding(walk, tails), drawing, plan);
  const steps = points.shownSteps;
  const ofSteps = { steps, bytes: plan.bytes(steps, points.heldUpTo(steps)), rmse: points.rmse };
  if (points.rmse <= targetRmse) return shorter(ofSteps, drawing, plan);
  const isThrough = points.steps === plan.steps.length;
  const near = isThrough ? await nearEnding(image, model, walk, options) : undefined;
  const most = near && near.rmse <= targetRmse ? Math.min(maxBytes, near.bytes) : maxBytes;
  const found = drawing.shortest(most - plan.bytes(0));
  const ends: Ending[] = [ofSteps, ...(near ? [near] : []), ...(found ? [drawingEnding(found, plan)] : [])];
  const fitting = ends.filter(({ bytes }) => bytes <= maxBytes);
  const enough = fitting.filter(({ rmse }) => rmse <= targetRmse);
  if (enough.length > 0) return enough.reduce((a, b) => (b.bytes < a.bytes ? b : a));
  const coarse = drawing.isLikely ? drawing.finest(maxBytes - plan.bytes(0)) : undefined;
  if (coarse) fitting.push(drawingEnding(coarse, plan));
  return fitting.reduce((a, b) => (b.rmse < a.rmse ? b : a));
}

function drawingEnding({ bytes, samples, squaredError }: Drawing, plan: FilePlan): Ending {
  return {
    steps: 0,
    tail: { bytes, samples },
    bytes: plan.bytes(0) + bytes.length,
    rmse: Math.sqrt(squaredError),
  };
}

/** The drawing, if it is shorter. */
function shorter(ending: Ending, drawing: DrawingChoice, plan: FilePlan): Ending {
  const found = drawing.shortest(ending.bytes - plan.bytes(0));
  return found ? drawingEnding(found, plan) : ending;
}

function losslessEnding({ plan, points }: Walk, tails: TailSearch): Ending {
  const best = tails.finish();
  if (best === undefined) return { steps: 0, bytes: Number.POSITIVE_INFINITY, rmse: 0 };
  const { steps, tail } = best;
  return { steps, tail, bytes: plan.bytes(steps, points.heldUpTo(steps)) + tail.bytes.length, rmse: 0 };
}

/** A tail of residuals, once the chain is complete. Not for half precision: such networks do not agree on centres. */
async function nearEnding(
  image: RgbImage,
  model: CodecModel,
  walk: Walk,
  options: CheckedEncodeOptions,
): Promise<Ending | undefined> {
  const { plan, points, chain } = walk;
  if (points.isHeld || points.steps === 0 || model.denoiser.precision !== 'fp32' || model.denoiser.approximate)
    return undefined;
  const { width, height, alpha } = image;
  const bytes = plan.bytes(points.steps, points.heldSteps);
  const xhat0 = await chain.best(options.signal);
  const covariances = covariancesAt(model.residuals, chain.t);
  const context = { width, height, alpha, seed: options.seed, xhat0, covariances };
  const goal = { mostSquaredError: options.targetRmse ** 2, mostBytes: options.maxBytes - bytes };
  const tail = nearTail(image, context, marginAt(chain.snr), goal);
  return tail && { steps: points.steps, tail, bytes: bytes + tail.bytes.length, rmse: Math.sqrt(tail.squaredError) };
}
