/**
 * The encoder: Algorithm 3 of Ho, Jain & Abbeel 2020 with jumps instead of single steps, and with blocks of shared
 * random codewords instead of an ideal coder. It is closed-loop: every step starts from the state that the decoder will
 * have.
 *
 * `plan-choice.ts` chooses the plan, `walk.ts` walks the chain, `ending.ts` chooses how the file ends.
 */
import { checkOption } from '../../common/arguments.js';
import { concat } from '../../common/bytes.js';
import { CodecError } from '../../common/errors.js';
import { isOpaque, spreadColours } from '../../image/alpha.js';
import { checkImage, isSmall, type RgbImage, type Size } from '../../image/image.js';
import { psnrOfRmse } from '../../image/metrics.js';
import { fromUnit } from '../../image/pixels.js';
import type { EncodeOptions, EncodeResult } from '../api.js';
import { writeAlphaPlane } from '../format/alpha-plane.js';
import { blankPicture, meanColourOf, shownColour } from '../format/mean-colour.js';
import { BLANK_PLAN } from '../format/plan.js';
import { addChecksums } from '../format/sections.js';
import { TailSearch } from '../lossless/tail-search.js';
import { type CodecModel, checkCodecModel } from '../model.js';
import { type BlockSearch, type OpenBlockSearch, openSearchHere } from '../trellis/block-search.js';
import { MAX_STATE_BITS, MIN_STATE_BITS, SYMBOL_BITS } from '../trellis/trellis.js';
import { risingShare } from '../work.js';
import { DrawingChoice } from './drawing-choice.js';
import { chooseEnding, type Ending, easyEnding } from './ending.js';
import { FilePlan } from './file-plan.js';
import { leastParts } from './least-bytes.js';
import { type CheckedEncodeOptions, checkEncodeOptions } from './options.js';
import { choosePlan, type PlanChoice } from './plan-choice.js';
import { Points } from './points.js';
import { EncodeProgress } from './progress.js';
import { type Walk, walkChain } from './walk.js';

/** ν for pictures of more than 128x128 pixels, by effort, from 1 on. */
const STATE_BITS_OF_EFFORT = [11, 11, 12, 12, 13, 13, 14, 15, 16] as const;

/**
 * Encodes an image. Deterministic: the same image, model, options and engine give the same bytes. Opacity is kept
 * exactly. Only visible colours count; fully transparent pixels may get any colour.
 * @param image is copied at once
 * @param openSearch where codewords are searched for; default on this thread
 * @throws CodecError('usage') for invalid arguments, and when `maxBytes` is too small for the header, the alpha plane
 *   and the metadata; the signal's reason
 */
