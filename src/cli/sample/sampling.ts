/** Code shared by `sample` and `interpolate`: options of the sampler, a bar with the time left, figures as files. */
import type { Options } from 'yargs';
import { CodecError, invalidArgument } from '../../common/errors.js';
import type { RgbImage, Size } from '../../image/image.js';
import { strideOf } from '../../model/config.js';
import { REVERSE_VARIANCES, type ReverseVariance } from '../../model/parameterization.js';
import { drawsBySizes, SAMPLERS, type Sampler, type SamplerOptions } from '../../model/sampler.js';
import { MAX_TIMESTEPS } from '../../model/schedule.js';
import { checkFits, encodeAnimation, encodeImage, type Frame } from '../../node/image/write.js';
import type { ModelInfo } from '../../node/models.js';
import { integer, modelOption, numberOption } from '../args.js';
import type { Console } from '../console.js';
import { formatOf, writeAtomically, writeResult } from '../output.js';
import { openProgress } from '../progress.js';
import { noteTrainedTimesteps } from '../trained-timesteps.js';

const DEFAULT_STEPS = 250;
/** Milliseconds for each frame of an animation, and for the last one. */
const FRAME_TIME = 100;
const LAST_FRAME_TIME = 1500;
/** Maximum size of a sheet or table: 1.5 GB in memory. */
const MAX_FIGURE_PIXELS = 2 ** 29;
/** Pictures with a longer side take long. */
const LARGE_SIDE = 256;

export const samplerOptions = {
  model: modelOption,
  steps: numberOption('Steps of a whole chain from t = T to 0', { default: DEFAULT_STEPS }),
  sampler: {
    choices: SAMPLERS,
    requiresArg: true,
    default: 'ddpm' as Sampler,
    description: 'ddpm is ancestral sampling; ddim follows the probability-flow ODE, without noise on the way',
  },
  variance: {
    choices: REVERSE_VARIANCES,
    requiresArg: true,
    description: "Of ddpm's steps [default: the model's own; optimal for steps longer than 1, unless it is learned]",
  },
  seed: numberOption('Seed of all random numbers, 0 to 4294967295', { default: 0 }),
} satisfies Record<string, Options>;

/** Values of {@link samplerOptions} as yargs gives them. */
export interface SamplerArgs {
  readonly model: string;
  readonly steps: unknown;
  readonly sampler: Sampler;
  readonly variance?: ReverseVariance;
  readonly seed: unknown;
}

/** {@link SamplerArgs} after checking. */
export interface SamplerSettings extends Pick<SamplerOptions, 'sampler' | 'variance'> {
  readonly steps: number;
  readonly seed: number;
}

export function samplerSettings({ steps, seed, sampler, variance }: SamplerArgs): SamplerSettings {
  if (sampler === 'ddim' && variance !== undefined) {
    throw new CodecError('usage', '--variance: is of the noise of --sampler ddpm; ddim has none');
  }
  return {
    steps: integer('--steps', steps, 1, MAX_TIMESTEPS)!,
    seed: integer('--seed', seed, 0, 2 ** 32 - 1)!,
    sampler,
    ...(variance === undefined ? {} : { variance }),
  };
}

/**
 * Refuses sides that a model does not support, before it is opened.
 * @param what has these sides, for the message: an option, or a picture
 */
export function checkSides(
  { name, config }: ModelInfo,
  { width, height }: Size,
  what: { readonly option: string } | { readonly picture: string },
): void {
  const stride = strideOf(config);
  if (width % stride === 0 && height % stride === 0) return;
  const nearest = (side: number) => Math.max(stride, side - (side % stride));
  const [code, named] = 'option' in what ? (['usage', what.option] as const) : (['image', what.picture] as const);
  throw new CodecError(
    code,
    `${named}: expected sides that are multiples of ${stride}, as model ${name} takes, got ${width}x${height}; for example ${nearest(width)}x${nearest(height)}`,
  );
}

/** Refuses timesteps and numbers of steps that a model does not have. */
export function checkAgainstModel(
  { schedule }: ModelInfo,
  steps: number,
  { option, ts }: { readonly option: string; readonly ts: readonly number[] },
): void {
  const { timesteps } = schedule;
  integer('--steps', steps, 1, timesteps);
  const tooLarge = ts.find((t) => t > timesteps);
  if (tooLarge !== undefined)
    throw invalidArgument(option, `at most ${timesteps}, the timesteps of this model`, tooLarge);
}

/**
 * Refuses a figure that could not be written, before its pictures are drawn.
 * @param count number of pictures, for an animation
 * @throws CodecError `usage` when it is too large for memory, `image` when it is too large for the format
 */
export function checkFigure(path: string, size: Size, count = 1): void {
  const { width, height } = size;
  if (count * width * height > MAX_FIGURE_PIXELS) {
    const times = count > 1 ? `${count} times ` : '';
    throw new CodecError(
      'usage',
      `${path}: would be ${times}${width}x${height} pixels, expected at most ${MAX_FIGURE_PIXELS} in all; take fewer pictures`,
    );
  }
  checkFits(size, formatOf(path));
}

/** Says where pictures mean little, because the network was not trained for the noise that they begin with. */
export function noteTrainedForDrawing(console: Console, model: ModelInfo): void {
  // Smaller sizes have less noise.
  if (!drawsBySizes(model)) noteTrainedTimesteps(console, model, 'what it draws');
}

/** Warns before work that takes long. */
export function noteLargePictures(console: Console, width: number, height: number): void {
  if (Math.max(width, height) <= LARGE_SIDE) return;
  console.note(`${width}x${height}: many steps run the network over all of it, so this takes a while; see --steps`);
}

/** Runs work with a progress bar and the time left. @returns the result and the seconds it took */
export async function withProgress<R>(
  console: Console,
  label: string,
  work: (onProgress: (fraction: number) => void) => Promise<R>,
): Promise<{ result: R; seconds: number }> {
  const progress = openProgress(console, label);
  const start = performance.now();
  const result = await work((fraction) => progress.update(fraction)).finally(() => progress.stop());
  return { result, seconds: (performance.now() - start) / 1000 };
}

/** Whether a figure of this name is animated where possible. */
export function isAnimation(path: string): boolean {
  return formatOf(path) === 'webp';
}

/** Writes a picture. */
export async function writePicture(path: string, image: RgbImage, options: { readonly force: boolean }): Promise<void> {
  await writeResult(path, await encodeImage(image, formatOf(path)), options);
}

/** Writes pictures as an animation that pauses on its last one. */
export async function writeAnimation(
  path: string,
  images: readonly RgbImage[],
  options: { readonly force: boolean },
): Promise<void> {
  const frames: Frame[] = images.map((image, i) => ({
    image,
    milliseconds: i === images.length - 1 ? LAST_FRAME_TIME : FRAME_TIME,
  }));
  await writeAtomically(path, await encodeAnimation(frames), options);
}
