/**
 * Encoding: Algorithm 3 of Ho, Jain & Abbeel 2020 with jumps instead of single steps, blocks of shared random
 * codewords instead of an ideal coder, and the loop closed: every step aims from the state that the decoder will have.
 */

import { CodecError, invalidArgument } from '../../common/errors.js';
import type { Precision } from '../../engine/engine.js';
import type { RgbImage } from '../../image/image.js';
import { psnrOfRmse, rmse } from '../../image/metrics.js';
import { fromUnit, toUnit } from '../../image/pixels.js';
import type { Denoiser } from '../../model/denoiser.js';
import { workAt } from '../../model/pyramid.js';
import { jumpCoefficients, jumpKlBits, type Schedule } from '../../model/schedule.js';
import type { EncodeOptions, EncodeResult, StepReport } from '../api.js';
import { advance, estimateX0, initialState, placeCodeword, stepBlocks, stepMemory, writeBlock } from '../chain.js';
import { BitWriter } from '../format/bitstream.js';
import { FORMAT_VERSION, MODEL_ID_DIGITS, writeHeader } from '../format/header.js';
import type { LayoutModel } from '../format/layout.js';
import { type Metadata, writeMetadata } from '../format/metadata.js';
import { createPlan, type PlannedStep, type PlanParameters } from '../format/plan.js';
import { addChecksums, stepEnds } from '../format/sections.js';
import { TailSearch } from '../lossless/tail-search.js';
import { type BlockSearch, openBlockSearch } from '../trellis/block-search.js';
import { MIN_STATE_BITS, SYMBOL_BITS } from '../trellis/trellis.js';
import { emphasiseUncertain } from './emphasis.js';
import { choosePlan } from './plan-choice.js';

/** What the codec needs of a model. */
export interface CodecModel extends LayoutModel {
  readonly denoiser: Denoiser;
}

/** Images up to this size are small: there are few bits, and time for all that saves some. */
const SMALL_PIXELS = 64 * 64;
/** Effort from which on targets of larger images are sharpened, too, which doubles the encoder's network evaluations. */
const SHARPEN_EFFORT = 8;
/** Share of J e in a target. */
const SHARPEN_SHARE = 0.35;
/** Step of the finite difference, in standard deviations of the noise in x_t. */
const SHARPEN_STEP = 0.05;

/** The 256 levels in [-1, 1]. */
const UNIT = toUnit(Uint8Array.from({ length: 256 }, (_, level) => level));

/** Stands for the plan while only the header's size is asked for. */
const BLANK_PLAN: PlanParameters = { first: 0, second: 0, load: 0, pace: 0 };

/** RMSE at which a file ends when neither a size nor a quality is asked for: hard to tell from the original by eye. */
export const DEFAULT_TARGET_RMSE = 3;

export const DEFAULT_EFFORT = 5;
export const MAX_EFFORT = 9;

/** ν for pictures of more than 128x128 pixels by effort, from 1 on. */
const STATE_BITS_OF_EFFORT = [7, 7, 8, 8, 9, 10, 11, 12, 12] as const;

/**
 * ν of the trellis. Small images have few bits, so that more states cost no time that anyone would notice; those of a few
 * pixels only have no use for the long steps that many states need. For large ones the network takes nearly all of the time, so
 * that little effort is better spent on fewer steps than on fewer states.
 * @param effort 1..9
 */
function stateBitsFor(effort: number, pixels: number): number {
  const ofLarge = STATE_BITS_OF_EFFORT[effort - 1] + (pixels <= 128 * 128 ? 2 : 0);
  const wanted = pixels <= SMALL_PIXELS ? effort + 7 : ofLarge;
  const useful = Math.floor((3 * pixels) / 8) - SYMBOL_BITS;
  return Math.max(MIN_STATE_BITS, Math.min(wanted, useful));
}

/**
 * Encodes an image. Deterministic: the same image, model, options and engine give the same bytes.
 * @throws CodecError('usage') for options out of range, and when `maxBytes` is too small for the header
 */
