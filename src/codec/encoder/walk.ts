/**
 * The encoder's walk along the chain (Ho, Jain & Abbeel 2020, Algorithm 3). Every step starts from the state that the
 * decoder will have. The walk ends where the file is good enough, has reached its size limit, or is better ended in
 * another way.
 */
import { isSmall, type RgbImage } from '../../image/image.js';
import { fromUnit } from '../../image/pixels.js';
import { BitWriter } from '../bits/bitstream.js';
import { Chain } from '../chain.js';
import type { PlannedStep } from '../format/plan.js';
import type { TailSearch } from '../lossless/tail-search.js';
import type { CodecModel } from '../model.js';
import type { BlockSearch } from '../trellis/block-search.js';
import { placeCodeword, writeBlock } from '../trellis/blocks.js';
import type { DrawingChoice } from './drawing-choice.js';
import type { FilePlan } from './file-plan.js';
import type { CheckedEncodeOptions } from './options.js';
import type { Points } from './points.js';
import type { EncodeProgress } from './progress.js';
import { isNearTarget, stopInTime } from './rate-control.js';
import { errorOf, PLAIN, type Shaping, shapeTarget } from './target.js';

/** Least bits per sample of a tail of residuals: the cost of agreeing on centres (docs/LOSSLESS.md). */
const LEAST_TAIL_BITS = 0.05;

/** The inputs of a walk. */
export interface WalkStart {
  readonly image: RgbImage;
  readonly model: CodecModel;
  readonly plan: FilePlan;
  /** See {@link Header.detail}. */
  readonly detail: number | undefined;
  readonly shaping: Shaping;
  /** ν. */
  readonly stateBits: number;
  readonly search: BlockSearch;
  readonly drawing: DrawingChoice;
  /** Searches for the best end of a lossless file. */
  readonly tails: TailSearch | undefined;
  readonly points: Points;
  readonly progress: EncodeProgress;
}

/** The result of a walk. */
export interface Walk {
  /** The plan, with any stop chosen along the way. */
  readonly plan: FilePlan;
  readonly points: Points;
  readonly chain: Chain;
  readonly paths: BitWriter;
  readonly networkEvaluations: number;
}

/** Walks the chain as far as it is useful. */
export async function walkChain(start: WalkStart, options: CheckedEncodeOptions): Promise<Walk> {
  const { image, model, detail, shaping, drawing, tails, points, progress } = start;
  const { seed, maxBytes, targetRmse, lossless, signal } = options;
  const small = isSmall(image);
  const paths = new BitWriter();
  let { plan } = start;
  let chain = Chain.begin(model, { ...image, detail, seed });
  /** Work of steps that were undone. */
  let wasted = 0;
  let klBits = 0;
  const coder = { ...start, paths, signal };
  for (;;) {
    const xhat0 = await chain.estimate(signal);
    const { t, step } = chain;
    const isEnd = step === plan.steps.length;
    if (step > 0) points.add(t, klBits, { ...image, data: fromUnit(xhat0) }, chain);
    const { heldSteps } = points;
    const limits = { maxBytes, targetRmse, heldSteps: points.heldAfterNext };
    const improve = async () => {
      if (!chain.isShown && !points.isHeld) points.improve({ ...image, data: fromUnit(await chain.shown(signal)) });
    };
    const isNear = () => isNearTarget(points.rmse, chain, plan.steps[step], model.schedule, targetRmse);
    if (!lossless && (isEnd || isNear())) await improve();
    const fraction = progress.at(plan, points);
    options.onProgress?.({ fraction, t, bytes: plan.bytes(step, heldSteps), rmse: points.rmse });
    if (!points.isHeld && (chain.isBest || isEnd)) {
      tails?.consider(step, t, paths.length, await chain.best(signal), isEnd);
    }
    if (isEnd || (!lossless && points.rmse <= targetRmse)) break;
    if (!lossless) plan = stopInTime(plan, points, model.schedule, limits);
    if (plan.bytes(step + 1, limits.heldSteps) > maxBytes) {
      await improve();
      break;
    }
    const least =
      plan.bytes(step + 1, heldSteps) + (lossless ? Math.floor((LEAST_TAIL_BITS * image.data.length) / 8) : 0);
    if (drawing.shortest(least - plan.bytes(0))) break;
    const before = small && shaping.sharpens !== 'never' ? chain.fork() : undefined;
    const { length } = paths;
    let kl = await codeStep(chain, plan.steps[step], shaping, coder);
    if (before && points.isWorse({ ...image, data: fromUnit(await chain.estimate(signal)) })) {
      // In small pictures a step has few bits, and aiming it at the plain error usually gives a better result.
      paths.truncate(length);
      wasted += chain.networkEvaluations - before.networkEvaluations;
      chain = before;
      kl = await codeStep(chain, plan.steps[step], PLAIN, coder);
    }
    klBits += kl;
  }
  return { plan, points, chain, paths, networkEvaluations: chain.networkEvaluations + wasted };
}

/** What all steps of a file are coded with. */
interface StepCoder extends WalkStart {
  readonly paths: BitWriter;
  readonly signal: AbortSignal | undefined;
}

/**
 * Codes a step and advances the chain.
 * @returns the step's KL(q||p) in bits
 */
async function codeStep(chain: Chain, planned: PlannedStep, shaping: Shaping, coder: StepCoder): Promise<number> {
  const { image, stateBits, search, paths, signal } = coder;
  // The error, the target and the codewords share one array, because large pictures have no memory for one each.
  const values = chain.z;
  const squaredError = errorOf(image, await chain.estimate(signal), values);
  const klBits = chain.klBits(planned.s, squaredError);
  await shapeTarget(values, chain, planned.s, shaping, signal);
  const blocks = chain.blocks(planned, stateBits);
  let done = 0;
  for await (const path of search.choose(blocks, values, signal)) {
    const block = blocks[done++];
    writeBlock(block, path, paths);
    placeCodeword(block, path, values);
  }
  await chain.advance(planned, signal);
  return klBits;
}
