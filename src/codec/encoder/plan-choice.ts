/** Chooses the plan parameters for an image: it measures how hard the image is for the model, and decides how long steps are. */

import { integerStream } from '../../common/random.js';
import { mapAhead } from '../../common/side-by-side.js';
import { crop } from '../../image/crop.js';
import type { RgbImage, Size } from '../../image/image.js';
import { toUnit } from '../../image/pixels.js';
import { denoisingError, MEASURABLE_ERROR, measureDetail, type UnitImage } from '../../model/denoising.js';
import { timestepOfDetail, workAt } from '../../model/pyramid.js';
import {
  createPlan,
  expectedErrors,
  PLAN_LIMITS,
  type PlannedPicture,
  type PlannedStep,
  type PlanParameters,
  type Profile,
} from '../format/plan.js';
import type { CodecModel } from '../model.js';
import { DEFAULT_TARGET_RMSE } from '../options.js';
import type { Selection } from '../trellis/block-coder.js';
import { type Shaping, shapingFor } from './target.js';

/** Noise levels at which the denoising error is measured, as shares of T; most of them where most bits are sent. */
const PROBES = [0.8, 0.6, 0.45, 0.33, 0.25, 0.18, 0.12, 0.08, 0.05, 0.03, 0.016, 0.007];
/** For several samples of a larger image: covering much of the image matters more than many levels. */
const PROBES_OF_SAMPLES = [0.33, 0.12, 0.05, 0.016];

/**
 * Larger images are measured on square samples of this side, in pixels: one for every SAMPLE_EVERY pixels of an axis,
 * and at most MOST_SAMPLES.
 */
const SAMPLE_SIDE = 64;
const SAMPLE_EVERY = 144;
const MOST_SAMPLES = 8;
/** Where pictures are denoised at half their size, the network sees farther, so samples are larger by this factor. */
const FAR = 4;
/**
 * Subtracted from the log2 errors measured on samples. A sample has edges where the picture continues, so its error is
 * overestimated. Also, planning for too large an error costs more than planning for too small a one, because the
 * surplus bits shrink the next step's error too.
 */
const SAMPLE_BIAS = 0.2;

/**
 * For pictures with few pixels, steps may be as short as an efficient path allows, as long as the network's work on all
 * steps is at most this many pixels: about the work for a picture of 96x96.
 */
const WORK_PIXELS = 250_000;
/** Work of a step whose target takes another evaluation, in evaluations. */
const SHARPENED = 2;
/** From this effort on, targets are always sharpened. */
const SHARPEN_EFFORT = 8;
/** A plan has to ask the network at a squared error of at most so many times the target's: updates alone lower the error no further. */
const NEAR = 2;

/** The goals that a plan is chosen for. */
export interface PlanWish {
  readonly selection: Selection;
  /** 1..9 */
  readonly effort: number;
  /** In grey levels; 0 where there is none. */
  readonly targetRmse: number;
  /** ν. */
  readonly stateBits: number;
}

export interface PlanChoice {
  readonly parameters: PlanParameters;
  /** How detailed the picture is, where the model's pyramid uses it. */
  readonly detail: number | undefined;
  readonly shaping: Shaping;
  /** Evaluations of the network on the whole image spent on the choice (samples count by their share of the image's pixels). */
  readonly networkEvaluations: number;
}

