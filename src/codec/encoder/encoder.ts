/**
 * Encoding: Algorithm 3 of Ho, Jain & Abbeel 2020 with jumps instead of single steps, blocks of shared random
 * codewords instead of an ideal coder, and the loop closed: every step aims from the state that the decoder will have.
 *
 * `plan-choice.ts` chooses the plan, `rate-control.ts` where it ends, `target.ts` what a step aims at; the search for codewords is
 * `../trellis/block-search.ts`, the lossless tail `../lossless/tail-search.ts`.
 */
import { concat } from '../../common/bytes.js';
import { CodecError, invalidArgument } from '../../common/errors.js';
import { type RgbImage, SMALL_PIXELS } from '../../image/image.js';
import { psnrOfRmse, rmse } from '../../image/metrics.js';
import { fromUnit } from '../../image/pixels.js';
import type { EncodeOptions, EncodeResult, StepReport } from '../api.js';
import { BitWriter } from '../bits/bitstream.js';
import { Chain } from '../chain.js';
import { MAX_SIDE } from '../format/header.js';
import type { PlannedStep } from '../format/plan.js';
import { addChecksums } from '../format/sections.js';
import { TailSearch } from '../lossless/tail-search.js';
import type { CodecModel } from '../model.js';
import { type BlockSearch, type OpenBlockSearch, openSearchHere } from '../trellis/block-search.js';
import { placeCodeword, writeBlock } from '../trellis/blocks.js';
import { MIN_STATE_BITS, SYMBOL_BITS } from '../trellis/trellis.js';
import { FilePlan } from './file-plan.js';
import { type CheckedEncodeOptions, checkEncodeOptions } from './options.js';
import { choosePlan } from './plan-choice.js';
import { shareDone, stopInTime } from './rate-control.js';
import { errorOf, type Shaping, shapeTarget } from './target.js';

/** Effort from which on targets of larger images are sharpened, too, which doubles the encoder's network evaluations. */
const SHARPEN_EFFORT = 8;

/** ν for pictures of more than 128x128 pixels by effort, from 1 on. */
const STATE_BITS_OF_EFFORT = [7, 7, 8, 8, 9, 10, 11, 12, 12] as const;

/**
 * Encodes an image. Deterministic: the same image, model, options and engine give the same bytes.
 * @param image not to be changed before the promise settles
 * @param openSearch where codewords are looked for; default on this thread
 * @throws CodecError('usage') for options out of range, and when `maxBytes` is too small for the header; the signal's reason
 */
export async function encode(
  image: RgbImage,
  model: CodecModel,
  options: EncodeOptions = {},
  openSearch: OpenBlockSearch = openSearchHere,
): Promise<EncodeResult> {
  checkImage(image);
  const checked = checkEncodeOptions(options, model.denoiser.precision);
  // Small images are searched in no time, and coded many at a time.
  const threads = isSmall(image) ? 1 : model.denoiser.parallelism;
  const search = await openSearch(checked.selection, checked.seed, threads);
  try {
    return await encodeWith(search, image, model, checked);
  } finally {
    await search.dispose();
  }
}