export async function encode(image: RgbImage, model: CodecModel, options: EncodeOptions = {}): Promise<EncodeResult> {
  const checked = checkOptions(options, model.denoiser.precision);
  // Small images are searched in no time, and coded many at a time.
  const threads = image.width * image.height <= SMALL_PIXELS ? 1 : model.denoiser.parallelism;
  const search = await openBlockSearch(checked.selection, checked.seed, threads);
  try {
    return await encodeWith(search, image, model, checked);
  } finally {
    await search.dispose();
  }
}

/** A plan and the files that end with one of its steps. */
interface Plan {
  readonly steps: readonly PlannedStep[];
  /** Where a step ends early. */
  readonly stop?: number | undefined;
  headerFor(stepCount: number): Uint8Array;
  /** Bits of the steps at the end of each of the first ones, from 0 on. */
  ends(stepCount: number): number[];
  /** Size of the whole file. */
  bytes(stepCount: number): number;
}

/** RMSE falls about as a power of snr: what the step before says of the next is within half a percent four times out of five. */
const PREDICTION_MARGIN = 0.003;

/**
 * Ends the next step early if it is the last one and need not be as long as it is, which is a tenth of a photograph's file or more: at
 * the RMSE that is aimed at, or with the bytes that there are.
 * @param reports of the steps so far, the last of the present state, which is above the target
 * @returns `plan` if all of the step is needed, or nothing of it fits
 */
function stopInTime(
  plan: Plan,
  planTo: (stop: number) => Plan,
  reports: readonly StepReport[],
  { snr, timesteps }: Schedule,
  { maxBytes, targetRmse }: Pick<CheckedOptions, 'maxBytes' | 'targetRmse'>,
): Plan {
  if (plan.stop !== undefined) return plan;
  const count = reports.length;
  const { t, s } = plan.steps[count - 1];
  const last = reports[count - 1];
  const before = reports[count - 2];
  let stop = s;
  if (before && before.t < timesteps) {
    const slope = Math.log(last.rmse / before.rmse) / Math.log(snr[t] / snr[before.t]);
    const isEnough = (at: number) => last.rmse * (snr[at] / snr[t]) ** slope <= targetRmse * (1 - PREDICTION_MARGIN);
    if (isEnough(s)) while (isEnough(stop + 1)) stop++;
  }
  if (stop === s && plan.bytes(count) <= maxBytes) return plan;
  for (stop = Math.max(stop, s + 1); stop < t; stop++) {
    const shorter = planTo(stop);
    if (shorter.steps[count - 1]?.s === stop && shorter.bytes(count) <= maxBytes) return shorter;
  }
  return plan;
}

