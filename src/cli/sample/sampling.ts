/** What `sample` and `interpolate` have in common: options of the sampler, a bar with the time left, figures as files. */
import type { Options } from 'yargs';
import { CodecError } from '../../common/errors.js';
import type { RgbImage } from '../../image/image.js';
import { VARIANCES, type Variance } from '../../model/parameterization.js';
import { SAMPLERS, type Sampler, type SamplerOptions } from '../../model/sampler.js';
import { MAX_TIMESTEPS } from '../../model/schedule.js';
import { encodeAnimation, encodeImage, type Frame, outputFormat } from '../../node/image/write.js';
import type { Model } from '../../node/models.js';
import { integer, modelOption, numberOption } from '../args.js';
import { type Console, remainingTime } from '../console.js';
import { writeAtomically } from '../output.js';

const DEFAULT_STEPS = 250;
/** Milliseconds for which a picture of an animation is shown, and its last one. */
const FRAME_TIME = 100;
const LAST_FRAME_TIME = 1500;
/** Pictures above this side take long. */
const LARGE_SIDE = 256;

export const samplerOptions = {
  model: modelOption,
  steps: numberOption('Evaluations of the network for a whole chain from t = T to 0', { default: DEFAULT_STEPS }),
  sampler: {
    choices: SAMPLERS,
    requiresArg: true,
    default: 'ddpm' as Sampler,
    description: 'ddpm is ancestral sampling; ddim follows the probability-flow ODE, without noise on the way',
  },
  variance: {
    choices: VARIANCES,
    requiresArg: true,
    description: "Of ddpm's steps [default: the model's own; beta-tilde instead of beta for steps longer than 1]",
  },
  seed: numberOption('Seed of all random numbers, 0 to 4294967295', { default: 0 }),
} satisfies Record<string, Options>;

/** Values of {@link samplerOptions} as yargs gives them. */
export interface SamplerArgs {
  readonly model: string;
  readonly steps: unknown;
  readonly sampler: Sampler;
  readonly variance?: Variance;
  readonly seed: unknown;
}

/** {@link SamplerArgs}, checked. */
export interface SamplerSettings extends Pick<SamplerOptions, 'sampler' | 'variance'> {
  readonly steps: number;
  readonly seed: number;
}

export function samplerSettings({ steps, seed, sampler, variance }: SamplerArgs): SamplerSettings {
  return {
    steps: integer('--steps', steps, 1, MAX_TIMESTEPS)!,
    seed: integer('--seed', seed, 0, 2 ** 32 - 1)!,
    sampler,
    ...(variance === undefined ? {} : { variance }),
  };
}

/** Refuses timesteps and steps that this model does not have. */
export function checkAgainstModel(
  { schedule }: Pick<Model, 'schedule'>,
  steps: number,
  ts: readonly number[] = [],
): void {
  const { timesteps } = schedule;
  integer('--steps', steps, 1, timesteps);
  const tooLarge = ts.find((t) => t > timesteps);
  if (tooLarge !== undefined)
    throw new CodecError('usage', `t: this model has ${timesteps} timesteps, got ${tooLarge}`);
}

/** Says so before work that takes long. */
export function noteLargePictures(console: Console, width: number, height: number): void {
  if (Math.max(width, height) <= LARGE_SIDE) return;
  console.note(`${width}x${height}: every step runs the network over all of it, so this takes a while; see --steps`);
}

/** Runs work with a progress bar that says how long it will still take. @returns the result and the seconds it took */
export async function withProgress<R>(
  console: Console,
  label: string,
  work: (onProgress: (fraction: number) => void) => Promise<R>,
): Promise<{ result: R; seconds: number }> {
  const progress = console.progress(label);
  const left = remainingTime();
  const start = performance.now();
  const onProgress = (fraction: number) => progress.update(fraction, left(fraction));
  const result = await work(onProgress).finally(() => progress.stop());
  return { result, seconds: (performance.now() - start) / 1000 };
}

/** Whether a figure with this name is animated where it can be. */
export function isAnimation(path: string): boolean {
  return outputFormat(path) === 'webp';
}

/** Writes a picture. */
export async function writePicture(path: string, image: RgbImage, options: { readonly force: boolean }): Promise<void> {
  await writeAtomically(path, await encodeImage(image, outputFormat(path)), options);
}

/** Writes pictures as an animation that waits on its last one. */
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