/** Options of the choice. */
export interface PlanChoiceOptions {
  /** Called with the number of remaining evaluations before the choice, and with the choice that the results so far lead to. */
  readonly onProgress?: ((left: number, choice: PlanChoice) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Measures the error of xhat0 at a few noise levels and finds the nearest place in the model's profile. */
export async function choosePlan(
  image: RgbImage,
  model: CodecModel,
  wish: PlanWish,
  { onProgress, signal }: PlanChoiceOptions = {},
): Promise<PlanChoice> {
  const stream = integerStream('ddc1/plan');
  const { schedule, denoiser, pyramid } = model;
  const near = sampleImage(image, 1);
  const far = sampleImage(image, FAR);
  // Half of the samples are enough to measure the detail.
  const { detail, work } = await measureDetail(
    far.filter((_, i) => i % 2 === 0),
    model,
    signal,
  );
  const samplesAt = (t: number) => (pyramid && t >= timestepOfDetail(pyramid) ? far : near);
  const [shares, bias] = near.length > 1 ? [PROBES_OF_SAMPLES, SAMPLE_BIAS] : [PROBES, 0];
  const probes = [...new Set(shares.map((share) => Math.max(1, Math.round(share * schedule.timesteps))))];
  const places = probes.flatMap((t, probe) => samplesAt(t).map((sample) => ({ t, probe, ...sample })));
  const workOf = ({ width, height, t }: Size & { readonly t: number }) =>
    (workAt(pyramid, schedule, { width, height, t, detail }) * width * height) / (image.width * image.height);
  // Each task draws its noise before it waits for the network, so that the draws happen in the order of the tasks.
  const measured = mapAhead(places, denoiser.parallelism, async ({ t, probe, x0, width, height }) => ({
    probe,
    error: await denoisingError({ x0, width, height, detail }, t, model, stream, signal),
    dimensions: x0.length,
    work: workOf({ width, height, t }),
  }));
  const sums = probes.map(() => ({ error: 0, dimensions: 0 }));
  let networkEvaluations = work / (image.width * image.height);
  let left = places.reduce((sum, place) => sum + workOf(place), 0);
  const picture = { width: image.width, height: image.height, detail };
  const choose = () => {
    const known = sums.flatMap(({ error, dimensions }, i) =>
      dimensions === 0 ? [] : [{ t: probes[i], log: Math.log2(Math.max(error / dimensions, MEASURABLE_ERROR)) - bias }],
    );
    const place = nearestPlace(
      model.profile,
      known.map(({ t }) => t),
      known.map(({ log }) => log),
    );
    return { ...paceFor(picture, model, place, wish), detail, networkEvaluations };
  };
  for await (const { probe, error, dimensions, work } of measured) {
    sums[probe].error += error;
    sums[probe].dimensions += dimensions;
    networkEvaluations += work;
    left -= work;
    onProgress?.(left, choose());
  }
  return choose();
}

/** The integer place in the profile whose log2 errors are nearest, in least squares, to those measured at the timesteps. */
export function nearestPlace(
  profile: Profile,
  timesteps: readonly number[],
  logErrors: readonly number[],
): { first: number; second: number } {
  let best = { first: 0, second: 0 };
  let least = Number.POSITIVE_INFINITY;
  for (let first = PLAN_LIMITS.first[0]; first <= PLAN_LIMITS.first[1]; first++) {
    for (let second = PLAN_LIMITS.second[0]; second <= PLAN_LIMITS.second[1]; second++) {
      let sum = 0;
      timesteps.forEach((t, i) => {
        const expected =
          profile.mean[t - 1] + first * profile.components[0][t - 1] + second * profile.components[1][t - 1];
        sum += (logErrors[i] - expected / 256) ** 2;
      });
      if (sum < least) {
        least = sum;
        best = { first, second };
      }
    }
  }
  return best;
}

/** Pace for larger pictures by effort, from 1 on. */
const PACE_OF_EFFORT = [7, 6, 6, 5, 4, 3, 3, 2, 1] as const;

/**
 * The shortest steps that the network's work allows, at most as long as those for the effort, with sharpened targets
 * where possible.
 */
export function paceFor(
  picture: PlannedPicture,
  model: CodecModel,
  { first, second }: Pick<PlanParameters, 'first' | 'second'>,
  { selection, effort, targetRmse, stateBits }: PlanWish,
): Pick<PlanChoice, 'parameters' | 'shaping'> {
  const place = { first, second, load: selection === 'greedy' ? 0 : 1 };
  const pixels = picture.width * picture.height;
  const greedy = selection === 'greedy';
  const errors = expectedErrors(model.profile, place.first, place.second);
  const aim = (Math.max(targetRmse, DEFAULT_TARGET_RMSE) / 127.5) ** 2;
  const choiceAt = (pace: number, sharpens: boolean) => ({
    parameters: { ...place, pace },
    shaping: shapingFor(picture, selection, sharpens),
  });
  const planAt = (pace: number) => createPlan(model, { ...place, pace }, stateBits, picture);
  let longest: number = PACE_OF_EFFORT[effort - 1];
  while (longest > 0 && !asksNear(planAt(longest), errors, aim)) longest--;
  // Images with more pixels than the work limit are skipped.
  for (let pace = 0; pixels * 2 < WORK_PIXELS && pace < longest; pace++) {
    const steps = planAt(pace);
    const asked = steps.filter(({ s, asks }) => asks && errors[s] > aim).length;
    const sharpens = greedy && asked * pixels * SHARPENED <= WORK_PIXELS;
    if (sharpens || (!greedy && asked * pixels <= WORK_PIXELS)) return choiceAt(pace, sharpens);
  }
  return choiceAt(longest, effort >= SHARPEN_EFFORT);
}

/**
 * Whether a plan asks the network near the target. At a long pace a picture with few bits may never lose enough by
 * updates to be worth another evaluation. Its error then stays where the last evaluation left it.
 * @param errors expected squared errors
 * @param aim the squared error of the target
 */
function asksNear(steps: readonly PlannedStep[], errors: Float64Array, aim: number): boolean {
  return steps.some(({ s, asks }) => asks && errors[s] <= NEAR * aim);
}

/**
 * The image itself or, where it is much larger than the samples, squares on a regular grid.
 * @param scale factor of the samples' size and spacing
 */
function sampleImage(image: RgbImage, scale: number): UnitImage[] {
  const across = cuts(image.width, scale);
  const down = cuts(image.height, scale);
  return down.starts.flatMap((top) =>
    across.starts.map((left) => {
      const { width, height, data } = crop(image, { left, top, width: across.size, height: down.size });
      return { x0: toUnit(data), width, height };
    }),
  );
}

function cuts(length: number, scale: number): { size: number; starts: number[] } {
  const side = scale * SAMPLE_SIDE;
  if (length <= 2 * side) return { size: length, starts: [0] };
  const count = Math.max(2, Math.min(MOST_SAMPLES, Math.round(length / (scale * SAMPLE_EVERY))));
  const starts = Array.from({ length: count }, (_, i) => Math.round(((i + 0.5) * length) / count - side / 2));
  return { size: side, starts };
}