async function encodeWith(
  search: BlockSearch,
  image: RgbImage,
  model: CodecModel,
  options: CheckedOptions,
): Promise<EncodeResult> {
  const { effort, selection, seed, maxBytes, targetRmse, lossless, checksums, metadata, onProgress } = options;
  const { width, height } = image;
  const stateBits = stateBitsFor(effort, width * height);
  const { schedule } = model;
  const dimensions = image.data.length;
  const modelId = model.id.slice(0, MODEL_ID_DIGITS);
  const base = {
    version: FORMAT_VERSION,
    stateBits,
    modelId,
    width,
    height,
    seed,
    lossless,
    checksums,
    metadata: metadata.length > 0,
  };
  const headerBytes = writeHeader({ ...base, plan: BLANK_PLAN, stepCount: 0 }).length;
  if (maxBytes < headerBytes + metadata.length) {
    throw new CodecError(
      'usage',
      `maximum size: expected at least the ${headerBytes + metadata.length} bytes of a header${metadata.length > 0 ? ' and metadata' : ''}, got ${maxBytes}`,
    );
  }
  const choice = await choosePlan(image, model, selection, effort);
  const planTo = (stop?: number): Plan => {
    const steps = createPlan(model, choice.parameters, stateBits, image, stop);
    const header = { ...base, plan: choice.parameters, ...(stop !== undefined && { stop }) };
    const headerFor = (stepCount: number) => writeHeader(stepCount < steps.length ? { ...header, stepCount } : header);
    /** Bits up to the end of each of the first steps, in a file that ends with them. */
    const ends = (stepCount: number) => [0, ...stepEnds(steps.slice(0, stepCount), checksums)];
    const bytes = (stepCount: number) =>
      headerFor(stepCount).length + Math.ceil(ends(stepCount)[stepCount] / 8) + metadata.length;
    return { steps, stop, headerFor, ends, bytes };
  };
  let plan = planTo();

  const payload = new BitWriter();
  const small = width * height <= SMALL_PIXELS;
  const sharpens = selection === 'greedy' && (small || effort >= SHARPEN_EFFORT);
  const emphasises = selection === 'greedy' && !small;
  const state = initialState(seed, dimensions);
  // Large pictures need these again and again: nothing of their size is allocated in the loop but the picture so far.
  const xhat0 = new Float32Array(dimensions);
  const error = new Float32Array(dimensions);
  const memory = stepMemory(dimensions);
  const steps: StepReport[] = [];
  const tail = lossless ? new TailSearch(image, seed, schedule, model.residuals) : undefined;
  let networkEvaluations = choice.networkEvaluations;
  let klBits = 0;
  let reconstruction: RgbImage;
  for (let step = 1; ; step++) {
    const t = plan.steps[step - 1]?.t ?? plan.steps.at(-1)?.s ?? schedule.timesteps;
    const known = t < schedule.timesteps;
    await estimateX0(model, state, width, height, t, xhat0);
    if (known) networkEvaluations += workAt(model.pyramid, schedule, { width, height, t });
    reconstruction = { width, height, data: fromUnit(xhat0) };
    const distance = rmse(reconstruction, image);
    const bytes = plan.bytes(step - 1);
    steps.push({ t, bits: 0, klBits, rmse: distance });
    onProgress?.({
      fraction: progress(plan.steps, step - 1, bytes, maxBytes, distance, targetRmse),
      t,
      bytes,
      rmse: distance,
    });
    const isEnd = plan.steps[step - 1] === undefined;
    tail?.consider(step - 1, t, payload.length, xhat0, isEnd);
    if (isEnd || (!lossless && distance <= targetRmse)) break;
    if (!small && !lossless) plan = stopInTime(plan, planTo, steps, schedule, options);
    if (plan.bytes(step) > maxBytes) break;
    const planned = plan.steps[step - 1];

    subtract(image.data, xhat0, error);
    klBits += jumpKlBits(schedule, planned.t, planned.s, squaredNorm(error));
    let target: Float32Array = error;
    if (sharpens && known) {
      target = await sharpenTarget(error, xhat0, state, width, height, t, model);
      networkEvaluations += workAt(model.pyramid, schedule, { width, height, t });
    }
    if (emphasises && known) emphasiseUncertain(target, width, height, schedule.snr[t]);
    scale(target, Math.sqrt(schedule.snr[planned.s] - schedule.snr[planned.t]));
    const blocks = stepBlocks(seed, step, planned, stateBits, memory);
    let done = 0;
    for await (const path of search.choose(blocks, target)) {
      const block = blocks[done++];
      writeBlock(block, path, payload);
      // z takes the place of the target, block by block.
      placeCodeword(block, path, target);
    }
    advance(state, xhat0, target, jumpCoefficients(schedule, planned.t, planned.s));
  }

  const best = tail?.finish();
  if (best) steps.length = best.steps + 1;
  const stepCount = steps.length - 1;
  const header = plan.headerFor(stepCount);
  const paths = payload.toBytes(best?.payloadBits);
  const tailBytes = best?.bytes ?? new Uint8Array();
  const body = checksums ? addChecksums(paths, plan.steps.slice(0, stepCount)) : paths;
  const bytes = new Uint8Array(Buffer.concat([header, body, tailBytes, metadata]));
  const stepBits = plan.ends(stepCount);
  const last = steps[steps.length - 1];
  const finalRmse = lossless ? 0 : last.rmse;
  return {
    bytes,
    width,
    height,
    bitsPerDim: (bytes.length * 8) / dimensions,
    rmse: finalRmse,
    psnr: psnrOfRmse(finalRmse),
    klBits: last.klBits,
    steps: steps.map((report, i) => ({ ...report, bits: header.length * 8 + stepBits[i] })),
    tailBytes: tailBytes.length,
    networkEvaluations: Math.round(100 * networkEvaluations) / 100,
    reconstruction: lossless ? image : reconstruction,
  };
}