export async function encode(
  image: RgbImage,
  model: CodecModel,
  options: EncodeOptions = {},
  openSearch: OpenBlockSearch = openSearchHere,
): Promise<EncodeResult> {
  checkImage(image);
  checkCodecModel(model);
  checkOption('openSearch', { type: 'function' }, openSearch);
  const checked = checkEncodeOptions(options, model.denoiser);
  checked.signal?.throwIfAborted();
  const prepared = withoutUnseen(copyOf(image));
  // The search is fast for small images, and many of them are encoded at a time.
  const threads = isSmall(image) ? 1 : model.denoiser.parallelism;
  const search = await openSearch(checked.selection, checked.seed, threads);
  try {
    const result = await encodeWith(search, prepared, model, checked);
    checked.signal?.throwIfAborted();
    const { bytes, rmse, steps } = result;
    checked.onProgress?.({ fraction: 1, t: steps[steps.length - 1].t, bytes: bytes.length, rmse });
    return result;
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
  const { effort, seed, lossless, checksums, metadata, targetRmse, maxBytes, selection, signal } = options;
  const { width, height } = image;
  const stateBits = stateBitsFor(effort, image);
  // Two bytes are a large part of a small picture's file.
  const mean = isSmall(image) ? {} : { meanColour: meanColourOf(image) };
  const alphaPlane = image.alpha ? writeAlphaPlane(image, image.alpha, checksums) : new Uint8Array();
  const description = { modelId: model.id, width, height, stateBits, seed, checksums, alphaPlane, metadata, ...mean };
  const blank = new FilePlan(model, description, BLANK_PLAN);
  checkRoom(blank, options);
  const points = new Points(
    image,
    { width, height, data: fromUnit(blankPicture(description)) },
    model.schedule.timesteps,
  );
  const bare = { steps: 0, bytes: blank.bytes(0), rmse: points.rmse };
  if (!lossless && points.rmse <= targetRmse) return fileOf(image, options, bare, { plan: blank, points });
  const goal = { mostSquaredError: targetRmse ** 2, isExact: lossless };
  const drawing = new DrawingChoice(image, shownColour(description), goal);
  const easy = easyEnding(image, blank, drawing, options);
  if (easy) return fileOf(image, options, easy, { plan: blank, points });

  const share = risingShare();
  const start = { t: model.schedule.timesteps, bytes: blank.bytes(0), rmse: points.rmse };
  const foretell = (before: number, foretold: PlanChoice) => {
    const [done, left] = new EncodeProgress({ ...foretold, model, image, stateBits }, options).workAt(
      new FilePlan(model, description, foretold.parameters),
      points,
    );
    options.onProgress?.({ ...start, fraction: share(done, left + before) });
  };
  const wish = { selection, effort, targetRmse, stateBits };
  const onProgress = options.onProgress && foretell;
  const choice = await choosePlan(image, model, wish, { onProgress, signal });
  const { detail, shaping } = choice;
  const plan = new FilePlan(model, { ...description, ...(detail !== undefined && { detail }) }, choice.parameters);
  // The detail may take a byte that is not there.
  if (plan.bytes(0) > maxBytes) return fileOf(image, options, bare, { plan: blank, points }, choice.networkEvaluations);
  const tails = lossless ? new TailSearch(image, seed, model.schedule, model.residuals) : undefined;
  const progress = new EncodeProgress({ ...choice, model, image, stateBits }, options, share);
  const walk = await walkChain(
    { image, model, plan, detail, shaping, stateBits, search, drawing, tails, points, progress },
    options,
  );
  const ending = await chooseEnding(image, model, walk, drawing, tails, options);
  return fileOf(image, options, ending, walk, choice.networkEvaluations);
}

/**
 * Assembles the file.
 * @param before evaluations of the network before the walk
 */
function fileOf(
  image: RgbImage,
  { checksums, metadata, targetRmse }: CheckedEncodeOptions,
  { steps, tail, rmse }: Ending,
  { plan, points, paths, networkEvaluations = 0 }: Pick<Walk, 'plan' | 'points'> & Partial<Walk>,
  before = 0,
): EncodeResult {
  const { width, height, data, alpha } = image;
  const end = { steps, heldSteps: points.heldUpTo(steps), tail: tail !== undefined };
  const planned = plan.steps.slice(0, steps);
  const bits = planned.reduce((sum, { blocks, blockBits }) => sum + blocks * blockBits, 0);
  const payload = paths?.toBytes(bits) ?? new Uint8Array();
  const body = checksums ? addChecksums(payload, planned) : payload;
  const tailBytes = tail?.bytes ?? new Uint8Array();
  const { alphaPlane } = plan;
  const bytes = concat(plan.headerFor(end), alphaPlane, body, tailBytes, metadata);
  const boundaries = plan.boundaries(end);
  const reports = points.reports.slice(0, steps + 1);
  const hasTarget = targetRmse > 0;
  const isMet = rmse <= targetRmse;
  return {
    bytes,
    width,
    height,
    bitsPerDim: (bytes.length * 8) / data.length,
    rmse,
    psnr: psnrOfRmse(rmse),
    klBits: reports[steps].klBits,
    steps: reports.map((report, i) => ({ ...report, bits: boundaries[i] })),
    alphaBytes: alphaPlane.length,
    tailBytes: tailBytes.length,
    networkEvaluations: Math.round(100 * (before + networkEvaluations)) / 100,
    stoppedBy: hasTarget && isMet ? 'target' : rmse === 0 ? 'exact' : 'maxBytes',
    ...(hasTarget && { targetMet: isMet }),
    reconstruction: { width, height, data: tail?.samples ?? points.shown.data, ...(alpha && { alpha }) },
  };
}

/** Refuses a size that leaves no room for the parts that every file has. */
function checkRoom(plan: FilePlan, { maxBytes, metadata }: CheckedEncodeOptions): void {
  const least = plan.bytes(0);
  if (maxBytes >= least) return;
  const what = leastParts({ alpha: plan.alphaPlane.length > 0, metadata: metadata.length > 0 });
  throw new CodecError('usage', `\`maxBytes\`: expected at least the ${least} bytes of ${what}, got ${maxBytes}`);
}

/** Encoding takes time, and the caller may change the arrays meanwhile. */
function copyOf({ width, height, data, alpha }: RgbImage): RgbImage {
  return { width, height, data: new Uint8Array(data), ...(alpha && { alpha: new Uint8Array(alpha) }) };
}

/**
 * The picture with colours that are cheap to send where pixels are invisible, and without an alpha plane where all
 * pixels are opaque.
 */
function withoutUnseen({ width, height, data, alpha }: RgbImage): RgbImage {
  if (alpha === undefined || isOpaque(alpha)) return { width, height, data };
  return spreadColours({ width, height, data, alpha }, alpha);
}

/**
 * ν of the trellis. Small images have few bits, so more states cost little time; at default effort they have all that
 * there are. Images of only a few pixels cannot use the long steps that many states need. For large images the network
 * takes nearly all of the time, so low effort means fewer steps rather than fewer states.
 * @param effort 1..9
 */
export function stateBitsFor(effort: number, size: Size): number {
  const pixels = size.width * size.height;
  const ofLarge = STATE_BITS_OF_EFFORT[effort - 1] + (pixels <= 128 * 128 ? 2 : 0);
  const wanted = isSmall(size) ? 2 * effort + 7 : ofLarge;
  const useful = Math.floor((3 * pixels) / 8) - SYMBOL_BITS;
  return Math.max(MIN_STATE_BITS, Math.min(wanted, useful, MAX_STATE_BITS));
}
