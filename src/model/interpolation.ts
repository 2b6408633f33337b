/**
 * Shows what x_t contains of a picture: interpolation between two pictures in x_t (Ho, Jain & Abbeel 2020, section
 * 4.4), and samples that share an x_t (Figure 7).
 */
import { checkArgument, checkList, checkOptions } from '../common/arguments.js';
import { CodecError, invalidArgument } from '../common/errors.js';
import { gaussians, integerStream } from '../common/random.js';
import { checkOpaque } from '../image/alpha.js';
import { checkImage, type RgbImage } from '../image/image.js';
import { fromUnit, toUnit } from '../image/pixels.js';
import { checkDiffusionModel, type DiffusionModel } from './diffusion-model.js';
import { checkDrawn, type ReverseOptions, SAMPLER_ARGUMENTS, type SamplerOptions, walkReverse } from './sampler.js';

const OWN = { type: 'own' } as const;
const INTERPOLATE_ARGUMENTS = { ...SAMPLER_ARGUMENTS, t: OWN, lambdas: OWN, seed: OWN };
const SHARED_ARGUMENTS = { ...SAMPLER_ARGUMENTS, timesteps: OWN, count: OWN, width: OWN, height: OWN, seed: OWN };

/** Options of the interpolation between two pictures. */
export interface InterpolateOptions extends SamplerOptions {
  /** Timestep at which the pictures are mixed, 0..T. At 0 this is cross-fading. */
  readonly t: number;
  /** Weights of the second picture, 0..1. */
  readonly lambdas: readonly number[];
  /** Name of the random numbers. */
  readonly seed: string;
}

/**
 * Interpolates: both pictures are encoded by q(x_t|x_0), mixed as (1 - lambda) x_t + lambda x'_t, and decoded by the
 * reverse process. The encoder uses the same noise for both, so that a mixture has as much noise as x_t must have. The
 * decoder uses the same noise for all lambda. At t = 0, lambda 0 and 1 give the pictures themselves.
 * @returns a picture for each lambda
 * @throws CodecError('image') for pictures of different sizes, with transparency, or with sides that the network does
 *   not accept, CodecError('usage') for invalid arguments
 */
export async function interpolate(
  model: DiffusionModel,
  a: RgbImage,
  b: RgbImage,
  options: InterpolateOptions,
): Promise<RgbImage[]> {
  checkDiffusionModel(model);
  for (const image of [a, b]) checkImage(image);
  checkOptions('interpolate', INTERPOLATE_ARGUMENTS, options);
  const { width, height } = a;
  const { t, lambdas, seed } = options;
  checkList('lambdas', lambdas);
  for (const lambda of lambdas) checkArgument('lambda', { type: 'number', least: 0, most: 1 }, lambda);
  if (b.width !== width || b.height !== height) {
    const sizes = `${width}x${height} and ${b.width}x${b.height}`;
    throw new CodecError('image', `interpolation: expected two pictures of one size, got ${sizes}; crop or scale one`);
  }
  for (const picture of [a, b]) checkOpaque(picture, 'interpolation');
  checkDrawn({ count: lambdas.length, width, height, seed }, model.network.stride);
  const { alphasCumprod, timesteps } = model.schedule;
  if (!(Number.isInteger(t) && t >= 0 && t <= timesteps)) {
    throw invalidArgument('`t`', `an integer from 0 to ${timesteps}`, t);
  }
  const [signal, noise] = [Math.sqrt(alphasCumprod[t]), Math.sqrt(1 - alphasCumprod[t])];
  const [x, y] = [toUnit(a.data), toUnit(b.data)];
  const epsilon = Float32Array.from(x, gaussians(integerStream(`${seed}/interpolate/encoder`)));
  const states = lambdas.map((lambda) =>
    epsilon.map((e, i) => signal * ((1 - lambda) * x[i] + lambda * y[i]) + noise * e),
  );
  const noises = lambdas.map(() => gaussians(integerStream(`${seed}/interpolate/decoder`)));
  const results = await walkReverse(model, { ...options, states, noises, width, height, from: t });
  return results.map((data) => ({ width, height, data: fromUnit(data) }));
}

/** Which x_t the samples share, and how many samples to draw. */
export interface SharedLatentsOptions extends SamplerOptions {
  /** Timesteps of the shared x_t, 1..T. */
  readonly timesteps: readonly number[];
  /** Number of samples for each. */
  readonly count: number;
  /** Sides in pixels, multiples of the network's stride. */
  readonly width: number;
  readonly height: number;
  /** Name of the random numbers. */
  readonly seed: string;
}

/** Samples that share an x_t. */
export interface SharedLatent {
  readonly t: number;
  /** x_t as a picture, clipped. */
  readonly xt: RgbImage;
  /** The network's xhat0 for x_t, as a picture. */
  readonly xhat0: RgbImage;
  /** Drawn from p(x_0|x_t). */
  readonly samples: readonly RgbImage[];
}

/**
 * Draws one chain of the reverse process, and at several t draws `count` more chains that start from its x_t.
 * @returns one entry for each timestep, the largest timestep first
 * @throws as {@link interpolate}
 */
export async function sampleSharedLatents(
  model: DiffusionModel,
  options: SharedLatentsOptions,
): Promise<SharedLatent[]> {
  checkDiffusionModel(model);
  checkOptions('sampleSharedLatents', SHARED_ARGUMENTS, options);
  checkDrawn(options, model.network.stride);
  checkList('timesteps', options.timesteps);
  for (const t of options.timesteps) checkArgument('timesteps', { type: 'number', integer: true }, t);
  const { width, height, seed, count, onProgress } = options;
  const picture = (x: Float32Array): RgbImage => ({ width, height, data: fromUnit(x) });
  const noise = gaussians(integerStream(`${seed}/shared/chain`));
  let state: Float32Array = Float32Array.from({ length: width * height * 3 }, noise);
  let from = model.schedule.timesteps;
  const descending = [...new Set(options.timesteps)].sort((a, b) => b - a);
  const last = descending.at(-1) ?? 0;
  if (last < 1 || descending[0] > from) {
    throw invalidArgument('shared latents', `timesteps from 1 to ${from}`, descending.join(', ') || 'none');
  }
  // In evaluations of one picture: the chain, and the samples from it.
  const total = from - last + count * descending.reduce((sum, t) => sum + t, 0);
  let done = 0;
  const walk = async (work: number, rest: Omit<ReverseOptions, 'width' | 'height'>) => {
    const before = done;
    const told = (fraction: number) => onProgress?.((before + work * fraction) / total);
    const result = await walkReverse(model, { ...options, ...rest, width, height, onProgress: told });
    done += work;
    return result;
  };
  const rows: SharedLatent[] = [];
  for (const t of descending) {
    [state] = await walk(from - t, { states: [state], noises: [noise], from, to: t });
    from = t;
    let xhat0: RgbImage | undefined;
    const results = await walk(count * t, {
      states: Array.from({ length: count }, () => state),
      noises: Array.from({ length: count }, (_, i) => gaussians(integerStream(`${seed}/shared/${t}/${i}`))),
      from: t,
      onEstimate: (_, at, estimate) => {
        if (at === t) xhat0 ??= picture(estimate);
      },
    });
    rows.push({ t, xt: picture(state), xhat0: xhat0!, samples: results.map(picture) });
  }
  return rows;
}