/**
 * Turns the error e = x_0 - xhat0 towards what the denoiser can use of it. The Jacobian of the denoiser is the posterior
 * covariance of x_0 up to scale, so it keeps of e what is still uncertain and can be learnt, and drops what the next
 * xhat0 would hardly follow. A mixture of e and J e saves 2 to 3 % of the bits; J e alone leaves too much behind, which
 * later steps believe to be known. Only the direction matters to the greedy choice, and the decoder does not care.
 * @returns the mixture, J e by a finite difference: one network evaluation
 */
async function sharpenTarget(
  error: Float32Array,
  xhat0: Float32Array,
  state: Float32Array,
  width: number,
  height: number,
  t: number,
  { schedule, denoiser }: CodecModel,
): Promise<Float32Array> {
  const abar = schedule.alphasCumprod[t];
  const rms = Math.sqrt(squaredNorm(error) / error.length);
  if (rms === 0) return error;
  const step = (SHARPEN_STEP * Math.sqrt(1 - abar)) / rms;
  const moved = await denoiser.predictX0(
    state.map((value, i) => value + step * error[i]),
    width,
    height,
    t,
  );
  const derivative = Math.sqrt(abar) / step;
  return error.map((e, i) => (1 - SHARPEN_SHARE) * e + SHARPEN_SHARE * derivative * (moved[i] - xhat0[i]));
}

type CheckedOptions = ReturnType<typeof checkOptions>;

function checkOptions(options: EncodeOptions, precision: Precision) {
  const {
    effort = DEFAULT_EFFORT,
    selection = 'greedy',
    seed = 0,
    maxBytes,
    lossless = false,
    checksums = false,
  } = options;
  const said: Metadata = { ...options.metadata, ...(precision !== 'fp32' && { precision }) };
  const metadata = Object.values(said).some(Boolean) ? writeMetadata(said) : new Uint8Array();
  if (lossless && precision !== 'fp32') {
    throw new CodecError(
      'usage',
      `lossless: expected precision fp32, got ${precision}, which other machines do not round alike`,
    );
  }
  if (lossless && (maxBytes !== undefined || options.targetRmse !== undefined)) {
    throw new CodecError('usage', 'lossless: expected no maximum size and no target RMSE with it');
  }
  const targetRmse = options.targetRmse ?? (maxBytes === undefined && !lossless ? DEFAULT_TARGET_RMSE : 0);
  if (!Number.isInteger(effort) || effort < 1 || effort > MAX_EFFORT) {
    throw invalidArgument('effort', `an integer from 1 to ${MAX_EFFORT}`, effort);
  }
  if (selection !== 'greedy' && selection !== 'sample') {
    throw invalidArgument('selection', '"greedy" or "sample"', selection);
  }
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw invalidArgument('seed', 'an integer from 0 to 4294967295', seed);
  }
  if (maxBytes !== undefined && !(maxBytes > 0)) throw invalidArgument('maximum size', 'a positive number', maxBytes);
  if (!(targetRmse >= 0)) throw invalidArgument('target RMSE', 'a number of at least 0', targetRmse);
  return {
    effort,
    selection,
    seed,
    maxBytes: maxBytes ?? Number.POSITIVE_INFINITY,
    targetRmse,
    lossless,
    checksums,
    metadata,
    onProgress: options.onProgress,
  };
}

/** How much of the work is done, by the limit that is nearest. */
function progress(
  plan: readonly PlannedStep[],
  stepsDone: number,
  bytes: number,
  maxBytes: number,
  error: number,
  targetRmse: number,
): number {
  const byPlan = plan.length === 0 ? 1 : stepsDone / plan.length;
  const bySize = bytes / maxBytes;
  // RMSE falls from about 64 to the target, about evenly in its logarithm over the steps.
  const byQuality = targetRmse > 0 ? Math.log(64 / Math.max(error, targetRmse)) / Math.log(64 / targetRmse) : 0;
  return Math.max(0, Math.min(1, Math.max(byPlan, bySize, byQuality)));
}

/** The error x_0 - xhat0. @param bytes x_0 as 8-bit samples */
function subtract(bytes: Uint8Array, xhat0: Float32Array, into: Float32Array): void {
  for (let i = 0; i < into.length; i++) into[i] = UNIT[bytes[i]] - xhat0[i];
}

function squaredNorm(a: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * a[i];
  return sum;
}

function scale(a: Float32Array, factor: number): void {
  for (let i = 0; i < a.length; i++) a[i] *= factor;
}