async function encodeWith(
  search: BlockSearch,
  image: RgbImage,
  model: CodecModel,
  options: CheckedEncodeOptions,
): Promise<EncodeResult> {
  const { selection, effort, seed, lossless, checksums, metadata, maxBytes, targetRmse, signal } = options;
  const { width, height } = image;
  const { schedule } = model;
  const stateBits = stateBitsFor(effort, width * height);
  const description = { modelId: model.id, width, height, stateBits, seed, lossless, checksums, metadata };
  checkRoom(new FilePlan(model, description, BLANK_PLAN), options);
  const choice = await choosePlan(image, model, selection, effort, signal);
  let plan = new FilePlan(model, description, choice.parameters);

  const payload = new BitWriter();
  const chain = Chain.begin(model, { width, height, seed });
  const shaping = shapingOf(image, options);
  const coder: StepCoder = { image, chain, stateBits, shaping, search, payload, signal };
  const reports: StepReport[] = [];
  const tail = lossless ? new TailSearch(image, seed, schedule, model.residuals) : undefined;
  let klBits = 0;
  let reconstruction: RgbImage;
  for (;;) {
    const xhat0 = await chain.estimate(signal);
    const { t, step } = chain;
    reconstruction = { width, height, data: fromUnit(xhat0) };
    const distance = rmse(reconstruction, image);
    reports.push({ t, bits: 0, klBits, rmse: distance });
    const fraction = shareDone(plan, step, distance, options);
    options.onProgress?.({ fraction, t, bytes: plan.bytes(step), rmse: distance });
    const isEnd = step === plan.steps.length;
    tail?.consider(step, t, payload.length, xhat0, isEnd);
    if (isEnd || (!lossless && distance <= targetRmse)) break;
    if (!isSmall(image) && !lossless) plan = stopInTime(plan, reports, schedule, { maxBytes, targetRmse });
    if (plan.bytes(step + 1) > maxBytes) break;
    const planned = plan.steps[step];
    klBits += await codeStep(planned, coder);
  }

  const best = tail?.finish();
  if (best) reports.length = best.steps + 1;
  const stepCount = reports.length - 1;
  const paths = payload.toBytes(best?.payloadBits);
  const body = checksums ? addChecksums(paths, plan.steps.slice(0, stepCount)) : paths;
  const tailBytes = best?.bytes ?? new Uint8Array();
  const bytes = concat(plan.headerFor(stepCount), body, tailBytes, metadata);
  const boundaries = plan.boundaries(stepCount);
  const finalRmse = lossless ? 0 : reports[stepCount].rmse;
  const networkEvaluations = choice.networkEvaluations + chain.networkEvaluations;
  return {
    bytes,
    width,
    height,
    bitsPerDim: (bytes.length * 8) / image.data.length,
    rmse: finalRmse,
    psnr: psnrOfRmse(finalRmse),
    klBits: reports[stepCount].klBits,
    steps: reports.map((report, i) => ({ ...report, bits: boundaries[i] })),
    tailBytes: tailBytes.length,
    networkEvaluations: Math.round(100 * networkEvaluations) / 100,
    reconstruction: lossless ? image : reconstruction,
  };
}

/** What all steps of a file are coded with. */
interface StepCoder {
  readonly image: RgbImage;
  readonly chain: Chain;
  /** ν. */
  readonly stateBits: number;
  readonly shaping: Shaping;
  readonly search: BlockSearch;
  /** Where paths go. */
  readonly payload: BitWriter;
  readonly signal: AbortSignal | undefined;
}

/**
 * Codes one step: aims, chooses the blocks' codewords, writes their paths, and takes the chain there.
 * @returns the step's KL(q||p) in bits
 */
async function codeStep(planned: PlannedStep, coder: StepCoder): Promise<number> {
  const { image, chain, stateBits, shaping, search, payload, signal } = coder;
  // Error, target and codewords in turn: large pictures have no room for one each.
  const values = chain.z;
  const squaredError = errorOf(image.data, await chain.estimate(signal), values);
  const klBits = chain.klBits(planned.s, squaredError);
  await shapeTarget(values, chain, planned.s, shaping, signal);
  const blocks = chain.blocks(planned, stateBits);
  let done = 0;
  for await (const path of search.choose(blocks, values, signal)) {
    const block = blocks[done++];
    writeBlock(block, path, payload);
    placeCodeword(block, path, values);
  }
  await chain.advance(planned.s, signal);
  return klBits;
}

/** Stands for the plan while only the header's size is asked for. */
const BLANK_PLAN = { first: 0, second: 0, load: 0, pace: 0 } as const;

/** Refuses a size that leaves no room for what every file has. */
function checkRoom(plan: FilePlan, { maxBytes, metadata }: CheckedEncodeOptions): void {
  const least = plan.bytes(0);
  if (maxBytes >= least) return;
  const what = `a header${metadata.length > 0 ? ' and metadata' : ''}`;
  throw new CodecError('usage', `maximum size: expected at least the ${least} bytes of ${what}, got ${maxBytes}`);
}

/** Refuses what is not a picture. */
function checkImage({ width, height, data }: RgbImage): void {
  const isSide = (side: unknown) => Number.isInteger(side) && (side as number) >= 1 && (side as number) <= MAX_SIDE;
  if (!isSide(width) || !isSide(height)) {
    throw invalidArgument('image', `sides that are integers from 1 to ${MAX_SIDE}`, `${width}x${height}`);
  }
  if (!(data instanceof Uint8Array) || data.length !== width * height * 3) {
    throw invalidArgument('image data', `a Uint8Array of ${width * height * 3} samples`, data?.length);
  }
}

/** How a picture's targets are shaped. Minimal random coding as the paper has it aims at delta itself. */
function shapingOf(image: RgbImage, { selection, effort }: CheckedEncodeOptions): Shaping {
  const small = isSmall(image);
  const greedy = selection === 'greedy';
  return { sharpens: greedy && (small || effort >= SHARPEN_EFFORT), emphasises: greedy && !small };
}

/** Small pictures have few bits, and time for all that saves some. */
function isSmall({ width, height }: RgbImage): boolean {
  return width * height <= SMALL_PIXELS;
}

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
